//! `[ingest]`: who may publish, and how much.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::section::Section;
use super::setting::{Refusal, Setting};
use super::unit::ByteSize;

/// Who may publish, and how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ingest {
    /// What a publisher has to show. Neither this nor a key: only where every listener is loopback.
    pub publish_token: Option<Token>,
    /// The key that JSON Web Tokens of publishers are checked with: a JWK, or a public key in PEM.
    pub jwt_key: Option<PathBuf>,
    /// A publisher from whom nothing has come for so long is gone.
    pub idle_timeout: Duration,
    /// A publisher who is gone may return within this time, and the broadcast goes on.
    pub linger: Duration,
    /// Broadcasts at once.
    pub max_broadcasts: usize,
    /// Tracks a publisher may have in one broadcast.
    pub max_tracks: usize,
    /// The largest ISO BMFF box that is read.
    pub max_box: ByteSize,
    /// The most samples one fragment may have, in each of its tracks.
    pub max_samples: usize,
}

/// A shared secret. Its debug form does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Setting for Token {
    const EXPECTED: &'static str = "8 to 256 characters of visible ASCII, none of them a space";
    const SECRET: bool = true;

    fn from_text(text: &str) -> Result<Self, Refusal> {
        let right = (8..=256).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if right { Ok(Self(text.into())) } else { Err(Refusal::Value(None)) }
    }
}

impl Default for Ingest {
    fn default() -> Self {
        Self {
            publish_token: None,
            jwt_key: None,
            idle_timeout: Duration::from_secs(10),
            linger: Duration::from_secs(30),
            max_broadcasts: 100,
            max_tracks: 32,
            max_box: ByteSize::mib(32),
            // Ten seconds of AAC at 48 kHz are 469 samples, of video at 120 pictures a second 1200.
            max_samples: 16_384,
        }
    }
}

impl Ingest {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        let seconds = Duration::from_secs;
        Self {
            publish_token: section.optional("publish_token"),
            jwt_key: section.optional_path("jwt_key"),
            idle_timeout: section.within("idle_timeout", default.idle_timeout, seconds(1)..=seconds(600)),
            linger: section.within("linger", default.linger, seconds(0)..=seconds(3600)),
            max_broadcasts: section.within("max_broadcasts", default.max_broadcasts, 1..=100_000),
            max_tracks: section.within("max_tracks", default.max_tracks, 1..=1000),
            max_box: section.within("max_box", default.max_box, ByteSize::mib(1)..=ByteSize::mib(1024)),
            max_samples: section.within("max_samples", default.max_samples, 1..=1_000_000),
        }
    }
}
