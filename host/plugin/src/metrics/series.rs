//! Series: one number, or distribution, with its labels.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, Weak};

use millrace_media::broadcast;

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

impl Kind {
    /// How many lines a series takes in Prometheus' text format.
    pub(super) fn lines(&self) -> usize {
        match self {
            Self::Counter | Self::Gauge => 1,
            Self::Histogram(bounds) => bounds.len() + 3,
        }
    }
}

/// What a series is labelled with: it is there as long as that.
#[derive(Clone, Debug)]
pub(super) enum Life {
    /// What an instance is made for.
    Instance(Weak<()>),
    Broadcast(broadcast::Weak),
}

impl Life {
    fn lasts(&self) -> bool {
        match self {
            Self::Instance(life) => life.strong_count() > 0,
            Self::Broadcast(broadcast) => broadcast.is_live(),
        }
    }

    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Instance(one), Self::Instance(other)) => one.ptr_eq(other),
            (Self::Broadcast(one), Self::Broadcast(other)) => one.is_same(other),
            _ => false,
        }
    }
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Series {
    /// As long as the plugin.
    lasts: bool,
    kept_for: Mutex<Vec<Life>>,
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
    pub(super) fn new(kind: &Kind, lasts: bool) -> Self {
        let value = match kind {
            Kind::Counter => Value::Counter(AtomicU64::new(0)),
            Kind::Gauge => Value::Gauge(Mutex::default()),
            Kind::Histogram(bounds) => Value::Histogram(Mutex::new(Distribution {
                bounds: bounds.clone(),
                counts: vec![0; bounds.len() + 1],
                sum: 0.0,
            })),
        };
        Self { lasts, kept_for: Mutex::default(), value }
    }

    /// Keeps it at least as long as `life`.
    pub(super) fn keep(&self, life: Life) {
        let mut kept_for = self.kept_for.lock().unwrap_or_else(PoisonError::into_inner);
        if !kept_for.iter().any(|known| known.is(&life)) {
            kept_for.retain(Life::lasts);
            kept_for.push(life);
        }
    }

    pub(super) fn is_alive(&self) -> bool {
        let kept_for = || self.kept_for.lock().unwrap_or_else(PoisonError::into_inner);
        self.lasts || kept_for().iter().any(Life::lasts)
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
