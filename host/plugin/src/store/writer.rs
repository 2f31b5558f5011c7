//! The thread that puts stores on disk.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Inner;

/// Between two files the thread waits for so long, so that what is written meanwhile goes into one.
pub(super) const PAUSE: Duration = Duration::from_millis(200);
/// It waits for so many times what writing took, where that is longer: a tenth of the disk's time is enough for stores.
const REST: u32 = 9;
/// After a failure it waits for so long.
const RETRY: Duration = Duration::from_secs(2);

/// Writes one store after the other. The thread is there from the first store that is changed, until [`Writer::close`].
#[derive(Debug, Default)]
pub(super) struct Writer {
    state: Mutex<State>,
    /// Something is to be done, or was done.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Arc<Inner>>,
    running: bool,
    /// So many wait for the disk: it does not rest.
    hurry: usize,
    closed: bool,
}

impl Writer {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a store written, that is not in the queue.
    ///
    /// # Errors
    /// Where there is no thread to be had.
    pub(super) fn queue(self: &Arc<Self>, store: &Arc<Inner>) -> io::Result<()> {
        let mut state = self.state();
        if !state.running {
            let writer = self.clone();
            std::thread::Builder::new().name("plugin-store".into()).spawn(move || writer.run())?;
            state.running = true;
        }
        state.queue.push_back(store.clone());
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    /// Waits until `done`, without rests. False where that takes longer than `within`.
    pub(super) fn flush(&self, within: Duration, done: impl Fn() -> bool) -> bool {
        let mut state = self.state();
        state.hurry += 1;
        self.changed.notify_all();
        let (mut state, _) =
            self.changed.wait_timeout_while(state, within, |_| !done()).unwrap_or_else(PoisonError::into_inner);
        state.hurry -= 1;
        drop(state);
        done()
    }

    /// Ends the thread, and waits for that no longer than `within`: then it holds no store any more.
    pub(super) fn close(&self, within: Duration) {
        let mut state = self.state();
        state.closed = true;
        self.changed.notify_all();
        drop(self.changed.wait_timeout_while(state, within, |state| state.running));
    }

    /// The next store to be written; none at the end.
    fn next(&self) -> Option<Arc<Inner>> {
        let state = self.state();
        let idle = |state: &mut State| state.queue.is_empty() && !state.closed;
        let mut state = self.changed.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
        if state.closed { None } else { state.queue.pop_front() }
    }

    /// Waits before the next file, unless somebody waits for it.
    fn rest(&self, pause: Duration) {
        let state = self.state();
        let calm = |state: &mut State| state.hurry == 0 && !state.closed;
        drop(self.changed.wait_timeout_while(state, pause, calm));
    }

    /// Writes a store. Gives how long to wait before the next.
    fn write(&self, store: &Arc<Inner>) -> Duration {
        let entries = {
            let mut state = store.state();
            state.queued = false;
            state.dirty.then(|| state.entries.clone())
        };
        let Some(entries) = entries else { return Duration::ZERO };
        let began = Instant::now();
        let written = store.file.write(&entries);
        let pause = match written {
            Ok(()) => {
                let mut state = store.state();
                // What was written meanwhile has put it into the queue again.
                state.dirty = state.queued;
                if state.failed.take().is_some() {
                    tracing::info!("a plugin's store can be written again");
                }
                PAUSE.max(began.elapsed() * REST)
            }
            Err(error) => {
                let error = error.to_string();
                let again = {
                    let mut state = store.state();
                    if state.failed.is_none() {
                        tracing::error!(error, "a plugin's store cannot be written: it is tried again and again");
                    }
                    state.failed = Some(error);
                    !std::mem::replace(&mut state.queued, true)
                };
                if again {
                    self.state().queue.push_back(store.clone());
                }
                RETRY
            }
        };
        self.notify();
        pause
    }

    /// Wakes whoever waits: with the lock taken once, so that nobody who has just looked misses it.
    fn notify(&self) {
        drop(self.state());
        self.changed.notify_all();
    }

    /// What the thread does.
    fn run(&self) {
        while let Some(store) = self.next() {
            let pause = self.write(&store);
            drop(store);
            self.rest(pause);
        }
        let queue = {
            let mut state = self.state();
            state.running = false;
            std::mem::take(&mut state.queue)
        };
        drop(queue);
        self.changed.notify_all();
    }
}
