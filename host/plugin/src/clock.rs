//! How much CPU time the guest has used in the call it is in.
//!
//! Runs while the guest runs: it is stopped at the door of every host function and while the guest has yielded. A call that ends within its
//! first tick, as nearly all do, is measured by the wall clock, which costs next to nothing to read. One that goes on is measured by the CPU
//! time of its thread, so that a machine with other work to do does not make an innocent guest look slow.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cpu_time::ThreadTime;

use crate::engine::TICK;

/// Shared by a store, which starts and stops it, and by its yields, which start it again.
#[derive(Clone, Debug, Default)]
pub(crate) struct GuestClock(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    used: Duration,
    /// The call has outlived its first tick.
    long: bool,
    since: Option<Mark>,
}

#[derive(Clone, Copy, Debug)]
enum Mark {
    Wall(Instant),
    /// CPU time of the thread the guest runs on. It stays on one thread from a start to the stop that follows.
    Cpu(Duration),
}

impl GuestClock {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call begins.
    pub(crate) fn begin(&self) {
        *self.state() = State { since: Some(Mark::Wall(Instant::now())), ..State::default() };
    }

    /// The guest goes on.
    pub(crate) fn start(&self) {
        let mut state = self.state();
        state.since = Some(if state.long { Mark::Cpu(thread_time()) } else { Mark::Wall(Instant::now()) });
    }

    /// The guest is left.
    pub(crate) fn stop(&self) {
        let mut state = self.state();
        let ran = match state.since.take() {
            None => Duration::ZERO,
            Some(Mark::Wall(since)) => since.elapsed(),
            Some(Mark::Cpu(since)) => thread_time().saturating_sub(since),
        };
        state.used += ran;
    }

    /// The guest was interrupted by a tick. Stops, and gives what was used so far.
    pub(crate) fn tick(&self) -> Duration {
        self.stop();
        let mut state = self.state();
        if !state.long {
            // More than a tick by the wall clock means that the thread was kept waiting, not that the guest ran.
            state.used = state.used.min(TICK);
            state.long = true;
        }
        state.used
    }
}

fn thread_time() -> Duration {
    ThreadTime::now().as_duration()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spin(until: impl Fn() -> bool) {
        while !until() {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn time_outside_the_guest_is_not_counted() {
        let clock = GuestClock::default();
        clock.begin();
        clock.stop();
        let before = clock.state().used;
        let start = Instant::now();
        spin(|| start.elapsed() > TICK);
        clock.stop();
        assert_eq!(clock.state().used, before);
        clock.start();
        assert!(clock.tick() <= TICK);
    }

    #[test]
    fn a_long_call_is_measured_by_the_cpu_time_of_its_thread() {
        let clock = GuestClock::default();
        clock.begin();
        clock.tick();
        clock.start();
        let start = thread_time();
        spin(|| thread_time() - start >= 3 * TICK);
        let used = clock.tick();
        assert!(used >= 3 * TICK, "{used:?}");
    }
}
