//! The values that a plugin saves for a broadcast, shared by all its instances there, of any hook.

use std::sync::{Mutex, PoisonError};

use millrace_media::broadcast::Weak;
use millrace_transcode::factory::Slot;

/// A slot for each broadcast, as long as the broadcast is there.
#[derive(Debug, Default)]
pub(crate) struct States(Mutex<Vec<(Weak, Slot)>>);

impl States {
    /// The slot for a broadcast. Those of broadcasts that have ended are forgotten.
    pub(crate) fn of(&self, broadcast: &Weak) -> Slot {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|(broadcast, _)| broadcast.is_live());
        if let Some((_, slot)) = entries.iter().find(|(known, _)| known.is_same(broadcast)) {
            return slot.clone();
        }
        let slot = Slot::default();
        entries.push((broadcast.clone(), slot.clone()));
        slot
    }
}
