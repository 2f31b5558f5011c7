//! What is told of Media over QUIC to those who ask over HTTP.

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use millrace_moq::Certificates;
use millrace_moq::certificate::to_hex;

use super::RelayState;

/// What pages may ask for from any origin, and no cache keep: the certificate is exchanged from time to time.
const OPEN: [(HeaderName, &str); 3] = [
    (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
    (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    (header::CACHE_CONTROL, "no-store"),
];

/// See the [module](self).
pub(crate) struct Status {
    /// The UDP ports that are listened on, in the order of the configuration.
    pub(crate) ports: Vec<u16>,
    pub(crate) certificates: Certificates,
    pub(crate) relays: Vec<Arc<RelayState>>,
}

impl Status {
    /// The hash of the certificate, where a browser needs it.
    pub(crate) fn certificate(&self) -> Option<String> {
        self.certificates.hash().map(|hash| to_hex(&hash))
    }

    /// The port for who asked at this one: the same, where it is listened on.
    pub(crate) fn port_for(&self, asked: Option<u16>) -> Option<u16> {
        asked.filter(|port| self.ports.contains(port)).or(self.ports.first().copied())
    }
}

/// `/certificate.sha256`, where players that are given an `http://` address look for what to trust.
pub(crate) fn router(status: Option<Arc<Status>>) -> Router {
    Router::new().route("/certificate.sha256", get(move || async move { certificate(status.as_deref()) }))
}

fn certificate(status: Option<&Status>) -> Response {
    let (code, text) = match status {
        None => (StatusCode::NOT_FOUND, "Media over QUIC is not spoken here: `enabled` of [moq] is false\n".into()),
        Some(status) => match status.certificate() {
            Some(hash) => (StatusCode::OK, hash),
            None => {
                let text = "the certificate comes from files, and is trusted by whoever vouches for it: connect to https:// without a hash\n";
                (StatusCode::NOT_FOUND, text.into())
            }
        },
    };
    (code, OPEN, text).into_response()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    fn status() -> Status {
        let certificates = Certificates::development(vec!["localhost".into()], SystemTime::now()).unwrap();
        Status { ports: vec![8080, 9090], certificates, relays: Vec::new() }
    }

    async fn asked(status: Option<Status>) -> (StatusCode, String, String) {
        let request = Request::get("/certificate.sha256").body(Body::empty()).unwrap();
        let answer = router(status.map(Arc::new)).oneshot(request).await.unwrap();
        let open = answer.headers()["access-control-allow-origin"].to_str().unwrap().to_owned();
        let code = answer.status();
        let text = answer.into_body().collect().await.unwrap().to_bytes();
        (code, open, String::from_utf8(text.into()).unwrap())
    }

    #[tokio::test]
    async fn the_hash_is_told_to_every_page() {
        let status = status();
        let expected = status.certificate().unwrap();
        assert_eq!(expected.len(), 64);
        assert_eq!(asked(Some(status)).await, (StatusCode::OK, "*".into(), expected));
    }

    #[tokio::test]
    async fn where_there_is_none_a_sentence_says_why() {
        let (code, open, text) = asked(None).await;
        assert_eq!((code.as_u16(), &*open), (404, "*"));
        assert!(text.contains("[moq]"), "{text}");
    }

    #[test]
    fn the_port_is_the_one_that_was_asked_at() {
        assert_eq!(status().port_for(Some(9090)), Some(9090));
        assert_eq!(status().port_for(Some(443)), Some(8080), "behind a proxy");
        assert_eq!(status().port_for(None), Some(8080));
    }
}
