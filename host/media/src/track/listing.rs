//! How players are told of a track.

use std::fmt;
use std::str::FromStr;

use crate::name::TrackName;

/// The longest language tag, in bytes. Longer than any in use.
const MAX_LANGUAGE: usize = 64;

/// What a track is for: a role of the scheme `urn:mpeg:dash:role:2011` (ISO/IEC 23009-1, 5.8.5.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// The main content of its kind.
    Main,
    /// An alternative to the main content of its kind.
    Alternate,
    /// Content that adds to the main content.
    Supplementary,
    /// Commentary on the main content, by a director for example.
    Commentary,
    /// In another language than the content was made in.
    Dub,
    /// Captions: speech and other audio as text.
    Caption,
    /// Subtitles: speech as text, in another language.
    Subtitle,
    /// Sign language.
    Sign,
    /// A description of what the video shows: as audio, or as text to be read aloud.
    Description,
    /// Information in an emergency.
    Emergency,
    /// Without the lead vocals, or with the lyrics.
    Karaoke,
    /// Subtitles that are shown though the viewer asked for none.
    ForcedSubtitle,
    /// In simpler words.
    Easyreader,
    /// Metadata for programs.
    Metadata,
}

/// A text that names no [`Role`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a role: expected one of {expected}", expected = Role::ALL.map(Role::as_str).join(", "))]
pub struct UnknownRole(pub String);

impl Role {
    /// All of them, in the order of the standard.
    pub const ALL: [Self; 14] = [
        Self::Main,
        Self::Alternate,
        Self::Supplementary,
        Self::Commentary,
        Self::Dub,
        Self::Caption,
        Self::Subtitle,
        Self::Sign,
        Self::Description,
        Self::Emergency,
        Self::Karaoke,
        Self::ForcedSubtitle,
        Self::Easyreader,
        Self::Metadata,
    ];

    /// As the scheme writes it, for example `forced-subtitle`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Alternate => "alternate",
            Self::Supplementary => "supplementary",
            Self::Commentary => "commentary",
            Self::Dub => "dub",
            Self::Caption => "caption",
            Self::Subtitle => "subtitle",
            Self::Sign => "sign",
            Self::Description => "description",
            Self::Emergency => "emergency",
            Self::Karaoke => "karaoke",
            Self::ForcedSubtitle => "forced-subtitle",
            Self::Easyreader => "easyreader",
            Self::Metadata => "metadata",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| UnknownRole(text.chars().take(MAX_LANGUAGE).collect()))
    }
}

/// How players are told of a track. By default it is listed, and nothing is said of it that its header does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// What it is for.
    pub role: Option<Role>,
    /// BCP 47. None where that of [`Info`](super::Info) holds.
    pub language: Option<String>,
    /// False of a track that stands in no playlist, manifest or catalog. It is served under its name all the same.
    pub listed: bool,
    /// The track of the source in whose place it is listed, for as long as both are there. Nothing where there is no such track.
    pub replaces: Option<TrackName>,
}

impl Default for Listing {
    fn default() -> Self {
        Self { role: None, language: None, listed: true, replaces: None }
    }
}

/// Why a track's listing cannot be set. It is as it was before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListingError {
    /// Players know the track already.
    #[error("a listing is set before the first fragment: the track has fragments and {kept:?}, given {given:?}")]
    TooLate {
        /// What holds.
        kept: Box<Listing>,
        /// What was to hold.
        given: Box<Listing>,
    },
    /// It is no language tag.
    #[error("{0:?} is not a language tag (BCP 47) of at most {MAX_LANGUAGE} bytes, such as \"de\" or \"pt-BR\"")]
    Language(String),
    /// The track has ended.
    #[error("the track has ended")]
    Ended,
}

impl Listing {
    /// Checks what was not checked by its type.
    pub(super) fn check(&self) -> Result<(), ListingError> {
        match &self.language {
            Some(tag) if !is_language_tag(tag) => Err(ListingError::Language(tag.chars().take(MAX_LANGUAGE).collect())),
            _ => Ok(()),
        }
    }
}

/// True of a text in the form of a language tag (RFC 5646, 2.1): subtags of one to eight letters and digits, the first of two to eight
/// letters, or `x` or `i` with others behind it. Whether they are registered is not looked at.
fn is_language_tag(tag: &str) -> bool {
    let mut subtags = tag.split('-');
    let first = subtags.next().unwrap_or_default();
    let rest: Vec<_> = subtags.collect();
    let begins = first.bytes().all(|b| b.is_ascii_alphabetic())
        && match first.len() {
            1 => matches!(first, "x" | "X" | "i" | "I") && !rest.is_empty(),
            len => (2..=8).contains(&len),
        };
    let is_subtag = |part: &&str| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric());
    // A single letter announces what follows it.
    let ends = rest.last().is_none_or(|last| last.len() > 1 || rest.contains(&"x") || matches!(first, "x" | "X"));
    tag.len() <= MAX_LANGUAGE && begins && ends && rest.iter().all(is_subtag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_written_as_they_are_read() {
        for role in Role::ALL {
            assert_eq!(role.to_string().parse(), Ok(role));
        }
        for bad in ["", "Main", "forced_subtitle", "main ", "\0"] {
            assert_eq!(bad.parse::<Role>(), Err(UnknownRole(bad.to_owned())));
        }
        let error = "director".parse::<Role>().unwrap_err().to_string();
        assert!(error.starts_with("\"director\" is not a role") && error.contains("easyreader"), "{error}");
        assert!("x".repeat(1 << 20).parse::<Role>().unwrap_err().to_string().len() < 500);
    }

    #[test]
    fn language_tags_are_told_from_other_texts() {
        for tag in ["de", "pt-BR", "zh-Hant-TW", "es-419", "de-CH-1996", "x-house", "i-klingon", "en-x-a", "gsw"] {
            assert!(is_language_tag(tag), "{tag:?} was refused");
        }
        let long = "en-abcdefgh-abcdefgh-abcdefgh-abcdefgh-abcdefgh-abcdefgh-abcdefgh-abcdefgh";
        for bad in ["", "d", "x", "-de", "de-", "de--CH", "d3", "de_CH", "de\"", "de\n", "ä", "abcdefghi", "en-a", long]
        {
            assert!(!is_language_tag(bad), "{bad:?} was taken");
        }
    }
}
