//! How much processor time a call has used, in the guest and in the host's functions, and how long it has waited in them.
//!
//! Runs from the beginning of a call to its end, and stands still while a host function waits and while the guest has yielded. A call that
//! ends within its first tick, as nearly all do, is measured by the wall clock, which costs next to nothing to read. One that goes on is
//! measured by the processor time of its thread, so that a machine with other work to do does not make an innocent guest look slow. After a
//! long call the next ones are measured so from their beginning, because a tick does not reach work in the host's functions. Calls that come
//! seldom are measured so always.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cpu_time::ThreadTime;

use crate::engine::TICK;

/// So many calls after a long one are measured by processor time.
const WATCHED: u32 = 256;

/// Shared by a store, which starts and stops it, and by its yields, which start it again.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallClock(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    used: Duration,
    waited: Duration,
    /// The processor time of the thread is looked at.
    exact: bool,
    since: Option<Mark>,
    began: Option<Instant>,
    /// How many calls more are measured by processor time.
    watched: u32,
}

#[derive(Clone, Copy, Debug)]
enum Mark {
    Wall(Instant),
    /// Processor time of the thread the guest runs on. It stays on one thread from a start to the stop that follows.
    Cpu(Duration),
}

impl State {
    fn start(&mut self) {
        self.since = Some(if self.exact { Mark::Cpu(thread_time()) } else { Mark::Wall(Instant::now()) });
    }

    /// From here on the processor time of the thread counts.
    fn look_closely(&mut self) {
        if !self.exact {
            // More than a tick by the wall clock means that the thread was kept waiting, not that the guest ran.
            self.used = self.used.min(TICK);
            self.exact = true;
        }
    }

    fn stop(&mut self, now: Instant) {
        let ran = match self.since.take() {
            None => Duration::ZERO,
            Some(Mark::Wall(since)) => now.saturating_duration_since(since),
            Some(Mark::Cpu(since)) => thread_time().saturating_sub(since),
        };
        self.used += ran;
    }
}

impl CallClock {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call begins, which is measured by processor time from its beginning where it is `seldom`.
    pub(crate) fn begin(&self, seldom: bool) {
        let mut state = self.state();
        let (watched, now) = (state.watched, Instant::now());
        let exact = seldom || watched > 0;
        let since = if exact { Mark::Cpu(thread_time()) } else { Mark::Wall(now) };
        *state = State {
            since: Some(since),
            exact,
            began: Some(now),
            watched: watched.saturating_sub(1),
            ..State::default()
        };
    }

    /// The call has ended `now`. Gives the processor time it has used.
    pub(crate) fn end(&self, now: Instant) -> Duration {
        let mut state = self.state();
        state.stop(now);
        let lasted = state.began.map_or(Duration::ZERO, |began| now.saturating_duration_since(began));
        let lasted = lasted.saturating_sub(state.waited);
        if lasted > TICK {
            state.watched = WATCHED;
            if !state.exact {
                // More by the wall clock says little: the thread may have been kept waiting.
                state.used = state.used.min(TICK);
            }
        }
        state.used
    }

    /// The guest goes on.
    pub(crate) fn start(&self) {
        self.state().start();
    }

    /// The guest was interrupted by a tick. Stops, and gives what was used so far.
    pub(crate) fn tick(&self) -> Duration {
        let mut state = self.state();
        state.stop(Instant::now());
        state.look_closely();
        state.used
    }

    /// A function of the host returns to the guest. Gives what was used so far.
    pub(crate) fn returned(&self) -> Duration {
        let mut state = self.state();
        if let Some(Mark::Wall(since)) = state.since
            && since.elapsed() <= TICK
        {
            return state.used;
        }
        state.stop(Instant::now());
        state.look_closely();
        state.start();
        state.used
    }

    /// A host function begins to wait. Gives how long it may, of `most` in the whole call.
    pub(crate) fn wait(&self, most: Duration) -> Duration {
        let mut state = self.state();
        state.stop(Instant::now());
        most.saturating_sub(state.waited)
    }

    /// It has waited so long.
    pub(crate) fn waited(&self, time: Duration) {
        let mut state = self.state();
        state.waited += time;
        state.start();
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
    fn waiting_is_not_work() {
        let clock = CallClock::default();
        clock.begin(false);
        let most = Duration::from_secs(10);
        assert_eq!(clock.wait(most), most);
        let start = Instant::now();
        spin(|| start.elapsed() > TICK);
        clock.waited(start.elapsed());
        assert!(clock.wait(most) < most);
        clock.waited(Duration::ZERO);
        assert!(clock.end(Instant::now()) <= TICK);
    }

    #[test]
    fn a_long_call_is_measured_by_the_processor_time_of_its_thread() {
        let clock = CallClock::default();
        clock.begin(false);
        clock.tick();
        clock.start();
        let start = thread_time();
        spin(|| thread_time() - start >= 3 * TICK);
        let used = clock.tick();
        assert!(used >= 3 * TICK, "{used:?}");
    }

    #[test]
    fn a_function_of_the_host_that_returns_late_is_noticed() {
        let clock = CallClock::default();
        clock.begin(true);
        let start = thread_time();
        spin(|| thread_time() - start >= 3 * TICK);
        let used = clock.returned();
        assert!(used >= 3 * TICK, "{used:?}");
        clock.begin(false);
        assert!(clock.returned() <= TICK);
    }

    #[test]
    fn work_that_no_tick_reaches_is_counted_from_the_second_call_on() {
        let clock = CallClock::default();
        let call = || {
            clock.begin(false);
            let start = thread_time();
            spin(|| thread_time() - start >= 3 * TICK);
            clock.end(Instant::now())
        };
        assert!(call() <= TICK);
        let used = call();
        assert!(used >= 3 * TICK, "{used:?}");
    }
}
