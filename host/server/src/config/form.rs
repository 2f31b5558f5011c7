//! Ladders as they are written: in the overlay, and in the answers of the API. What is written is read back as the same.

use serde::Serialize;
use utoipa::ToSchema;

use super::ladder::Ladder;
use super::rendition::Rendition;
use super::setting::{Bounded, Word};

/// A ladder, every key said.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LadderForm {
    /// No two ladders have one.
    #[schema(example = "ladder-1")]
    pub name: String,
    /// Patterns of broadcast names: `*` is anything between two slashes, `**` anything. The first ladder that is for a broadcast is its
    /// only one.
    #[schema(example = json!(["live/*"]))]
    pub broadcasts: Vec<String>,
    /// A rung that nobody has played for so long stops, until somebody does. Without it rungs never stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "30s")]
    pub idle_timeout: Option<String>,
    /// What is done, in this order, while the machine cannot carry the ladder: `skip-non-reference`, `halve-frame-rate`, `drop-rung`.
    #[schema(example = json!(["skip-non-reference", "halve-frame-rate", "drop-rung"]))]
    pub on_overload: Vec<String>,
}

/// A rendition, every key said.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RenditionForm {
    /// The name of its tracks, and of its address: `/hls/<broadcast>/<name>/`.
    #[schema(example = "480p")]
    pub name: String,
    /// Pixels.
    #[schema(minimum = 16, maximum = 8192)]
    pub width: u32,
    /// Pixels.
    #[schema(minimum = 16, maximum = 8192)]
    pub height: u32,
    /// What the video encoder aims at, bits per second. Without it the quality is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "1200k")]
    pub video_bitrate: Option<String>,
    /// What the video encoder holds where there is no bit rate: `visually-lossless`, `high`, `standard` or `low`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "high")]
    pub quality: Option<String>,
    /// `source`, the source's own sound, or `opus`.
    #[schema(example = "source")]
    pub audio: String,
    /// What the audio encoder aims at, where there is one. Bits per second.
    #[schema(example = "96k")]
    pub audio_bitrate: String,
    /// Of the video: `h264` or `av1`.
    #[schema(example = "h264")]
    pub codec: String,
    /// The library that encodes the video: `auto`, `rav1e` or `svt-av1`.
    #[schema(example = "auto")]
    pub encoder: String,
    /// Threads that the video encoder may use.
    #[schema(minimum = 1, maximum = 16)]
    pub threads: u16,
    /// How much work the encoder puts into a picture: `archive`, `standard` or `draft`.
    #[schema(example = "standard")]
    pub speed: String,
    /// Where rungs have to be given up, the lowest goes first.
    #[schema(minimum = 0, maximum = 1000)]
    pub priority: u32,
}

impl From<&Ladder> for LadderForm {
    fn from(ladder: &Ladder) -> Self {
        Self {
            name: ladder.name.to_string(),
            broadcasts: ladder.broadcasts.iter().map(ToString::to_string).collect(),
            idle_timeout: ladder.idle_timeout.map(|timeout| timeout.show()),
            on_overload: ladder.on_overload.iter().map(|relief| relief.word().to_owned()).collect(),
        }
    }
}

impl From<&Rendition> for RenditionForm {
    fn from(rendition: &Rendition) -> Self {
        let bitrate = rendition.video_bitrate;
        Self {
            name: rendition.name.to_string(),
            width: rendition.width,
            height: rendition.height,
            video_bitrate: bitrate.map(|bitrate| bitrate.to_string()),
            quality: bitrate.is_none().then(|| rendition.quality.word().to_owned()),
            audio: rendition.audio.word().to_owned(),
            audio_bitrate: rendition.audio_bitrate.to_string(),
            codec: rendition.codec.word().to_owned(),
            encoder: rendition.encoder.word().to_owned(),
            threads: rendition.threads,
            speed: rendition.speed.word().to_owned(),
            priority: rendition.priority,
        }
    }
}
