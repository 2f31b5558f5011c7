//! CMAF over HTTP: `POST` and `PUT` of streams, of segments and of manifests, after DASH-IF Live Media Ingest 1.2, Interface 1, and
//! what ffmpeg sends.
//!
//! | what is sent | by |
//! | --- | --- |
//! | one endless request a stream, header first: `…/stream.mp4`, `…/Streams(video.cmfv)` | `ffmpeg -f mp4 -method POST` |
//! | the same as Smooth Streaming: `….isml/Streams(Encoder1)` | `ffmpeg -f ismv` |
//! | one request a segment under the stream's own name, header first | encoders after Interface 1 |
//! | headers and segments under names of their own, beside an MPD or a playlist | `ffmpeg -f dash`, `ffmpeg -f hls` |
//!
//! **Names.** The broadcast is the path without its last element: `/ingest/live/me/stream.mp4` publishes `live/me`. A last element
//! without a dot belongs to the broadcast. `Streams(…)`, `Switching(…)`, a folder `stream_N` and the ending `.isml` do not. A segment
//! belongs to the header of its own name, else to the one whose name fits its name (`init-stream0.m4s` and
//! `chunk-stream0-00001.m4s`), else to the only one in its folder. Tracks are called `video`, `audio`, `video-2` and so on, in the
//! order in which their headers come, and keep their names when the publisher returns.
//!
//! **One publisher.** However many connections send below one name, they are one publisher. Told apart, and refused with 409, are:
//! a stream whose name another open request is sending; a header that is sent again while its media still comes; another form
//! (segments beside a stream); an MPD of another `availabilityStartTime`; segments whose time lies more than 10 s behind. *Not* told
//! apart are streams of different names, which may be the tracks of one publisher; and segments of a second publisher that do not
//! lie so far behind, which are taken for retransmissions and dropped: they never mix with the first's. Once somebody has been
//! refused, an end is believed only if it comes over a connection that the publisher is known to use.
//!
//! **Who may.** [`Access`] says what a request's sender may publish. Where there are [authorizers](millrace_media::access), they are asked
//! about each broadcast before the request's body is read, and may give it another name. A request whose sender is no longer allowed ends
//! with 403, and its broadcast waits for its publisher's return.
//!
//! **The end.** A static MPD, playlists with `EXT-X-ENDLIST` for all that was sent, segments of the brand `lmsg` for all tracks, or
//! `DELETE` of the publishing point or a manifest ends the broadcast. The end of an endless request, clean or not, and silence let it
//! wait for the publisher's return, which begins a new epoch; `DELETE` ends a broadcast that waits, whichever protocol its publisher
//! used. `DELETE` of anything else does nothing: old segments go by themselves.
//!
//! **Changes.** Time that goes back in an endless request, or jumps ahead by more than 10 s, and another header begin a new epoch, of
//! all tracks at once; requests that are open go on in it. A header between segments does so only over the connection that sent the
//! last of them.

mod access;
mod arrivals;
mod manifest;
mod naming;
mod path;
mod receive;
mod refusal;
mod session;
mod source;
mod upload;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use millrace_cmaf::{Header, Limits};
use millrace_media::broadcast::State;
use millrace_media::{BroadcastName, Bus};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::names::Names;
use crate::pieces::Lengths;
pub use access::{Access, Denied, Everybody};
use arrivals::Arrivals;
pub use receive::MEDIA_TYPES;
use refusal::Refusal;
use session::{Claim, Declared, Session};
use source::UploadId;

/// What this protocol's media is counted under.
const PROTOCOL: &str = "http";
/// How often the watch looks for publishers that are silent.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);
/// How long an end waits for requests that still bring what came before it.
const LAST_REQUESTS: Duration = Duration::from_secs(2);
/// How much later than an end a request may be seen that was sent before it, on another connection.
const OVERTAKEN_BY_THE_END: Duration = Duration::from_millis(250);

