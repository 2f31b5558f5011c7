//! What flows through a track, measured.

use std::sync::Arc;

use millrace_media::track::Info;

use super::{MediaPlaylist, Segment};

/// What a multivariant playlist says about a track.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// What the track is.
    pub info: Arc<Info>,
    /// The largest bit rate of a segment, in bits per second.
    pub peak: u64,
    /// The bit rate over all segments, in bits per second.
    pub average: u64,
    /// Samples per second.
    pub sample_rate: f64,
}

impl MediaPlaylist {
    /// What flows, once the playlist is ready. Measured over what is kept, so that one quiet moment does not look like the whole. Of a
    /// track that has been silent, what flowed before, until there is enough to measure again.
    pub fn measure(&self) -> Option<Measured> {
        let target = self.target_duration.filter(|_| self.is_ready())?;
        let with_media = || self.segments.iter().filter(|segment| segment.bytes > 0 && !segment.lost);
        // Much shorter segments are not counted for the peak (RFC 8216, 4.1).
        let counted = with_media().filter(|segment| segment.duration.as_secs_f64() * 2.0 >= f64::from(target));
        let Some(peak) = counted.filter_map(Segment::bit_rate).max() else {
            let at_all = || self.measured(with_media().filter_map(Segment::bit_rate).max()?, with_media());
            return self.known.clone().or_else(at_all);
        };
        self.measured(peak, with_media())
    }

    /// Keeps what is measured now: the segments it was measured over may go.
    pub(super) fn remember(&mut self) {
        if let Some(measured) = self.measure() {
            self.known = Some(measured);
        }
    }

    fn measured<'a>(
        &self,
        peak: u64,
        segments: impl DoubleEndedIterator<Item = &'a Segment> + Clone,
    ) -> Option<Measured> {
        let sum = |of: fn(&Segment) -> f64| segments.clone().map(of).sum::<f64>();
        let seconds = sum(|segment| segment.duration.as_secs_f64());
        let newest = segments.clone().next_back()?;
        let fragment = newest.rest.last().or(newest.parts.last().and_then(|part| part.fragments.last()))?;
        Some(Measured {
            info: fragment.info().clone(),
            peak,
            average: ((sum(|segment| segment.bytes as f64) * 8.0 / seconds) as u64).min(peak),
            sample_rate: sum(|segment| segment.samples as f64) / seconds,
        })
    }
}
