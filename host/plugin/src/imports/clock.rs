//! `interface clock`.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::bindings::millrace::plugin::clock::Host;
use crate::grants::Grant;
use crate::state::State;

impl Host for State {
    fn now(&mut self) -> wasmtime::Result<u64> {
        if self.plugin.reach.check(Grant::Clock).is_err() {
            return Ok(0);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(u64::try_from(now.as_micros()).unwrap_or(u64::MAX))
    }

    fn monotonic(&mut self) -> wasmtime::Result<u64> {
        if self.plugin.reach.check(Grant::Clock).is_err() {
            return Ok(0);
        }
        let since = self.plugin.engine.began.elapsed();
        Ok(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
    }
}
