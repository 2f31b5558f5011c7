//! How much decoding a source may ask for, and for how long after its publisher has gone.

use std::time::Duration;

use millrace_codec::{DecodeLimits, Size};

/// What may be spent on decoding one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoding {
    /// The largest frame, by its luma samples. A source with larger ones is not transcoded.
    pub max_frame: Size,
    /// Luma samples a second, hidden frames included. What exceeds it is dropped.
    pub max_rate: u64,
}

impl Default for Decoding {
    fn default() -> Self {
        Self { max_frame: DecodeLimits::default().max_frame, max_rate: 500_000_000 }
    }
}

impl Decoding {
    pub(super) const fn limits(&self) -> DecodeLimits {
        DecodeLimits { max_frame: self.max_frame }
    }
}

/// For so long a source is decoded once its publisher has gone, in time spent on decoding; and for so long a single frame.
const LAST_WORK: Duration = Duration::from_secs(1);

/// A token bucket of samples, of luma or of sound. It holds those of one second.
#[derive(Debug)]
pub(crate) struct Bucket {
    /// Samples a second.
    rate: u64,
    /// Below zero after a frame that took more than was left, which every frame may: the next waits for as long.
    left: i128,
    /// In billionths of a sample, what has been filled in beside whole ones.
    rest: u128,
    filled: Duration,
}

const BILLION: u128 = 1_000_000_000;

impl Bucket {
    /// A full one at `now`, on the bus's monotonic clock.
    pub(crate) fn new(rate: u64, now: Duration) -> Self {
        Self { rate, left: rate.into(), rest: 0, filled: now }
    }

    /// Takes so many samples, unless the bucket is empty.
    pub(crate) fn take(&mut self, samples: u64, now: Duration) -> bool {
        let passed = now.saturating_sub(self.filled).min(Duration::from_secs(3_600)).as_nanos();
        self.filled = self.filled.max(now);
        let filled = passed * u128::from(self.rate) + self.rest;
        self.rest = filled % BILLION;
        self.left = (self.left + (filled / BILLION) as i128).min(self.rate.into());
        if self.left <= 0 {
            return false;
        }
        self.left -= i128::from(samples);
        true
    }
}

/// Time spent on decoding since the publisher has gone.
#[derive(Debug, Default)]
pub(crate) struct LastWork(Duration);

impl LastWork {
    /// The publisher is there, or has gone; what is left to be spent where it has.
    pub(crate) fn left(&mut self, gone: bool) -> Duration {
        if !gone {
            self.0 = Duration::ZERO;
        }
        LAST_WORK.saturating_sub(self.0)
    }

    pub(crate) fn spend(&mut self, gone: bool, work: Duration) {
        if gone {
            self.0 += work;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn no_more_is_taken_than_time_fills_in() {
        let mut bucket = Bucket::new(1_000, ms(5_000));
        let taken = |bucket: &mut Bucket, now| (0..100).filter(|_| bucket.take(100, now)).count();
        assert_eq!(taken(&mut bucket, ms(5_000)), 10, "a second's worth at first");
        assert_eq!(taken(&mut bucket, ms(5_000)), 0);
        assert_eq!(taken(&mut bucket, ms(5_300)), 3);
        assert_eq!(taken(&mut bucket, ms(60_000)), 10, "what was not taken in time is not saved up");
        assert_eq!(taken(&mut bucket, ms(4_000)), 0, "time that goes back fills nothing in");
    }

    #[test]
    fn a_frame_larger_than_a_second_waits_for_its_turn() {
        let mut bucket = Bucket::new(1_000, ms(0));
        assert!(bucket.take(5_000, ms(0)));
        assert!(!bucket.take(5_000, ms(4_000)));
        assert!(bucket.take(5_000, ms(4_001)));
    }

    #[test]
    fn small_steps_of_time_add_up() {
        let mut bucket = Bucket::new(7, ms(0));
        assert!(bucket.take(7, ms(0)));
        let taken = (1..=10_000).filter(|step| bucket.take(1, ms(*step))).count();
        assert!((69..=70).contains(&taken), "{taken}");
    }

    #[test]
    fn a_publisher_that_has_gone_leaves_a_second_of_work() {
        let mut last = LastWork::default();
        last.spend(false, ms(700));
        assert_eq!(last.left(true), LAST_WORK);
        last.spend(true, ms(700));
        assert_eq!(last.left(true), ms(300));
        last.spend(true, ms(700));
        assert_eq!(last.left(true), Duration::ZERO);
        assert_eq!(last.left(false), LAST_WORK, "it has returned");
    }
}