/// What publishers may do.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who may publish.
    pub access: Arc<dyn Access>,
    /// Who is asked as well about every broadcast, once `access` allows it.
    pub authorizers: millrace_media::Access,
    /// How long a publisher may send nothing. Has to be more than a segment lasts.
    pub idle_timeout: Duration,
    /// What a stream may declare.
    pub limits: Limits,
    /// How long fragments are made.
    pub lengths: Lengths,
    /// The longest manifest, in bytes.
    pub max_manifest: usize,
}

impl Default for Settings {
    /// Everybody may publish, 15 s of silence, the usual limits and lengths, manifests of 1 MiB.
    fn default() -> Self {
        Self {
            access: Arc::new(Everybody),
            authorizers: millrace_media::Access::default(),
            idle_timeout: Duration::from_secs(15),
            limits: Limits::default(),
            lengths: Lengths::default(),
            max_manifest: 1 << 20,
        }
    }
}

/// All that is being published over HTTP.
pub struct Ingest {
    bus: Bus,
    settings: Settings,
    book: Mutex<Book>,
    arrivals: Arrivals,
    next_upload: AtomicU64,
    requests: Mutex<Requests>,
}

/// The requests that are being answered.
#[derive(Default)]
struct Requests {
    tasks: JoinSet<()>,
    /// The server stops: no request is taken any more.
    stopped: bool,
}

#[derive(Default)]
struct Book {
    sessions: BTreeMap<BroadcastName, Arc<Session>>,
    /// Of broadcasts that wait for their publisher.
    names: BTreeMap<BroadcastName, Names>,
}

/// The routes, to be nested at `/ingest`. A server that puts [`ConnectInfo`](axum::extract::ConnectInfo) of a `SocketAddr` into its
/// requests lets publishers be told apart by their connections; without it they are told apart by what they send.
pub fn router(ingest: Arc<Ingest>) -> Router {
    let methods = post(receive::send).put(receive::send).delete(receive::delete);
    Router::new().route("/{*path}", methods).layer(DefaultBodyLimit::disable()).with_state(ingest)
}

impl Ingest {
    /// Publishes to a bus.
    pub fn new(bus: Bus, settings: Settings) -> Arc<Self> {
        Arc::new(Self {
            bus,
            settings,
            book: Mutex::default(),
            arrivals: Arrivals::default(),
            next_upload: AtomicU64::new(0),
            requests: Mutex::default(),
        })
    }

    /// Ends all that is being published, because the server stops. Requests that are open, and those that still come, are answered 503.
    pub fn stop(&self) {
        {
            let mut requests = self.requests();
            requests.stopped = true;
            requests.tasks.abort_all();
        }
        let sessions: Vec<_> = self.book().sessions.values().cloned().collect();
        sessions.iter().for_each(|session| self.close(session, true));
    }

    /// How many broadcasts are being published over HTTP.
    pub fn publishers(&self) -> usize {
        self.book().sessions.len()
    }

    /// Gives up what has been silent for the idle time: the broadcast waits for its publisher's return. To be called from time to time.
    pub fn expire(&self) {
        let now = self.now();
        let silent: Vec<_> = self.book().sessions.values().filter(|session| session.is_silent(now)).cloned().collect();
        for session in silent {
            tracing::info!(broadcast = %session.name, "the publisher is silent");
            self.close(&session, false);
        }
        let mut book = self.book();
        book.names.retain(|name, _| self.bus.broadcast(name).is_some());
        metrics::gauge!("millrace_ingest_publishers", "protocol" => PROTOCOL).set(book.sessions.len() as f64);
    }

    /// [Expires](Self::expire) what is silent, for ever. Whoever runs it ends it by dropping the future.
    pub async fn watch(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(WATCH_INTERVAL);
        loop {
            ticks.tick().await;
            self.expire();
        }
    }

