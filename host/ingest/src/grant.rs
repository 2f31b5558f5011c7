//! What a publisher may publish.

use std::fmt;

/// What a client may publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    /// Nothing.
    Nothing,
    /// Broadcasts whose name begins with this path, whole elements of it; every one, where it is empty.
    Below(String),
}

impl Grant {
    /// Whether a broadcast of this name may be published.
    pub fn allows(&self, name: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::Below(path) if path.is_empty() => true,
            Self::Below(path) => {
                name.strip_prefix(path.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
        }
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("this client may publish nothing"),
            Self::Below(path) if path.is_empty() => f.write_str("this client may publish everything"),
            Self::Below(path) => write!(f, "this client may publish {path} and what lies below it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_of_whole_elements() {
        let grant = Grant::Below("live/me".to_owned());
        for (name, allowed) in [("live/me", true), ("live/me/too", true), ("live/meme", false), ("live", false)] {
            assert_eq!(grant.allows(name), allowed, "{name}");
        }
        assert!(Grant::Below(String::new()).allows("anything"));
        assert!(!Grant::Nothing.allows("live/me"));
    }
}
