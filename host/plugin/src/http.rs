//! HTTP requests of plugins (`interface http`): to granted hosts alone, and bounded in every direction.
//!
//! [`Http`] is what all plugins share: threads of its own, certificates, and how many requests there may be at a time. [`PluginHttp`] is the
//! part of one plugin, with connections of its own: what one plugin says to a host never travels with what another says.
//!
//! A request goes over HTTP/1.1. Proxies of the environment are not used. The resolver gives only addresses that the grants allow, and those
//! are what is connected to. Redirects are followed within the grants. A request ends with its [`Exchange`].

mod address;
mod client;
mod redirect;
mod request;
mod resolve;
#[cfg(test)]
mod tests;
mod tls;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::LengthLimitError;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use url::Url;

use crate::threads::give_way;
pub(crate) use client::{Exchange, PluginHttp};
use resolve::{Lookup, PrivateAddress};
pub use tls::TrustError;

/// The longest body of a request and of an answer, in bytes.
pub(crate) const MAX_BODY: usize = 1 << 20;
/// Requests at a time of one plugin. An answer that is not taken yet counts.
pub(crate) const MAX_OF_PLUGIN: usize = 8;
/// Requests at a time of all plugins.
const MAX_OF_SERVER: usize = 64;
/// Threads that ask for addresses: the system's resolver blocks.
const RESOLVING: usize = 16;

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HttpError {
    /// It cannot be sent, ever.
    #[error("{0}")]
    Invalid(String),
    /// The operator has not granted this scheme, host and port.
    #[error("{0} is not granted")]
    NotGranted(String),
    /// The host is at an address that the operator has not opened to it.
    #[error(transparent)]
    Private(#[from] PrivateAddress),
    /// Too many at a time.
    #[error("{0}")]
    TooMany(String),
    /// The host, the network or the answer failed.
    #[error("{0}")]
    Failed(String),
    /// Its answer was taken before.
    #[error("its answer was taken before")]
    Taken,
}

impl HttpError {
    /// What went wrong on the way, as the contract knows it.
    fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut source = Some(error);
        let mut words: Vec<String> = Vec::new();
        while let Some(error) = source {
            if let Some(known) = error.downcast_ref::<Self>() {
                return known.clone();
            }
            if let Some(private) = error.downcast_ref::<PrivateAddress>() {
                return private.clone().into();
            }
            if error.is::<LengthLimitError>() {
                return Self::Failed(format!("the answer has more than {MAX_BODY} bytes"));
            }
            let text = error.to_string();
            if words.last() != Some(&text) {
                words.push(text);
            }
            source = error.source();
        }
        Self::Failed(crate::text::tidy(&words.join(": ")))
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Response {
    /// The bytes that it takes.
    pub(crate) fn size(&self) -> usize {
        self.body.len() + self.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>()
    }
}

/// What the requests of all plugins share.
pub(crate) struct Http {
    runtime: Option<Runtime>,
    tls: rustls::ClientConfig,
    lookup: Lookup,
    room: Arc<Semaphore>,
}

impl Http {
    /// Starts the threads. The authorities of the system are trusted, and those in the PEM file `ca`.
    ///
    /// # Errors
    /// Where the threads cannot be started, or there is nobody to trust.
    pub(crate) fn new(ca: Option<&Path>) -> Result<Self, TrustError> {
        Ok(Self::with(tls::config(ca)?, resolve::system())?)
    }

    fn with(tls: rustls::ClientConfig, lookup: Lookup) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(RESOLVING)
            .thread_keep_alive(Duration::from_secs(10))
            .thread_name("plugin-http")
            .on_thread_start(give_way)
            .enable_all()
            .build()?;
        Ok(Self { runtime: Some(runtime), tls, lookup, room: Arc::new(Semaphore::new(MAX_OF_SERVER)) })
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("room", &self.room.available_permits()).finish_non_exhaustive()
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        // Waiting for the threads here could be waiting on one of them.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The scheme, host and port of a URL, as operators grant them.
fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// As [`origin`], of what may be no URL: then it is empty.
pub(crate) fn origin_of(text: &str) -> String {
    Url::parse(text).map(|url| origin(&url)).unwrap_or_default()
}
