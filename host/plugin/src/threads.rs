//! The threads that guests run on, apart from those that do I/O.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::{JoinError, JoinHandle};

/// How much the threads give way to others (`setpriority(2)`): half of the way to the least.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// Threads for guests. They end when this is dropped, and what runs on them with them.
pub(crate) struct GuestThreads {
    runtime: Option<Runtime>,
    handle: Handle,
}

impl GuestThreads {
    pub(crate) fn new(threads: usize) -> io::Result<Self> {
        Self::named("plugin", threads, give_way)
    }

    /// Threads that give way to nobody: everybody waits for what runs on them.
    pub(crate) fn in_the_path(threads: usize) -> io::Result<Self> {
        Self::named("filter", threads, || {})
    }

    fn named(name: &str, threads: usize, begin: impl Fn() + Send + Sync + 'static) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name(name)
            .on_thread_start(begin)
            .enable_time()
            .build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Runs `work` on these threads: at once where the caller is on one of them, else as a task, which ends with this future.
    ///
    /// # Errors
    /// Where the task panicked, or the threads have ended.
    pub(crate) async fn run<F>(&self, work: F) -> Result<F::Output, JoinError>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        if Handle::try_current().is_ok_and(|current| current.id() == self.handle.id()) {
            return Ok(work.await);
        }
        Owned(self.handle.spawn(work)).await
    }
}

/// Lets I/O and encoders go first. Where the system does not allow it, guests run like everybody else.
pub(crate) fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "the plugins' threads keep their priority");
    }
}

impl Drop for GuestThreads {
    fn drop(&mut self) {
        // Waiting for them here could be waiting on one of them.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A task that is aborted when nobody waits for it any more.
pub(crate) struct Owned<T>(pub(crate) JoinHandle<T>);

impl<T> Future for Owned<T> {
    type Output = Result<T, JoinError>;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
