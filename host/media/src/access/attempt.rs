//! An attempt, as an authorizer sees it. What it reads is noted: its answer holds for whoever shows the same.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::Action;
use super::client::Client;
use crate::BroadcastName;

/// The most fields that an answer can depend on and be kept.
const MOST_FIELDS: usize = 64;
/// The longest name of one.
const LONGEST_NAME: usize = 256;

/// A value that a client may show.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Field {
    /// Of a key of the query.
    Query(Box<str>),
    /// Of a header; its name is in small letters.
    Header(Box<str>),
}

impl Field {
    /// What a client shows there.
    pub(super) fn of(&self, client: &Client) -> Option<String> {
        match self {
            Self::Query(key) => client.query(key),
            Self::Header(name) => client.header(name),
        }
    }
}

/// What was read; none once that is more than can be kept.
pub(super) type Read = Option<BTreeSet<Field>>;

/// Somebody who wants to publish or play.
pub struct Attempt {
    client: Arc<Client>,
    action: Action,
    broadcast: BroadcastName,
    read: Mutex<Read>,
}

impl Attempt {
    pub(super) fn new(client: Arc<Client>, action: Action, broadcast: BroadcastName) -> Self {
        Self { client, action, broadcast, read: Mutex::new(Some(BTreeSet::new())) }
    }

    /// What the client wants to do.
    pub const fn action(&self) -> Action {
        self.action
    }

    /// The broadcast it wants to do it with.
    pub const fn broadcast(&self) -> &BroadcastName {
        &self.broadcast
    }

    /// The protocol that it uses.
    pub fn protocol(&self) -> &'static str {
        self.client.protocol()
    }

    /// The address that it comes from.
    pub fn address(&self) -> IpAddr {
        self.client.address()
    }

    /// The first value of a key of the query, decoded.
    pub fn query(&self, key: &str) -> Option<String> {
        self.note(key, Field::Query);
        self.client.query(key)
    }

    /// The first value of a header. Capital and small letters of the name are the same.
    pub fn header(&self, name: &str) -> Option<String> {
        let name = name.to_ascii_lowercase();
        self.note(&name, Field::Header);
        self.client.header(&name)
    }

    /// What has been read so far.
    pub(super) fn read(&self) -> Read {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, name: &str, field: fn(Box<str>) -> Field) {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = read.as_mut() else { return };
        if name.len() > LONGEST_NAME {
            *read = None;
            return;
        }
        known.insert(field(name.into()));
        if known.len() > MOST_FIELDS {
            *read = None;
        }
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt")
            .field("client", &self.client)
            .field("action", &self.action)
            .field("broadcast", &self.broadcast)
            .finish_non_exhaustive()
    }
}
