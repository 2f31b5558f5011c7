//! What operators send: texts by the names of their frames, or a whole tag.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::tag::{self, Tag};

/// The key of a whole tag, in base64.
const WHOLE: &str = "tag";
/// The key of texts of one's own, by their descriptions.
const OWN: &str = "TXXX";

/// The tag that a message asks for: of `{"TIT2": "A title", "TXXX": {"who": "me"}}`, or of `{"tag": "SUQz…"}`.
///
/// # Errors
/// A sentence for who sent it.
pub fn read(message: &[u8]) -> Result<Vec<u8>, String> {
    let fields: Map<String, Value> =
        serde_json::from_slice(message).map_err(|error| format!("the message is no JSON object: {error}"))?;
    if let Some(whole) = fields.get(WHOLE) {
        if fields.len() > 1 {
            return Err("a message with a tag has nothing beside it".into());
        }
        let text = whole.as_str().ok_or("the tag should be base64 in a string")?;
        let bytes = STANDARD.decode(text).map_err(|error| format!("the tag is no base64: {error}"))?;
        tag::check(&bytes)?;
        return Ok(bytes);
    }
    let mut tag = Tag::default();
    for (name, value) in &fields {
        match value {
            Value::String(text) => tag.text(name, text)?,
            Value::Object(texts) if name == OWN => {
                for (description, text) in texts {
                    let text = text.as_str().ok_or_else(|| format!("{OWN} of {description:?} should be a string"))?;
                    tag.own(description, text)?;
                }
            }
            _ => return Err(format!("{name} should be a string")),
        }
    }
    tag.finish().ok_or_else(|| "the message has no text, for example {\"TIT2\": \"A title\"}".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_tags_are_taken() {
        let made = read(br#"{"TIT2":"A title","TXXX":{"who":"me"}}"#).unwrap();
        assert!(made.windows(7).any(|bytes| bytes == b"A title") && made.windows(6).any(|bytes| bytes == b"who\0me"));
        let whole = format!(r#"{{"tag":"{}"}}"#, STANDARD.encode(&made));
        assert_eq!(read(whole.as_bytes()), Ok(made));
    }

    #[test]
    fn what_makes_no_sense_is_told_so() {
        for (message, says) in [
            ("[]", "no JSON object"),
            ("{}", "no text"),
            (r#"{"TIT2":1}"#, "TIT2 should be a string"),
            (r#"{"TXXX":{"a":1}}"#, "should be a string"),
            (r#"{"APIC":"x"}"#, "no text frame"),
            (r#"{"tag":"!"}"#, "no base64"),
            (r#"{"tag":"AAAA"}"#, "no ID3 tag"),
            (r#"{"tag":"AAAA","TIT2":"x"}"#, "nothing beside"),
        ] {
            let error = read(message.as_bytes()).unwrap_err();
            assert!(error.contains(says), "{message}: {error}");
        }
    }
}
