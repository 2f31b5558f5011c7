//! The plugin's part of the configuration.

use serde::Deserialize;
use serde_json::Value;

use crate::keys::Keys;

/// As the operator writes them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    secret: Option<String>,
    #[serde(default)]
    keys: Vec<Value>,
    issuer: Option<String>,
    audience: Option<String>,
    #[serde(default = "jwt")]
    parameter: String,
    #[serde(default = "leeway")]
    leeway: u32,
    #[serde(default = "max_age")]
    recheck: u32,
}

fn jwt() -> String {
    "jwt".into()
}

fn leeway() -> u32 {
    10
}

fn max_age() -> u32 {
    300
}

/// What the operator asks for.
#[derive(Debug)]
pub struct Settings {
    /// A token is signed by one of these.
    pub keys: Keys,
    /// `iss` of every token, where it matters.
    pub issuer: Option<String>,
    /// One of `aud` of every token, where it matters.
    pub audience: Option<String>,
    /// The key of the query that carries the token.
    pub parameter: String,
    /// By so many seconds clocks may differ.
    pub leeway: u32,
    /// An answer holds for so many seconds at most.
    pub recheck: u32,
}

impl Settings {
    /// Reads the settings from a JSON object.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn parse(json: &str) -> Result<Self, String> {
        let given: Given = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let keys = Keys::new(given.secret.as_deref(), &given.keys)?;
        if given.recheck == 0 {
            return Err("recheck is 0 (expected at least 1 s)".into());
        }
        let Given { issuer, audience, parameter, leeway, recheck, .. } = given;
        Ok(Self { keys, issuer, audience, parameter, leeway, recheck })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said() {
        for (json, expected) in [
            ("{}", "no key"),
            (r#"{ "secret": "short" }"#, "at least 32"),
            (r#"{ "secrets": "x" }"#, "unknown field `secrets`"),
            (r#"{ "keys": [{ "kty": "oct" }] }"#, "key 1"),
            (r#"{ "keys": [{ "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA" }] }"#, "key 1"),
            (r#"{ "secret": "0123456789abcdef0123456789abcdef", "recheck": 0 }"#, "recheck is 0"),
        ] {
            let error = Settings::parse(json).unwrap_err();
            assert!(error.contains(expected), "{json}: {error}");
        }
        assert!(Settings::parse(r#"{ "secret": "0123456789abcdef0123456789abcdef" }"#).is_ok());
    }
}
