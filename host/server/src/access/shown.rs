//! The credential that a client shows.

use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use millrace_moq::Address;
use subtle::ConstantTimeEq;

use crate::config::Token;

/// What a client shows to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// Nothing.
    Nothing,
    /// A token, as `?token=`.
    Token(String),
    /// A JSON Web Token, as `?jwt=`.
    Jwt(String),
    /// One or the other, as `Authorization: Bearer` (RFC 6750, 2.1).
    Bearer(String),
}

impl Shown {
    /// What a request carries: the header, or else the query.
    pub(super) fn in_request(parts: &Parts) -> Self {
        if let Some(bearer) = bearer(&parts.headers) {
            return Self::Bearer(bearer.to_owned());
        }
        let pairs = || url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let find = |key: &str| pairs().find(|(name, _)| name == key).map(|(_, value)| value.into_owned());
        Self::of_query(find)
    }

    /// What the address of a session of Media over QUIC carries.
    pub(super) fn in_address(address: &Address) -> Self {
        Self::of_query(|key| address.parameter(key))
    }

    fn of_query(find: impl Fn(&str) -> Option<String>) -> Self {
        find("jwt").map(Self::Jwt).or_else(|| find("token").map(Self::Token)).unwrap_or(Self::Nothing)
    }
}

/// What a request carries as `Authorization: Bearer …`.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Compares a token in constant time: the time tells the length of the right one and nothing else.
pub(super) fn is_token(shown: &str, token: &Token) -> bool {
    shown.as_bytes().ct_eq(token.expose().as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn shown(uri: &str, authorization: Option<&str>) -> Shown {
        let mut request = Request::put(uri);
        if let Some(value) = authorization {
            request = request.header(header::AUTHORIZATION, value);
        }
        Shown::in_request(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn a_credential_comes_in_a_header_or_in_the_query() {
        for (uri, header, expected) in [
            ("/a", Some("Bearer s3cret/+"), Shown::Bearer("s3cret/+".into())),
            ("/a", Some("bearer  s3cret "), Shown::Bearer("s3cret".into())),
            ("/a?x=1&token=s3cret%2F%2b", None, Shown::Token("s3cret/+".into())),
            ("/a?jwt=a.b.c", None, Shown::Jwt("a.b.c".into())),
            ("/a?token=s&jwt=a.b.c", None, Shown::Jwt("a.b.c".into())),
            ("/a?token=s", Some("Bearer other"), Shown::Bearer("other".into())),
            ("/a?token=s", Some("Basic other"), Shown::Token("s".into())),
            ("/a?token=", None, Shown::Token(String::new())),
            ("/a?xtoken=s", None, Shown::Nothing),
            ("/a", Some("s3cret"), Shown::Nothing),
            ("/a", None, Shown::Nothing),
        ] {
            assert_eq!(shown(uri, header), expected, "{uri} {header:?}");
        }
        let address = Address::parse("/live?x=1&token=s3cret%2F%2b");
        assert_eq!(Shown::in_address(&address), Shown::Token("s3cret/+".into()));
    }
}
