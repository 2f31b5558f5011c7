//! What the host keeps for one instance.

use std::sync::Arc;
use std::time::Instant;

use millrace_media::Fragment;
use millrace_media::track::Kind;
use millrace_transcode::factory::Context;
use wasmtime::component::{Resource, ResourceTable, ResourceTableError};

use crate::bindings::millrace::plugin::types::{self, Error};
use crate::clock::GuestClock;
use crate::imports::{FragmentHandle, LogLine};
use crate::limits::Growth;
use crate::load::Loaded;
use crate::rate::Allowance;

/// The data of one instance's store.
pub(crate) struct State {
    pub(crate) plugin: Arc<Loaded>,
    /// None while the plugin describes itself.
    context: Option<Context>,
    pub(crate) clock: GuestClock,
    pub(crate) growth: Growth,
    pub(crate) table: ResourceTable,
    /// The one entry that fragments are lent through, call after call.
    lent: Option<u32>,
    /// Bytes that the plugin's own handles to fragments keep in memory.
    pinned: u64,
    pub(crate) output: Allowance,
    pub(crate) log: LogLine,
}

/// Lines of log a second, and at once.
const LOG_RATE: (u64, u64) = (10, 20);
/// A keyframe may be many times the average: so many seconds of output go through at once.
const OUTPUT_BURST_SECS: u64 = 2;

impl State {
    pub(crate) fn new(plugin: Arc<Loaded>, context: Option<Context>) -> Self {
        let limits = plugin.limits;
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles);
        let bytes = limits.output_rate / 8;
        Self {
            plugin,
            context,
            clock: GuestClock::default(),
            growth: Growth::new(&limits),
            table,
            lent: None,
            pinned: 0,
            output: Allowance::new(bytes, bytes.saturating_mul(OUTPUT_BURST_SECS)),
            log: LogLine::new(LOG_RATE.0, LOG_RATE.1),
        }
    }

    /// A host function that does not wait: the guest's clock stands still.
    pub(crate) fn off_clock<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        self.clock.stop();
        let done = work(self);
        self.clock.start();
        done
    }

    /// What the transcoder works on, if it has been started.
    pub(crate) fn context(&self) -> Option<&Context> {
        self.context.as_ref()
    }

    /// What the transcoder works on.
    pub(crate) fn started(&self) -> Result<&Context, Error> {
        self.context
            .as_ref()
            .ok_or_else(|| Error::Invalid("there is no track while the plugin describes itself".into()))
    }

    /// A handle for the guest.
    pub(crate) fn push<T: Send + 'static>(&mut self, entry: T) -> Result<Resource<T>, Error> {
        self.table.push(entry).map_err(|error| match error {
            ResourceTableError::Full => {
                let limit = self.plugin.limits.handles;
                Error::Overloaded(format!("the plugin holds as many handles as it may: {limit}"))
            }
            other => Error::Failed(other.to_string()),
        })
    }

    /// Counts what a handle keeps in memory.
    pub(crate) fn pin(&mut self, bytes: u64) -> Result<(), Error> {
        let limit = self.plugin.limits.pinned;
        let wanted = self.pinned.saturating_add(bytes);
        if wanted > limit {
            return Err(Error::Overloaded(format!(
                "the plugin's handles would keep {wanted} bytes in memory where its limit is {limit}"
            )));
        }
        self.pinned = wanted;
        Ok(())
    }

    pub(crate) fn unpin(&mut self, bytes: u64) {
        self.pinned = self.pinned.saturating_sub(bytes);
    }

    /// Lends a fragment for a call. Takes no memory after the first.
    pub(crate) fn lend(&mut self, fragment: &Fragment) -> Result<Resource<FragmentHandle>, ResourceTableError> {
        let handle = FragmentHandle::lent(fragment.clone());
        if let Some(rep) = self.lent {
            *self.table.get_mut(&Resource::new_borrow(rep))? = handle;
            return Ok(Resource::new_borrow(rep));
        }
        let rep = self.table.push(handle)?.rep();
        self.lent = Some(rep);
        Ok(Resource::new_borrow(rep))
    }

    /// Lets go of the fragment that was lent.
    pub(crate) fn take_back(&mut self) {
        if let Some(rep) = self.lent
            && let Ok(handle) = self.table.get_mut(&Resource::<FragmentHandle>::new_borrow(rep))
        {
            *handle = FragmentHandle::default();
        }
    }

    /// How long the guest has to wait before it writes so many bytes.
    pub(crate) fn output_wait(&mut self, bytes: u64) -> std::time::Duration {
        self.output.take(bytes, Instant::now())
    }
}

impl From<Kind> for types::TrackKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Video => Self::Video,
            Kind::Audio => Self::Audio,
            // The contract has no other word for them yet.
            Kind::Text | Kind::Image | Kind::Data => Self::Data,
        }
    }
}

impl From<types::TrackKind> for Kind {
    fn from(kind: types::TrackKind) -> Self {
        match kind {
            types::TrackKind::Video => Self::Video,
            types::TrackKind::Audio => Self::Audio,
            types::TrackKind::Data => Self::Data,
        }
    }
}
