//! One instance of a plugin: its store, and the calls into it.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use millrace_media::Fragment;
use millrace_media::access::{Answer, Attempt};
use millrace_transcode::factory::{Decision, Fault, Gap, SourceTrack, Stop, TrackEnd};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use wasmtime::component::{Instance as Component, Resource};
use wasmtime::{CallHook, Store, UpdateDeadline};

use crate::access::{AnswerHandle, AttemptHandle};
use crate::bindings::exports::millrace::plugin::{access, filter, messages, transcoder, wake};
use crate::bindings::millrace::plugin::media;
use crate::bindings::millrace::plugin::types::Error;
use crate::engine::Ticking;
use crate::fault::{OutOfTime, OutOfWait, in_words, lost, returned};
use crate::hook::{Hook, Purpose};
use crate::imports::{ContextHandle, Described, DescriptionHandle, LossHandle, TrackHandle, Verdict};
use crate::inbox::{Call, Calls, Message};
use crate::load::{Exported, Loaded};
use crate::messages::MAX_MESSAGE;
use crate::settings::Limits;
use crate::state::State;
use crate::text::tidy;

/// The most bytes that one call from a guest may hand over.
const MAX_HANDED_OVER: usize = 64 << 20;
/// Handles to its own resources that a guest may have, beside those to the host's.
const OWN_HANDLES: usize = 1024;

/// An instance in a store of its own. After [`Fault::Lost`] it must not be called again.
pub(crate) struct Instance {
    component: Component,
    hook: Exports,
    wake: Option<wake::Guest>,
    messages: Option<messages::Guest>,
    store: Store<State>,
    limits: Limits,
    // Given back after the store is.
    _ticking: Ticking,
    _place: OwnedSemaphorePermit,
}

/// The exports of the hook that the instance is of.
enum Exports {
    /// Those that every plugin has.
    About,
    Transcoder(transcoder::Guest),
    Filter(filter::Guest),
    Access(access::Guest),
}

/// Calls an export. Its error, or its loss, becomes a fault.
macro_rules! call {
    ($self:ident, $function:literal, $call:expr) => {{
        $self.begin($function != FRAGMENT);
        let limits = $self.limits;
        let outcome = bounded(&limits, $call).await;
        $self.outcome($function, outcome)
    }};
}

/// Calls an export that hooks with tracks have in common.
macro_rules! call_of_tracks {
    ($self:ident, $function:literal, $method:ident($($argument:expr),*)) => {
        call!($self, $function, async {
            match &$self.hook {
                Exports::Transcoder(guest) => guest.$method(&mut $self.store, $($argument),*).await,
                Exports::Filter(guest) => guest.$method(&mut $self.store, $($argument),*).await,
                Exports::About | Exports::Access(_) => Err(no_function($function)),
            }
        })
    };
}

/// The host has asked a hook for what another has.
fn no_function(function: &str) -> wasmtime::Error {
    wasmtime::Error::msg(format!("the hook of this instance has no `{function}`"))
}

/// The function that is called often.
const FRAGMENT: &str = "on-fragment";
/// How much longer than it may work and wait a call may take, on a machine with other things to do.
const SLACK: Duration = Duration::from_secs(60);

/// A call that has an end whatever it waits for.
async fn bounded<T>(limits: &Limits, call: impl Future<Output = wasmtime::Result<T>>) -> wasmtime::Result<T> {
    let mut call = pin!(call);
    // Nearly all are done at once.
    if let Poll::Ready(done) = futures::poll!(call.as_mut()) {
        return done;
    }
    let most = limits.call_time + limits.call_wait + SLACK;
    tokio::time::timeout(most, call).await.unwrap_or_else(|_| Err(OutOfWait(most).into()))
}

