//! One date range.

use std::fmt::Write as _;
use std::time::Duration;

use super::LONGEST_OPEN;
use crate::hls::date::DateTime;

/// A length of time as decimal seconds, exact to the millisecond as dates are.
pub(super) struct Seconds(pub(super) Duration);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:03}", self.0.as_secs(), self.0.subsec_millis())
    }
}

/// What is known of a range. What it has been listed with never changes: there is no way to.
#[derive(Debug)]
pub(super) struct Range {
    /// Tells events apart: the same key means the same event, as long as one is under way. Letters, digits, `-`, `.` and `_`.
    key: String,
    start: Duration,
    /// When it ends, as far as is known; its start where it has no length.
    until: Duration,
    /// Names and values, as they are written.
    attributes: Vec<(String, String)>,
}

impl Range {
    /// A range without attributes, at one point of time. Times are whole milliseconds, as those that are written.
    pub(super) fn new(key: String, start: Duration) -> Self {
        let start = Duration::from_millis(u64::try_from(start.as_millis()).unwrap_or(u64::MAX));
        Self { key, start, until: start, attributes: Vec::new() }
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// Since the Unix epoch.
    pub(super) fn start(&self) -> Duration {
        self.start
    }

    /// Since the Unix epoch.
    pub(super) fn until(&self) -> Duration {
        self.until
    }

    pub(super) fn set_length(&mut self, length: Duration) {
        self.until = self.start + length.min(LONGEST_OPEN);
    }

    /// It goes on until something ends it.
    pub(super) fn set_open(&mut self) {
        self.set_length(LONGEST_OPEN);
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Adds an attribute. False where it has one of the name already, which stays.
    pub(super) fn add(&mut self, name: &str, value: String) -> bool {
        let is_new = self.get(name).is_none();
        if is_new {
            self.attributes.push((name.to_owned(), value));
        }
        is_new
    }

    /// `EXT-X-DATERANGE`. A key may come again for another event: with its start, the `ID` is unique.
    pub(super) fn tag(&self) -> String {
        let (start, millis) = (DateTime(self.start), self.start.as_millis());
        let mut tag = format!("#EXT-X-DATERANGE:ID=\"{}-{millis}\",START-DATE=\"{start}\"", self.key);
        for (name, value) in &self.attributes {
            let _ = write!(tag, ",{name}={value}");
        }
        tag
    }
}
