//! What an instance is to be called for between its other calls: times that it has asked for, answers of HTTP requests, messages of
//! operators.
//!
//! An [`Inbox`] is what is put in, from wherever it comes: the instance's own calls set timers, requests that have an answer put their ticket,
//! the API puts messages. [`Calls`] is what is taken out, by whoever drives the instance: a transcoder's task, the filter stage, the access
//! decision. Both end with the instance.
//!
//! ```text
//! loop {
//!     select! {
//!         fragment = source.next() => instance.fragment(fragment).await,
//!         call = calls.next() => instance.attend(call).await,
//!     }
//! }
//! ```
//!
//! Where the plugin uses much of its share of the processor, calls wait, so that they do not take what its fragments need.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::task::AtomicWaker;
use tokio::sync::oneshot;
use tokio::time::Sleep;

use crate::hook::Hook;
use crate::metrics::Names;
use crate::share::Share;
use crate::timers::{Timers, TooManyTimers};

#[cfg(test)]
mod tests;

/// So many messages may wait for one instance.
pub(crate) const MAX_MESSAGES: usize = 16;

/// What an instance answers to a message, or why there is no answer.
pub(crate) type Reply = Result<Vec<u8>, String>;

/// A message of an operator's. Dropped before it is answered: its sender is told that the instance has ended.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) bytes: Bytes,
    pub(crate) reply: oneshot::Sender<Reply>,
}

/// What an instance is called for.
#[derive(Debug)]
pub(crate) enum Call {
    /// A time has come, or an answer is there.
    Wake(u64),
    Message(Message),
}

/// As many messages wait as may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_MESSAGES} messages wait for the instance already, as many as may")]
pub(crate) struct Full;

/// Where everything that an instance is to be called for is put.
pub(crate) struct Inbox {
    hook: Hook,
    names: Names,
    state: Mutex<State>,
    /// Woken when something was put.
    taker: AtomicWaker,
}

#[derive(Debug, Default)]
struct State {
    tickets: u64,
    timers: Timers,
    /// Tickets of requests whose answers are there. Never more than there are requests.
    answered: VecDeque<u64>,
    messages: VecDeque<Message>,
    /// The last call was a message: the next one is not, where there is another.
    message_last: bool,
}

impl State {
    /// Whether there is a call to be made `now`.
    fn has_call(&self, now: Instant) -> bool {
        !self.messages.is_empty() || !self.answered.is_empty() || self.timers.next().is_some_and(|at| at <= now)
    }

    fn take_wake(&mut self, now: Instant) -> Option<Call> {
        self.timers.take_due(now).or_else(|| self.answered.pop_front()).map(Call::Wake)
    }

    /// The next message whose sender still waits.
    fn take_message(&mut self) -> Option<Call> {
        while let Some(message) = self.messages.pop_front() {
            if !message.reply.is_closed() {
                return Some(Call::Message(message));
            }
        }
        None
    }

    fn take(&mut self, now: Instant) -> Option<Call> {
        let call = if self.message_last {
            self.take_wake(now).or_else(|| self.take_message())
        } else {
            self.take_message().or_else(|| self.take_wake(now))
        };
        self.message_last = matches!(call, Some(Call::Message(_)));
        call
    }
}

impl Inbox {
    pub(crate) fn new(hook: Hook, names: Names) -> Self {
        Self { hook, names, state: Mutex::default(), taker: AtomicWaker::new() }
    }

    /// The hook that the instance is of.
    pub(crate) fn hook(&self) -> Hook {
        self.hook
    }

