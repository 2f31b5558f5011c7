//! Log lines about what may happen thousands of times a second.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// At least this long is between two lines about the same thing.
const APART: Duration = Duration::from_secs(10);

/// Lets one line through in a while, and counts the others.
#[derive(Debug, Default)]
pub(super) struct Seldom(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    held_back: u64,
}

impl Seldom {
    /// Whether it is time for a line: then, how many have been held back since the last.
    pub(super) fn due(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.last.is_some_and(|last| now.saturating_duration_since(last) < APART) {
            state.held_back += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_and_a_count() {
        let (seldom, start) = (Seldom::default(), Instant::now());
        assert_eq!(seldom.due(start), Some(0));
        for n in 0..100 {
            assert_eq!(seldom.due(start + Duration::from_millis(n)), None);
        }
        assert_eq!(seldom.due(start + APART), Some(100));
        assert_eq!(seldom.due(start + APART * 2), Some(0));
    }
}
