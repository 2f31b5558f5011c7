//! The circuit breaker: a factory's transcoder that is lost again and again is not tried for ever.

use std::collections::VecDeque;
use std::time::Duration;

use crate::factory::Breaker;

/// Counts one transcoder's losses.
#[derive(Debug)]
pub(super) struct Losses {
    breaker: Breaker,
    /// When, on the bus's monotonic clock.
    recent: VecDeque<Duration>,
}

impl Losses {
    pub(super) fn new(breaker: Breaker) -> Self {
        Self { breaker, recent: VecDeque::new() }
    }

    /// Counts a loss. True where the breaker opens.
    pub(super) fn add(&mut self, now: Duration) -> bool {
        self.recent.push_back(now);
        while self.recent.front().is_some_and(|first| now.saturating_sub(*first) > self.breaker.window) {
            self.recent.pop_front();
        }
        self.recent.len() >= self.breaker.max_faults.max(1) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factory::Policy;

    #[test]
    fn it_opens_after_so_many_losses_within_the_window() {
        let breaker = Breaker { max_faults: 3, window: Duration::from_secs(10), policy: Policy::Drop };
        let mut losses = Losses::new(breaker);
        let opened: Vec<_> = [0, 6, 12, 18, 19].map(|at| losses.add(Duration::from_secs(at))).into();
        assert_eq!(opened, [false, false, false, false, true]);
    }
}
