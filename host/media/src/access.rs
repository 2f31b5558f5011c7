//! Who may publish and play, as decided by whatever stands behind an [`Authorizer`]: a plugin, or native code.
//!
//! A protocol asks [`Access`] before it lets a client publish or play a broadcast, and holds the [`Admission`] that it gets for as long
//! as the client goes on: [`Admission::revoked`] asks again whenever the decision ends, and says when the client may not go on.
//!
//! **The chain.** Authorizers are asked in order, and all must allow. One that allows under another name is followed by the others with
//! that name: none can be passed by an earlier one's choice of a name.
//!
//! **The cache.** Each authorizer has one. An answer holds for whoever has the same action, broadcast, protocol and address, and the
//! same value of each query key and header that the authorizer read for it: 30 s where it allows, 5 s where it denies, or as long as it
//! says. Failures are not kept. Identical attempts at one time ask once.
//!
//! **Bounds.** 256 attempts an authorizer are open at a time; one more is denied. An answer that takes longer than the authorizer's
//! limit is a denial. A client that goes on is asked about again where there was none, a few times: others may have caused that. No lock is
//! held while an authorizer is asked, and nobody else waits for it than whoever asks the same.
//!
//! Without authorizers everything is allowed: an [`Access`] is then nothing but an empty option.

mod admission;
mod attempt;
mod cache;
mod client;
mod link;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::BroadcastName;
use link::Link;

pub use admission::{Admission, Guard};
pub use attempt::Attempt;
pub use client::{Client, MAX_CLIENT, TooLong};

/// How long an answer holds that says nothing of it.
const ALLOWED: Duration = Duration::from_secs(30);
/// The same, of a denial.
const DENIED: Duration = Duration::from_secs(5);
/// The shortest that an answer can hold: each session asks again when it ends.
const SHORTEST: Duration = Duration::from_secs(1);
/// The longest reason, in bytes.
pub const MAX_REASON: usize = 200;

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// To publish a broadcast.
    Publish,
    /// To play one.
    Play,
}

impl Action {
    /// The word for it in the plugin contract.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Play => "play",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an authorizer says of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Allowed, under the name that was asked for.
    Allow,
    /// Allowed, under another name.
    AllowAs(BroadcastName),
    /// Denied, with a sentence for the client, without its full stop. See [`reason`].
    Deny(String),
}

/// An authorizer's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What it says.
    pub verdict: Verdict,
    /// How long it holds. At least a second; without it 30 s where it allows, and 5 s where it denies.
    pub expiry: Option<Duration>,
}

impl Answer {
    /// An answer that holds as long as usual.
    pub const fn new(verdict: Verdict) -> Self {
        Self { verdict, expiry: None }
    }
}

/// An authorizer has given no answer: it failed, or it cannot be asked now. The attempt is denied. The text is for the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoAnswer(pub String);

/// Decides who may publish and play.
#[async_trait]
pub trait Authorizer: Send + Sync {
    /// Its name, for people.
    fn name(&self) -> &str;

    /// How long it may take to answer.
    fn limit(&self) -> Duration;

    /// Whether it is asked about a broadcast. Where it is not, it allows.
    fn concerns(&self, broadcast: &BroadcastName) -> bool;

    /// Decides an attempt. When the future is dropped, nobody waits for the answer any more.
    ///
    /// # Errors
    /// Where it has no answer.
    async fn authorize(&self, attempt: Arc<Attempt>) -> Result<Answer, NoAnswer>;
}

/// Why somebody may not publish or play.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Denied {
    /// A sentence for the client, without its full stop.
    pub reason: String,
}

/// Text as a reason: one line, of at most [`MAX_REASON`] bytes, without control characters.
pub fn reason(text: &str) -> String {
    let mut reason = text.split(char::is_control).filter(|piece| !piece.is_empty()).collect::<Vec<_>>().join(" ");
    if reason.len() > MAX_REASON {
        let end = (0..=MAX_REASON).rev().find(|end| reason.is_char_boundary(*end)).unwrap_or(0);
        reason.truncate(end);
    }
    reason
}

/// What has become of attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The authorizer was asked.
    pub attempts: u64,
    /// It allowed.
    pub allowed: u64,
    /// It denied.
    pub denied: u64,
    /// It gave no answer, or gave it too late, or too many attempts were open.
    pub failed: u64,
    /// An answer that was known has been used.
    pub reused: u64,
    /// Attempts that it is deciding now.
    pub open: usize,
    /// Answers that are known now.
    pub cached: usize,
}

/// Who may publish and play: see the [module](self). Cheap to clone; clones share the caches.
#[derive(Clone, Default)]
pub struct Access(Option<Arc<[Link]>>);

/// What a chain says: the name that is allowed, or why none is; and until when.
#[derive(Clone, Debug)]
struct Decision {
    verdict: Result<BroadcastName, Denied>,
    until: Instant,
    /// Of a denial: an authorizer has given no answer.
    unanswered: bool,
}

impl Access {
    /// Asks `authorizers`, in their order. Everything is allowed where there are none.
    pub fn new(authorizers: Vec<Arc<dyn Authorizer>>) -> Self {
        if authorizers.is_empty() {
            return Self(None);
        }
        Self(Some(authorizers.into_iter().map(Link::new).collect()))
    }

    /// True where nobody is asked, because everything is allowed.
    pub const fn is_open(&self) -> bool {
        self.0.is_none()
    }

    /// Asks whether a client may do something with a broadcast.
    ///
    /// # Errors
    /// Where it may not, with the reason.
    pub async fn admit(
        &self,
        client: &Arc<Client>,
        action: Action,
        broadcast: &BroadcastName,
    ) -> Result<Admission, Denied> {
        Guard::new(self.clone(), client.clone()).admit(action, broadcast).await
    }

    /// What has become of the attempts of each authorizer, with its name.
    pub fn tallies(&self) -> Vec<(String, Tally)> {
        let links = self.0.iter().flat_map(|links| links.iter());
        links.map(|link| (link.name().to_owned(), link.tally())).collect()
    }

    async fn decide(&self, client: &Arc<Client>, action: Action, broadcast: &BroadcastName) -> Option<Decision> {
        let mut decision: Option<Decision> = None;
        let mut name = broadcast.clone();
        for link in self.0.as_ref()?.iter() {
            let Decision { verdict, until, unanswered } = link.decide(client, action, &name).await;
            let until = decision.as_ref().map_or(until, |before| before.until.min(until));
            match verdict {
                Ok(allowed) => name = allowed,
                Err(denied) => return Some(Decision { verdict: Err(denied), until, unanswered }),
            }
            decision = Some(Decision { verdict: Ok(name.clone()), until, unanswered });
        }
        decision
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().flat_map(|links| links.iter()).map(Link::name).collect();
        f.debug_tuple("Access").field(&names).finish()
    }
}
