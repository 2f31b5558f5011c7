//! How far a transcoder is behind its source, and whether its breaker is open.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::{Gauge, Histogram};

use crate::factory::Policy;

/// A transcoder that takes a fragment within this time has none waiting: its queue is not looked at.
const PROMPT: Duration = Duration::from_millis(5);

/// How far a transcoder is behind its source.
pub(super) struct Behind {
    lag_micros: AtomicU64,
    waiting: AtomicU64,
    lags: Histogram,
    /// Fragments that wait for all transcoders with these labels.
    gauge: Gauge,
}

impl Behind {
    pub(super) fn new(labels: &[(&'static str, String)]) -> Self {
        let lags = metrics::histogram!("millrace_transcoder_lag_seconds", labels);
        let gauge = metrics::gauge!("millrace_transcoder_queue_fragments", labels);
        Self { lag_micros: AtomicU64::new(0), waiting: AtomicU64::new(0), lags, gauge }
    }

    pub(super) fn taken(&self, after: Duration, waiting: impl FnOnce() -> u64) {
        self.lag_micros.store(u64::try_from(after.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.lags.record(after.as_secs_f64());
        self.set_waiting(if after > PROMPT { waiting() } else { 0 });
    }

    fn set_waiting(&self, fragments: u64) {
        let before = self.waiting.swap(fragments, Ordering::Relaxed);
        if before != fragments {
            self.gauge.increment(fragments as f64 - before as f64);
        }
    }

    pub(super) fn lag(&self) -> Duration {
        Duration::from_micros(self.lag_micros.load(Ordering::Relaxed))
    }

    pub(super) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        self.set_waiting(0);
    }
}

/// Whether the breaker is open, and what is done then. It never closes.
pub(super) struct Open {
    policy: OnceLock<Policy>,
    /// How many are open of all transcoders with these labels.
    gauge: Gauge,
}

impl Open {
    pub(super) fn new(gauge: Gauge) -> Self {
        Self { policy: OnceLock::new(), gauge }
    }

    pub(super) fn set(&self, policy: Policy) {
        if self.policy.set(policy).is_ok() {
            self.gauge.increment(1.0);
        }
    }

    pub(super) fn get(&self) -> Option<Policy> {
        self.policy.get().copied()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.policy.get().is_some() {
            self.gauge.decrement(1.0);
        }
    }
}
