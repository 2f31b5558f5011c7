//! The hook `access`: who wants to publish or play, and what the plugin answers.

use std::time::Duration;

use millrace_media::BroadcastName;
use tokio::sync::oneshot;
use wasmtime::component::Resource;

use crate::bindings::millrace::plugin::media::{HostAnswer, HostAttempt};
use crate::bindings::millrace::plugin::types::Error;
use crate::state::State;
use crate::text::tidy;

/// The longest reason, in bytes.
const MAX_REASON: usize = 200;
/// How long an answer may hold, in seconds.
const EXPIRY: std::ops::RangeInclusive<u32> = 1..=86_400;

/// Somebody who wants to publish or play.
pub struct AttemptHandle(pub(crate) Box<dyn Attempt>);

/// What a plugin may ask about an attempt.
pub(crate) trait Attempt: Send + Sync {
    /// `publish` or `play`.
    fn action(&self) -> &str;
    /// The path of the broadcast.
    fn broadcast(&self) -> &str;
    /// `http`, `hls` or `moq`.
    fn protocol(&self) -> &str;
    /// The IP address of the client.
    fn address(&self) -> String;
    /// The first value of a key of the query. Remembers that it was asked for.
    fn query(&self, key: &str) -> Option<String>;
    /// The first value of a header. Remembers that it was asked for.
    fn header(&self, name: &str) -> Option<String>;
}

/// What a plugin has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) decision: Decision,
    /// How long it holds; none where the plugin does not say.
    pub(crate) expiry: Option<Duration>,
}

/// See the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Allow,
    AllowAs(BroadcastName),
    /// For this reason, as the client is to see it.
    Deny(String),
}

/// The answer to an attempt. Dropped before it is given: none is received.
pub struct AnswerHandle {
    to: Option<oneshot::Sender<Answered>>,
    expiry: Option<Duration>,
}

impl AnswerHandle {
    pub(crate) fn new(to: oneshot::Sender<Answered>) -> Self {
        Self { to: Some(to), expiry: None }
    }

    fn give(&mut self, decision: Decision) {
        if let Some(to) = self.to.take() {
            // Nobody may wait for it any more.
            let _ = to.send(Answered { decision, expiry: self.expiry });
        }
    }
}

impl HostAttempt for State {
    fn settings(&mut self, _: Resource<AttemptHandle>) -> wasmtime::Result<String> {
        Ok(self.plugin.settings.clone())
    }

    fn action(&mut self, attempt: Resource<AttemptHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&attempt)?.0.action().to_owned())
    }

    fn broadcast(&mut self, attempt: Resource<AttemptHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&attempt)?.0.broadcast().to_owned())
    }

    fn protocol(&mut self, attempt: Resource<AttemptHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&attempt)?.0.protocol().to_owned())
    }

    fn address(&mut self, attempt: Resource<AttemptHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&attempt)?.0.address())
    }

    fn query(&mut self, attempt: Resource<AttemptHandle>, key: String) -> wasmtime::Result<Option<String>> {
        Ok(self.table.get(&attempt)?.0.query(&key))
    }

    fn header(&mut self, attempt: Resource<AttemptHandle>, name: String) -> wasmtime::Result<Option<String>> {
        Ok(self.table.get(&attempt)?.0.header(&name))
    }

    fn drop(&mut self, attempt: Resource<AttemptHandle>) -> wasmtime::Result<()> {
        self.table.delete(attempt)?;
        Ok(())
    }
}

impl HostAnswer for State {
    fn allow(&mut self, answer: Resource<AnswerHandle>) -> wasmtime::Result<()> {
        self.table.get_mut(&answer)?.give(Decision::Allow);
        Ok(())
    }

    fn deny(&mut self, answer: Resource<AnswerHandle>, reason: String) -> wasmtime::Result<()> {
        let reason = tidy(&reason[..reason.floor_char_boundary(MAX_REASON)]);
        self.table.get_mut(&answer)?.give(Decision::Deny(reason));
        Ok(())
    }

    fn allow_as(&mut self, answer: Resource<AnswerHandle>, broadcast: String) -> wasmtime::Result<Result<(), Error>> {
        let answer = self.table.get_mut(&answer)?;
        Ok(match BroadcastName::new(&broadcast) {
            Ok(name) => {
                answer.give(Decision::AllowAs(name));
                Ok(())
            }
            Err(error) => Err(Error::Invalid(error.to_string())),
        })
    }

    fn set_expiry(&mut self, answer: Resource<AnswerHandle>, seconds: u32) -> wasmtime::Result<()> {
        let seconds = seconds.clamp(*EXPIRY.start(), *EXPIRY.end());
        self.table.get_mut(&answer)?.expiry = Some(Duration::from_secs(seconds.into()));
        Ok(())
    }

    fn drop(&mut self, answer: Resource<AnswerHandle>) -> wasmtime::Result<()> {
        self.table.delete(answer)?;
        Ok(())
    }
}
