//! What is known of a track.

use std::sync::Arc;

use bytes::Bytes;

use crate::name::TrackName;
use crate::time::Timescale;

/// What a track carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// Captions and subtitles.
    Text,
    /// Still images that follow each other, thumbnails for example.
    Image,
    /// Timed metadata.
    Data,
}

impl Kind {
    /// `video`, `audio`, `text`, `image` or `data`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Text => "text",
            Self::Image => "image",
            Self::Data => "data",
        }
    }
}

/// The format of what a track carries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Format {
    /// Pictures of `width` by `height` pixels, as coded.
    Video {
        /// In pixels.
        width: u32,
        /// In pixels.
        height: u32,
        /// Pictures per second, where the source declares it.
        frame_rate: Option<f32>,
    },
    /// Sound.
    Audio {
        /// In Hz.
        sample_rate: u32,
        /// How many channels.
        channels: u16,
    },
    /// Captions and subtitles.
    Text,
    /// Still images of `width` by `height` pixels, as coded.
    Image {
        /// In pixels.
        width: u32,
        /// In pixels.
        height: u32,
    },
    /// Timed metadata.
    Data,
}

impl Format {
    /// What this is a format of.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Video { .. } => Kind::Video,
            Self::Audio { .. } => Kind::Audio,
            Self::Text => Kind::Text,
            Self::Image { .. } => Kind::Image,
            Self::Data => Kind::Data,
        }
    }

    /// Width and height in pixels, of video and images.
    pub const fn size(&self) -> Option<(u32, u32)> {
        match self {
            Self::Video { width, height, .. } | Self::Image { width, height } => Some((*width, *height)),
            _ => None,
        }
    }
}

/// What a track is. Holds until the source changes it; a fragment refers to the one it was written under.
#[derive(Clone, Debug, PartialEq)]
pub struct Info {
    /// RFC 6381 codec string, for example `avc1.64001f`.
    pub codec: String,
    /// Ticks per second of every time in the track.
    pub timescale: Timescale,
    /// What it carries.
    pub format: Format,
    /// BCP 47, where known.
    pub language: Option<String>,
    /// Bits per second that the source declares, where it does.
    pub bitrate: Option<u32>,
    /// The CMAF header: `ftyp` and `moov` of this one track, without an edit list (ISO/IEC 23000-19, 7.3.1).
    pub init: Bytes,
}

impl Info {
    /// What the track carries.
    pub const fn kind(&self) -> Kind {
        self.format.kind()
    }
}

/// Who made a track.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Provenance {
    /// The publisher.
    Source,
    /// A transcoder. What it makes is never transcoded again.
    Derived {
        /// The name of the transcoder factory.
        factory: Arc<str>,
        /// The rendition it was made for, where it was made for one.
        rendition: Option<Arc<str>>,
        /// The track it was made from; none where it was made from no single track of the source.
        from: Option<TrackName>,
    },
}

impl Provenance {
    /// True of what a publisher made.
    pub const fn is_source(&self) -> bool {
        matches!(self, Self::Source)
    }

    /// The rendition it was made for, where it was made for one.
    pub fn rendition(&self) -> Option<&str> {
        match self {
            Self::Derived { rendition, .. } => rendition.as_deref(),
            Self::Source => None,
        }
    }
}

impl std::fmt::Display for Provenance {
    /// `the publisher`, or `ladder (480p)`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Source => f.write_str("the publisher"),
            Self::Derived { factory, rendition: Some(rendition), .. } => write!(f, "{factory} ({rendition})"),
            Self::Derived { factory, rendition: None, .. } => f.write_str(factory),
        }
    }
}