impl Instance {
    /// Makes an instance, with what it works on, or without to describe itself.
    ///
    /// # Errors
    /// Where the pool is full, or the instance goes over a limit or traps while it is set up.
    pub(crate) async fn new(plugin: &Arc<Loaded>, purpose: Purpose) -> Result<Self, Fault> {
        let shared = &plugin.engine;
        let place = shared.place().ok_or_else(|| {
            Fault::NoRoom(format!("the limit of {} instances is reached", shared.settings.max_instances))
        })?;
        let ticking = shared.ticker.tick();
        let hook = purpose.hook();
        let mut store = Store::new(&shared.engine, State::new(plugin.clone(), purpose));
        let limits = store.data().limits;
        store.limiter(|state| &mut state.growth);
        store.set_hostcall_fuel(limits.memory.min(MAX_HANDED_OVER));
        store.set_max_component_handles(limits.handles.saturating_add(OWN_HANDLES));
        store.epoch_deadline_callback(move |mut store| {
            let state = store.data_mut();
            if state.clock.tick() > limits.call_time {
                return Err(OutOfTime(limits.call_time).into());
            }
            let clock = state.clock.clone();
            Ok(UpdateDeadline::YieldCustom(
                1,
                Box::pin(async move {
                    tokio::task::yield_now().await;
                    clock.start();
                }),
            ))
        });
        // Ticks reach loops and functions of the guest, this reaches a guest that calls one function of the host after the other.
        store.call_hook(move |mut store, hook| match hook {
            CallHook::ReturningFromHost if store.data_mut().clock.returned() > limits.call_time => {
                Err(OutOfTime(limits.call_time).into())
            }
            _ => Ok(()),
        });
        store.set_epoch_deadline(1);
        store.data().clock.begin(true);
        let made = async {
            let component = plugin.pre.instantiate_async(&mut store).await?;
            let Exported { transcoder, filter, access, wake, messages, .. } = &plugin.exported;
            let missing = || wasmtime::Error::msg("the plugin does not export this hook");
            let hook = match hook {
                None => Exports::About,
                Some(Hook::Transcoder) => {
                    Exports::Transcoder(transcoder.as_ref().ok_or_else(missing)?.load(&mut store, &component)?)
                }
                Some(Hook::Filter) => {
                    Exports::Filter(filter.as_ref().ok_or_else(missing)?.load(&mut store, &component)?)
                }
                Some(Hook::Access) => {
                    Exports::Access(access.as_ref().ok_or_else(missing)?.load(&mut store, &component)?)
                }
            };
            let wake = wake.as_ref().map(|wake| wake.load(&mut store, &component)).transpose()?;
            let messages = messages.as_ref().map(|messages| messages.load(&mut store, &component)).transpose()?;
            Ok((component, hook, wake, messages))
        };
        let made = bounded(&limits, made).await;
        let made = settle(&mut store, made);
        match made {
            Ok((component, hook, wake, messages)) => {
                Ok(Self { component, hook, wake, messages, store, limits, _ticking: ticking, _place: place })
            }
            Err(error) => Err(lost("instantiation", &error, &store.data().growth)),
        }
    }

    /// Asks the plugin what it is. Its own error refuses the settings.
    pub(crate) async fn describe(&mut self, settings: &str) -> Result<Result<Described, Error>, Fault> {
        self.begin(true);
        let full = |error: Error| returned("describe", &error);
        let description = self.store.data_mut().push(DescriptionHandle::default()).map_err(full)?;
        let lent = Resource::new_borrow(description.rep());
        let about = self.store.data().plugin.exported.about.clone();
        let limits = self.limits;
        let outcome = async {
            let about = about.load(&mut self.store, &self.component)?;
            about.call_describe(&mut self.store, settings, lent).await
        };
        let outcome = bounded(&limits, outcome).await;
        let outcome = settle(&mut self.store, outcome);
        let outcome = outcome.map_err(|error| lost("describe", &error, &self.store.data().growth))?;
        let described = self.store.data_mut().table.delete(description);
        let described = described.map_err(|error| Fault::Lost(format!("its description is lost: {error}")))?;
        Ok(outcome.map(|()| described.0))
    }

    /// Starts it.
    pub(crate) async fn start(&mut self) -> Result<(), Fault> {
        let context = self.lend("start", ContextHandle)?;
        let started = call_of_tracks!(self, "start", call_start(Resource::new_borrow(context.rep())));
        self.take_back(context);
        started
    }

