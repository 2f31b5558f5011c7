//! Threads of normal priority.
//!
//! On Linux a new thread has the priority of the thread that makes it. Transcoders open encoders and decoders on their own threads, and
//! those of plugins have a lower priority. Encoders and decoders must not have it: a thread of normal priority makes their threads.

use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::Builder;

/// Makes a thread.
type Job = Box<dyn FnOnce() + Send>;

/// Makes threads that have the priority of the thread that made the spawner. Its own thread ends when it is dropped; those it made go on.
pub(crate) struct Spawner {
    /// None where the system gave no thread: the caller makes its threads itself.
    jobs: Option<SyncSender<Job>>,
}

impl Spawner {
    /// To be called on a thread of normal priority.
    pub(crate) fn new() -> Self {
        // A job waits for the one before, which takes as long as making a thread.
        let (jobs, queue) = sync_channel::<Job>(0);
        let made = Builder::new().name("spawner".into()).spawn(move || queue.into_iter().for_each(|job| job()));
        if let Err(error) = &made {
            tracing::warn!(%error, "encoders may run at the low priority of plugins");
        }
        Self { jobs: made.ok().map(|_| jobs) }
    }

    /// Runs `work` on a new thread of this name.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub(crate) fn spawn(&self, name: String, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let Some(jobs) = &self.jobs else { return make(name, work) };
        let (reply, made) = sync_channel(1);
        let job = move || {
            // The caller waits for it.
            let _ = reply.send(make(name, work));
        };
        let ended = |_| io::Error::other("the thread that makes threads has ended");
        jobs.send(Box::new(job)).map_err(|_| ended(()))?;
        made.recv().map_err(|_| ended(()))?
    }

    /// Runs `work` on a new thread of this name, and waits for its result. Threads that a library makes in it have normal priority too.
    ///
    /// # Errors
    /// Where the system gives no thread, or `work` panics.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let (reply, done) = sync_channel(1);
        self.spawn(name.into(), move || {
            // The caller waits for it.
            let _ = reply.send(work());
        })?;
        done.recv().map_err(|_| io::Error::other("the thread has panicked"))
    }
}

fn make(name: String, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    Builder::new().name(name).spawn(work).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_on_a_thread_is_an_error_and_the_next_thread_works() {
        let spawner = Spawner::new();
        let panicked = spawner.run("test", || -> u32 { panic!("expected by the test") });
        assert_eq!(panicked.unwrap_err().to_string(), "the thread has panicked");
        let name = spawner.run("test", || std::thread::current().name().map(str::to_owned)).unwrap();
        assert_eq!(name.as_deref(), Some("test"));
    }
}
