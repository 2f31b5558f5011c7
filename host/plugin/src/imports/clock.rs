//! `interface clock`.

use crate::bindings::millrace::plugin::clock::Host;
use crate::state::State;

impl Host for State {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(0)
    }

    fn monotonic(&mut self) -> wasmtime::Result<u64> {
        Ok(0)
    }
}
