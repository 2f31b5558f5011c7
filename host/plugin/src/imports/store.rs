//! `interface store`.

use super::Outcome;
use crate::bindings::millrace::plugin::store::Host;
use crate::bindings::millrace::plugin::types::Error;
use crate::grants::Grant;
use crate::state::State;
use crate::store::{Refused, Store};

impl State {
    fn store(&self) -> Result<&Store, Error> {
        self.plugin.reach.check(Grant::Store)?;
        self.plugin.reach.store.as_ref().ok_or_else(|| Error::Failed("there is no store".into()))
    }
}

impl Host for State {
    fn get(&mut self, key: String) -> Outcome<Option<Vec<u8>>> {
        Ok(self.store().and_then(|store| Ok(store.get(&key)?.map(|value| value.to_vec()))))
    }

    fn set(&mut self, key: String, value: Vec<u8>) -> Outcome<()> {
        Ok(self.store().and_then(|store| Ok(store.set(&key, value)?)))
    }

    fn delete(&mut self, key: String) -> Outcome<()> {
        Ok(self.store().and_then(|store| Ok(store.delete(&key)?)))
    }

    fn keys(&mut self, prefix: String) -> Outcome<Vec<String>> {
        Ok(self.store().map(|store| store.keys(&prefix)))
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        let text = refused.to_string();
        match refused {
            Refused::Invalid(_) => Self::Invalid(text),
            Refused::Full(_) => Self::Overloaded(text),
            Refused::Disk(_) => Self::Failed(text),
        }
    }
}
