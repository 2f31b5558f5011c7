//! How long calls take: a histogram that costs one addition a call.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets for each doubling: a quantile is at most a quarter too high.
const PER_DOUBLING: u32 = 4;
/// The first bucket ends here, as a power of two in nanoseconds: 256 ns.
const FIRST: u32 = 8;
/// From there to 4.3 s; what takes longer is in the last.
const BUCKETS: usize = 1 + 24 * PER_DOUBLING as usize;

/// How long calls take, in wall time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallTimes {
    /// How many there were.
    pub calls: u64,
    /// Half of them took no longer than this, which may be a quarter too high.
    pub median: Duration,
    /// 99 of 100 took no longer than this, which may be a quarter too high.
    pub p99: Duration,
}

/// See the [module](self).
pub(super) struct Times([AtomicU64; BUCKETS]);

impl Default for Times {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; BUCKETS])
    }
}

impl Times {
    pub(super) fn add(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.0[bucket(nanos)].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> CallTimes {
        let counts = self.0.each_ref().map(|count| count.load(Ordering::Relaxed));
        let calls: u64 = counts.iter().sum();
        let quantile = |of: u64| {
            let mut left = (calls * of).div_ceil(100);
            let at = counts.iter().position(|count| {
                left = left.saturating_sub(*count);
                left == 0
            });
            if calls == 0 { Duration::ZERO } else { Duration::from_nanos(end(at.unwrap_or(BUCKETS - 1))) }
        };
        CallTimes { calls, median: quantile(50), p99: quantile(99) }
    }
}

/// The bucket of a time.
fn bucket(nanos: u64) -> usize {
    let doubling = nanos.checked_ilog2().unwrap_or(0);
    if doubling < FIRST {
        return 0;
    }
    let quarter = (nanos >> (doubling - 2)) & 3;
    let at = 1 + (doubling - FIRST) * PER_DOUBLING + quarter as u32;
    (at as usize).min(BUCKETS - 1)
}

/// Where a bucket ends, in nanoseconds.
fn end(bucket: usize) -> u64 {
    let Some(at) = bucket.checked_sub(1) else { return 1 << FIRST };
    let (doubling, quarter) = (FIRST as usize + at / PER_DOUBLING as usize, at % PER_DOUBLING as usize);
    (1 << doubling) + ((quarter as u64 + 1) << (doubling - 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_lies_in_its_bucket() {
        for nanos in [0, 1, 255, 256, 300, 1_000, 1_500, 5_000_000, 50_000_000, 3_000_000_000] {
            let at = bucket(nanos);
            assert!(nanos <= end(at), "{nanos} ends after {}", end(at));
            assert!(at == 0 || end(at - 1) <= nanos, "{nanos} begins before {}", end(at - 1));
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_no_more_than_a_quarter_too_high() {
        let times = Times::default();
        assert_eq!(times.read(), CallTimes::default());
        for _ in 0..98 {
            times.add(Duration::from_nanos(1_300));
        }
        times.add(Duration::from_millis(2));
        times.add(Duration::from_millis(40));
        let CallTimes { calls, median, p99 } = times.read();
        assert_eq!(calls, 100);
        let near = |time: Duration, of: Duration| time >= of && time <= of.mul_f64(1.25);
        assert!(near(median, Duration::from_nanos(1_300)), "{median:?}");
        assert!(near(p99, Duration::from_millis(2)), "{p99:?}");
    }
}