    /// What the instance is made for.
    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    /// By which instances are put in order.
    pub(crate) fn key(&self) -> impl Ord {
        let Names { broadcast, track, rendition } = self.names.clone();
        (self.hook, broadcast, track, rendition)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number that tells a request or a timer of the instance from all others.
    pub(crate) fn ticket(&self) -> u64 {
        let mut state = self.state();
        state.tickets += 1;
        state.tickets
    }

    /// Sets a timer. Gives its ticket.
    pub(crate) fn set_timer(&self, now: Instant, after: Duration) -> Result<u64, TooManyTimers> {
        let mut state = self.state();
        let ticket = state.tickets + 1;
        state.timers.set(now, after, ticket)?;
        state.tickets = ticket;
        drop(state);
        self.taker.wake();
        Ok(ticket)
    }

    /// Takes a timer back.
    pub(crate) fn cancel_timer(&self, ticket: u64) {
        self.state().timers.cancel(ticket);
    }

    /// The answer of a request is there.
    pub(crate) fn answered(&self, ticket: u64) {
        self.state().answered.push_back(ticket);
        self.taker.wake();
    }

    /// The instance has dropped a request: it is not told of its answer any more.
    pub(crate) fn forget(&self, ticket: u64) {
        self.state().answered.retain(|answered| *answered != ticket);
    }

    /// Puts a message.
    pub(crate) fn send(&self, message: Message) -> Result<(), Full> {
        let mut state = self.state();
        state.messages.retain(|waiting| !waiting.reply.is_closed());
        if state.messages.len() >= MAX_MESSAGES {
            return Err(Full);
        }
        state.messages.push_back(message);
        drop(state);
        self.taker.wake();
        Ok(())
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("hook", &self.hook).field("names", &self.names).finish_non_exhaustive()
    }
}

/// Takes out what an instance is to be called for. There is one of an inbox.
pub(crate) struct Calls {
    /// The processor time of the plugin.
    share: Arc<Share>,
    inbox: Arc<Inbox>,
    /// Until the next timer is due, or the plugin may use the processor again.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Calls {
    /// Takes what is put into `inbox`, as far as the plugin's share of the processor allows.
    pub(crate) fn new(share: Arc<Share>, inbox: Arc<Inbox>) -> Self {
        Self { share, inbox, sleep: None }
    }

    /// Ready once there is a call to be made: [`Calls::take`] has it.
    pub(crate) fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // Before it is looked: what is put from now on wakes.
        self.inbox.taker.register(context.waker());
        loop {
            let now = Instant::now();
            let until = {
                let state = self.inbox.state();
                if state.has_call(now) {
                    match self.share.calls_wait_until(now) {
                        None => return Poll::Ready(()),
                        until => until,
                    }
                } else {
                    state.timers.next()
                }
            };
            let Some(until) = until else {
                self.sleep = None;
                return Poll::Pending;
            };
            match sleep_until(&mut self.sleep, until).poll(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) => self.sleep = None,
            }
        }
    }

    /// The next call that is to be made now, if there is one.
    pub(crate) fn take(&mut self) -> Option<Call> {
        let now = Instant::now();
        if self.share.calls_wait_until(now).is_some() {
            return None;
        }
        self.inbox.state().take(now)
    }

    /// Waits for the next call. Dropping the future loses none.
    pub(crate) async fn next(&mut self) -> Call {
        loop {
            poll_fn(|context| self.poll_ready(context)).await;
            if let Some(call) = self.take() {
                return call;
            }
        }
    }
}

/// A sleep until then, the one before where that is the same.
fn sleep_until(sleep: &mut Option<Pin<Box<Sleep>>>, until: Instant) -> Pin<&mut Sleep> {
    let until = until.into();
    match sleep {
        Some(sleep) if sleep.deadline() != until => sleep.as_mut().reset(until),
        Some(_) => {}
        None => *sleep = Some(Box::pin(tokio::time::sleep_until(until))),
    }
    sleep.as_mut().expect("it is there from here on").as_mut()
}

/// The inboxes of a plugin's instances.
#[derive(Debug, Default)]
pub(crate) struct Inboxes(Mutex<Vec<Weak<Inbox>>>);

impl Inboxes {
    /// Adds the inbox of an instance.
    pub(crate) fn add(&self, inbox: &Arc<Inbox>) {
        let mut inboxes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inboxes.retain(|inbox| inbox.strong_count() > 0);
        inboxes.push(Arc::downgrade(inbox));
    }

    /// Those of the instances that there are.
    pub(crate) fn list(&self) -> Vec<Arc<Inbox>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect()
    }
}
