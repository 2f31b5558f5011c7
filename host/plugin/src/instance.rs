//! One instance of a plugin: its store, and the calls into it.

use std::sync::Arc;

use millrace_media::Fragment;
use millrace_media::calendar::Group;
use millrace_transcode::factory::{Context, Fault, Reason};
use tokio::sync::OwnedSemaphorePermit;
use wasmtime::component::Resource;
use wasmtime::{Store, UpdateDeadline};

use crate::bindings::TranscoderPlugin;
use crate::bindings::exports::millrace::plugin::transcoder::{self, Decision, Descriptor};
use crate::bindings::millrace::plugin::types::Error;
use crate::engine::Ticking;
use crate::fault::{OutOfTime, lost, returned};
use crate::imports::{RenditionHandle, TrackHandle};
use crate::load::Loaded;
use crate::state::State;

/// The most bytes that one call from a guest may hand over.
const MAX_HANDED_OVER: usize = 64 << 20;
/// Handles to its own resources that a guest may have, beside those to the host's.
const OWN_HANDLES: usize = 1024;

/// An instance in a store of its own. After [`Fault::Lost`] it must not be called again.
pub(crate) struct Instance {
    world: TranscoderPlugin,
    store: Store<State>,
    // Given back after the store is.
    _ticking: Ticking,
    _place: OwnedSemaphorePermit,
}

/// Calls an export and turns what comes of it into a result of the runner's terms.
macro_rules! call {
    ($self:ident, $function:literal, $method:ident($($argument:expr),*)) => {{
        $self.begin();
        let exports = $self.world.millrace_plugin_transcoder();
        let outcome = exports.$method(&mut $self.store, $($argument),*).await;
        $self.outcome($function, outcome)
    }};
}

impl Instance {
    /// Makes an instance, with what it works on, or without to describe itself.
    ///
    /// # Errors
    /// Where the pool is full, or the instance goes over a limit or traps while it is set up.
    pub(crate) async fn new(plugin: &Arc<Loaded>, context: Option<Context>) -> Result<Self, Fault> {
        let shared = &plugin.engine;
        let place = shared.place().ok_or_else(|| {
            Fault::Lost(format!(
                "there is no room for another instance: the limit is {}",
                shared.settings.max_instances
            ))
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
        store.set_epoch_deadline(1);
        store.data().clock.begin();
        let world = plugin.pre.instantiate_async(&mut store).await;
        match world {
            Ok(world) => Ok(Self { world, store, _ticking: ticking, _place: place }),
            Err(error) => Err(lost("instantiation", &error, &store.data().growth)),
        }
    }

    /// Asks the plugin what it is.
    pub(crate) async fn describe(&mut self, settings: &str) -> Result<Result<Descriptor, Error>, Fault> {
        self.begin();
        let outcome = self.world.millrace_plugin_transcoder().call_describe(&mut self.store, settings).await;
        outcome.map_err(|error| lost("describe", &error, &self.store.data().growth))
    }

    /// Starts on the track of the context. True where the plugin accepts it.
    pub(crate) async fn start(&mut self) -> Result<bool, Fault> {
        let state = self.store.data_mut();
        let plugin = state.plugin.clone();
        let context = state.started().map_err(|error| returned("start", &error))?;
        let (reason, rendition) = (context.reason.into(), context.rendition.clone());
        let track = TrackHandle {
            broadcast: context.broadcast.clone(),
            name: context.track.clone(),
            info: context.info.clone(),
        };
        let full = |error: Error| returned("start", &error);
        let track = state.push(track).map_err(full)?;
        let rendition = rendition.map(|rendition| state.push(RenditionHandle(rendition))).transpose().map_err(full)?;
        let decision = call!(self, "start", call_start(track, rendition, &plugin.settings, reason))?;
        Ok(decision == Decision::Accept)
    }

    /// Gives the plugin a fragment.
    pub(crate) async fn fragment(&mut self, fragment: &Fragment) -> Result<(), Fault> {
        let lent = self.store.data_mut().lend(fragment);
        let lent = lent.map_err(|error| Fault::Lost(format!("no fragment can be lent to it: {error}")))?;
        let done = call!(self, "on-fragment", call_on_fragment(Resource::new_borrow(lent.rep())));
        self.store.data_mut().take_back();
        done
    }

    /// Tells the plugin of a gap.
    pub(crate) async fn gap(&mut self, next: Group, skipped: u64) -> Result<(), Fault> {
        call!(self, "on-gap", call_on_gap(next.0, skipped))
    }

    /// Tells the plugin of the end.
    pub(crate) async fn stop(&mut self) -> Result<(), Fault> {
        call!(self, "stop", call_stop())
    }

    fn begin(&mut self) {
        self.store.set_epoch_deadline(1);
        let state = self.store.data_mut();
        state.growth.begin();
        state.clock.begin();
    }

    fn outcome<T>(&self, function: &str, outcome: wasmtime::Result<Result<T, Error>>) -> Result<T, Fault> {
        match outcome {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(returned(function, &error)),
            Err(error) => Err(lost(function, &error, &self.store.data().growth)),
        }
    }
}

impl From<Reason> for transcoder::Reason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Fresh => Self::Fresh,
            Reason::AfterFault => Self::AfterFault,
            Reason::Reloaded => Self::Reloaded,
            Reason::SourceReturned => Self::SourceReturned,
        }
    }
}
