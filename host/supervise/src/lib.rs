//! What a panic may end, and what it may not.
//!
//! A panic is a defect, and it must cost as little as possible. Three things here see to that:
//!
//! - [`report_panics`] logs and counts every panic of the process, wherever it happens.
//! - [`restart`] runs a task that others rely on, and starts it again after a panic.
//! - [`catch`] runs work of a thread, and gives its owner the panic as an error, so that the owner can clean up.
//!
//! State that such work shares has to be valid at every point where it may panic: locks here ignore poisoning.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use futures::FutureExt as _;
use tokio::time::Instant;

/// The counter of panics.
pub const PANICS: &str = "millrace_task_panics_total";
/// The wait before the first restart. It doubles with every panic that follows.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait before a restart.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A task that has run for so long is taken for healthy again: the next panic is its first.
const HEALTHY: Duration = Duration::from_secs(60);

/// Logs and counts every panic from now on, in every thread and task, those that [`restart`] and [`catch`] catch included. Prints a
/// backtrace where `RUST_BACKTRACE` asks for one. Replaces the process's panic hook.
pub fn report_panics() {
    metrics::counter!(PANICS).absolute(0);
    std::panic::set_hook(Box::new(|panic| {
        metrics::counter!(PANICS).increment(1);
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("unnamed");
        let at = panic.location().map(ToString::to_string).unwrap_or_default();
        let backtrace = std::backtrace::Backtrace::capture();
        let message = message(panic.payload());
        if backtrace.status() == std::backtrace::BacktraceStatus::Captured {
            tracing::error!(thread, at, "panic: {message}\n{backtrace}");
        } else {
            tracing::error!(thread, at, "panic: {message}");
        }
    }));
}

/// Runs the future that `start` makes. After a panic, runs a new one, in 100 ms at first and in at most 30 s. Ends when one ends without
/// a panic. `task` names it in the log.
pub async fn restart<F: Future<Output = ()>>(task: impl fmt::Display, mut start: impl FnMut() -> F) {
    let mut wait = FIRST_WAIT;
    loop {
        let began = Instant::now();
        // What a panic leaves behind in the future goes with the future.
        if AssertUnwindSafe(async { start().await }).catch_unwind().await.is_ok() {
            return;
        }
        if began.elapsed() >= HEALTHY {
            wait = FIRST_WAIT;
        }
        tracing::error!(%task, in_ms = wait.as_millis() as u64, "the task has panicked and starts again");
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Runs `work`, and returns its panic as an error.
///
/// # Errors
/// Where it panicked, with the panic's message.
pub fn catch<T>(work: impl FnOnce() -> T) -> Result<T, Panic> {
    // What `work` shares is valid at every point: see the crate's documentation.
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| Panic(message(&*payload).to_owned()))
}

/// The message of a panic that was caught.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panic(String);

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a defect in the server: {}", self.0)
    }
}

impl std::error::Error for Panic {}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_starts_again_and_waits_longer_each_time() {
        let runs = AtomicU32::new(0);
        let began = Instant::now();
        restart("test", || async {
            if runs.fetch_add(1, Ordering::Relaxed) < 3 {
                panic!("expected by the test");
            }
        })
        .await;
        assert_eq!(runs.load(Ordering::Relaxed), 4);
        assert_eq!(began.elapsed().as_millis(), 100 + 200 + 400);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ran_well_for_a_while_starts_again_at_once() {
        let runs = AtomicU32::new(0);
        let began = Instant::now();
        restart("test", || async {
            tokio::time::sleep(HEALTHY).await;
            if runs.fetch_add(1, Ordering::Relaxed) < 2 {
                panic!("expected by the test");
            }
        })
        .await;
        assert_eq!(began.elapsed(), HEALTHY * 3 + FIRST_WAIT * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_while_the_future_is_made_is_caught_too() {
        let mut runs = 0;
        restart("test", || {
            runs += 1;
            assert!(runs > 1, "expected by the test");
            std::future::ready(())
        })
        .await;
        assert_eq!(runs, 2);
    }

    #[test]
    fn work_that_panics_gives_its_message() {
        assert_eq!(catch(|| 7), Ok(7));
        let number = 5;
        let caught = catch(|| panic!("number {number}"));
        assert_eq!(caught.map_err(|panic| panic.to_string()), Err::<(), _>("a defect in the server: number 5".into()));
    }
}
