//! Who may publish: whoever knows the token, in a header or in the query.

use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use subtle::ConstantTimeEq;

/// True if the request carries the token: as `Authorization: Bearer …`, or in the query as `token=…`.
pub(super) fn may_publish(parts: &Parts, token: &str) -> bool {
    match bearer(&parts.headers) {
        Some(given) => is(given, token),
        None => parts.uri.query().and_then(from_query).is_some_and(|given| is(&given, token)),
    }
}

/// True if the headers carry the token, as `Authorization: Bearer …` (RFC 6750, 2.1). How long that takes to find out says nothing of
/// the token but its length.
pub fn bears_token(headers: &HeaderMap, token: &str) -> bool {
    bearer(headers).is_some_and(|given| is(given, token))
}

fn is(given: &str, token: &str) -> bool {
    given.as_bytes().ct_eq(token.as_bytes()).into()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

fn from_query(query: &str) -> Option<String> {
    query.split('&').find_map(|pair| pair.strip_prefix("token=")).map(decode)
}

/// Percent-decodes (RFC 3986, 2.1); what is not an escape stays as it is.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escape = (*first == b'%').then(|| after.get(..2)).flatten();
        let value =
            escape.and_then(|hex| std::str::from_utf8(hex).ok()).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match value {
            Some(value) => {
                bytes.push(value);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn request(uri: &str, authorization: Option<&str>) -> Parts {
        let mut request = Request::put(uri);
        if let Some(value) = authorization {
            request = request.header(header::AUTHORIZATION, value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_token_comes_in_a_header_or_in_the_query() {
        assert!(may_publish(&request("/a", Some("Bearer s3cret/+")), "s3cret/+"));
        assert!(may_publish(&request("/a", Some("bearer s3cret/+")), "s3cret/+"));
        assert!(may_publish(&request("/a?x=1&token=s3cret%2F%2b", None), "s3cret/+"));
    }

    #[test]
    fn anything_else_is_not_it() {
        for (uri, header) in [
            ("/a", None),
            ("/a?token=", None),
            ("/a?token=s3cre", None),
            ("/a?token=s3crets", None),
            ("/a?xtoken=s3cret", None),
            ("/a", Some("Basic s3cret")),
            ("/a", Some("s3cret")),
            ("/a?token=s3cret", Some("Bearer wrong")),
        ] {
            assert!(!may_publish(&request(uri, header), "s3cret"), "{uri} {header:?} was taken");
        }
    }
}
