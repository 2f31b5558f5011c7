//! One instance of a plugin: its store, and the calls into it.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use millrace_media::Fragment;
use millrace_transcode::factory::{Context, Decision, Fault, Gap, SourceTrack, Stop, TrackEnd};
use tokio::sync::OwnedSemaphorePermit;
use wasmtime::component::{Instance as Component, Resource};
use wasmtime::{CallHook, Store, UpdateDeadline};

use crate::bindings::exports::millrace::plugin::transcoder::Guest;
use crate::bindings::millrace::plugin::media;
use crate::bindings::millrace::plugin::types::Error;
use crate::engine::Ticking;
use crate::fault::{OutOfTime, OutOfWait, lost, returned};
use crate::imports::{ContextHandle, Described, DescriptionHandle, LossHandle, TrackHandle};
use crate::load::Loaded;
use crate::settings::Limits;
use crate::state::State;

/// The most bytes that one call from a guest may hand over.
const MAX_HANDED_OVER: usize = 64 << 20;
/// Handles to its own resources that a guest may have, beside those to the host's.
const OWN_HANDLES: usize = 1024;

/// An instance in a store of its own. After [`Fault::Lost`] it must not be called again.
pub(crate) struct Instance {
    component: Component,
    transcoder: Guest,
    store: Store<State>,
    limits: Limits,
    // Given back after the store is.
    _ticking: Ticking,
    _place: OwnedSemaphorePermit,
}

/// Calls an export of `transcoder`. Its error, or its loss, becomes a fault.
macro_rules! call {
    ($self:ident, $function:literal, $method:ident($($argument:expr),*)) => {{
        $self.begin($function != FRAGMENT);
        let limits = $self.limits;
        let outcome = bounded(&limits, $self.transcoder.$method(&mut $self.store, $($argument),*)).await;
        $self.outcome($function, outcome)
    }};
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
    pub(crate) async fn new(plugin: &Arc<Loaded>, context: Option<Context>) -> Result<Self, Fault> {
        let shared = &plugin.engine;
        let place = shared.place().ok_or_else(|| {
            Fault::NoRoom(format!("the limit of {} instances is reached", shared.settings.max_instances))
        })?;
        let ticking = shared.ticker.tick();
        let limits = plugin.limits;
        let mut store = Store::new(&shared.engine, State::new(plugin.clone(), context));
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
            let transcoder = plugin.transcoder.load(&mut store, &component)?;
            Ok((component, transcoder))
        };
        let made = bounded(&limits, made).await;
        let made = settle(&mut store, made);
        match made {
            Ok((component, transcoder)) => {
                Ok(Self { component, transcoder, store, limits, _ticking: ticking, _place: place })
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
        let about = self.store.data().plugin.about.clone();
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
        let started = call!(self, "start", call_start(Resource::new_borrow(context.rep())));
        self.take_back(context);
        started
    }

    /// Tells the plugin of a track.
    pub(crate) async fn track(&mut self, track: &SourceTrack) -> Result<Decision, Fault> {
        let state = self.store.data_mut();
        let handle = state.push(TrackHandle(track.clone())).map_err(|error| returned("on-track", &error))?;
        state.add_source(track);
        let decision = call!(self, "on-track", call_on_track(handle));
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
        let done = call!(self, "on-fragment", call_on_fragment(Resource::new_borrow(lent.rep())));
        self.store.data_mut().take_back();
        done
    }

    /// Tells the plugin of a gap.
    pub(crate) async fn gap(&mut self, gap: Gap) -> Result<(), Fault> {
        let loss = self.lend("on-gap", LossHandle(gap))?;
        let done = call!(self, "on-gap", call_on_gap(Resource::new_borrow(loss.rep())));
        self.take_back(loss);
        done
    }

    /// Tells the plugin that a track is over.
    pub(crate) async fn track_end(&mut self, track: u32, why: TrackEnd) -> Result<(), Fault> {
        let done = call!(self, "on-track-end", call_on_track_end(track, why.as_str()));
        self.store.data_mut().remove_source(track);
        done
    }

    /// Tells the plugin of the end.
    pub(crate) async fn stop(&mut self, why: Stop) -> Result<(), Fault> {
        let stopped = call!(self, "stop", call_stop(why.as_str()));
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
    let most = state.plugin.limits.call_time;
    if used > most { outcome.and(Err(OutOfTime(most).into())) } else { outcome }
}
