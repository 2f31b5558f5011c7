//! An allowance that fills at a steady rate. Time is an argument.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Lets `per_second` units through on average, and up to `burst` at once. What goes through may leave it in debt: then the next has to wait.
#[derive(Clone, Debug)]
pub(crate) struct Allowance {
    per_second: f64,
    burst: f64,
    left: f64,
    at: Option<Instant>,
}

impl Allowance {
    pub(crate) fn new(per_second: u64, burst: u64) -> Self {
        let burst = burst as f64;
        Self { per_second: per_second.max(1) as f64, burst, left: burst, at: None }
    }

    /// Whole units that are there.
    pub(crate) fn room(&mut self, now: Instant) -> usize {
        self.fill(now);
        self.left.max(0.0) as usize
    }

    fn fill(&mut self, now: Instant) {
        let since = self.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.at = Some(now);
        self.left = (self.left + since.as_secs_f64() * self.per_second).min(self.burst);
    }

    /// Takes `units`, and says how long to wait before using them.
    pub(crate) fn take(&mut self, units: u64, now: Instant) -> Duration {
        self.fill(now);
        let debt = -self.left.min(0.0);
        self.left -= units as f64;
        Duration::try_from_secs_f64(debt / self.per_second).unwrap_or(Duration::MAX)
    }

    /// Takes one unit if it is there.
    pub(crate) fn try_take(&mut self, now: Instant) -> bool {
        self.fill(now);
        let there = self.left >= 1.0;
        if there {
            self.left -= 1.0;
        }
        there
    }
}

/// What an instance may write to its output tracks.
#[derive(Clone, Debug)]
pub(crate) struct OutputRate {
    bytes: Allowance,
    fragments: Allowance,
}

/// A keyframe may be many times the average: so many seconds of output go through at once.
const OUTPUT_BURST_SECS: u64 = 2;

impl OutputRate {
    pub(crate) fn new(bits_per_second: u64, fragments_per_second: u64) -> Self {
        let allowance = |rate: u64| Allowance::new(rate, rate.saturating_mul(OUTPUT_BURST_SECS));
        Self { bytes: allowance(bits_per_second / 8), fragments: allowance(fragments_per_second) }
    }

    /// How long to wait before writing a fragment of so many bytes.
    pub(crate) fn wait(&mut self, bytes: u64) -> Duration {
        let now = Instant::now();
        self.bytes.take(bytes, now).max(self.fragments.take(1, now))
    }
}

/// The rates of what is at work: one for all instances that follow each other.
#[derive(Debug, Default)]
pub(crate) struct Rates(Mutex<Vec<(Weak<()>, SharedRate)>>);

/// One rate for several instances.
pub(crate) type SharedRate = Arc<Mutex<OutputRate>>;

impl Rates {
    /// The rate of what lives as long as `life`.
    pub(crate) fn of(&self, life: &Weak<()>, new: impl FnOnce() -> OutputRate) -> SharedRate {
        let mut rates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rates.retain(|(life, _)| life.strong_count() > 0);
        if let Some((_, rate)) = rates.iter().find(|(known, _)| known.ptr_eq(life)) {
            return rate.clone();
        }
        let rate = Arc::new(Mutex::new(new()));
        rates.push((life.clone(), rate.clone()));
        rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_through_and_its_debt_is_waited_for() {
        let start = Instant::now();
        let mut rate = Allowance::new(100, 200);
        assert_eq!(rate.take(150, start), Duration::ZERO);
        assert_eq!(rate.take(150, start), Duration::ZERO);
        assert_eq!(rate.take(1, start), Duration::from_secs(1));
        assert_eq!(rate.take(1, start + Duration::from_secs(10)), Duration::ZERO);
    }

    #[test]
    fn a_steady_rate_never_waits() {
        let start = Instant::now();
        let mut rate = Allowance::new(1_000, 1_000);
        for second in 0..100 {
            assert_eq!(rate.take(1_000, start + Duration::from_secs(second)), Duration::ZERO);
        }
    }

    #[test]
    fn what_is_not_there_cannot_be_taken() {
        let start = Instant::now();
        let mut rate = Allowance::new(10, 2);
        assert!(rate.try_take(start) && rate.try_take(start));
        assert!(!rate.try_take(start));
        assert!(rate.try_take(start + Duration::from_millis(100)));
    }
}
