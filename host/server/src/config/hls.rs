//! `[hls]`: how broadcasts are cut for HLS.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::section::Section;
use super::setting::Bounded;

/// How broadcasts are cut for HLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hls {
    /// Segments end at the first group that starts after so much.
    pub segment_target: Duration,
    /// The longest part (RFC 8216bis, EXT-X-PART-INF).
    pub part_target: Duration,
    /// How much a media playlist lists.
    pub playlist_window: Duration,
    /// A segment ends after so much though no group starts.
    pub max_segment: Duration,
    /// Whether parts are listed at all.
    pub low_latency: bool,
}

impl Default for Hls {
    fn default() -> Self {
        Self {
            segment_target: Duration::from_secs(2),
            part_target: Duration::from_millis(200),
            playlist_window: Duration::from_secs(20),
            max_segment: Duration::from_secs(10),
            low_latency: true,
        }
    }
}

const SEGMENT_TARGETS: RangeInclusive<Duration> = Duration::from_millis(500)..=Duration::from_secs(30);
const PART_TARGETS: RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_secs(5);
const PLAYLIST_WINDOWS: RangeInclusive<Duration> = Duration::from_secs(2)..=Duration::from_secs(24 * 3600);
const MAX_SEGMENTS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(60);

impl Hls {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        let hls = Self {
            segment_target: section.within("segment_target", default.segment_target, SEGMENT_TARGETS),
            part_target: section.within("part_target", default.part_target, PART_TARGETS),
            playlist_window: section.within("playlist_window", default.playlist_window, PLAYLIST_WINDOWS),
            max_segment: section.within("max_segment", default.max_segment, MAX_SEGMENTS),
            low_latency: section.value("low_latency", default.low_latency),
        };
        let Self { segment_target, part_target, playlist_window, max_segment, .. } = &hls;
        let [segment, part, playlist, longest] =
            [segment_target, part_target, playlist_window, max_segment].map(Bounded::show);
        if part_target > segment_target {
            let sentence =
                format!("`part_target` ({part}) is longer than `segment_target` ({segment}), expected at most as long");
            section.conflict("part_target", sentence);
        }
        if max_segment < segment_target {
            let sentence = format!(
                "`max_segment` ({longest}) is shorter than `segment_target` ({segment}), expected at least as long"
            );
            section.conflict("max_segment", sentence);
        }
        // A live playlist may not list less (RFC 8216, 6.2.2).
        if *playlist_window < *segment_target * 3 {
            let sentence = format!(
                "`playlist_window` ({playlist}) is shorter than three segments of `segment_target` ({segment}), expected at least {}",
                (*segment_target * 3).show(),
            );
            section.conflict("playlist_window", sentence);
        }
        hls
    }
}
