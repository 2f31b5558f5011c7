//! Who may publish over HTTP. The rule itself is the server's, which has one for all protocols.

use std::fmt;

use axum::http::request::Parts;

use crate::Grant;

/// Decides who may publish. It is asked for every request that changes something, before the request's body is read. What it grants
/// holds for the whole request, however long that is.
pub trait Access: fmt::Debug + Send + Sync {
    /// What a request's sender may publish.
    ///
    /// # Errors
    /// Where it may publish nothing, with the reason.
    fn grant(&self, request: &Parts) -> Result<Grant, Denied>;
}

/// Why a request's sender may publish nothing: a sentence for the sender, without its full stop.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Denied(pub String);

/// Lets everybody publish everything: for an [`Ingest`](super::Ingest) that nobody else can reach.
#[derive(Clone, Copy, Debug, Default)]
pub struct Everybody;

impl Access for Everybody {
    fn grant(&self, _: &Parts) -> Result<Grant, Denied> {
        Ok(Grant::Below(String::new()))
    }
}
