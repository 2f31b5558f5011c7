//! Where the bus reads the time: the machine's clock, or one that a test moves by hand.

use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A point in time, read once on both clocks: `monotonic` for measuring, `unix` for telling people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Since some moment in the past; never goes back.
    pub monotonic: Duration,
    /// Since the Unix epoch.
    pub unix: Duration,
}

/// A source of time.
#[derive(Debug)]
pub struct Clock(Kind);

#[derive(Debug)]
enum Kind {
    System { start: Instant },
    Manual(Mutex<Duration>),
}

impl Clock {
    /// The machine's own.
    pub fn system() -> Self {
        Self(Kind::System { start: Instant::now() })
    }

    /// One that stands still until it is [advanced](Self::advance), beginning at `unix` since the Unix epoch.
    pub fn manual(unix: Duration) -> Self {
        Self(Kind::Manual(Mutex::new(unix)))
    }

    /// Moves a manual clock; does nothing to the machine's.
    pub fn advance(&self, by: Duration) {
        if let Kind::Manual(now) = &self.0 {
            *now.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) += by;
        }
    }

    /// The time now.
    pub fn now(&self) -> Moment {
        match &self.0 {
            Kind::System { start } => Moment {
                monotonic: start.elapsed(),
                unix: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            },
            Kind::Manual(now) => {
                let now = *now.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                Moment { monotonic: now, unix: now }
            }
        }
    }
}
