//! The hook `access`: who wants to publish or play, and what the plugin answers.

#![allow(unreachable_pub, reason = "the generated bindings export the types of handles again")]

mod authorizer;

use std::sync::Arc;
use std::time::Duration;

use millrace_media::BroadcastName;
use millrace_media::access::{Answer, Attempt, Verdict};
use tokio::sync::oneshot;
use wasmtime::component::Resource;

use crate::bindings::millrace::plugin::media::{HostAnswer, HostAttempt};
use crate::bindings::millrace::plugin::types::Error;
use crate::state::State;

pub use authorizer::PluginAuthorizer;

/// How long an answer may hold, in seconds.
const EXPIRY: std::ops::RangeInclusive<u32> = 1..=86_400;

/// Somebody who wants to publish or play.
pub struct AttemptHandle(pub(crate) Arc<Attempt>);

/// The answer to an attempt. Dropped before it is given: none is received.
pub struct AnswerHandle {
    to: Option<oneshot::Sender<Answer>>,
    expiry: Option<Duration>,
}

impl AnswerHandle {
    pub(crate) fn new(to: oneshot::Sender<Answer>) -> Self {
        Self { to: Some(to), expiry: None }
    }

    fn give(&mut self, verdict: Verdict) {
        if let Some(to) = self.to.take() {
            // Nobody may wait for it any more.
            let _ = to.send(Answer { verdict, expiry: self.expiry });
        }
    }
}

impl HostAttempt for State {
    fn settings(&mut self, _: Resource<AttemptHandle>) -> wasmtime::Result<String> {
        Ok(self.plugin.settings.clone())
    }

    fn action(&mut self, attempt: Resource<AttemptHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&attempt)?.0.action().as_str().to_owned())
    }

    fn broadcast(&mut self, attempt: Resource<AttemptHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&attempt)?.0.broadcast().to_string())
    }

    fn protocol(&mut self, attempt: Resource<AttemptHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&attempt)?.0.protocol().to_owned())
    }

    fn address(&mut self, attempt: Resource<AttemptHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&attempt)?.0.address().to_string())
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
        self.table.get_mut(&answer)?.give(Verdict::Allow);
        Ok(())
    }

    fn deny(&mut self, answer: Resource<AnswerHandle>, reason: String) -> wasmtime::Result<()> {
        // It is made one line, and cut, where it is taken.
        self.table.get_mut(&answer)?.give(Verdict::Deny(reason));
        Ok(())
    }

    fn allow_as(&mut self, answer: Resource<AnswerHandle>, broadcast: String) -> wasmtime::Result<Result<(), Error>> {
        let answer = self.table.get_mut(&answer)?;
        Ok(match BroadcastName::new(&broadcast) {
            Ok(name) => {
                answer.give(Verdict::AllowAs(name));
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
