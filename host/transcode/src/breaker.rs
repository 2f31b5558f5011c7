//! The circuit breaker: what faults again and again is not tried for ever.

use std::collections::VecDeque;
use std::time::Duration;

use crate::factory::Breaker;

/// Counts the faults of one transcoder, or of one filter.
#[derive(Debug)]
pub struct Faults {
    breaker: Breaker,
    /// When, on the bus's monotonic clock.
    recent: VecDeque<Duration>,
}

impl Faults {
    /// None so far.
    pub fn new(breaker: Breaker) -> Self {
        Self { breaker, recent: VecDeque::new() }
    }

    /// Counts a fault at `now`, on a clock that does not go back. True where the breaker opens.
    pub fn add(&mut self, now: Duration) -> bool {
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
    fn it_opens_after_so_many_faults_within_the_window() {
        let breaker = Breaker { max_faults: 3, window: Duration::from_secs(10), policy: Policy::Drop };
        let mut faults = Faults::new(breaker);
        let opened: Vec<_> = [0, 6, 12, 18, 19].map(|at| faults.add(Duration::from_secs(at))).into();
        assert_eq!(opened, [false, false, false, false, true]);
    }
}
