//! Series: one number, or distribution, with its labels.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, Weak};

/// What kind of metric a family is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    /// With its upper bounds.
    Histogram(Vec<f64>),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Counter => f.write_str("a counter"),
            Self::Gauge => f.write_str("a gauge"),
            Self::Histogram(buckets) => write!(f, "a histogram of the buckets {buckets:?}"),
        }
    }
}

/// All series of one name.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) kind: Kind,
    /// By their labels.
    pub(super) series: BTreeMap<Vec<(String, String)>, std::sync::Arc<Series>>,
}

/// How long a series is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lifetime {
    /// As long as the plugin.
    Plugin,
    /// As long as one of what it is [kept](Series::keep) for.
    Of,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Series {
    lifetime: Lifetime,
    kept_for: Mutex<Vec<Weak<()>>>,
    pub(super) value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    Counter(AtomicU64),
    /// What each handle has set, as the bits of an `f64`; NaN where it has set nothing.
    Gauge(Mutex<Vec<Weak<AtomicU64>>>),
    Histogram(Mutex<Distribution>),
}

/// How often values fell into which bucket.
#[derive(Clone, Debug)]
pub(super) struct Distribution {
    pub(super) bounds: Vec<f64>,
    /// Of each bucket alone; the last is that of what is above all bounds.
    pub(super) counts: Vec<u64>,
    pub(super) sum: f64,
}

impl Series {
    pub(super) fn new(kind: &Kind, lifetime: Lifetime) -> Self {
        let value = match kind {
            Kind::Counter => Value::Counter(AtomicU64::new(0)),
            Kind::Gauge => Value::Gauge(Mutex::default()),
            Kind::Histogram(bounds) => Value::Histogram(Mutex::new(Distribution {
                bounds: bounds.clone(),
                counts: vec![0; bounds.len() + 1],
                sum: 0.0,
            })),
        };
        Self { lifetime, kept_for: Mutex::default(), value }
    }

    /// Keeps it at least as long as `life`.
    pub(super) fn keep(&self, life: &Weak<()>) {
        let mut kept_for = self.kept_for.lock().unwrap_or_else(PoisonError::into_inner);
        if self.lifetime == Lifetime::Of && !kept_for.iter().any(|known| known.ptr_eq(life)) {
            kept_for.retain(|known| known.strong_count() > 0);
            kept_for.push(life.clone());
        }
    }

    pub(super) fn is_alive(&self) -> bool {
        let kept_for = || self.kept_for.lock().unwrap_or_else(PoisonError::into_inner);
        self.lifetime == Lifetime::Plugin || kept_for().iter().any(|life| life.strong_count() > 0)
    }

    pub(super) fn add(&self, by: u64) {
        if let Value::Counter(count) = &self.value {
            let _ = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| Some(now.saturating_add(by)));
        }
    }

    pub(super) fn observe(&self, value: f64) {
        if let Value::Histogram(distribution) = &self.value
            && !value.is_nan()
        {
            let mut distribution = distribution.lock().unwrap_or_else(PoisonError::into_inner);
            let bucket = distribution.bounds.partition_point(|bound| *bound < value);
            distribution.counts[bucket] += 1;
            distribution.sum += value;
        }
    }
}

/// The sum of what the handles of a gauge have set; none where none has.
pub(super) fn sum(parts: &Mutex<Vec<Weak<AtomicU64>>>) -> Option<f64> {
    let parts = parts.lock().unwrap_or_else(PoisonError::into_inner);
    let set = parts.iter().filter_map(Weak::upgrade).map(|part| f64::from_bits(part.load(Ordering::Relaxed)));
    set.filter(|value| !value.is_nan()).reduce(|sum, value| sum + value)
}
