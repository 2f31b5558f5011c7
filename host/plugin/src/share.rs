//! A plugin's share of the machine: processor time, over all its instances.
//!
//! Kept as the moment at which the plugin would have earned all it has used, were it given its share steadily: one number, that calls move
//! on and time catches up with.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// So much of its share a plugin may use ahead of time.
const AHEAD: Duration = Duration::from_secs(2);
/// And so much of it before calls that are for no fragment wait: what is left is for fragments, which are not skipped because of such calls.
const AHEAD_FOR_CALLS: Duration = Duration::from_secs(1);

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Share {
    /// Processor seconds a second.
    cores: f64,
    began: Instant,
    /// When all that was used is earned. In nanoseconds since the beginning.
    earned_at: AtomicU64,
}

impl Share {
    pub(crate) fn new(cores: f64, now: Instant) -> Self {
        Self { cores, began: now, earned_at: AtomicU64::new(0) }
    }

    fn since(&self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.began))
    }

    /// So much was used.
    pub(crate) fn charge(&self, used: Duration, now: Instant) {
        let earning = nanos(used.div_f64(self.cores));
        let now = self.since(now);
        let add = |earned_at: u64| Some(earned_at.max(now).saturating_add(earning));
        let _ = self.earned_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// When the plugin may be called again, where more has been used than the share allows.
    pub(crate) fn over_until(&self, now: Instant) -> Option<Instant> {
        self.until(now, AHEAD)
    }

    /// When calls that are for no fragment may be made again, where they have to wait.
    pub(crate) fn calls_wait_until(&self, now: Instant) -> Option<Instant> {
        self.until(now, AHEAD_FOR_CALLS)
    }

    /// When no more than `ahead` of the share is used ahead of time, where more is `now`.
    fn until(&self, now: Instant, ahead: Duration) -> Option<Instant> {
        let earned_at = self.earned_at.load(Ordering::Relaxed);
        let over = earned_at.checked_sub(self.since(now).saturating_add(nanos(ahead)))?;
        (over > 0).then(|| now + Duration::from_nanos(over))
    }

    /// True where more has been used than the share allows.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.earned_at.load(Ordering::Relaxed) > self.since(now).saturating_add(nanos(AHEAD))
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_within_its_share_is_never_over() {
        let start = Instant::now();
        let share = Share::new(0.5, start);
        for second in 0..100 {
            let now = start + Duration::from_secs(second);
            share.charge(Duration::from_millis(500), now);
            assert!(!share.is_over(now), "after {second} s");
        }
    }

    #[test]
    fn one_beyond_it_is_held_to_it() {
        let start = Instant::now();
        let share = Share::new(0.5, start);
        let mut used = Duration::ZERO;
        for tenth in 0..600 {
            let now = start + Duration::from_millis(100 * tenth);
            assert_eq!(share.over_until(now).is_some(), share.is_over(now));
            assert!(share.over_until(now).is_none_or(|then| !share.is_over(then)));
            if !share.is_over(now) {
                share.charge(Duration::from_millis(300), now);
                used += Duration::from_millis(300);
            }
        }
        let allowed = Duration::from_secs(30) + AHEAD.mul_f64(0.5);
        assert!(used >= Duration::from_secs(30) && used <= allowed + Duration::from_millis(300), "{used:?}");
    }

    #[test]
    fn calls_leave_the_share_of_fragments_alone() {
        let start = Instant::now();
        let share = Share::new(0.5, start);
        let mut calls = 0;
        // A fragment each 40 ms takes half of the share. Calls take all they can get.
        for milli in 0..60_000 {
            let now = start + Duration::from_millis(milli);
            if milli % 40 == 0 {
                assert!(!share.is_over(now), "a fragment is skipped after {milli} ms");
                share.charge(Duration::from_millis(10), now);
            }
            match share.calls_wait_until(now) {
                None => {
                    share.charge(Duration::from_millis(1), now);
                    calls += 1;
                }
                Some(then) => assert_eq!(share.calls_wait_until(then), None),
            }
        }
        assert!((14_000..16_000).contains(&calls), "{calls} ms of calls");
    }
}
