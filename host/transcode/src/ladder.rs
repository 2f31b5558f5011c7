//! Renditions, and the ladders that say which of them a broadcast gets.

use std::sync::Arc;

use millrace_codec::VideoSettings;

/// A size, bitrate and codec to produce.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendition {
    /// Its name, and that of the track made for it: `480p`.
    pub name: Arc<str>,
    /// How its video is encoded.
    pub video: VideoSettings,
    /// Bits per second of its sound, where that is encoded.
    pub audio_bitrate: u32,
}
