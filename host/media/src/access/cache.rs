//! Answers that are known, by what they were found to depend on.
//!
//! What an answer depends on shows only once it has been given: an authorizer reads what it likes. So the cache remembers in which sets
//! of fields, its *shapes*, answers have been found, and looks an attempt up in each. That is right for whoever reads one value after
//! another and goes by them alone: with the same values it would have read the same fields, and said the same. Values are kept as
//! digests (SHA-256), so that no secret is kept, and each answer takes the same memory.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::attempt::Field;
use super::client::Client;
use super::{Action, Decision};
use crate::BroadcastName;

/// The most answers that are kept.
pub(super) const MOST_ANSWERS: usize = 10_000;
/// The most shapes. An authorizer has few; one that has more begins anew.
const MOST_SHAPES: usize = 16;

/// The digest of what an answer depends on.
pub(super) type Key = [u8; 32];

/// Who wants to do what with which broadcast.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) client: &'a Client,
    pub(super) action: Action,
    pub(super) broadcast: &'a BroadcastName,
}

/// See the [module](self).
#[derive(Default)]
pub(super) struct Cache {
    shapes: Vec<Arc<[Field]>>,
    answers: HashMap<Key, Decision>,
    /// The same, by when they end.
    ends: BTreeSet<(Instant, Key)>,
}

impl Cache {
    /// What is known of an attempt.
    pub(super) fn find(&self, asked: Asked<'_>, now: Instant) -> Option<&Decision> {
        let mut keys = self.shapes.iter().map(|shape| key(asked, shape.iter()));
        keys.find_map(|key| self.answers.get(&key).filter(|decision| decision.until > now))
    }

    /// Keeps an answer that was found by reading `fields`.
    pub(super) fn keep(&mut self, asked: Asked<'_>, fields: &BTreeSet<Field>, decision: Decision, now: Instant) {
        while self.ends.first().is_some_and(|(until, _)| *until <= now) || self.answers.len() >= MOST_ANSWERS {
            let Some((_, key)) = self.ends.pop_first() else { break };
            self.answers.remove(&key);
        }
        if !self.shapes.iter().any(|shape| shape.iter().eq(fields)) {
            if self.shapes.len() >= MOST_SHAPES {
                *self = Self::default();
            }
            self.shapes.push(fields.iter().cloned().collect());
        }
        let key = key(asked, fields);
        self.ends.insert((decision.until, key));
        if let Some(before) = self.answers.insert(key, decision)
            && self.answers[&key].until != before.until
        {
            self.ends.remove(&(before.until, key));
        }
    }

    /// What tells attempts apart that are asked at one time: the fields that answers depend on as far as is known, or all there are.
    pub(super) fn flight(&self, asked: Asked<'_>) -> Key {
        let fields: BTreeSet<_> = self.shapes.iter().flat_map(|shape| shape.iter()).collect();
        let mut digest = begin(asked);
        if self.shapes.is_empty() {
            digest.update(asked.client.fingerprint());
        }
        fields.into_iter().for_each(|field| add(&mut digest, asked.client, field));
        digest.finalize().into()
    }

    /// How many answers hold.
    pub(super) fn len(&self, now: Instant) -> usize {
        self.ends.iter().rev().take_while(|(until, _)| *until > now).count()
    }
}

/// The digest of an attempt by some fields.
fn key<'a>(asked: Asked<'_>, fields: impl IntoIterator<Item = &'a Field>) -> Key {
    let mut digest = begin(asked);
    fields.into_iter().for_each(|field| add(&mut digest, asked.client, field));
    digest.finalize().into()
}

fn begin(asked: Asked<'_>) -> Sha256 {
    let Asked { client, action, broadcast } = asked;
    let mut digest = Sha256::new();
    text(&mut digest, action.as_str());
    text(&mut digest, broadcast.as_str());
    text(&mut digest, client.protocol());
    text(&mut digest, &client.address().to_string());
    digest
}

/// Adds a field by its name, so that values of different fields are never mistaken for each other.
fn add(digest: &mut Sha256, client: &Client, field: &Field) {
    let (kind, name) = match field {
        Field::Query(name) => (1u8, name),
        Field::Header(name) => (2, name),
    };
    digest.update([kind]);
    text(digest, name);
    match field.of(client) {
        None => digest.update([0]),
        Some(value) => {
            digest.update([1]);
            text(digest, &value);
        }
    }
}

fn text(digest: &mut Sha256, text: &str) {
    digest.update((text.len() as u64).to_le_bytes());
    digest.update(text);
}
