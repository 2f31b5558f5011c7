//! What a client has taken of one response over HTTP/2.
//!
//! A stream of HTTP/2 has a window of its own: a client can read its socket and still take nothing of one response. So each piece of a
//! response's body notes when bytes of it were framed for the client, and the sweep resets the streams where that was too long ago.

use std::future::Future;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper::rt::Executor;
use tokio::task::AbortHandle;

use super::connection::Connection;

tokio::task_local! {
    /// The response that a task of HTTP/2 makes.
    static CURRENT: Arc<Response>;
}

/// A response in progress, on a stream of its own.
#[derive(Debug)]
pub(super) struct Response {
    connection: Arc<Connection>,
    place: OnceLock<usize>,
    task: OnceLock<AbortHandle>,
    /// Pieces that were handed to the protocol and are not all framed.
    pieces: AtomicU32,
    /// When bytes were framed, or a piece was handed over with none before it.
    moved: AtomicU64,
}

impl Response {
    /// The one that the running task makes; none over HTTP/1.1.
    pub(super) fn current() -> Option<Arc<Self>> {
        CURRENT.try_with(Arc::clone).ok()
    }

    fn new(connection: &Arc<Connection>) -> Arc<Self> {
        let response = Arc::new(Self {
            connection: connection.clone(),
            place: OnceLock::new(),
            task: OnceLock::new(),
            pieces: AtomicU32::new(0),
            moved: AtomicU64::new(connection.tick().millis()),
        });
        let place = connection.add_response(Arc::downgrade(&response));
        response.place.get_or_init(|| place);
        response
    }

    /// Notes that a piece of its body is on its way.
    pub(super) fn begin_piece(&self) {
        if self.pieces.fetch_add(1, Ordering::AcqRel) == 0 {
            self.moved();
        }
    }

    /// Notes that all of a piece is framed, or given up.
    pub(super) fn end_piece(&self) {
        self.moved();
        self.pieces.fetch_sub(1, Ordering::AcqRel);
    }

    /// Notes that bytes of it were framed.
    pub(super) fn moved(&self) {
        self.moved.store(self.connection.tick().millis(), Ordering::Relaxed);
    }

    /// Since when the client has taken nothing of it; none where there is nothing to take.
    pub(super) fn untaken_since(&self) -> Option<Duration> {
        let moved = Duration::from_millis(self.moved.load(Ordering::Relaxed));
        (self.pieces.load(Ordering::Acquire) > 0).then_some(moved)
    }

    /// Ends its task, and with it the stream. False where the task has handed everything over and has ended.
    pub(super) fn reset(&self) -> bool {
        let Some(task) = self.task.get() else { return false };
        let was_running = !task.is_finished();
        task.abort();
        was_running
    }
}

impl Drop for Response {
    fn drop(&mut self) {
        if let Some(place) = self.place.get() {
            self.connection.remove_response(*place);
        }
    }
}

/// Runs the streams of one connection of HTTP/2, each in a task that its connection's sweep can end.
#[derive(Clone, Debug)]
pub(super) struct Streams(pub(super) Arc<Connection>);

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let response = Response::new(&self.0);
        let task = tokio::spawn(CURRENT.scope(response.clone(), stream));
        response.task.get_or_init(|| task.abort_handle());
    }
}
