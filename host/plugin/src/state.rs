//! What the host keeps for one instance.

use std::pin::pin;
use std::sync::{Arc, PoisonError, Weak};
use std::task::Poll;
use std::time::{Duration, Instant};

use millrace_media::Fragment;
use millrace_media::track::Kind;
use millrace_transcode::factory::{Context, SourceTrack};
use wasmtime::component::{Resource, ResourceTable, ResourceTableError};

use crate::bindings::millrace::plugin::log::Level;
use crate::bindings::millrace::plugin::types::{self, Error};
use crate::clock::CallClock;
use crate::fault::OutOfWait;
use crate::hook::{Hook, Purpose};
use crate::imports::{FragmentHandle, LogLines};
use crate::inbox::Inbox;
use crate::limits::Growth;
use crate::load::Loaded;
use crate::metrics::Names;
use crate::rate::{OutputRate, SharedRate};
use crate::settings::Limits;
use crate::wasi::Wasi;

/// The data of one instance's store.
pub(crate) struct State {
    pub(crate) plugin: Arc<Loaded>,
    purpose: Purpose,
    pub(crate) limits: Limits,
    names: Names,
    /// Ends with what the instance is made for.
    life: Weak<()>,
    pub(crate) clock: CallClock,
    pub(crate) growth: Growth,
    pub(crate) table: ResourceTable,
    /// The one entry that fragments are lent through, call after call.
    lent: Option<u32>,
    /// The one entry that verdicts are lent through.
    pub(crate) verdict: Option<u32>,
    /// The tracks that it has been told of and that are not over.
    sources: Vec<Source>,
    /// Bytes that the plugin's own handles to fragments keep in memory.
    pinned: u64,
    /// Shared by the instances that follow each other.
    output: SharedRate,
    pub(crate) log: LogLines,
    /// What it is to be called for between its other calls; none where the plugin exports neither `wake` nor `messages`.
    inbox: Option<Arc<Inbox>>,
    /// Made when the instance first asks for it.
    wasi: Option<Box<Wasi>>,
}

/// A track of the source, and how much has come of it.
struct Source {
    track: SourceTrack,
    bytes: u64,
    /// In ticks of the track.
    duration: i64,
}