    /// Tells the plugin of a track.
    pub(crate) async fn track(&mut self, track: &SourceTrack) -> Result<Decision, Fault> {
        let state = self.store.data_mut();
        let handle = state.push(TrackHandle(track.clone())).map_err(|error| returned("on-track", &error))?;
        state.add_source(track);
        let decision = call_of_tracks!(self, "on-track", call_on_track(handle));
        match decision {
            Ok(media::Decision::Accept) => Ok(Decision::Accept),
            Ok(media::Decision::Decline) => {
                self.store.data_mut().remove_source(track.id);
                Ok(Decision::Decline)
            }
            Err(fault) => {
                self.store.data_mut().remove_source(track.id);
                Err(fault)
            }
        }
    }

    /// Gives the plugin a fragment.
    pub(crate) async fn fragment(&mut self, track: u32, fragment: &Fragment) -> Result<(), Fault> {
        let lent = self.store.data_mut().lend(track, fragment);
        let lent = lent.map_err(|error| Fault::Lost(format!("no fragment can be lent to it: {error}")))?;
        let lent = Resource::new_borrow(lent.rep());
        let done = call!(self, "on-fragment", async {
            match &self.hook {
                Exports::Transcoder(guest) => guest.call_on_fragment(&mut self.store, lent).await,
                _ => Err(no_function("on-fragment")),
            }
        });
        self.store.data_mut().take_back();
        done
    }

    /// Gives a filter a fragment, and gets what becomes of it.
    pub(crate) async fn filter(&mut self, track: u32, fragment: &Fragment) -> Result<Verdict, Fault> {
        let state = self.store.data_mut();
        let full = |error| Fault::Lost(format!("no fragment can be lent to it: {error}"));
        let lent = Resource::new_borrow(state.lend(track, fragment).map_err(full)?.rep());
        let verdict = state.lend_verdict(track, fragment.decode_time).map_err(full)?;
        let verdict = Resource::new_borrow(verdict.rep());
        let done = call!(self, "on-fragment", async {
            match &self.hook {
                Exports::Filter(guest) => guest.call_on_fragment(&mut self.store, lent, verdict).await,
                _ => Err(no_function("on-fragment")),
            }
        });
        let state = self.store.data_mut();
        state.take_back();
        let verdict = state.take_verdict();
        done.map(|()| verdict)
    }

    /// Asks an access plugin. It answers through `to`, now or later.
    pub(crate) async fn authorize(&mut self, attempt: Arc<Attempt>, to: oneshot::Sender<Answer>) -> Result<(), Fault> {
        let state = self.store.data_mut();
        // One that holds on to what it was given before would be full for ever.
        let full = |error: Error| Fault::Lost(format!("it cannot be given an attempt: {}", in_words(&error)));
        let answer = state.push(AnswerHandle::new(to)).map_err(full)?;
        let attempt = state.push(AttemptHandle(attempt)).map_err(full)?;
        call!(self, "authorize", async {
            match &self.hook {
                Exports::Access(guest) => guest.call_authorize(&mut self.store, attempt, answer).await,
                _ => Err(no_function("authorize")),
            }
        })
    }

    /// What it is to be called for between its other calls, once it has started; none where it can be called for nothing. There is one of it.
    pub(crate) fn calls(&self) -> Option<Calls> {
        let State { plugin, .. } = self.store.data();
        let inbox = self.store.data().inbox()?;
        plugin.reach.inboxes.add(inbox);
        Some(Calls::new(plugin.share.clone(), inbox.clone()))
    }

