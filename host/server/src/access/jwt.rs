//! JSON Web Tokens of publishers (RFC 7519), with the claims that moq-token gives them.
//!
//! | claim | |
//! | --- | --- |
//! | `put` | the path that may be published, and all below it; a text, or a list of one |
//! | `root` | what stands before `put`; empty where it is not there |
//! | `nbf` | from when on the token holds, seconds since the Unix epoch; from always where it is not there |
//! | `exp` | until when the token holds, seconds since the Unix epoch; for ever where it is not there |
//!
//! The times are looked at when a request or a session begins, and not again: what has begun goes on.

use std::path::{Path, PathBuf};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;

/// Fewer bytes than this make a secret that can be guessed (RFC 7518, 3.2).
const SHORTEST_SECRET: usize = 32;
/// Bytes of a public key (RFC 8032, 5.1.5).
const ED25519: usize = 32;
/// No token is longer.
const LONGEST: usize = 8192;

/// Why a key cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    /// The file cannot be read.
    #[error("{path} cannot be read: {source}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// There is no key in it.
    #[error(
        "{path} has no key that can be used: expected a JWK (JSON), as moq-token writes it, of kind oct with at least 32 bytes, EC, \
         RSA or OKP; or a public key in PEM of RSA, P-256, P-384 or Ed25519",
        path = .path.display()
    )]
    Unknown {
        /// The file.
        path: PathBuf,
    },
}

/// Why a token is not taken. Said to its bearer: nothing of the key is in it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    /// Its time is over.
    #[error("the JSON Web Token has expired (claim `exp`): get another")]
    Expired,
    /// Its time has not come.
    #[error("the JSON Web Token does not hold yet (claim `nbf`)")]
    Early,
    /// It is signed with another key.
    #[error("the signature of the JSON Web Token is wrong: it is signed with another key than the server's `jwt_key`")]
    Signature,
    /// It is signed in another way.
    #[error("the JSON Web Token is signed with an algorithm that is not that of the server's `jwt_key`")]
    Algorithm,
    /// It is none, or a claim has another type.
    #[error("this is no JSON Web Token with the claims `put`, `root`, `nbf` and `exp`: {0}")]
    Malformed(&'static str),
    /// It is longer than tokens are.
    #[error("the token has {0} bytes, expected at most {LONGEST}")]
    TooLong(usize),
    /// It lets its bearer publish nothing.
    #[error("the token has no claim `put`, so that nothing may be published with it")]
    Nothing,
    /// It names several paths.
    #[error("the token's claim `put` names {0} paths, expected one")]
    Several(usize),
}

impl From<jsonwebtoken::errors::Error> for TokenError {
    fn from(error: jsonwebtoken::errors::Error) -> Self {
        match error.kind() {
            ErrorKind::ExpiredSignature => Self::Expired,
            ErrorKind::ImmatureSignature => Self::Early,
            ErrorKind::InvalidSignature => Self::Signature,
            ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm | ErrorKind::InvalidAlgorithmName => {
                Self::Algorithm
            }
            ErrorKind::InvalidClaimFormat(_) | ErrorKind::MissingRequiredClaim(_) => {
                Self::Malformed("a claim has another form")
            }
            _ => Self::Malformed("it cannot be read"),
        }
    }
}

/// Whether a text has the form of a token: three parts between dots, each in base64url (RFC 7515, 3.1).
pub(super) fn is_jwt(text: &str) -> bool {
    let is_part =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let parts: Vec<&str> = text.splitn(4, '.').collect();
    parts.len() == 3 && parts.into_iter().all(is_part)
}

