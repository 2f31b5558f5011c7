//! Which broadcasts a ladder or a plugin is for.

use std::fmt;

use globset::{GlobBuilder, GlobMatcher};
use millrace_media::BroadcastName;

use super::setting::{Refusal, Setting};

/// A pattern over names of broadcasts: `*` stands for anything within one element, `**` for any elements, `?` for one character,
/// `[ab]` and `{a,b}` for a choice. `live/*` is `live/demo` and not `live/demo/480p`; `live/**` is both; `**` is every broadcast.
#[derive(Clone, Debug)]
pub struct BroadcastPattern {
    text: String,
    matcher: GlobMatcher,
}

impl BroadcastPattern {
    /// The pattern of every broadcast.
    pub fn all() -> Self {
        Self::new("**").expect("a pattern that is right")
    }

    /// Reads a pattern; none where it is not one.
    pub fn new(text: &str) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        let glob = GlobBuilder::new(text).literal_separator(true).build().ok()?;
        Some(Self { text: text.to_owned(), matcher: glob.compile_matcher() })
    }

    /// Whether it is for this broadcast.
    pub fn matches(&self, broadcast: &BroadcastName) -> bool {
        self.matcher.is_match(broadcast.as_str())
    }
}

impl PartialEq for BroadcastPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for BroadcastPattern {}

impl fmt::Display for BroadcastPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Setting for BroadcastPattern {
    const EXPECTED: &'static str = "a pattern of broadcast names, such as \"live/*\" or \"**\"";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        Self::new(text).ok_or(Refusal::Value(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stays_within_an_element() {
        let matches = |pattern: &str, name: &str| {
            BroadcastPattern::new(pattern).unwrap().matches(&BroadcastName::new(name).unwrap())
        };
        assert!(matches("**", "live/demo"));
        assert!(matches("**", "a"));
        assert!(matches("live/*", "live/demo"));
        assert!(!matches("live/*", "live/demo/480p"));
        assert!(matches("live/**", "live/demo/480p"));
        assert!(!matches("live/*", "event/demo"));
        assert!(matches("{live,event}/de?o", "event/demo"));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for bad in ["", "live/[", "{a"] {
            assert!(BroadcastPattern::new(bad).is_none(), "{bad:?} was taken");
        }
    }
}
