//! `interface store`.

use super::Outcome;
use crate::bindings::millrace::plugin::store::Host;
use crate::bindings::millrace::plugin::types::Error;
use crate::state::State;

fn denied() -> Error {
    Error::Denied("a store is not granted".into())
}

impl Host for State {
    fn get(&mut self, _: String) -> Outcome<Option<Vec<u8>>> {
        Ok(Err(denied()))
    }

    fn set(&mut self, _: String, _: Vec<u8>) -> Outcome<()> {
        Ok(Err(denied()))
    }

    fn delete(&mut self, _: String) -> Outcome<()> {
        Ok(Err(denied()))
    }

    fn keys(&mut self, _: String) -> Outcome<Vec<String>> {
        Ok(Err(denied()))
    }
}
