//! What the service is told.

use std::collections::BTreeMap;

use serde::Serialize;

/// Somebody who wants to publish or play.
#[derive(Debug, Serialize)]
pub struct Question {
    /// `publish` or `play`.
    pub action: String,
    pub broadcast: String,
    /// `http`, `hls` or `moq`.
    pub protocol: String,
    /// The IP address of the client.
    pub address: String,
    /// What the client's query has of the keys that the operator names.
    pub query: BTreeMap<String, String>,
    /// What the client's request has of the headers that the operator names.
    pub headers: BTreeMap<String, String>,
}

impl Question {
    /// As it is sent.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts alone")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_is_told_in_json() {
        let question = Question {
            action: "play".into(),
            broadcast: "live/demo".into(),
            protocol: "hls".into(),
            address: "127.0.0.1".into(),
            query: [("token".to_owned(), "a\"b".to_owned())].into(),
            headers: BTreeMap::new(),
        };
        let expected = r#"{"action":"play","broadcast":"live/demo","protocol":"hls","address":"127.0.0.1","query":{"token":"a\"b"},"headers":{}}"#;
        assert_eq!(String::from_utf8(question.to_json()).unwrap(), expected);
    }
}
