//! How one encoder stands now.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use metrics::Gauge;

use crate::ladder::Relief;

/// How an encoder stands. Ordered from good to bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It encodes every picture it is asked for.
    #[default]
    Running,
    /// Nobody plays it: it encodes nothing until somebody does.
    Idle,
    /// It encodes fewer pictures, for the machine cannot carry the ladder.
    Relieved(Reliefs),
    /// It encodes nothing until the machine can carry the ladder again.
    GivenUp(Reliefs),
    /// It has failed, and stays so.
    Failed,
    /// The transcoder has faulted too often, and is not called any more.
    BreakerOpen,
}

impl State {
    /// The word for it in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Idle => "idle",
            Self::Relieved(_) => "relieved",
            Self::GivenUp(_) => "given-up",
            Self::Failed => "failed",
            Self::BreakerOpen => "breaker-open",
        }
    }

    /// The steps that are in force on it.
    pub const fn reliefs(self) -> Reliefs {
        match self {
            Self::Relieved(reliefs) | Self::GivenUp(reliefs) => reliefs,
            Self::Running | Self::Idle | Self::Failed | Self::BreakerOpen => Reliefs(0),
        }
    }
}

/// A set of steps of relief.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reliefs(u8);

impl Reliefs {
    const ALL: [Relief; 3] = [Relief::SkipNonReference, Relief::HalveFrameRate, Relief::DropRung];

    /// True of a step in the set.
    pub const fn contains(self, relief: Relief) -> bool {
        self.0 & (1 << relief as u8) != 0
    }

    /// The steps in the set.
    pub fn iter(self) -> impl Iterator<Item = Relief> {
        Self::ALL.into_iter().filter(move |relief| self.contains(*relief))
    }

    /// True of the empty set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Relief> for Reliefs {
    fn from_iter<I: IntoIterator<Item = Relief>>(reliefs: I) -> Self {
        Self(reliefs.into_iter().fold(0, |set, relief| set | 1 << relief as u8))
    }
}

impl std::fmt::Debug for Reliefs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// What one encoder has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Frames encoded.
    pub encoded: u64,
    /// Bytes written to its track.
    pub bytes: u64,
    /// Frames that were to be encoded and were not.
    pub dropped: u64,
    /// Decoded frames that wait for it now, and those inside it.
    pub queue: u64,
}

/// One encoder's part of its transcoder's statistics.
pub(crate) struct Meter {
    queue: AtomicU64,
    lag_micros: AtomicU64,
    encoded: AtomicU64,
    bytes: AtomicU64,
    dropped: AtomicU64,
    state: Mutex<State>,
    gauge: Gauge,
}

impl Meter {
    pub(super) fn new(gauge: Gauge) -> Self {
        let zero = AtomicU64::default;
        let (queue, lag_micros, encoded, bytes, dropped) = (zero(), zero(), zero(), zero(), zero());
        Self { queue, lag_micros, encoded, bytes, dropped, state: Mutex::default(), gauge }
    }

    pub(crate) fn encoded(&self) {
        self.encoded.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn written(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn dropped(&self, frames: u64) {
        self.dropped.fetch_add(frames, Ordering::Relaxed);
    }

    pub(crate) fn work(&self) -> Work {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (encoded, bytes, dropped) = (read(&self.encoded), read(&self.bytes), read(&self.dropped));
        Work { encoded, bytes, dropped, queue: self.queue() }
    }

    /// So many pictures wait. The gauge counts those of all encoders with its labels.
    pub(crate) fn set_queue(&self, pictures: usize) {
        let before = self.queue.swap(pictures as u64, Ordering::Relaxed);
        if before != pictures as u64 {
            self.gauge.increment(pictures as f64 - before as f64);
        }
    }

    pub(crate) fn set_lag(&self, lag: Duration) {
        self.lag_micros.store(u64::try_from(lag.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn set_state(&self, state: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    pub(super) fn queue(&self) -> u64 {
        self.queue.load(Ordering::Relaxed)
    }

    pub(super) fn lag(&self) -> Duration {
        Duration::from_micros(self.lag_micros.load(Ordering::Relaxed))
    }

    pub(crate) fn state(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.set_queue(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_reliefs_has_what_was_put_in() {
        let set: Reliefs = [Relief::DropRung, Relief::SkipNonReference].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [Relief::SkipNonReference, Relief::DropRung]);
        assert!(!set.contains(Relief::HalveFrameRate) && !set.is_empty() && Reliefs::default().is_empty());
        assert!(State::GivenUp(set) > State::Relieved(set) && State::Idle > State::Running);
    }
}
