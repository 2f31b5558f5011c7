//! What an event says: the time of day when the server had the beginning of a group.

use serde::Deserialize;

use crate::tag::Tag;

/// The scheme of events of the plugin's own: `{"unix_ms": 1795317430250}`.
pub const OWN: &str = "urn:millrace:clock";
/// ID3 in event messages.
const ID3: &str = "https://aomedia.org/emsg/ID3";
/// The description of the `TXXX` frame with the same number as text.
const FRAME: &str = "unix_ms";

/// The plugin's part of the configuration: `settings.schema.json` describes it.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// What the events are.
    pub form: Form,
}

/// What events are.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// JSON, under [`OWN`].
    #[default]
    Json,
    /// ID3: a `TXXX` frame.
    Id3,
}

impl Settings {
    /// Reads a JSON object.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn read(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| format!("the settings: {error}"))
    }
}

impl Form {
    /// The scheme of the events.
    pub fn scheme(self) -> &'static str {
        match self {
            Self::Json => OWN,
            Self::Id3 => ID3,
        }
    }

    /// The message of an event, at so many microseconds since the Unix epoch.
    pub fn message(self, unix_micros: u64) -> Vec<u8> {
        let millis = (unix_micros / 1_000).to_string();
        match self {
            Self::Json => format!("{{\"unix_ms\":{millis}}}").into_bytes(),
            Self::Id3 => {
                let mut tag = Tag::default();
                // A number is short, and has no zero byte.
                let _ = tag.own(FRAME, &millis);
                tag.finish().unwrap_or_default()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_written_in_both_forms() {
        let micros = 1_795_317_430_250_999;
        assert_eq!(Form::Json.message(micros), br#"{"unix_ms":1795317430250}"#);
        let tag = Form::Id3.message(micros);
        assert_eq!(crate::tag::check(&tag), Ok(()));
        assert!(tag.ends_with(b"unix_ms\x001795317430250"));
    }

    #[test]
    fn settings_are_checked() {
        assert_eq!(Settings::read("{}").unwrap().form, Form::Json);
        assert_eq!(Settings::read(r#"{"form":"id3"}"#).unwrap().form, Form::Id3);
        assert!(Settings::read(r#"{"form":"xml"}"#).unwrap_err().contains("xml"));
        assert!(Settings::read(r#"{"from":"id3"}"#).unwrap_err().contains("from"));
    }
}
