//! The values that factories save for a broadcast, shared by all their transcoders of it.

use std::sync::{Arc, Mutex, PoisonError};

use millrace_media::Broadcast;
use millrace_media::broadcast::Weak;

use crate::factory::Slot;

/// A slot for each factory on each broadcast, as long as the broadcast is there.
#[derive(Debug, Default)]
pub(super) struct States(Mutex<Vec<Entry>>);

#[derive(Debug)]
struct Entry {
    factory: Arc<str>,
    broadcast: Weak,
    slot: Slot,
}

impl States {
    /// The slot of a factory on a broadcast. Those of broadcasts that have ended are forgotten.
    pub(super) fn of(&self, factory: &Arc<str>, broadcast: &Broadcast) -> Slot {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|entry| entry.broadcast.is_live());
        let known = entries.iter().find(|entry| entry.factory == *factory && entry.broadcast.is(broadcast));
        if let Some(entry) = known {
            return entry.slot.clone();
        }
        let slot = Slot::default();
        entries.push(Entry { factory: factory.clone(), broadcast: broadcast.downgrade(), slot: slot.clone() });
        slot
    }
}
