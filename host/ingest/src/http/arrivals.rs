//! Requests that are on their way.
//!
//! A publisher with a connection for each request begins the next the moment it has sent the last byte of one, and the two may
//! overtake each other. A segment whose header is not known for sure waits for the headers that are on their way, and an end waits
//! for all that was begun before it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use millrace_media::BroadcastName;
use tokio::sync::watch;

use super::path::{Class, Target};
use super::source::UploadId;

/// What a request that is on its way seems to bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaited {
    /// A header that segments under other names may belong to.
    Header,
    /// Something else, or a header that has come by now.
    Media,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Arrivals {
    open: Mutex<BTreeMap<UploadId, (BroadcastName, Awaited)>>,
    changed: watch::Sender<()>,
}

impl Default for Arrivals {
    fn default() -> Self {
        Self { open: Mutex::default(), changed: watch::Sender::new(()) }
    }
}

impl Arrivals {
    /// A request has begun. It is on its way until the answer is dropped.
    pub(super) fn announce(&self, upload: UploadId, target: &Target) -> Arrival<'_> {
        let file = target.resource.rsplit('/').next().unwrap_or_default();
        let is_header = target.class == Class::Piece && file.contains("init");
        let awaited = if is_header { Awaited::Header } else { Awaited::Media };
        self.open().insert(upload, (target.broadcast.clone(), awaited));
        Arrival { arrivals: self, upload, awaited }
    }

    /// True while a header of a broadcast is on its way.
    pub(super) fn expects_header(&self, broadcast: &BroadcastName) -> bool {
        self.open().values().any(|(name, awaited)| name == broadcast && *awaited == Awaited::Header)
    }

    /// True while anything of a broadcast is on its way.
    pub(super) fn expects(&self, broadcast: &BroadcastName) -> bool {
        self.open().values().any(|(name, _)| name == broadcast)
    }

    /// Changes whenever something has arrived.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<UploadId, (BroadcastName, Awaited)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request on its way.
#[derive(Debug)]
pub(super) struct Arrival<'a> {
    arrivals: &'a Arrivals,
    upload: UploadId,
    awaited: Awaited,
}

impl Arrival<'_> {
    /// True until the header is there, of a request that seems to bring one.
    pub(super) fn is_header(&self) -> bool {
        self.awaited == Awaited::Header
    }

    /// The header is there.
    pub(super) fn header_came(&mut self) {
        self.awaited = Awaited::Media;
        if let Some((_, awaited)) = self.arrivals.open().get_mut(&self.upload) {
            *awaited = Awaited::Media;
        }
        self.arrivals.changed.send_replace(());
    }
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        self.arrivals.open().remove(&self.upload);
        self.arrivals.changed.send_replace(());
    }
}
