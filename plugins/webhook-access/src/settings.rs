//! The plugin's part of the configuration.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What becomes of an attempt that the service has not decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// It is allowed: the service is down, and viewers do not notice.
    Allow,
    /// It is denied.
    #[default]
    Deny,
}

/// What the operator asks for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where questions are sent.
    pub url: String,
    /// Headers that go with every question, an `authorization` for example.
    #[serde(default)]
    pub send: BTreeMap<String, String>,
    /// The keys of the client's query that the service is told.
    #[serde(default = "token")]
    pub query: Vec<String>,
    /// The headers of the client that the service is told.
    #[serde(default = "authorization")]
    pub headers: Vec<String>,
    /// What becomes of an attempt that the service has not decided.
    #[serde(default)]
    pub on_error: OnError,
}

fn token() -> Vec<String> {
    vec!["token".into()]
}

fn authorization() -> Vec<String> {
    vec!["authorization".into()]
}

impl Settings {
    /// Reads the settings from a JSON object.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn parse(json: &str) -> Result<Self, String> {
        let settings: Self = serde_json::from_str(json).map_err(|error| error.to_string())?;
        if !settings.url.starts_with("https://") && !settings.url.starts_with("http://") {
            return Err(format!("url is {:?} (expected https:// or http://)", settings.url));
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said() {
        for (json, expected) in [
            ("{}", "missing field `url`"),
            (r#"{ "url": "ftp://x" }"#, "expected https://"),
            (r#"{ "url": "https://x", "on_error": "ask" }"#, "expected `allow` or `deny`"),
            (r#"{ "url": "https://x", "uri": 1 }"#, "unknown field `uri`"),
        ] {
            let error = Settings::parse(json).unwrap_err();
            assert!(error.contains(expected), "{json}: {error}");
        }
        let settings = Settings::parse(r#"{ "url": "https://x" }"#).unwrap();
        assert_eq!((settings.on_error, settings.query), (OnError::Deny, vec!["token".to_owned()]));
    }
}
