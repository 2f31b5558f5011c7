//! `interface timers`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Outcome;
use crate::bindings::millrace::plugin::timers::Host;
use crate::bindings::millrace::plugin::types::Error;
use crate::grants::Grant;
use crate::inbox::Inbox;
use crate::state::State;

impl Host for State {
    fn wake_after(&mut self, milliseconds: u32) -> Outcome<u64> {
        Ok(self.plugin.reach.check(Grant::Timers).and_then(|()| {
            let set = self.waking()?.set_timer(Instant::now(), Duration::from_millis(milliseconds.into()));
            set.map_err(|error| Error::Overloaded(error.to_string()))
        }))
    }

    fn cancel(&mut self, ticket: u64) -> wasmtime::Result<()> {
        if let Ok(inbox) = self.waking() {
            inbox.cancel_timer(ticket);
        }
        Ok(())
    }
}

impl State {
    /// Where the calls of `on-wake` are put.
    pub(crate) fn waking(&self) -> Result<&Arc<Inbox>, Error> {
        if !self.plugin.hooks.wake {
            return Err(Error::Unsupported("the plugin does not export `wake`, which would be called".into()));
        }
        self.inbox().ok_or_else(|| Error::Unsupported("nothing is called while the plugin describes itself".into()))
    }
}