    /// Sees a request through, even where its connection closes: a publisher that closes it right behind its last bytes has sent
    /// them all the same, and whoever runs the connection gives up waiting for the answer before they are read.
    async fn see_through(&self, request: impl Future<Output = Response> + Send + 'static) -> Response {
        let (give, answer) = oneshot::channel();
        {
            let mut requests = self.requests();
            if requests.stopped {
                return Refusal::Stopping.into_response();
            }
            while requests.tasks.try_join_next().is_some() {}
            requests.tasks.spawn(async move {
                // Nobody may be there to be answered.
                let _ = give.send(request.await);
            });
        }
        match answer.await {
            Ok(answer) => answer,
            Err(_) if self.requests().stopped => Refusal::Stopping.into_response(),
            // The task has panicked, which is in the log.
            Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the server failed: its log says more.\n").into_response(),
        }
    }

    fn requests(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.bus.clock().now().monotonic
    }

    fn upload_id(&self) -> UploadId {
        UploadId(self.next_upload.fetch_add(1, Ordering::Relaxed))
    }

    fn session(&self, name: &BroadcastName) -> Option<Arc<Session>> {
        self.book().sessions.get(name).cloned()
    }

    /// Takes a header, for the session of its broadcast or a new one.
    fn declare(&self, claim: &Claim, header: &Header) -> Result<(Arc<Session>, u64), Refusal> {
        // Each time round a session that is over has gone; a second publisher that is as quick is refused in the end.
        for _ in 0..3 {
            let (session, is_new) = self.session_for(&claim.target.broadcast)?;
            match session.declare(claim, header, self.now()) {
                Ok(Declared::Source(source)) => return Ok((session, source)),
                Ok(Declared::Return | Declared::Over) => self.close(&session, false),
                Err(refusal) => {
                    if is_new {
                        self.close(&session, matches!(refusal, Refusal::Unsupported(_)));
                    }
                    return Err(refusal);
                }
            }
        }
        Err(Refusal::Over(claim.target.broadcast.clone()))
    }

    fn session_for(&self, name: &BroadcastName) -> Result<(Arc<Session>, bool), Refusal> {
        let mut book = self.book();
        if let Some(session) = book.sessions.get(name) {
            return Ok((session.clone(), false));
        }
        let publisher = self.bus.publish(name)?;
        let names = book.names.remove(name).unwrap_or_default();
        let session = Arc::new(Session::new(self.bus.clone(), publisher, names, &self.settings, self.now()));
        book.sessions.insert(name.clone(), session.clone());
        tracing::info!(broadcast = %name, "published");
        Ok((session, true))
    }

    /// Ends a session, and its broadcast with it if `finished`.
    fn close(&self, session: &Arc<Session>, finished: bool) {
        let mut book = self.book();
        if book.sessions.get(&session.name).is_some_and(|known| known.is(session)) {
            book.sessions.remove(&session.name);
            let names = session.close(finished);
            if !finished {
                book.names.insert(session.name.clone(), names);
            }
            tracing::info!(broadcast = %session.name, finished, "no longer published");
        }
    }

    /// Ends a broadcast that waits for its publisher's return.
    fn end_waiting(&self, name: &BroadcastName) -> Result<(), Refusal> {
        match self.bus.end_waiting(name) {
            Some(State::Waiting { .. }) => {
                self.book().names.remove(name);
                tracing::info!(broadcast = %name, "ended while it waited for its publisher");
                Ok(())
            }
            Some(State::Live) => Err(Refusal::Elsewhere(name.clone())),
            Some(State::Ended { .. }) | None => Err(Refusal::NotPublished(name.clone())),
        }
    }

    /// Ends a broadcast, once the requests that were sent before have come to their end.
    async fn finish(&self, session: &Arc<Session>) {
        tokio::time::sleep(OVERTAKEN_BY_THE_END).await;
        let mut changes = self.arrivals.changes();
        let written = async { while self.arrivals.expects(&session.name) && changes.changed().await.is_ok() {} };
        // Those that write on for longer are cut off: the publisher has said that this is the end.
        let _ = tokio::time::timeout(LAST_REQUESTS, written).await;
        self.close(session, true);
    }
}

impl fmt::Debug for Ingest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ingest").field("publishers", &self.publishers()).finish_non_exhaustive()
    }
}
