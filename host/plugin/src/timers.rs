//! The times at which an instance wants to be called. Time is an argument.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// So many may be set at a time.
const MAX_TIMERS: usize = 64;
/// The shortest time. Less counts as this.
const SHORTEST: Duration = Duration::from_millis(10);

/// As many are set as may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_TIMERS} timers are set already, as many as there may be")]
pub(crate) struct TooManyTimers;

/// See the [module](self). A ticket tells a timer from all others of the instance.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    /// By time, and by ticket where times are the same: tickets rise.
    set: BTreeSet<(Instant, u64)>,
}

impl Timers {
    /// Sets a timer with a ticket that no other has.
    pub(crate) fn set(&mut self, now: Instant, after: Duration, ticket: u64) -> Result<(), TooManyTimers> {
        if self.set.len() >= MAX_TIMERS {
            return Err(TooManyTimers);
        }
        self.set.insert((now + after.max(SHORTEST), ticket));
        Ok(())
    }

    /// Takes a timer back. One that is not set is none's concern.
    pub(crate) fn cancel(&mut self, ticket: u64) {
        self.set.retain(|(_, set)| *set != ticket);
    }

    /// When the next one is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.set.first().map(|(at, _)| *at)
    }

    /// Takes the ticket of the first one that is due.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<u64> {
        if self.next()? > now {
            return None;
        }
        self.set.pop_first().map(|(_, ticket)| ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn timers_are_due_in_the_order_of_their_times() {
        let start = Instant::now();
        let mut timers = Timers::default();
        assert_eq!(timers.next(), None);
        for (ticket, after) in [(1, 30), (2, 10), (3, 20), (4, 10)] {
            timers.set(start, after * MS, ticket).unwrap();
        }
        assert_eq!(timers.next(), Some(start + 10 * MS));
        assert_eq!(timers.take_due(start + 9 * MS), None);
        let later = start + 25 * MS;
        let due: Vec<_> = std::iter::from_fn(|| timers.take_due(later)).collect();
        assert_eq!(due, [2, 4, 3]);
        assert_eq!(timers.next(), Some(start + 30 * MS));
    }

    #[test]
    fn one_that_is_cancelled_is_never_due() {
        let start = Instant::now();
        let mut timers = Timers::default();
        timers.set(start, 10 * MS, 1).unwrap();
        timers.set(start, 20 * MS, 2).unwrap();
        timers.cancel(1);
        timers.cancel(7);
        assert_eq!(timers.take_due(start + Duration::from_secs(1)), Some(2));
        assert_eq!(timers.take_due(start + Duration::from_secs(1)), None);
    }

    #[test]
    fn there_are_only_so_many_and_none_at_once() {
        let start = Instant::now();
        let mut timers = Timers::default();
        timers.set(start, Duration::ZERO, 0).unwrap();
        assert_eq!(timers.next(), Some(start + 10 * MS));
        for ticket in 1..64 {
            timers.set(start, Duration::from_millis(u32::MAX.into()), ticket).unwrap();
        }
        assert_eq!(timers.set(start, 10 * MS, 64), Err(TooManyTimers));
        timers.cancel(5);
        assert_eq!(timers.set(start, 10 * MS, 64), Ok(()));
    }
}
