//! A plugin's request, checked before anything is sent.

use bytes::Bytes;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method};
use http_body_util::Full;
use url::Url;

use super::{HttpError, MAX_BODY};
use crate::text::tidy;

/// The longest URL, in bytes.
const MAX_URL: usize = 8 << 10;
/// The most headers of a request, and how many bytes they may take together.
const MAX_HEADERS: (usize, usize) = (64, 32 << 10);
/// The methods that may be used: those without a meaning for proxies and connections.
const METHODS: [Method; 7] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];
/// Headers that say how a message is sent (RFC 9110, 7.6.1; RFC 9112): the client writes them.
const OF_THE_CLIENT: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Who asks, where the plugin does not say.
const USER_AGENT: &str = concat!("millrace/", env!("CARGO_PKG_VERSION"));

/// What may be sent.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) url: Url,
    pub(super) request: http::Request<Full<Bytes>>,
}

/// Checks all of a request but whether its host is granted.
pub(super) fn check(
    method: &str,
    url: &str,
    headers: &[(String, String)],
    body: Vec<u8>,
) -> Result<Checked, HttpError> {
    let invalid = |text: String| HttpError::Invalid(text);
    let known = METHODS.into_iter().find(|known| known.as_str() == method);
    let method = known.ok_or_else(|| {
        invalid(format!("the method {:?} (expected GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS)", tidy(method)))
    })?;
    if body.len() > MAX_BODY {
        return Err(invalid(format!("a body of {} bytes (expected at most {MAX_BODY})", body.len())));
    }
    let url = parse(url)?;
    let mut request = http::Request::new(Full::new(Bytes::from(body)));
    *request.method_mut() = method;
    *request.uri_mut() = url.as_str().parse().map_err(|_| invalid(format!("the URL {:?}", tidy(url.as_str()))))?;
    *request.headers_mut() = header_map(headers)?;
    Ok(Checked { url, request })
}

/// A URL without a fragment, which is never sent.
fn parse(text: &str) -> Result<Url, HttpError> {
    let expected = "expected https://HOST[:PORT]/[PATH] or http://…, without a user name";
    if text.len() > MAX_URL {
        return Err(HttpError::Invalid(format!("a URL of {} bytes (expected at most {MAX_URL})", text.len())));
    }
    let wrong = |reason: &str| HttpError::Invalid(format!("the URL {:?}: {reason} ({expected})", tidy(text)));
    let mut url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("its scheme is not known"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("it names a user"));
    }
    if url.port() == Some(0) {
        return Err(wrong("its port is 0"));
    }
    url.set_fragment(None);
    Ok(url)
}

fn header_map(headers: &[(String, String)]) -> Result<HeaderMap, HttpError> {
    let (most, longest) = MAX_HEADERS;
    let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    if headers.len() > most || bytes > longest {
        let count = headers.len();
        return Err(HttpError::Invalid(format!(
            "{count} headers of {bytes} bytes (expected at most {most} of {longest} bytes together)"
        )));
    }
    let mut map = HeaderMap::with_capacity(headers.len() + 1);
    for (name, value) in headers {
        let wrong =
            || HttpError::Invalid(format!("the header {:?} (expected a name and a value of RFC 9110)", tidy(name)));
        let name: HeaderName = name.parse().map_err(|_| wrong())?;
        let value: HeaderValue = value.parse().map_err(|_| wrong())?;
        if OF_THE_CLIENT.contains(&name.as_str()) {
            return Err(HttpError::Invalid(format!(
                "the header {:?}, which is not the plugin's to set",
                name.as_str()
            )));
        }
        map.append(name, value);
    }
    map.entry(header::USER_AGENT).or_insert(HeaderValue::from_static(USER_AGENT));
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(method: &str, url: &str, headers: &[(&str, &str)], body: usize) -> String {
        let headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        match check(method, url, &headers, vec![0; body]) {
            Err(HttpError::Invalid(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_is_sent_as_it_was_asked_for() {
        let headers = [("X-Key".to_owned(), "a".to_owned()), ("x-key".to_owned(), "b".to_owned())];
        let checked = check("POST", "https://API.example/a?b=c#d", &headers, b"body".to_vec()).unwrap();
        assert_eq!(checked.request.uri(), "https://api.example/a?b=c");
        let values: Vec<_> = checked.request.headers().get_all("x-key").iter().collect();
        assert_eq!(values, ["a", "b"]);
        assert!(checked.request.headers()[header::USER_AGENT].to_str().unwrap().starts_with("millrace/"));
    }

    #[test]
    fn what_cannot_be_sent_is_refused_in_words() {
        let url = "https://api.example/";
        for method in ["CONNECT", "TRACE", "get", "", "GET /x HTTP/1.1\r\nX: y"] {
            assert!(refused(method, url, &[], 0).starts_with("the method"));
        }
        for url in [
            "",
            "api.example",
            "ftp://api.example/",
            "file:///etc/passwd",
            "https://",
            "http://a:0/",
            "https://u:p@a/",
            "https://u@a/",
        ] {
            assert!(refused("GET", url, &[], 0).starts_with("the URL"), "{url}");
        }
        assert!(refused("GET", &format!("https://a/{}", "x".repeat(9000)), &[], 0).starts_with("a URL of 9010 bytes"));
        for header in [
            ("Host", "x"),
            ("content-length", "5"),
            ("Transfer-Encoding", "chunked"),
            ("a b", "x"),
            ("x", "a\r\nHost: y"),
            ("", "x"),
        ] {
            assert!(refused("GET", url, &[header], 0).starts_with("the header"), "{header:?}");
        }
        assert!(refused("GET", url, &[("x", "y"); 65], 0).starts_with("65 headers"));
        assert!(refused("GET", url, &[("x", &"y".repeat(33 << 10))], 0).starts_with("1 headers of"));
        assert!(refused("POST", url, &[], MAX_BODY + 1).starts_with("a body of 1048577 bytes"));
    }
}
