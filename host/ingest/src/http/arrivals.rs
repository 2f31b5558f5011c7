//! Headers that are on their way.
//!
//! A publisher with a connection for each request begins to send a segment the moment it has sent the header, and the two may
//! overtake each other. A segment whose header is not known for sure waits for those that are on their way.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use millrace_media::BroadcastName;
use tokio::sync::watch;

use super::path::{Class, Target};
use super::source::UploadId;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Arrivals {
    headers: Mutex<BTreeMap<UploadId, BroadcastName>>,
    changed: watch::Sender<()>,
}

impl Default for Arrivals {
    fn default() -> Self {
        Self { headers: Mutex::default(), changed: watch::Sender::new(()) }
    }
}

impl Arrivals {
    /// A request has begun. What its name says is a header is on its way until the answer is dropped.
    pub(super) fn announce(&self, upload: UploadId, target: &Target) -> Option<Arrival<'_>> {
        let file = target.resource.rsplit('/').next()?;
        if target.class != Class::Piece || !file.contains("init") {
            return None;
        }
        self.headers.lock().unwrap_or_else(PoisonError::into_inner).insert(upload, target.broadcast.clone());
        Some(Arrival { arrivals: self, upload })
    }

    /// True while the request is one of those that were announced.
    pub(super) fn announces(&self, upload: UploadId) -> bool {
        self.headers.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&upload)
    }

    /// True while a header of a broadcast is on its way.
    pub(super) fn expects(&self, broadcast: &BroadcastName) -> bool {
        self.headers.lock().unwrap_or_else(PoisonError::into_inner).values().any(|name| name == broadcast)
    }

    /// Changes whenever a header has arrived.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}

/// A header on its way.
#[derive(Debug)]
pub(super) struct Arrival<'a> {
    arrivals: &'a Arrivals,
    upload: UploadId,
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        self.arrivals.headers.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.upload);
        self.arrivals.changed.send_replace(());
    }
}
