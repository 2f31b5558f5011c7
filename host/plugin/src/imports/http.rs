//! `interface http`.

use wasmtime::component::Resource;

use super::Outcome;
use crate::bindings::millrace::plugin::http::{Host, HostPending, HostResponse};
use crate::bindings::millrace::plugin::types::{Entry, Error};
use crate::state::State;

/// A request that was sent.
#[derive(Debug)]
pub enum PendingHandle {}

/// An answer.
#[derive(Debug)]
pub enum ResponseHandle {}

impl Host for State {
    fn send(&mut self, _: String, _: String, _: Vec<Entry>, _: Vec<u8>) -> Outcome<Resource<PendingHandle>> {
        Ok(Err(Error::Denied("http is not granted".into())))
    }
}

impl HostPending for State {
    fn ticket(&mut self, pending: Resource<PendingHandle>) -> wasmtime::Result<u64> {
        match *self.table.get(&pending)? {}
    }

    fn poll(&mut self, pending: Resource<PendingHandle>) -> Outcome<Option<Resource<ResponseHandle>>> {
        match *self.table.get(&pending)? {}
    }

    fn drop(&mut self, pending: Resource<PendingHandle>) -> wasmtime::Result<()> {
        self.table.delete(pending)?;
        Ok(())
    }
}

impl HostResponse for State {
    fn status(&mut self, response: Resource<ResponseHandle>) -> wasmtime::Result<u16> {
        match *self.table.get(&response)? {}
    }

    fn header(&mut self, response: Resource<ResponseHandle>, _: String) -> wasmtime::Result<Option<String>> {
        match *self.table.get(&response)? {}
    }

    fn body(&mut self, response: Resource<ResponseHandle>) -> wasmtime::Result<Vec<u8>> {
        match *self.table.get(&response)? {}
    }

    fn drop(&mut self, response: Resource<ResponseHandle>) -> wasmtime::Result<()> {
        self.table.delete(response)?;
        Ok(())
    }
}
