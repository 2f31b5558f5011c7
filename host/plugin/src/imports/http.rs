//! `interface http`.

use std::sync::Arc;

use wasmtime::component::Resource;

use super::Outcome;
use crate::bindings::millrace::plugin::http::{Host, HostPending, HostResponse};
use crate::bindings::millrace::plugin::types::{Entry, Error};
use crate::grants::Grant;
use crate::http::{Exchange, HttpError, Response, origin_of};
use crate::inbox::Inbox;
use crate::state::State;

/// A request that was sent.
#[derive(Debug)]
pub struct PendingHandle {
    ticket: u64,
    /// None once its answer was taken.
    exchange: Option<Exchange>,
    inbox: Arc<Inbox>,
}

impl Drop for PendingHandle {
    fn drop(&mut self) {
        self.inbox.forget(self.ticket);
    }
}

/// An answer.
#[derive(Debug)]
pub struct ResponseHandle(Response);

impl State {
    fn request(&mut self, method: &str, url: &str, headers: Vec<Entry>, body: Vec<u8>) -> Result<PendingHandle, Error> {
        let reach = &self.plugin.reach;
        let Some(http) = &reach.http else {
            return Err(Error::Denied(reach.denials.deny(Grant::Http, &origin_of(url))));
        };
        let inbox = self.waking()?.clone();
        let headers: Vec<_> = headers.into_iter().map(|entry| (entry.key, entry.value)).collect();
        let ticket = inbox.ticket();
        // The request does not keep the inbox of an instance that has ended.
        let to = Arc::downgrade(&inbox);
        let done = move || {
            if let Some(inbox) = to.upgrade() {
                inbox.answered(ticket);
            }
        };
        let exchange = http.send(method, url, &headers, body, done)?;
        Ok(PendingHandle { ticket, exchange: Some(exchange), inbox })
    }
}

impl Host for State {
    fn send(
        &mut self,
        method: String,
        url: String,
        headers: Vec<Entry>,
        body: Vec<u8>,
    ) -> Outcome<Resource<PendingHandle>> {
        Ok(self.request(&method, &url, headers, body).and_then(|pending| self.push(pending)))
    }
}

impl HostPending for State {
    fn ticket(&mut self, pending: Resource<PendingHandle>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&pending)?.ticket)
    }

    fn poll(&mut self, pending: Resource<PendingHandle>) -> Outcome<Option<Resource<ResponseHandle>>> {
        let pending = self.table.get_mut(&pending)?;
        let Some(exchange) = &mut pending.exchange else { return Ok(Err(Error::Closed)) };
        let answer = match exchange.poll() {
            Ok(None) => return Ok(Ok(None)),
            Ok(Some(response)) => Ok(response),
            Err(error) => Err(error.into()),
        };
        // Its place is free for another.
        pending.exchange = None;
        Ok(answer.and_then(|response| {
            let size = response.size() as u64;
            self.pin(size)?;
            self.push(ResponseHandle(response)).map(Some).inspect_err(|_| self.unpin(size))
        }))
    }

    fn drop(&mut self, pending: Resource<PendingHandle>) -> wasmtime::Result<()> {
        self.table.delete(pending)?;
        Ok(())
    }
}

impl HostResponse for State {
    fn status(&mut self, response: Resource<ResponseHandle>) -> wasmtime::Result<u16> {
        Ok(self.table.get(&response)?.0.status.as_u16())
    }

    fn header(&mut self, response: Resource<ResponseHandle>, name: String) -> wasmtime::Result<Option<String>> {
        let value = self.table.get(&response)?.0.headers.get(name);
        Ok(value.and_then(|value| value.to_str().ok()).map(str::to_owned))
    }

    fn body(&mut self, response: Resource<ResponseHandle>) -> wasmtime::Result<Vec<u8>> {
        Ok(self.table.get(&response)?.0.body.to_vec())
    }

    fn drop(&mut self, response: Resource<ResponseHandle>) -> wasmtime::Result<()> {
        let response = self.table.delete(response)?;
        self.unpin(response.0.size() as u64);
        Ok(())
    }
}

impl From<HttpError> for Error {
    fn from(error: HttpError) -> Self {
        let text = error.to_string();
        match error {
            HttpError::Invalid(_) => Self::Invalid(text),
            HttpError::NotGranted(_) | HttpError::Private(_) => Self::Denied(text),
            HttpError::TooMany(_) => Self::Overloaded(text),
            HttpError::Failed(_) => Self::Failed(text),
            HttpError::Taken => Self::Closed,
        }
    }
}
