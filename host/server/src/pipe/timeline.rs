//! The times of what is written, across sessions.
//!
//! Decode times in a file only rise. After a session was lost, the server may send the newest group again: fragments that have been written
//! are dropped. Times may also begin anew, because the server or the publisher was started again: then all tracks are moved by the same
//! number of whole seconds. Whole seconds are exact in every timescale, and tracks stay in step.

/// The fragment of a track that was written last. Group numbers tell a group that is sent again from times that begin anew: they rise for as
/// long as the broadcast's name lives, across restarts of the server.
#[derive(Clone, Copy, Debug)]
struct Last {
    group: u64,
    /// Its decode time in the file, in ticks.
    time: u64,
    /// The time since the fragment before it, in ticks.
    step: u64,
}

#[derive(Debug)]
struct Lane {
    timescale: u64,
    last: Option<Last>,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Timeline {
    lanes: Vec<Lane>,
    /// Whole seconds that are added to every time.
    shift: u64,
}

/// Tracks may begin so many seconds apart.
const APART: u64 = 1;

impl Timeline {
    /// Nothing is written yet. Ticks a second of each track.
    pub(super) fn new(timescales: impl IntoIterator<Item = u32>) -> Self {
        let lanes = timescales.into_iter().map(|scale| Lane { timescale: scale.max(1).into(), last: None });
        Self { lanes: lanes.collect(), shift: 0 }
    }

    /// Ticks to add to the decode time of the next fragment of a track, by its index; none where the fragment has been written.
    pub(super) fn shift(&mut self, track: usize, group: u64, time: u64) -> Option<u64> {
        let lane = self.lanes.get(track)?;
        let ticks = |seconds: u64| seconds.saturating_mul(lane.timescale);
        if let Some(last) = lane.last
            && time.saturating_add(ticks(self.shift)) <= last.time
        {
            if group <= last.group {
                return None;
            }
            // Behind the end of the longest track.
            let ends = self.lanes.iter().filter_map(|lane| {
                let last = lane.last?;
                Some((last.time.saturating_add(last.step)).div_ceil(lane.timescale))
            });
            let end = ends.max().unwrap_or(0);
            self.shift = end.saturating_sub(time / lane.timescale).saturating_add(APART);
        }
        let shift = ticks(self.shift);
        let written = time.saturating_add(shift);
        let lane = &mut self.lanes[track];
        let step = lane.last.map_or(0, |last| written.saturating_sub(last.time));
        // A gap does not tell how long a fragment is.
        let step = if step > lane.timescale * 10 { 0 } else { step };
        lane.last = Some(Last { group, time: written, step });
        Some(shift)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_go_on_are_left_alone() {
        let mut timeline = Timeline::new([90_000]);
        for n in 0..10 {
            assert_eq!(timeline.shift(0, 1, n * 3000), Some(0));
        }
        assert_eq!(timeline.shift(0, 2, 900_000_000), Some(0), "a gap is a gap");
    }

    #[test]
    fn a_group_that_comes_again_is_written_once() {
        let mut timeline = Timeline::new([1000]);
        for n in 0..5 {
            assert_eq!(timeline.shift(0, 7, n * 40), Some(0));
        }
        for n in 0..5 {
            assert_eq!(timeline.shift(0, 7, n * 40), None);
        }
        assert_eq!(timeline.shift(0, 6, 0), None);
        assert_eq!(timeline.shift(0, 7, 200), Some(0), "its end is new");
    }

    #[test]
    fn times_that_begin_anew_are_moved_together() {
        let mut timeline = Timeline::new([90_000, 48_000]);
        for n in 0..30 {
            assert_eq!(timeline.shift(0, 1, n * 90_000), Some(0));
            assert_eq!(timeline.shift(1, 1, n * 48_000), Some(0));
        }
        // Sound may come first, and begins a little earlier.
        let sound = timeline.shift(1, 100, 1000).unwrap();
        let picture = timeline.shift(0, 100, 0).unwrap();
        assert_eq!((sound / 48_000, picture / 90_000), (31, 31), "by whole seconds, the same");
        assert_eq!((sound % 48_000, picture % 90_000), (0, 0));
        assert_eq!(timeline.shift(0, 100, 3000), Some(picture));
        assert_eq!(timeline.shift(1, 101, 48_000), Some(sound));
    }
}
