//! Names of broadcasts and tracks, checked once, at the door.

use std::fmt;
use std::sync::Arc;

/// The longest broadcast name, in bytes. Leaves room for a track and a file below it in a URL and in every protocol's own limits.
pub const MAX_BROADCAST_NAME: usize = 200;
/// The longest track name, and the longest element of a broadcast name, in bytes.
pub const MAX_ELEMENT: usize = 64;

/// Why a name was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing there.
    #[error("the name is empty")]
    Empty,
    /// Too long.
    #[error("the name has {length} bytes where at most {limit} are allowed")]
    TooLong {
        /// What was given, in bytes.
        length: usize,
        /// What is allowed, in bytes.
        limit: usize,
    },
    /// An element between slashes is empty, or is `.` or `..`.
    #[error("the name {0:?} has an empty element, or one that is only dots")]
    Element(String),
    /// A character that is not allowed.
    #[error("the name {name:?} has the character {character:?}: letters, digits, '-', '_', '.' and '~' are allowed")]
    Character {
        /// The whole name.
        name: String,
        /// The first one that is not allowed.
        character: char,
    },
}

fn check_element(whole: &str, element: &str) -> Result<(), NameError> {
    if element.is_empty() || element.bytes().all(|b| b == b'.') {
        return Err(NameError::Element(whole.into()));
    }
    if element.len() > MAX_ELEMENT {
        return Err(NameError::TooLong { length: element.len(), limit: MAX_ELEMENT });
    }
    match element.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~'))) {
        Some(character) => Err(NameError::Character { name: whole.into(), character }),
        None => Ok(()),
    }
}

/// A broadcast's path, for example `live/demo`: elements joined by slashes, each of unreserved URL characters (RFC 3986, 2.3).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BroadcastName(Arc<str>);

impl BroadcastName {
    /// Checks a name.
    ///
    /// # Errors
    /// Where it is empty or too long, or an element of it is empty, only dots, or has a character that is not allowed.
    pub fn new(name: &str) -> Result<Self, NameError> {
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.len() > MAX_BROADCAST_NAME {
            return Err(NameError::TooLong { length: name.len(), limit: MAX_BROADCAST_NAME });
        }
        name.split('/').try_for_each(|element| check_element(name, element))?;
        Ok(Self(name.into()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without its last element, and that element: `live/demo/480p` gives `live/demo` and `480p`.
    pub fn split_last(&self) -> Option<(Self, &str)> {
        self.0.rsplit_once('/').map(|(parent, last)| (Self(parent.into()), last))
    }

    /// The name of the view of one rendition of this broadcast, `<source>/<rendition>`.
    pub fn view(&self, rendition: &TrackName) -> Self {
        Self(format!("{}/{}", self.0, rendition.as_str()).into())
    }
}

/// A track's name, unique in its broadcast: one element of unreserved URL characters.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackName(Arc<str>);

impl TrackName {
    /// Checks a name.
    ///
    /// # Errors
    /// As for an element of [`BroadcastName::new`].
    pub fn new(name: &str) -> Result<Self, NameError> {
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        check_element(name, name)?;
        Ok(Self(name.into()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! show {
    ($name:ty) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
        impl std::str::FromStr for $name {
            type Err = NameError;
            fn from_str(name: &str) -> Result<Self, NameError> {
                Self::new(name)
            }
        }
    };
}
show!(BroadcastName);
show!(TrackName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_url_paths_of_unreserved_characters() {
        assert!(BroadcastName::new("live/demo-1.x_y~z").is_ok());
        for bad in ["", "/", "a/", "/a", "a//b", "a/../b", "a/.", "a b", "a%2f", "a\\b", "ä", "a/\0"] {
            assert!(BroadcastName::new(bad).is_err(), "{bad:?} was taken");
        }
        assert!(BroadcastName::new(&"a/".repeat(100)).is_err());
        assert!(TrackName::new("a/b").is_err());
        assert!(TrackName::new(&"a".repeat(65)).is_err());
    }

    #[test]
    fn a_view_is_named_after_its_broadcast_and_rendition() {
        let view = BroadcastName::new("live/demo").unwrap().view(&TrackName::new("480p").unwrap());
        assert_eq!(view.as_str(), "live/demo/480p");
        let (parent, last) = view.split_last().unwrap();
        assert_eq!((parent.as_str(), last), ("live/demo", "480p"));
    }
}
