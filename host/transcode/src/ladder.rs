//! Renditions, and the ladders that say which of them a broadcast gets.

use std::sync::Arc;
use std::time::Duration;

use millrace_codec::VideoSettings;
use millrace_media::BroadcastName;
use millrace_media::track::Format;

/// A size, bitrate and codec to produce.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendition {
    /// Its name, and that of the track made for it: `480p`.
    pub name: Arc<str>,
    /// How its video is encoded. The size is a box that the picture is fitted into.
    pub video: VideoSettings,
    /// The sound that goes with it.
    pub audio: Sound,
    /// Where rungs have to be given up, those of the lowest priority go first; among equals, the one that costs most.
    pub priority: u32,
}

/// The sound of a rendition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Sound {
    /// The source's own, as it came.
    #[default]
    Source,
    /// Opus (RFC 6716) of so many bits per second.
    Opus {
        /// Bits per second.
        bitrate: u32,
    },
}

/// How a ladder spares work.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Economy {
    /// A rung that nobody has played for so long stops, and starts again at the next group when somebody does. None: rungs never stop.
    pub idle_timeout: Option<Duration>,
    /// What is done, in this order and each on top of those before it, while the machine cannot carry the ladder. Empty: rungs that fall
    /// behind skip to their next group, and nothing more.
    pub on_overload: Vec<Relief>,
}

/// A way to make an overloaded ladder cost less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Relief {
    /// Pictures that no other picture refers to are left out of rungs.
    SkipNonReference,
    /// Rungs get every second picture.
    HalveFrameRate,
    /// The rung of the lowest priority is given up until there is room for it again.
    DropRung,
}

impl Relief {
    /// The word for it in configurations and the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SkipNonReference => "skip-non-reference",
            Self::HalveFrameRate => "halve-frame-rate",
            Self::DropRung => "drop-rung",
        }
    }
}

impl Rendition {
    /// The settings for a source of this format: its aspect ratio within the rendition's size, in even numbers. None where the source
    /// is not video, or is smaller than the rendition.
    pub fn fit(&self, source: &Format) -> Option<VideoSettings> {
        let Format::Video { width, height, frame_rate } = *source else { return None };
        let (box_width, box_height) = (self.video.width, self.video.height);
        if width == 0 || height == 0 || (width < box_width && height < box_height) {
            return None;
        }
        let even = |side: u64| u32::try_from((side / 2 * 2).max(2)).unwrap_or(u32::MAX);
        let (w, h, bw, bh) = (u64::from(width), u64::from(height), u64::from(box_width), u64::from(box_height));
        // Rounded to the nearest even number, so that a box of the source's own shape is filled: 426 for 240 lines of 16:9.
        let (width, height) = if w * bh >= h * bw {
            (box_width, even(((h * bw * 2 + w) / (w * 2)) + 1).min(box_height))
        } else {
            (even(((w * bh * 2 + h) / (h * 2)) + 1).min(box_width), box_height)
        };
        let frame_rate = frame_rate.filter(|rate| (1.0..=240.0).contains(rate)).unwrap_or(self.video.frame_rate);
        Some(VideoSettings { width, height, frame_rate, ..self.video.clone() })
    }
}

/// The rendition that a track of this name is a part of: its name is the rendition's, or begins with it and `-`.
pub(crate) fn rung_of<'a>(renditions: &'a [Arc<Rendition>], track: &str) -> Option<&'a Arc<Rendition>> {
    let belongs = |rung: &str| track.strip_prefix(rung).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
    renditions.iter().filter(|rendition| belongs(&rendition.name)).max_by_key(|rendition| rendition.name.len())
}

/// Which broadcasts a ladder is for.
pub type Pattern = Arc<dyn Fn(&BroadcastName) -> bool + Send + Sync>;

/// The renditions of the broadcasts it is for.
#[derive(Clone)]
pub struct Ladder {
    /// Its name, unique among the ladders.
    pub name: Arc<str>,
    /// Which broadcasts.
    pub applies_to: Pattern,
    /// High to low.
    pub renditions: Vec<Arc<Rendition>>,
    /// How it spares work.
    pub economy: Arc<Economy>,
}

impl std::fmt::Debug for Ladder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ladder")
            .field("name", &self.name)
            .field("renditions", &self.renditions)
            .field("economy", &self.economy)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use millrace_codec::VideoCodec;

    use super::*;

    fn fitted(width: u32, height: u32) -> Option<(u32, u32)> {
        let video = VideoSettings::new(VideoCodec::H264, 854, 480);
        let rendition = Rendition { name: "480p".into(), video, audio: Sound::Source, priority: 0 };
        let settings = rendition.fit(&Format::Video { width, height, frame_rate: Some(25.0) })?;
        assert!(settings.frame_rate == 25.0);
        Some((settings.width, settings.height))
    }

    #[test]
    fn a_rendition_keeps_the_shape_of_its_source() {
        assert_eq!(fitted(1920, 1080), Some((854, 480)));
        assert_eq!(fitted(1280, 720), Some((854, 480)));
        assert_eq!(fitted(854, 480), Some((854, 480)));
        assert_eq!(fitted(1440, 1080), Some((640, 480)));
        assert_eq!(fitted(1080, 1920), Some((270, 480)));
        assert_eq!(fitted(2560, 1080), Some((854, 360)));
    }

    #[test]
    fn no_rendition_is_larger_than_its_source() {
        assert_eq!(fitted(640, 360), None);
        assert_eq!(fitted(852, 478), None);
    }
}
