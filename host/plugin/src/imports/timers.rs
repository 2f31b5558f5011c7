//! `interface timers`.

use super::Outcome;
use crate::bindings::millrace::plugin::timers::Host;
use crate::bindings::millrace::plugin::types::Error;
use crate::state::State;

impl Host for State {
    fn wake_after(&mut self, _: u32) -> Outcome<u64> {
        Ok(Err(Error::Denied("timers are not granted".into())))
    }

    fn cancel(&mut self, _: u64) -> wasmtime::Result<()> {
        Ok(())
    }
}
