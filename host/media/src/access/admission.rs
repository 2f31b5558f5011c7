//! A client that asks, and what it may publish or play for as long as it may.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::client::Client;
use super::{Access, Action, Decision, Denied};
use crate::BroadcastName;

/// How often no answer is no denial yet, for a client that goes on, and how long is waited until it is asked about again.
const UNANSWERED: u32 = 3;
const AGAIN: Duration = Duration::from_secs(1);

/// Asks for one client. The default asks nobody: everything is allowed. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    access: Access,
    /// None where nobody is asked.
    client: Option<Arc<Client>>,
}

impl Guard {
    /// Asks `access` for a client.
    pub fn new(access: Access, client: Arc<Client>) -> Self {
        Self { client: Some(client).filter(|_| !access.is_open()), access }
    }

    /// True where nobody is asked, because everything is allowed.
    pub const fn is_open(&self) -> bool {
        self.client.is_none()
    }

    /// Asks whether the client may do something with a broadcast.
    ///
    /// # Errors
    /// Where it may not, with the reason.
    pub async fn admit(&self, action: Action, broadcast: &BroadcastName) -> Result<Admission, Denied> {
        let (allowed, until) = match self.decide(action, broadcast).await {
            None => (broadcast.clone(), None),
            Some(decision) => (decision.verdict?, Some(decision.until)),
        };
        Ok(Admission { guard: self.clone(), action, asked: broadcast.clone(), allowed, until })
    }

    async fn decide(&self, action: Action, broadcast: &BroadcastName) -> Option<Decision> {
        self.access.decide(self.client.as_ref()?, action, broadcast).await
    }
}

/// What a client may publish or play.
#[derive(Clone, Debug)]
pub struct Admission {
    guard: Guard,
    action: Action,
    asked: BroadcastName,
    allowed: BroadcastName,
    /// When it has to be asked again. None: never.
    until: Option<Instant>,
}

impl Admission {
    /// The broadcast that was asked for.
    pub const fn asked(&self) -> &BroadcastName {
        &self.asked
    }

    /// The broadcast that the client may publish or play.
    pub const fn allowed(&self) -> &BroadcastName {
        &self.allowed
    }

    /// When the decision ends. None: never.
    pub const fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Asks again, with what the client has shown before.
    ///
    /// # Errors
    /// Where the client may not go on: it is denied, or allowed under another name than before; or there was no answer, several times.
    pub async fn renew(&mut self) -> Result<(), Denied> {
        let mut unanswered = 0;
        loop {
            let Some(decision) = self.guard.decide(self.action, &self.asked).await else { return Ok(()) };
            match decision.verdict {
                Ok(allowed) if allowed == self.allowed => {
                    self.until = Some(decision.until);
                    return Ok(());
                }
                Ok(_) => {
                    let reason = format!("{} stands for another broadcast now", self.asked);
                    return Err(Denied { reason });
                }
                Err(denied) => {
                    unanswered += 1;
                    if !decision.unanswered || unanswered >= UNANSWERED {
                        return Err(denied);
                    }
                    sleep(AGAIN).await;
                }
            }
        }
    }

    /// Waits until the client may no longer go on: asks again whenever the decision ends, while the client goes on. Where the future is
    /// lost, a question under way is: it has to be kept while other things are done.
    pub async fn revoked(&mut self) -> Denied {
        loop {
            let Some(until) = self.until else { return std::future::pending().await };
            sleep_until(until).await;
            if let Err(denied) = self.renew().await {
                return denied;
            }
        }
    }
}
