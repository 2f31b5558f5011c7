//! When a track has fallen silent.
//!
//! A rung stops while nobody plays it, or while the machine cannot carry it; its track stays open. Nothing says so but that the source's
//! pictures go on without it. One that is merely late is not silent: its fragments come, whatever their times.

use std::time::Duration;

use millrace_media::Fragment;
use millrace_media::calendar::Epoch;

/// How long nothing may come of a track while pictures go on: seconds of its playlist's target duration, or `longest` until there is
/// one. A group that comes late, all at once, is not taken for silence: where a publisher sends a group of pictures before the sound
/// that goes with it, that sound is a whole group late already.
pub(super) fn patience(is_sound: bool, target_duration: Option<u32>, longest: Duration) -> Duration {
    let groups = if is_sound { 2 } else { 1 };
    target_duration.map_or(longest, |target| Duration::from_secs(target.into()) * groups)
}

/// Since when the source's pictures have gone on without the track.
#[derive(Debug, Default)]
pub(super) struct Silence {
    since: Option<(Epoch, Duration)>,
}

impl Silence {
    /// Something has come.
    pub(super) fn broken(&mut self) {
        self.since = None;
    }

    /// A picture of the source has come. True where nothing of the track has for `patience`. When the publisher has returned, its
    /// tracks are waited for anew.
    pub(super) fn lasts(&mut self, picture: &Fragment, patience: Duration) -> bool {
        let (epoch, now) = (picture.place().epoch, picture.arrived());
        let (_, since) = *self.since.insert(self.since.filter(|(begun, _)| *begun == epoch).unwrap_or((epoch, now)));
        now.saturating_sub(since) >= patience
    }
}
