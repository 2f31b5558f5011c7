//! How long to wait before trying again.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Before the second attempt.
const SHORTEST: Duration = Duration::from_secs(1);
/// However often it has failed.
const LONGEST: Duration = Duration::from_secs(60);

/// Doubles the wait with every failure. Each is drawn from the upper half, so that servers that have lost a relay at one moment do not
/// come back to it at one moment.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self::up_to(LONGEST)
    }

    /// The same, which waits no longer than this.
    pub(crate) fn up_to(longest: Duration) -> Self {
        Self { next: SHORTEST.min(longest), longest }
    }

    /// The wait after another failure. `random` is any number.
    pub(crate) fn wait(&mut self, random: u64) -> Duration {
        let longest = self.next;
        self.next = (longest * 2).min(self.longest);
        longest / 2 + (longest / 2).mul_f64((random % 1024) as f64 / 1024.0)
    }

    /// It has worked.
    pub(crate) fn reset(&mut self) {
        *self = Self::up_to(self.longest);
    }
}

/// A number that nobody can tell beforehand.
pub(crate) fn random() -> u64 {
    // The standard library's keys are random.
    RandomState::new().hash_one(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_minute_and_begin_anew() {
        let mut backoff = Backoff::new();
        let waits: Vec<_> = (0..8).map(|_| backoff.wait(0).as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
        assert!(backoff.wait(1023) > Duration::from_millis(59_900));
        assert!(backoff.wait(1023) < LONGEST);
        backoff.reset();
        assert_eq!(backoff.wait(512), Duration::from_millis(750));
    }
}
