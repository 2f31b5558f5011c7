//! Media over QUIC: what publishers announce, taken to the bus.
//!
//! | what announces it | stack |
//! | --- | --- |
//! | PUBLISH_NAMESPACE: its tracks are subscribed to | `moq-transport` (draft-ietf-moq-transport-18) |
//! | PUBLISH: a track is pushed; all of one namespace are one broadcast | `moq-transport` |
//! | an announcement of moq-lite, or PUBLISH_NAMESPACE of another draft | `moq-net` |
//!
//! **Names.** The path, or the elements of the namespace joined by slashes, is the broadcast's name, and has to be one
//! ([`BroadcastName`](millrace_media::BroadcastName)). Tracks are called `video`, `audio`, `video-2` and so on, in the order in which
//! their media comes, and keep their names when the publisher returns.
//!
//! **Catalogs.** MSF in the track `catalog` (drafts 00 and 01, with their changes), hang's in `catalog.json` (with merge patches, as
//! `moq-json` writes them; not the compressed `catalog.json.z`), and moq-pub's older format in `.catalog` (whole catalogs only). All
//! are looked for at once, and the first that comes counts, but that the others are waited for a second longer than the older one, which
//! may leave out the sound. One that cannot be read, or is too long, is passed over; where the first object of all three cannot be read,
//! the broadcast is given up. What a catalog no longer has ends; what it describes otherwise
//! begins a new epoch.
//!
//! **Containers.** CMAF, an object being one or more whole chunks, with its header in the catalog, in a track of its own (moq-pub's
//! `0.mp4`) or before the first chunk. LOC (draft-ietf-moq-loc, its properties in the payload) and hang's legacy container, an object
//! being a frame: of H.264 (with `avcC` in the catalog, or as a byte stream with parameter sets), AV1, AAC (raw or in ADTS) and Opus.
//! Video of these comes one picture late: how long a picture lasts is known when the next one comes. What is in other containers or
//! codecs, or is a track of another broadcast, is left out, with a line in the log.
//!
//! **Order.** Groups go to the bus one after the other, without a hole: where an object is missing and does not come within a second,
//! the rest of its group is dropped; a group that does not end is waited for as long once a later one has begun, and what comes of it
//! then is dropped. So are objects that come again. Where the groups of the broadcast begin is the calendar's affair: at keyframes. That
//! one is complete is said when its stream ends, of publishers whose groups have come in one stream each and begun at keyframes; what
//! still comes of it then is dropped, and no more is said of theirs.
//!
//! **Refusals.** What lies outside the [`Grant`], has no broadcast's name, has a publisher already, or is one more than the session may
//! publish, is not taken; nor is what the session's [`Guard`](millrace_media::access::Guard) denies, which is asked about each broadcast, may
//! give it another name, and ends one that is no longer allowed. `moq-transport` tells the publisher why (its answer to PUBLISH has a code, and no reason); with `moq-net`
//! nothing of it is subscribed to. The reason is logged; the session goes on. A track whose objects are broken or longer than the limit
//! is given up, and the others go on. Where groups that do not end are longer than that limit together, the track is subscribed to anew.
//! A publisher that does not stop sending such a track when it is asked to, or pushes it, loses its session: see [`Ingest::receive`].
//! What it pushes of a track that has left the catalog is passed over, within the same limit.
//!
//! **The end.** An announcement that is taken back, a session that ends, and pushed tracks that have all ended let the broadcast wait for
//! its publisher's return, which begins a new epoch. So does silence for the idle time; then whoever comes first has the name.
//! Time that goes back, or ahead by more than 10 s, begins a new epoch of all tracks.

mod broadcast;
mod catalog;
mod container;
mod frames;
mod ietf;
mod net;
mod order;
mod refusal;
mod remote;
mod session;
mod source;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millrace_cmaf::Limits;
use millrace_media::access::{Action, Admission, Guard};
use millrace_media::{BroadcastName, Bus};
use moq_transport::session::Subscriber;

pub use crate::grant::Grant;
use crate::names::Names;
use crate::pieces::Lengths;
use refusal::Refusal;
use source::Source;

/// What this protocol's media is counted under.
const PROTOCOL: &str = "moq";

/// What publishers may do.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a publisher may send nothing.
    pub idle_timeout: Duration,
    /// What a track may declare. An object may be as long as an `mdat`, and so may a group; a catalog may have as many tracks as a
    /// header.
    pub limits: Limits,
    /// How long fragments are made.
    pub lengths: Lengths,
    /// The longest catalog, in bytes.
    pub max_catalog: usize,
    /// Broadcasts that a session may publish at once.
    pub max_broadcasts: usize,
}