/// The key that tokens are checked with.
pub(crate) struct Key {
    key: DecodingKey,
    validation: Validation,
    /// As they stand in the file.
    bytes: Vec<u8>,
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    root: String,
    #[serde(default)]
    put: Paths,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Paths {
    One(String),
    Many(Vec<String>),
}

impl Default for Paths {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl Key {
    /// Reads a key.
    ///
    /// # Errors
    /// Where the file cannot be read or has none in it.
    pub(crate) fn read(path: &Path) -> Result<Self, KeyError> {
        let bytes = std::fs::read(path).map_err(|source| KeyError::Read { path: path.to_owned(), source })?;
        Self::parse(&bytes).ok_or_else(|| KeyError::Unknown { path: path.to_owned() })
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (key, algorithm) = match serde_json::from_slice::<Jwk>(bytes) {
            Ok(jwk) => {
                let key = DecodingKey::from_jwk(&jwk).ok()?;
                let is_long_enough = match jwk.algorithm {
                    AlgorithmParameters::OctetKey(_) => key.try_get_as_bytes().ok()?.len() >= SHORTEST_SECRET,
                    AlgorithmParameters::OctetKeyPair(_) => key.try_get_as_bytes().ok()?.len() == ED25519,
                    _ => true,
                };
                if !is_long_enough {
                    return None;
                }
                let algorithm = match jwk.common.key_algorithm {
                    Some(named) => Some(named.to_string().parse::<Algorithm>().ok()?),
                    None => None,
                };
                (key, algorithm)
            }
            // Never taken for a secret: a public key is known to others.
            Err(_) => {
                let forms = [DecodingKey::from_rsa_pem, DecodingKey::from_ec_pem, DecodingKey::from_ed_pem];
                (forms.iter().find_map(|form| form(bytes).ok())?, None)
            }
        };
        let mut validation = match algorithm {
            Some(one) if one.family() == key.family() => Validation::new(one),
            Some(_) => return None,
            None => Validation::new_for_family(key.family()),
        };
        // Looked at where it is there, as moq-token does. Whom a token is for, it does not say.
        validation.required_spec_claims.clear();
        validation.validate_exp = true;
        validation.validate_nbf = true;
        validation.validate_aud = false;
        Some(Self { key, validation, bytes: bytes.to_vec() })
    }

    /// The path that a token's bearer may publish, with all below it; empty for everything.
    ///
    /// # Errors
    /// Where the token is not one of this key's, has expired, or does not let its bearer publish at one path.
    pub(crate) fn path(&self, token: &str) -> Result<String, TokenError> {
        if token.len() > LONGEST {
            return Err(TokenError::TooLong(token.len()));
        }
        let Claims { root, put } = jsonwebtoken::decode(token, &self.key, &self.validation)?.claims;
        let put = match put {
            Paths::One(path) => path,
            Paths::Many(mut paths) => match paths.len() {
                0 | 1 => paths.pop().ok_or(TokenError::Nothing)?,
                several => return Err(TokenError::Several(several)),
            },
        };
        let elements = [root.as_str(), put.as_str()].into_iter().flat_map(|path| path.split('/'));
        Ok(elements.filter(|element| !element.is_empty()).collect::<Vec<_>>().join("/"))
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Header};
    use serde_json::{Value, json};

    use super::*;

    const JWK: &str = r#"{"kty":"oct","alg":"HS256","key_ops":["verify"],"k":"Fp8kipWUJeUFqeSqWym_tRC_tyI8z-QpqopIGrbrD68","kid":"a"}"#;
    const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg+dV9IOhQJVEWdX17
k45rkQM7pNKAGFZpvvC0sF8n8fyhRANCAAQIatek9In65M3PFfXPX0pdAUwbXIMJ
pqRVaf8owK5MHAjcut93o9p9AMKSvlG9DrEBVD8l8kgx5v6qdyMsOgWR
-----END PRIVATE KEY-----
";
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAECGrXpPSJ+uTNzxX1z19KXQFMG1yD
CaakVWn/KMCuTBwI3Lrfd6PafQDCkr5RvQ6xAVQ/JfJIMeb+qncjLDoFkQ==
-----END PUBLIC KEY-----
";

    fn secret() -> EncodingKey {
        let Value::String(k) = serde_json::from_str::<Value>(JWK).unwrap()["k"].clone() else { panic!("no k") };
        let standard = k.replace('-', "+").replace('_', "/") + "=";
        EncodingKey::from_base64_secret(&standard).unwrap()
    }

