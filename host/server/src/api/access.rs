//! Who may use the guarded part of the API.
//!
//! With a token configured: whoever shows it, from anywhere. Without one: this machine, by a listener that no other can reach. A browser
//! on this machine runs pages of others, so that without a token a request must be addressed to this machine by a name that only it can
//! have (or a name of theirs could be pointed here, and their page be taken for ours), and one that changes something must not come from
//! another origin's page.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use millrace_ingest::http::bears_token;

use super::refusal::Refusal;
use crate::config::Token;

/// Where the connections of a listener can come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// This machine alone.
    Loopback,
    /// Other machines too.
    Network,
}

/// What is asked of a request.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    pub(super) token: Option<Token>,
    pub(super) reach: Reach,
}

/// Lets a request through that may use the API.
pub(super) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    match guard.check(request.method(), request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

impl Guard {
    fn check(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        let forbidden = |detail: &str| Err(Refusal::new(StatusCode::FORBIDDEN, detail));
        if let Some(token) = &self.token {
            return if bears_token(headers, token.expose()) {
                Ok(())
            } else {
                let detail = "this needs the token of [api]: send it as `Authorization: Bearer TOKEN`";
                Err(Refusal::new(StatusCode::UNAUTHORIZED, detail))
            };
        }
        if self.reach == Reach::Network || is_forwarded(headers) {
            return forbidden(
                "without a token this can be used from the server's own machine alone, over a loopback address: \
                 set `token` in [api] of the configuration (or MILLRACE_API_TOKEN)",
            );
        }
        let host = host(uri, headers);
        if host.is_some_and(|host| !is_loopback(host)) {
            return forbidden(
                "without a token this has to be addressed as localhost, 127.0.0.1 or [::1]: \
                 use such an address, or set `token` in [api] of the configuration (or MILLRACE_API_TOKEN)",
            );
        }
        if !method.is_safe() && is_cross_origin(headers, host) {
            return forbidden("pages of other origins may not change anything");
        }
        Ok(())
    }
}

/// Whether a proxy has passed the request on for somebody else.
fn is_forwarded(headers: &HeaderMap) -> bool {
    ["forwarded", "x-forwarded-for", "x-real-ip"].iter().any(|name| headers.contains_key(*name))
}

/// Host and port that the request is addressed to: of HTTP/2 in its target, of HTTP/1.1 in a header. One that is not text is nobody's.
pub(super) fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let in_header = || headers.get(header::HOST).map(|host| host.to_str().unwrap_or_default());
    uri.authority().map(|authority| authority.as_str()).or_else(in_header)
}

/// Whether a host, with its port or without, is this machine by a name that only it can have.
pub(crate) fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let is_address = |address: IpAddr| address.to_canonical().is_loopback();
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(is_address)
}

/// Whether a browser says that a page of another origin is behind the request. What is no browser says nothing of the kind.
fn is_cross_origin(headers: &HeaderMap, host: Option<&str>) -> bool {
    let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
    if site.is_some_and(|site| site != b"same-origin" && site != b"none") {
        return true;
    }
    headers.get(header::ORIGIN).is_some_and(|origin| {
        let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
        origin.is_none() || origin != host
    })
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn status(token: Option<&str>, reach: Reach, request: axum::http::request::Builder) -> u16 {
        use crate::config::{Config, load};
        let variables = token.map(|token| ("MILLRACE_API_TOKEN".to_owned(), token.to_owned()));
        let Config { api, .. } = load(None, variables.into_iter()).unwrap();
        let (parts, ()) = request.uri("/api/v1/ladders").body(()).unwrap().into_parts();
        let checked = Guard { token: api.token, reach }.check(&parts.method, &parts.uri, &parts.headers);
        checked.map_or_else(|refusal| refusal.into_response().status().as_u16(), |()| 200)
    }

    fn local() -> axum::http::request::Builder {
        Request::post("/").header("host", "127.0.0.1:8080")
    }

    #[test]
    fn a_token_is_asked_for_everywhere_once_there_is_one() {
        for reach in [Reach::Loopback, Reach::Network] {
            let with = |value: &str| status(Some("correct-horse"), reach, local().header("authorization", value));
            assert_eq!(with("Bearer correct-horse"), 200);
            assert_eq!(with("Bearer correct-hors"), 401);
            assert_eq!(with("Basic correct-horse"), 401);
            assert_eq!(status(Some("correct-horse"), reach, local()), 401);
        }
        let named = Request::post("/").header("host", "media.example").header("authorization", "Bearer correct-horse");
        assert_eq!(status(Some("correct-horse"), Reach::Network, named), 200);
    }

    #[test]
    fn without_a_token_only_this_machine_may() {
        assert_eq!(status(None, Reach::Loopback, local()), 200);
        assert_eq!(status(None, Reach::Network, local()), 403);
        assert_eq!(status(None, Reach::Loopback, local().header("x-forwarded-for", "192.0.2.7")), 403);
        for (host, expected) in [
            ("localhost", 200),
            ("LOCALHOST:8080", 200),
            ("[::1]:8080", 200),
            ("127.9.9.9", 200),
            ("[::ffff:127.0.0.1]", 200),
            ("evil.example", 403),
            ("evil.example:8080", 403),
            ("127.0.0.1.evil.example", 403),
            ("localhost.evil.example:8080", 403),
            ("192.0.2.7:8080", 403),
            ("", 403),
        ] {
            let read = Request::get("/").header("host", host);
            assert_eq!(status(None, Reach::Loopback, read), expected, "{host:?}");
        }
    }

    #[test]
    fn pages_of_other_origins_change_nothing() {
        for (name, value, expected) in [
            ("origin", "http://127.0.0.1:8080", 200),
            ("origin", "http://127.0.0.1:9000", 403),
            ("origin", "https://evil.example", 403),
            ("origin", "null", 403),
            ("sec-fetch-site", "same-origin", 200),
            ("sec-fetch-site", "none", 200),
            ("sec-fetch-site", "same-site", 403),
            ("sec-fetch-site", "cross-site", 403),
        ] {
            assert_eq!(status(None, Reach::Loopback, local().header(name, value)), expected, "{name}: {value}");
        }
        // Reading is harmless: the page is not shown the answer.
        let followed = local().method("GET").header("sec-fetch-site", "cross-site");
        assert_eq!(status(None, Reach::Loopback, followed), 200);
    }
}
