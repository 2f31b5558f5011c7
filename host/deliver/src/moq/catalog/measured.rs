//! What a catalog says of a track that its header does not: it shows as media comes.

use std::time::Duration;

use millrace_media::Time;
use millrace_media::track::Track;

use crate::moq::view::Part;

/// How much media a bit rate is measured over.
const ENOUGH: Duration = Duration::from_secs(4);

/// A track, and what was measured of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Listed {
    pub(super) part: Part,
    /// In bits per second: declared, or measured once there was enough to measure.
    pub(super) bitrate: Option<u64>,
    /// How long a fragment's first frame has waited for its last. None where each frame is a fragment, and never zero: catalogs cannot
    /// say that. Only ever grows.
    pub(super) held_back: Option<Duration>,
}

impl Listed {
    /// What is known now of a part, going on from what was known before.
    pub(super) fn new(part: Part, before: &[Self]) -> Self {
        let known = before.iter().find(|known| known.part.track.is_same(&part.track));
        let declared = part.info.bitrate.map(u64::from);
        let bitrate = declared.or_else(|| known?.bitrate).or_else(|| bitrate(&part.track));
        let held_back = known.and_then(|known| known.held_back).max(held_back(&part.track));
        Self { part, bitrate, held_back }
    }
}

fn bitrate(track: &Track) -> Option<u64> {
    let held = track.held();
    let (first, last) = (held.first()?, held.last()?);
    let span = last.presentation_time + last.duration - first.presentation_time;
    if span < Time::from(ENOUGH) {
        return None;
    }
    let bytes: u64 = held.iter().map(|fragment| fragment.size()).sum();
    Some((bytes as f64 * 8.0 / span.as_secs_f64()) as u64)
}

fn held_back(track: &Track) -> Option<Duration> {
    let newest = track.newest().filter(|fragment| fragment.samples.len() > 1)?;
    // A publisher decides what its samples last, which may be nothing.
    Some(newest.duration.to_duration()).filter(|held_back| !held_back.is_zero())
}