    fn signed(claims: Value) -> String {
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &secret()).unwrap()
    }

    fn path(claims: Value) -> Result<String, String> {
        Key::parse(JWK.as_bytes()).unwrap().path(&signed(claims)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_token_names_the_path_that_may_be_published() {
        let later = jsonwebtoken::get_current_timestamp() + 3600;
        for (claims, expected) in [
            (json!({ "put": "live/me", "exp": later }), "live/me"),
            (json!({ "put": ["live/me"], "get": ["", "other"], "iat": 1 }), "live/me"),
            (json!({ "root": "/live/", "put": ["/me/"] }), "live/me"),
            (json!({ "root": "live", "put": [""], "aud": "somebody" }), "live"),
            (json!({ "put": "" }), ""),
        ] {
            assert_eq!(path(claims.clone()), Ok(expected.into()), "{claims}");
        }
    }

    #[test]
    fn a_token_that_is_over_or_grants_nothing_is_refused() {
        let (before, after) =
            (jsonwebtoken::get_current_timestamp() - 3600, jsonwebtoken::get_current_timestamp() + 3600);
        for (claims, expected) in [
            (json!({ "put": "live", "exp": before }), "has expired"),
            (json!({ "put": "live", "nbf": after }), "does not hold yet"),
            (json!({ "get": "live" }), "no claim `put`"),
            (json!({ "put": [] }), "no claim `put`"),
            (json!({ "put": ["a", "b"] }), "names 2 paths, expected one"),
            (json!({ "put": 3 }), "no JSON Web Token"),
        ] {
            let error = path(claims.clone()).unwrap_err();
            assert!(error.contains(expected), "{claims}: {error}");
        }
    }

    #[test]
    fn a_token_of_another_key_or_of_none_is_refused() {
        let key = Key::parse(JWK.as_bytes()).unwrap();
        let header = Header::new(Algorithm::HS256);
        let other = EncodingKey::from_secret(b"another secret that is long enough");
        let foreign = jsonwebtoken::encode(&header, &json!({ "put": "" }), &other).unwrap();
        assert!(matches!(key.path(&foreign), Err(TokenError::Signature)));
        // {"alg":"none"} . {"put":""} . nothing
        for token in ["eyJhbGciOiJub25lIn0.eyJwdXQiOiIifQ.", "", "a.b.c"] {
            assert!(matches!(key.path(token), Err(TokenError::Malformed(_))), "{token} was taken");
        }
        assert!(is_jwt(&foreign) && is_jwt("a.b.c"));
        for other in ["", "a.b", "a.b.", "a.b.c.d", "a.b.c/d", "correct-horse"] {
            assert!(!is_jwt(other), "{other}");
        }
        assert!(matches!(key.path(&"a".repeat(9000)), Err(TokenError::TooLong(9000))));
    }

    #[test]
    fn public_keys_come_as_pem() {
        let key = Key::parse(PUBLIC.as_bytes()).unwrap();
        let private = EncodingKey::from_ec_pem(PRIVATE.as_bytes()).unwrap();
        let token = jsonwebtoken::encode(&Header::new(Algorithm::ES256), &json!({ "put": "live" }), &private).unwrap();
        assert_eq!(key.path(&token).unwrap(), "live");
        // The public key is known: it must not do for a secret.
        let forged = EncodingKey::from_secret(PUBLIC.as_bytes());
        let forged = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &json!({ "put": "" }), &forged).unwrap();
        assert!(matches!(key.path(&forged), Err(TokenError::Algorithm)));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let short = r#"{"kty":"oct","alg":"HS256","k":"AAAAAAAAAAAAAAAAAAAAAA"}"#;
        let mixed = JWK.replace("HS256", "ES256");
        for text in ["", "a secret that is long enough to be one", short, &mixed, PRIVATE] {
            assert!(Key::parse(text.as_bytes()).is_none(), "{text} was taken");
        }
    }
}
