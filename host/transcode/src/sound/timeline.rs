//! Where the sound of a packet goes in one unbroken run of samples.
//!
//! The run begins at the time of its first packet and counts samples from there, so that times never drift: what counts is always the
//! distance from the beginning. Where a packet's time and the count agree, within what coarse timescales round away, its samples
//! follow those before. Where there is a hole, of a packet that was damaged or lost, silence fills it; what comes twice is left out.
//! A jump of more than a second, forward or back, ends the run: the next begins with that packet.

use millrace_media::{Time, Timescale};

/// What a time may be off: less than anyone hears or sees, more than timescales of a millisecond round. In milliseconds.
const SLACK: i64 = 5;
/// The longest hole that is filled, in milliseconds.
const FILLED: i64 = 1_000;

/// What to do with a packet's samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// They follow, after so much silence, without the first of them. In samples of each channel; one of the two is zero.
    Append { silence: usize, skip: usize },
    /// They are not of this run.
    Restart,
}

/// A run of samples.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeline {
    start: Time,
    rate: Timescale,
    /// Samples of each channel so far.
    length: i64,
}

impl Timeline {
    pub(super) fn new(start: Time, rate: Timescale) -> Self {
        Self { start, rate, length: 0 }
    }

    /// What to do with samples that are presented at `time`.
    pub(super) fn step(&self, time: Time) -> Step {
        let hole = (time - self.start).rescale(self.rate).ticks().saturating_sub(self.length);
        let millis = |millis: i64| millis * i64::from(self.rate.get()) / 1_000;
        if hole.saturating_abs() > millis(FILLED) {
            return Step::Restart;
        }
        if hole.abs() <= millis(SLACK) {
            return Step::Append { silence: 0, skip: 0 };
        }
        Step::Append { silence: hole.max(0).unsigned_abs() as usize, skip: hole.min(0).unsigned_abs() as usize }
    }

    /// So many samples of each channel have been added.
    pub(super) fn add(&mut self, samples: usize) {
        self.length = self.length.saturating_add_unsigned(samples as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Timescale = Timescale::new(44_100).unwrap();
    const FOLLOWS: Step = Step::Append { silence: 0, skip: 0 };

    fn after(samples: usize) -> Timeline {
        let mut timeline = Timeline::new(Time::from_millis(10_000), RATE);
        timeline.add(samples);
        timeline
    }

    #[test]
    fn rounded_times_follow_and_do_not_add_up() {
        let mut timeline = after(0);
        for packet in 0..100_000_i64 {
            // Packets of 1024 samples in milliseconds rounded down.
            let time = Time::from_millis(10_000 + packet * 1_024 * 1_000 / 44_100);
            assert_eq!(timeline.step(time), FOLLOWS, "packet {packet}");
            timeline.add(1_024);
        }
    }

    #[test]
    fn holes_are_filled_and_what_comes_twice_is_left_out() {
        let timeline = after(44_100);
        assert_eq!(timeline.step(Time::from_millis(11_500)), Step::Append { silence: 22_050, skip: 0 });
        assert_eq!(timeline.step(Time::from_millis(10_900)), Step::Append { silence: 0, skip: 4_410 });
    }

    #[test]
    fn a_clock_that_drifts_is_followed() {
        // A sample clock that is 0.1 % slow against the times it is given.
        let mut timeline = after(0);
        let mut longest = 0;
        for packet in 0..10_000_i64 {
            let ticks = packet * 1_024 * 1_001 / 1_000 + 441_000;
            let Step::Append { silence, skip: 0 } = timeline.step(Time::new(ticks, RATE)) else { panic!("{packet}") };
            longest = longest.max(silence);
            timeline.add(silence + 1_024);
        }
        assert!((220..230).contains(&longest), "{longest}");
    }

    #[test]
    fn jumps_end_the_run() {
        for jump in [3_600_000, 1_001, -1_002, -3_600_000, i64::MAX, i64::MIN] {
            let time = Time::from_millis(11_000_i64.saturating_add(jump));
            assert_eq!(after(44_100).step(time), Step::Restart, "{jump} ms");
        }
    }
}