    /// Calls it for what [`Instance::calls`] has given.
    ///
    /// # Errors
    /// As for a fragment. An error that is the answer to a message is none.
    pub(crate) async fn attend(&mut self, call: Call) -> Result<(), Fault> {
        match call {
            Call::Wake(ticket) => self.wake(ticket).await,
            Call::Message(Message { bytes, reply }) => {
                let answer = self.message(&bytes).await;
                // Its sender may have gone.
                let _ = reply.send(match &answer {
                    Ok(Ok(answer)) if answer.len() > MAX_MESSAGE => {
                        let len = answer.len();
                        Err(format!("the instance answers with {len} bytes (expected at most {MAX_MESSAGE})"))
                    }
                    Ok(answer) => answer.clone(),
                    Err(fault) => Err(fault.to_string()),
                });
                answer.map(drop)
            }
        }
    }

    /// Tells the plugin that what it waited for is there.
    async fn wake(&mut self, ticket: u64) -> Result<(), Fault> {
        call!(self, "on-wake", async {
            match &self.wake {
                Some(guest) => guest.call_on_wake(&mut self.store, ticket).await,
                None => Err(no_function("on-wake")),
            }
        })
    }

    /// Gives the plugin a message of an operator's. Its own error is a part of the answer.
    async fn message(&mut self, message: &[u8]) -> Result<Result<Vec<u8>, String>, Fault> {
        let mut own = None;
        let reply = call!(self, "on-message", async {
            match &self.messages {
                Some(guest) => match guest.call_on_message(&mut self.store, message).await? {
                    Ok(reply) => Ok(Ok(reply)),
                    Err(error) => {
                        own = Some(tidy(&in_words(&error)));
                        Ok(Ok(Vec::new()))
                    }
                },
                None => Err(no_function("on-message")),
            }
        })?;
        Ok(own.map_or(Ok(reply), Err))
    }

    /// Tells the plugin of a gap.
    pub(crate) async fn gap(&mut self, gap: Gap) -> Result<(), Fault> {
        let loss = self.lend("on-gap", LossHandle(gap))?;
        let done = call_of_tracks!(self, "on-gap", call_on_gap(Resource::new_borrow(loss.rep())));
        self.take_back(loss);
        done
    }

    /// Tells the plugin that a track is over.
    pub(crate) async fn track_end(&mut self, track: u32, why: TrackEnd) -> Result<(), Fault> {
        let done = call_of_tracks!(self, "on-track-end", call_on_track_end(track, why.as_str()));
        self.store.data_mut().remove_source(track);
        done
    }

    /// Tells the plugin of the end.
    pub(crate) async fn stop(&mut self, why: Stop) -> Result<(), Fault> {
        let stopped = call_of_tracks!(self, "stop", call_stop(why.as_str()));
        self.store.data_mut().pass_output_on(true);
        stopped
    }

    /// A handle to be lent for one call.
    fn lend<T: Send + 'static>(&mut self, function: &str, handle: T) -> Result<Resource<T>, Fault> {
        self.store.data_mut().push(handle).map_err(|error| returned(function, &error))
    }

    fn take_back<T: 'static>(&mut self, handle: Resource<T>) {
        // After a trap it may be gone, and the instance with it.
        let _ = self.store.data_mut().table.delete(handle);
    }

    fn begin(&mut self, seldom: bool) {
        self.store.set_epoch_deadline(1);
        let state = self.store.data_mut();
        state.growth.begin();
        state.clock.begin(seldom);
    }

    fn outcome<T>(&mut self, function: &str, outcome: wasmtime::Result<Result<T, Error>>) -> Result<T, Fault> {
        match settle(&mut self.store, outcome) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(returned(function, &error)),
            Err(error) => Err(lost(function, &error, &self.store.data().growth)),
        }
    }
}

/// A call is over: what it has printed goes to the log, and its work is charged to the plugin. One that took more than it may is lost, also
/// where nothing could interrupt it.
fn settle<T>(store: &mut Store<State>, outcome: wasmtime::Result<T>) -> wasmtime::Result<T> {
    let state = store.data_mut();
    state.pass_output_on(outcome.is_err());
    let now = Instant::now();
    let used = state.clock.end(now);
    state.plugin.share.charge(used, now);
    let most = state.limits.call_time;
    if used > most { outcome.and(Err(OutOfTime(most).into())) } else { outcome }
}