impl State {
    pub(crate) fn new(plugin: Arc<Loaded>, purpose: Purpose) -> Self {
        let limits = plugin.limits.of(purpose.hook());
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles);
        let names = Names {
            broadcast: purpose.broadcast().cloned(),
            track: purpose.track().cloned(),
            rendition: purpose.rendition().map(|rendition| rendition.name.clone()),
        };
        let hooks = &plugin.hooks;
        let inbox = purpose.hook().filter(|_| hooks.wake || hooks.messages);
        let inbox = inbox.map(|hook| Arc::new(Inbox::new(hook, names.clone())));
        let life: Weak<()> = purpose.life().map(Arc::downgrade).unwrap_or_default();
        let output = plugin.rates.of(&life, || OutputRate::new(limits.output_rate, limits.fragments));
        Self {
            life,
            plugin,
            purpose,
            limits,
            names,
            clock: CallClock::default(),
            growth: Growth::new(&limits),
            table,
            lent: None,
            verdict: None,
            sources: Vec::new(),
            pinned: 0,
            output,
            log: LogLines::new(limits.log),
            inbox,
            wasi: None,
        }
    }

    /// What the instance is made for.
    pub(crate) fn purpose(&self) -> &Purpose {
        &self.purpose
    }

    /// The hook that the instance is of, or `about`.
    pub(crate) fn hook(&self) -> &'static str {
        self.purpose.hook().map_or("about", Hook::as_str)
    }

    /// What the transcoder works on.
    pub(crate) fn started(&self) -> Result<&Context, Error> {
        self.purpose.transcode().ok_or_else(|| match self.purpose.hook() {
            None => Error::Invalid("there is no broadcast while the plugin describes itself".into()),
            Some(hook) => {
                Error::Unsupported(format!("only the hook transcoder makes tracks, not the hook {}", hook.as_str()))
            }
        })
    }

    /// What the instance is made for.
    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    pub(crate) fn life(&self) -> &Weak<()> {
        &self.life
    }

    /// What the instance is to be called for between its other calls.
    pub(crate) fn inbox(&self) -> Option<&Arc<Inbox>> {
        self.inbox.as_ref()
    }

    /// What WASI keeps for the instance.
    pub(crate) fn wasi(&mut self) -> &mut Wasi {
        self.wasi.get_or_insert_with(|| Box::new(Wasi::new(&self.plugin.reach.grants)))
    }

    /// Passes what the guest has written to its standard output on to the log: the lines that are whole, or all where `all` is asked for.
    pub(crate) fn pass_output_on(&mut self, all: bool) {
        let Some(wasi) = &self.wasi else { return };
        // What runtimes say of panics and exceptions is on standard error: it is seen where information is not.
        for (output, level) in wasi.outputs.clone().into_iter().zip([Level::Info, Level::Warn]) {
            let (lines, dropped) = output.take(all, self.log.room(Instant::now()));
            for line in lines {
                self.log_line(level, &line);
            }
            self.log.dropped(dropped);
        }
    }

    /// How long the guest has to wait before it writes a fragment of so many bytes.
    pub(crate) fn output_wait(&mut self, bytes: u64) -> Duration {
        self.output.lock().unwrap_or_else(PoisonError::into_inner).wait(bytes)
    }

    /// Waits for `work`, which is not the guest's processor time, and not for longer than a call may.
    ///
    /// # Errors
    /// Where it would be longer: the instance ends.
    pub(crate) async fn wait<F: Future>(&mut self, work: F) -> wasmtime::Result<F::Output> {
        let most = self.limits.call_wait;
        let mut work = pin!(work);
        // What is done at once is work, and not waiting.
        if let Poll::Ready(done) = futures::poll!(work.as_mut()) {
            return Ok(done);
        }
        let left = self.clock.wait(most);
        let began = Instant::now();
        let done = tokio::time::timeout(left, work).await;
        self.clock.waited(began.elapsed());
        done.map_err(|_| OutOfWait(most).into())
    }

    /// A handle for the guest.
    pub(crate) fn push<T: Send + 'static>(&mut self, entry: T) -> Result<Resource<T>, Error> {
        self.table.push(entry).map_err(|error| match error {
            ResourceTableError::Full => {
                let limit = self.limits.handles;
                Error::Overloaded(format!("the plugin holds as many handles as it may: {limit}"))
            }
            other => Error::Failed(other.to_string()),
        })
    }

    /// Counts what a handle keeps in memory.
    pub(crate) fn pin(&mut self, bytes: u64) -> Result<(), Error> {
        let limit = self.limits.pinned;
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

    /// The instance is told of a track.
    pub(crate) fn add_source(&mut self, track: &SourceTrack) {
        self.sources.retain(|source| source.track.id != track.id);
        self.sources.push(Source { track: track.clone(), bytes: 0, duration: 0 });
    }

    pub(crate) fn remove_source(&mut self, id: u32) {
        self.sources.retain(|source| source.track.id != id);
    }

    /// The track with this id, as long as it is not over.
    pub(crate) fn source(&self, id: u32) -> Option<&SourceTrack> {
        self.sources.iter().find(|source| source.track.id == id).map(|source| &source.track)
    }

    /// Bits per second of what the instance was given of a track, once that is a second of it.
    pub(crate) fn measured_bitrate(&self, id: u32) -> Option<u32> {
        let Source { track, bytes, duration } = self.sources.iter().find(|source| source.track.id == id)?;
        let timescale = u128::from(track.info.timescale.get());
        let duration = u128::try_from(*duration).ok().filter(|duration| *duration >= timescale)?;
        u32::try_from(u128::from(*bytes) * 8 * timescale / duration).ok()
    }

    /// Lends a fragment of a track for a call. Takes no memory after the first.
    pub(crate) fn lend(
        &mut self,
        track: u32,
        fragment: &Fragment,
    ) -> Result<Resource<FragmentHandle>, ResourceTableError> {
        if let Some(source) = self.sources.iter_mut().find(|source| source.track.id == track) {
            source.bytes = source.bytes.saturating_add(u64::from(fragment.payload.len()));
            source.duration = source.duration.saturating_add(fragment.duration.ticks());
        }
        let handle = FragmentHandle::lent(track, fragment.clone());
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
}

impl From<Kind> for types::TrackKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Video => Self::Video,
            Kind::Audio => Self::Audio,
            Kind::Text => Self::Text,
            Kind::Image => Self::Image,
            Kind::Data => Self::Data,
        }
    }
}

impl From<types::TrackKind> for Kind {
    fn from(kind: types::TrackKind) -> Self {
        match kind {
            types::TrackKind::Video => Self::Video,
            types::TrackKind::Audio => Self::Audio,
            types::TrackKind::Text => Self::Text,
            types::TrackKind::Image => Self::Image,
            types::TrackKind::Data => Self::Data,
        }
    }
}
