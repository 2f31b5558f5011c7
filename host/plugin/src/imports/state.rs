//! `interface state`.

use millrace_transcode::factory::Slot;
use wasmtime::component::Resource;

use super::Outcome;
use crate::bindings::millrace::plugin::state::{Host, HostSlot};
use crate::bindings::millrace::plugin::types::Error;
use crate::hook::Purpose;
use crate::state::State;
use crate::text::tidy;

/// The longest value, in bytes.
const MAX_VALUE: usize = 64 << 10;

/// A handle to a slot.
pub struct SlotHandle(Slot);

impl Host for State {}

fn no_such(purpose: &Purpose, scope: &str) -> Error {
    let of = purpose.hook().map_or("the plugin describes itself", |_| "the hook access works for the whole server");
    Error::Invalid(format!("there is no {scope} while {of}"))
}

impl HostSlot for State {
    fn open(&mut self, scope: String) -> Outcome<Resource<SlotHandle>> {
        let slot = match scope.as_str() {
            "plugin" => Ok(self.plugin.state.clone()),
            "instance" => self.purpose().state().cloned().ok_or_else(|| no_such(self.purpose(), "instance")),
            "broadcast" => match self.purpose().broadcast_life() {
                Some(broadcast) => Ok(self.plugin.broadcast_states.of(broadcast)),
                None => Err(no_such(self.purpose(), "broadcast")),
            },
            other => Err(Error::Unsupported(format!(
                "unknown scope {:?} (expected instance, broadcast or plugin)",
                tidy(other)
            ))),
        };
        Ok(slot.and_then(|slot| self.push(SlotHandle(slot))))
    }

    fn save(&mut self, slot: Resource<SlotHandle>, value: Vec<u8>) -> Outcome<()> {
        let slot = &self.table.get(&slot)?.0;
        if value.len() > MAX_VALUE {
            let len = value.len();
            return Ok(Err(Error::Overloaded(format!("a value of {len} bytes (expected <= {MAX_VALUE})"))));
        }
        slot.save(value.into());
        Ok(Ok(()))
    }

    fn load(&mut self, slot: Resource<SlotHandle>) -> wasmtime::Result<Option<Vec<u8>>> {
        Ok(self.table.get(&slot)?.0.load().map(|value| value.to_vec()))
    }

    fn drop(&mut self, slot: Resource<SlotHandle>) -> wasmtime::Result<()> {
        self.table.delete(slot)?;
        Ok(())
    }
}
