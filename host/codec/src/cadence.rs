//! How many pictures a second really come.

use millrace_media::time::Time;

/// Measures the frame rate from the times of pictures, so that rate control spends a second's bits in a second, whatever the
/// frame rate was said to be.
pub(crate) struct Cadence {
    rate: f32,
    first: Option<Time>,
    intervals: u32,
}

/// A rate is told from at least this many intervals, and at least this many seconds: jitter must not look like a change.
const MIN_INTERVALS: u32 = 8;
const MIN_SECONDS: f64 = 0.5;
/// A change smaller than this part of the rate is let be.
const TOLERANCE: f32 = 0.05;
/// A step of time longer than this, or back, is a break in the stream, not a slow frame rate.
const BREAK_SECONDS: f64 = 5.0;

impl Cadence {
    /// Starts from a guess, in pictures per second.
    pub(crate) const fn new(rate: f32) -> Self {
        Self { rate, first: None, intervals: 0 }
    }

    /// Pictures per second, as far as is known.
    pub(crate) const fn rate(&self) -> f32 {
        self.rate
    }

    /// Takes the time of the next picture, and gives the new rate where it has changed.
    pub(crate) fn observe(&mut self, time: Time) -> Option<f32> {
        let Some(first) = self.first else {
            self.first = Some(time);
            return None;
        };
        let seconds = time.as_secs_f64() - first.as_secs_f64();
        if seconds <= 0.0 || seconds > BREAK_SECONDS {
            *self = Self { rate: self.rate, first: Some(time), intervals: 0 };
            return None;
        }
        self.intervals += 1;
        if self.intervals < MIN_INTERVALS || seconds < MIN_SECONDS {
            return None;
        }
        let measured = (f64::from(self.intervals) / seconds) as f32;
        *self = Self { rate: self.rate, first: Some(time), intervals: 0 };
        if (measured - self.rate).abs() <= self.rate * TOLERANCE {
            return None;
        }
        self.rate = measured;
        Some(measured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_guess_is_corrected_once_and_jitter_is_not_a_change() {
        let mut cadence = Cadence::new(30.0);
        let jitter = [0, 7, -5, 3];
        let changes: Vec<f32> =
            (0..300).filter_map(|i| cadence.observe(Time::from_millis(i * 20 + jitter[i as usize % 4]))).collect();
        assert_eq!(changes.len(), 1, "{changes:?}");
        assert!((changes[0] - 50.0).abs() < 1.5, "{changes:?}");
    }

    #[test]
    fn a_break_in_time_is_not_a_frame_rate() {
        let mut cadence = Cadence::new(25.0);
        for start in [0, 100_000, 50_000] {
            for i in 0..100 {
                assert_eq!(cadence.observe(Time::from_millis(start + i * 40)), None);
            }
        }
    }
}
