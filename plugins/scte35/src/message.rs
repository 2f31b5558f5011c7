//! What operators send.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::section;

/// The longest pre-roll and the longest break, in seconds.
const LONGEST: f64 = 24.0 * 3_600.0;

/// A message, as it is sent: `{"type": "out", "duration": 30, "in": 4}`.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
enum Message {
    /// Out of the network.
    Out {
        id: Option<u32>,
        duration: Option<f64>,
        #[serde(rename = "in")]
        ahead: Option<f64>,
    },
    /// Back to the network.
    In {
        id: Option<u32>,
        #[serde(rename = "in")]
        ahead: Option<f64>,
    },
    /// Takes an event back.
    Cancel { id: u32 },
    /// A whole section, in base64.
    Section {
        section: String,
        #[serde(rename = "in")]
        ahead: Option<f64>,
    },
}

/// What a message asks for.
#[derive(Debug, PartialEq)]
pub struct Asked {
    /// The section to be written.
    pub section: Vec<u8>,
    /// The splice event, of a `splice_insert`.
    pub event: Option<u32>,
    /// How long from now the splice is, in seconds.
    pub ahead: f64,
}

/// Reads a message. `pre_roll` holds where it does not say how far ahead the splice is, and `event` where it does not say which it is.
///
/// # Errors
/// A sentence for who sent it.
pub fn read(message: &[u8], pre_roll: f64, event: u32) -> Result<Asked, String> {
    let message: Message = serde_json::from_slice(message).map_err(|error| format!("the message: {error}"))?;
    let limited = |name: &str, seconds: f64| {
        let fits = (0.0..=LONGEST).contains(&seconds);
        if fits { Ok(seconds) } else { Err(format!("{name} is {seconds}, and should be 0 to {LONGEST} seconds")) }
    };
    let ahead = |ahead: Option<f64>| limited("in", ahead.unwrap_or(pre_roll));
    match message {
        Message::Out { id, duration, ahead: wanted } => {
            let id = id.unwrap_or(event);
            let duration = duration.map(|seconds| limited("duration", seconds)).transpose()?;
            let ticks = duration.map(|seconds| (seconds * 90_000.0).round() as u64);
            Ok(Asked { section: section::insert(id, true, ticks), event: Some(id), ahead: ahead(wanted)? })
        }
        Message::In { id, ahead: wanted } => {
            let id = id.unwrap_or(event);
            Ok(Asked { section: section::insert(id, false, None), event: Some(id), ahead: ahead(wanted)? })
        }
        Message::Cancel { id } => Ok(Asked { section: section::cancel(id), event: Some(id), ahead: 0.0 }),
        Message::Section { section: text, ahead: wanted } => {
            let section = STANDARD.decode(text.trim()).map_err(|error| format!("section: {error}"))?;
            let said = section::read(&section).map_err(|error| format!("section: {error}"))?;
            Ok(Asked { section, event: said.event, ahead: ahead(wanted)? })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_become_sections() {
        let out = read(br#"{"type":"out","duration":30,"in":4}"#, 2.0, 9).unwrap();
        assert_eq!(out, Asked { section: section::insert(9, true, Some(2_700_000)), event: Some(9), ahead: 4.0 });
        let back = read(br#"{"type":"in","id":3}"#, 2.0, 9).unwrap();
        assert_eq!(back, Asked { section: section::insert(3, false, None), event: Some(3), ahead: 2.0 });
        assert_eq!(read(br#"{"type":"cancel","id":3}"#, 2.0, 9).unwrap().section, section::cancel(3));
        let text = STANDARD.encode(section::insert(4, true, None));
        let whole = read(format!(r#"{{"type":"section","section":"{text}"}}"#).as_bytes(), 2.0, 9).unwrap();
        assert_eq!((whole.event, whole.ahead), (Some(4), 2.0));
    }

    #[test]
    fn messages_that_make_no_sense_are_told_so() {
        for (message, says) in [
            ("", "the message"),
            (r#"{"type":"away"}"#, "away"),
            (r#"{"type":"out","length":3}"#, "length"),
            (r#"{"type":"out","duration":-1}"#, "duration is -1"),
            (r#"{"type":"out","in":1e9}"#, "in is 1000000000"),
            (r#"{"type":"cancel"}"#, "id"),
            (r#"{"type":"section","section":"!"}"#, "section"),
            (r#"{"type":"section","section":"AAAA"}"#, "section"),
        ] {
            let error = read(message.as_bytes(), 2.0, 9).unwrap_err();
            assert!(error.contains(says), "{message}: {error}");
        }
    }
}
