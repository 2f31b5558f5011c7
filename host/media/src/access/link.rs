//! One authorizer of the chain, with its cache and its bounds.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::attempt::{Attempt, Field, Read};
use super::cache::{Asked, Cache, Key};
use super::client::Client;
use super::{ALLOWED, Action, Answer, Authorizer, DENIED, Decision, Denied, SHORTEST, Tally, Verdict, reason};
use crate::BroadcastName;

/// The most attempts that an authorizer is deciding at a time.
const MOST_OPEN: usize = 256;
/// How often an attempt waits for another's answer before it asks by itself, though that may ask the same twice.
const PATIENCE: usize = 3;

/// See the [module](self).
pub(super) struct Link {
    authorizer: Arc<dyn Authorizer>,
    state: Mutex<State>,
    places: Semaphore,
    counts: Counts,
}

#[derive(Default)]
struct State {
    cache: Cache,
    /// Attempts that are being decided, for others that are the same.
    flights: HashMap<Key, watch::Receiver<Option<Landed>>>,
}

/// What a client has shown in the fields that were read.
type Values = Arc<[(Field, Option<String>)]>;

/// An answer, and what it depends on.
#[derive(Clone, Debug)]
struct Landed {
    decision: Decision,
    /// The values that were read.
    read: Option<Values>,
}

#[derive(Default)]
struct Counts {
    attempts: AtomicU64,
    allowed: AtomicU64,
    denied: AtomicU64,
    failed: AtomicU64,
    reused: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// An attempt that is being decided. When it is dropped, those who wait ask by themselves.
struct Flight<'a> {
    link: &'a Link,
    key: Key,
    landed: watch::Sender<Option<Landed>>,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.link.state().flights.remove(&self.key);
    }
}

impl Link {
    pub(super) fn new(authorizer: Arc<dyn Authorizer>) -> Self {
        let places = Semaphore::new(MOST_OPEN);
        Self { authorizer, state: Mutex::default(), places, counts: Counts::default() }
    }

    pub(super) fn name(&self) -> &str {
        self.authorizer.name()
    }

    pub(super) fn tally(&self) -> Tally {
        let Counts { attempts, allowed, denied, failed, reused } = &self.counts;
        let [attempts, allowed, denied, failed, reused] =
            [attempts, allowed, denied, failed, reused].map(|counter| counter.load(Ordering::Relaxed));
        let open = MOST_OPEN - self.places.available_permits();
        Tally { attempts, allowed, denied, failed, reused, open, cached: self.state().cache.len(Instant::now()) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the authorizer says of an attempt, or is known to say.
    pub(super) async fn decide(&self, client: &Arc<Client>, action: Action, broadcast: &BroadcastName) -> Decision {
        if !self.authorizer.concerns(broadcast) {
            let until = Instant::now() + ALLOWED;
            return Decision { verdict: Ok(broadcast.clone()), until, unanswered: false };
        }
        let asked = Asked { client, action, broadcast };
        for _ in 0..PATIENCE {
            let mut waiting = match self.board(asked) {
                Boarding::Known(decision) => return decision,
                Boarding::Asks(flight) => {
                    let landed = self.ask(client, action, broadcast).await;
                    // Nobody may wait for it.
                    flight.landed.send_replace(Some(landed.clone()));
                    return landed.decision;
                }
                Boarding::Waits(waiting) => waiting,
            };
            // Where whoever asked has given up, the next one asks.
            let Ok(landed) = waiting.wait_for(Option::is_some).await.map(|landed| landed.clone()) else { continue };
            if let Some(landed) = landed.filter(|landed| landed.holds_for(client)) {
                count(&self.counts.reused);
                return landed.decision;
            }
        }
        self.ask(client, action, broadcast).await.decision
    }

    fn board(&self, asked: Asked<'_>) -> Boarding<'_> {
        let mut state = self.state();
        if let Some(known) = state.cache.find(asked, Instant::now()) {
            count(&self.counts.reused);
            return Boarding::Known(known.clone());
        }
        let key = state.cache.flight(asked);
        if let Some(waiting) = state.flights.get(&key) {
            return Boarding::Waits(waiting.clone());
        }
        let (landed, waiting) = watch::channel(None);
        state.flights.insert(key, waiting);
        Boarding::Asks(Flight { link: self, key, landed })
    }

    async fn ask(&self, client: &Arc<Client>, action: Action, broadcast: &BroadcastName) -> Landed {
        count(&self.counts.attempts);
        let attempt = Arc::new(Attempt::new(client.clone(), action, broadcast.clone()));
        let answer = self.answer(attempt.clone()).await;
        let now = Instant::now();
        let read = attempt.read();
        let (verdict, expiry) = match answer {
            Ok(Answer { verdict, expiry }) => {
                let (verdict, usual) = match verdict {
                    Verdict::Allow => (Ok(broadcast.clone()), ALLOWED),
                    Verdict::AllowAs(name) => (Ok(name), ALLOWED),
                    Verdict::Deny(text) => (Err(Denied { reason: reason(&text) }), DENIED),
                };
                count(if verdict.is_ok() { &self.counts.allowed } else { &self.counts.denied });
                (verdict, Some(expiry.unwrap_or(usual).max(SHORTEST)))
            }
            Err(text) => {
                count(&self.counts.failed);
                tracing::debug!(authorizer = self.name(), %action, %broadcast, reason = text, "an attempt was not decided");
                (Err(Denied { reason: reason(&text) }), None)
            }
        };
        // The longest that a clock can be asked for.
        let until = |expiry| now.checked_add(expiry).unwrap_or(now + ALLOWED);
        let decision = Decision { verdict, until: expiry.map_or(now, until), unanswered: expiry.is_none() };
        if let Some(fields) = read.as_ref().filter(|_| expiry.is_some()) {
            self.state().cache.keep(Asked { client, action, broadcast }, fields, decision.clone(), now);
        }
        Landed::new(decision, read, client)
    }

    async fn answer(&self, attempt: Arc<Attempt>) -> Result<Answer, String> {
        let Ok(_place) = self.places.try_acquire() else {
            return Err(format!("{MOST_OPEN} attempts wait for the plugin {}: try again later", self.name()));
        };
        let limit = self.authorizer.limit();
        match tokio::time::timeout(limit, self.authorizer.authorize(attempt)).await {
            Ok(answer) => answer.map_err(|none| none.to_string()),
            Err(_) => Err(format!("the plugin {} has not decided within {} s", self.name(), limit.as_secs_f32())),
        }
    }
}

enum Boarding<'a> {
    /// The answer is known.
    Known(Decision),
    /// The authorizer is to be asked.
    Asks(Flight<'a>),
    /// It is being asked the same.
    Waits(watch::Receiver<Option<Landed>>),
}

impl Landed {
    fn new(decision: Decision, read: Read, client: &Client) -> Self {
        let values =
            |fields: BTreeSet<Field>| fields.into_iter().map(|field| (field.clone(), field.of(client))).collect();
        Self { decision, read: read.map(values) }
    }

    /// True where the client shows all that the answer depends on.
    fn holds_for(&self, client: &Client) -> bool {
        self.read.as_ref().is_some_and(|read| read.iter().all(|(field, value)| field.of(client) == *value))
    }
}