impl Default for Settings {
    /// 15 s of silence, the usual limits and lengths, catalogs of 1 MiB, 16 broadcasts a session.
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(15),
            limits: Limits::default(),
            lengths: Lengths::default(),
            max_catalog: 1 << 20,
            max_broadcasts: 16,
        }
    }
}

/// All that is being published over MoQ.
pub struct Ingest(Arc<Shared>);

struct Shared {
    bus: Bus,
    settings: Settings,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    sources: Vec<Arc<Source>>,
    /// Of broadcasts that wait for their publisher.
    names: BTreeMap<BroadcastName, Names>,
    stopped: bool,
}

impl Ingest {
    /// Publishes to a bus.
    pub fn new(bus: Bus, settings: Settings) -> Arc<Self> {
        Arc::new(Self(Arc::new(Shared { bus, settings, book: Mutex::default() })))
    }

    /// For sessions of `moq-transport`: takes all that the other side publishes, until the session ends. Comes back before that where
    /// the other side sends more and more of something that it was asked to stop: then the session has to be ended, since nothing else
    /// stops it.
    pub async fn receive(&self, subscriber: Subscriber, grant: Grant, guard: Guard) {
        session::receive(self.0.clone(), subscriber, May { grant, guard }).await;
    }

    /// For sessions of `moq-net`: where the session writes what it hears of, and the work of taking it to the bus, which ends with
    /// the session.
    pub fn session(
        self: &Arc<Self>,
        grant: Grant,
        guard: Guard,
    ) -> (moq_net::origin::Producer, impl Future<Output = ()> + Send + use<>) {
        let (origin, driver) = moq_net::origin::Producer::new(net::origin(self.0.settings.limits.max_mdat));
        // The session's clones alone keep the origin: it is over when they are gone.
        let announced = origin.consume();
        let shared = self.0.clone();
        let work = async move {
            tokio::select! {
                error = moq_net::time::run(driver) => tracing::debug!(%error, "the session's origin has ended"),
                () = session::follow(shared, announced, May { grant, guard }) => {}
            }
        };
        (origin, work)
    }

    /// How many broadcasts are being published over MoQ.
    pub fn publishers(&self) -> usize {
        self.0.book().sources.len()
    }

    /// Ends all that is being published, because the server stops.
    pub fn stop(&self) {
        let sources = {
            let mut book = self.0.book();
            book.stopped = true;
            book.sources.clone()
        };
        sources.iter().for_each(|source| drop(source.close(true)));
    }
}

impl fmt::Debug for Ingest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ingest").field("publishers", &self.publishers()).finish_non_exhaustive()
    }
}

impl Shared {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the publisher's place of a broadcast that a session announces under a path.
    async fn publish(self: &Arc<Self>, path: &str, may: &May) -> Result<Published, Refusal> {
        let path = path.trim_matches('/');
        if !may.grant.allows(path) {
            return Err(Refusal::Grant { name: path.to_owned(), grant: may.grant.clone() });
        }
        let admission = may.guard.admit(Action::Publish, &BroadcastName::new(path)?).await?;
        let name = admission.allowed().clone();
        let mut book = self.book();
        if book.stopped {
            return Err(Refusal::Stopping);
        }
        let names = book.names.get(&name).cloned().unwrap_or_default();
        let source = Arc::new(Source::new(self.bus.clone(), name.clone(), self.settings.lengths, names)?);
        book.sources.push(source.clone());
        metrics::gauge!("millrace_ingest_publishers", "protocol" => PROTOCOL).set(book.sources.len() as f64);
        tracing::info!(broadcast = %name, "published");
        Ok(Published { shared: self.clone(), source, admission })
    }
}

/// The publisher's place of a broadcast. When it is dropped, the broadcast waits for its publisher's return.
struct Published {
    shared: Arc<Shared>,
    source: Arc<Source>,
    admission: Admission,
}

/// What a session may publish.
#[derive(Clone, Debug)]
struct May {
    grant: Grant,
    /// Who is asked about each broadcast.
    guard: Guard,
}

impl Drop for Published {
    fn drop(&mut self) {
        let names = self.source.close(false);
        let mut book = self.shared.book();
        book.sources.retain(|source| !Arc::ptr_eq(source, &self.source));
        book.names.retain(|name, _| self.shared.bus.broadcast(name).is_some());
        book.names.insert(self.source.name.clone(), names);
        metrics::gauge!("millrace_ingest_publishers", "protocol" => PROTOCOL).set(book.sources.len() as f64);
        tracing::info!(broadcast = %self.source.name, "no longer published");
    }
}
