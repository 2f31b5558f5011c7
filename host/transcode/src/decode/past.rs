//! Notes of decoders that are gone, for as long as somebody may ask for them.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millrace_media::{Broadcast, BroadcastName};

/// So many are kept: a broadcast whose transcoders have ended is listed for a while, with the reason why.
const KEPT: usize = 64;

/// The notes of broadcasts by name and start. The broadcasts themselves are not kept: they hold media.
#[derive(Default)]
pub(crate) struct Past(Mutex<VecDeque<(BroadcastName, Duration, String)>>);

impl Past {
    fn notes(&self) -> MutexGuard<'_, VecDeque<(BroadcastName, Duration, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the notes of a decoder that ends.
    pub(crate) fn keep(&self, broadcast: &Broadcast, notes: Vec<String>) {
        let mut kept = self.notes();
        for note in notes {
            if kept.len() == KEPT {
                kept.pop_front();
            }
            kept.push_back((broadcast.name().clone(), broadcast.started().unix, note));
        }
    }

    /// What is kept of a broadcast.
    pub(super) fn of(&self, broadcast: &Broadcast) -> Vec<String> {
        let is_of = |(name, started, _): &&(BroadcastName, Duration, String)| {
            name == broadcast.name() && *started == broadcast.started().unix
        };
        self.notes().iter().filter(is_of).map(|(.., note)| note.clone()).collect()
    }
}
