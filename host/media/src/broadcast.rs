//! Broadcasts: a source and everything derived from it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::bus::Shared as BusShared;
use crate::calendar::{Calendar, Epoch, EpochInfo, Group, Segment, SegmentInfo};
use crate::clock::Moment;
use crate::name::{BroadcastName, TrackName};
use crate::stage::{Chain, Gate, Load, Stage, Work, Writer};
use crate::time::Time;
use crate::track::{Info, Producer, Provenance, Track};

/// Why a track could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrackError {
    /// The name belongs to somebody else.
    #[error("the name {name} is taken by {owner}")]
    NameTaken {
        /// The name.
        name: String,
        /// Who has it.
        owner: String,
    },
    /// The broadcast has as many tracks as it may.
    #[error("the broadcast has {0} tracks, and may not have more")]
    TooMany(usize),
    /// The broadcast has ended.
    #[error("the broadcast has ended")]
    Ended,
    /// A track is to be written past the filters.
    #[error("the tracks of {0} are written through its filters, and not straight")]
    HasChain(BroadcastName),
}

/// Where a broadcast is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its publisher is there.
    Live,
    /// Its publisher has gone, and may return.
    Waiting {
        /// Since when, on the bus's monotonic clock.
        since: Duration,
    },
    /// The source has ended.
    Ended {
        /// Since when, on the bus's monotonic clock.
        since: Duration,
    },
}

/// A broadcast that can be read and added to. Cheap to clone.
#[derive(Clone)]
pub struct Broadcast(Arc<Shared>);

struct Shared {
    name: BroadcastName,
    bus: Arc<BusShared>,
    calendar: Arc<Mutex<Calendar>>,
    started: Moment,
    life: Mutex<Life>,
    tracks: Mutex<BTreeMap<TrackName, Track>>,
    /// Counts the changes to the tracks and the state.
    changes: watch::Sender<u64>,
    /// The queue to its chain, where it has one.
    gate: OnceLock<Arc<Gate>>,
}

struct Life {
    state: State,
    epoch_began: Duration,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Broadcast {
    pub(crate) fn new(name: BroadcastName, bus: Arc<BusShared>) -> Self {
        let started = bus.clock.now();
        // Rises with every broadcast of this name, faster than any source begins groups.
        let first_group = Group(u64::try_from(started.unix.as_millis()).unwrap_or(0));
        let calendar = Calendar::new(bus.settings.calendar, first_group);
        let life = Life { state: State::Ended { since: started.monotonic }, epoch_began: started.monotonic };
        Self(Arc::new(Shared {
            name,
            bus,
            calendar: Arc::new(Mutex::new(calendar)),
            started,
            life: Mutex::new(life),
            tracks: Mutex::default(),
            changes: watch::Sender::new(0),
            gate: OnceLock::new(),
        }))
    }

    /// Puts a chain between publishers and the tracks. Its task ends with the broadcast.
    pub(crate) fn set_chain(&self, stage: &dyn Stage, chain: Box<dyn Chain>) {
        let gate = self.0.gate.get_or_init(Arc::default).clone();
        stage.threads().spawn(Work::new(gate.clone(), self.downgrade(), chain).run());
        if let State::Ended { .. } = self.state() {
            gate.close();
        }
    }

    /// What waits for its chain; none where publishers write straight to the tracks.
    pub fn queued(&self) -> Option<Load> {
        self.0.gate.get().map(|gate| gate.load())
    }

    /// Waits until all that was written has come through the chain.
    pub(crate) fn settle(&self) {
        if let Some(gate) = self.0.gate.get() {
            gate.settle();
        }
    }

    /// Its name.
    pub fn name(&self) -> &BroadcastName {
        &self.0.name
    }

    /// Where it is in its life.
    pub fn state(&self) -> State {
        lock(&self.0.life).state
    }

    /// When it was first published.
    pub fn started(&self) -> Moment {
        self.0.started
    }

    /// Its tracks, by name.
    pub fn tracks(&self) -> Vec<Track> {
        lock(&self.0.tracks).values().cloned().collect()
    }

    /// A track of it.
    pub fn track(&self, name: &str) -> Option<Track> {
        let name = TrackName::new(name).ok()?;
        lock(&self.0.tracks).get(&name).cloned()
    }

    /// Changes whenever a track comes, goes or is described anew, and whenever the state does.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    /// See [`Calendar::segment`].
    pub fn segment(&self, segment: Segment) -> Option<SegmentInfo> {
        lock(&self.0.calendar).segment(segment)
    }

    /// See [`Calendar::target_duration`].
    pub fn target_duration(&self) -> Option<u32> {
        lock(&self.0.calendar).target_duration()
    }

    /// See [`Calendar::epoch_info`].
    pub fn epoch_info(&self, epoch: Epoch) -> Option<EpochInfo> {
        lock(&self.0.calendar).epoch_info(epoch)
    }

    /// See [`Calendar::wall_clock`].
    pub fn wall_clock(&self, epoch: Epoch, time: Time) -> Option<Duration> {
        lock(&self.0.calendar).wall_clock(epoch, time)
    }

    /// See [`Calendar::forced_cuts`].
    pub fn forced_cuts(&self) -> u64 {
        lock(&self.0.calendar).forced_cuts()
    }

    /// A handle that does not keep it.
    pub fn downgrade(&self) -> Weak {
        Weak(Arc::downgrade(&self.0))
    }

    /// True of two handles to one broadcast.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Adds a track made from another. Nothing is known of it until its producer says so.
    ///
    /// # Errors
    /// Where the name is taken, in this broadcast or by a broadcast of the view's name; where there are too many tracks; where the
    /// source has ended.
    pub fn derive(&self, name: TrackName, provenance: Provenance) -> Result<Producer, TrackError> {
        self.check_derived(&name)?;
        self.add(name, provenance, None, None)
    }

    /// Checks whether a track of this name could be added by [`Broadcast::derive`] now.
    ///
    /// # Errors
    /// As there.
    pub fn check_derived(&self, name: &TrackName) -> Result<(), TrackError> {
        if let State::Ended { .. } = self.state() {
            return Err(TrackError::Ended);
        }
        let view = self.0.name.view(name);
        if self.0.bus.is_published(&view) {
            return Err(TrackError::NameTaken { name: view.to_string(), owner: format!("the publisher of {view}") });
        }
        self.check_place(&lock(&self.0.tracks), name)
    }

    fn check_place(&self, tracks: &BTreeMap<TrackName, Track>, name: &TrackName) -> Result<(), TrackError> {
        let known = tracks.get(name);
        if let Some(owner) = known.filter(|track| !track.is_ended()) {
            return Err(TrackError::NameTaken { name: name.to_string(), owner: owner.provenance().to_string() });
        }
        // One that has ended gives its place to one of its name.
        let limit = self.0.bus.settings.max_tracks;
        if tracks.len() - usize::from(known.is_some()) >= limit { Err(TrackError::TooMany(limit)) } else { Ok(()) }
    }

    fn add(
        &self,
        name: TrackName,
        provenance: Provenance,
        declared: Option<Epoch>,
        info: Option<Info>,
    ) -> Result<Producer, TrackError> {
        let (track, producer) = {
            let mut tracks = lock(&self.0.tracks);
            self.check_place(&tracks, &name)?;
            let settings = &self.0.bus.settings;
            let (calendar, clock) = (self.0.calendar.clone(), self.0.bus.clock.clone());
            let changes = self.0.changes.clone();
            let track =
                Track::new(name.clone(), provenance, settings.window, calendar, clock, changes, &self.0.bus.total);
            let mut producer = Producer::new(&track, declared).expect("a new track has no writer");
            if let Some(info) = info {
                producer.set_info(info);
            }
            tracks.insert(name, track.clone());
            (track, producer)
        };
        self.changed();
        self.0.bus.observers.track_added(self, &track);
        Ok(producer)
    }

    /// Tells those who watch the broadcast that something about it is new.
    pub fn changed(&self) {
        self.0.changes.send_modify(|count| *count += 1);
        self.0.bus.changed();
    }

    pub(crate) fn begin_epoch(&self, now: Moment) {
        lock(&self.0.calendar).begin_epoch(now.unix);
        *lock(&self.0.life) = Life { state: State::Live, epoch_began: now.monotonic };
        self.changed();
    }

    pub(crate) fn wait_for_return(&self, since: Duration) {
        lock(&self.0.life).state = State::Waiting { since };
        self.changed();
    }

    /// The source has ended: so do its tracks, and what is derived from them follows.
    pub(crate) fn end(&self, since: Duration) {
        lock(&self.0.life).state = State::Ended { since };
        for track in self.tracks().iter().filter(|track| track.provenance().is_source()) {
            track.end();
        }
        if let Some(gate) = self.0.gate.get() {
            gate.close();
        }
        self.changed();
    }

    /// Ends the broadcast, whatever its publisher does: what it writes from now on is refused.
    pub fn close(&self) {
        self.end(self.0.bus.clock.now().monotonic);
    }

    /// Ends the source's tracks that the publisher has not declared again within `linger` of its return, and forgets derived ones
    /// that have ended.
    pub(crate) fn expire_tracks(&self, now: Duration, linger: Duration) {
        let (state, began) = {
            let life = lock(&self.0.life);
            (life.state, life.epoch_began)
        };
        if state != State::Live {
            return;
        }
        let epoch = lock(&self.0.calendar).epoch().map(|epoch| epoch.number);
        let gone = |track: &Track| {
            track.provenance().is_source() && track.declared() != epoch && now.saturating_sub(began) >= linger
        };
        let mut changed = false;
        lock(&self.0.tracks).retain(|_, track| {
            if gone(track) {
                track.end();
            }
            changed |= track.is_ended();
            !track.is_ended()
        });
        if changed {
            if let Some(gate) = self.0.gate.get() {
                gate.sweep();
            }
            self.changed();
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        lock(&self.0.tracks).values().all(Track::is_ended)
    }
}

/// A broadcast that is not kept by this handle.
#[derive(Clone, Debug)]
pub struct Weak(std::sync::Weak<Shared>);

impl Weak {
    /// True while the broadcast is there and has not ended.
    pub fn is_live(&self) -> bool {
        self.0.upgrade().is_some_and(|shared| !matches!(Broadcast(shared).state(), State::Ended { .. }))
    }

    /// Ends the broadcast where it is there: see [`Broadcast::close`].
    pub(crate) fn close(&self) {
        if let Some(shared) = self.0.upgrade() {
            Broadcast(shared).close();
        }
    }

    /// True of two handles to one broadcast.
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.ptr_eq(&other.0)
    }

    /// True where this is that broadcast.
    pub fn is(&self, broadcast: &Broadcast) -> bool {
        std::ptr::eq(self.0.as_ptr(), Arc::as_ptr(&broadcast.0))
    }
}

impl fmt::Debug for Broadcast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Broadcast").field(&self.0.name).finish()
    }
}

/// The right to publish a broadcast. When it is dropped the broadcast waits for its publisher's return; [`Publisher::finish`] ends it.
#[derive(Debug)]
pub struct Publisher {
    broadcast: Broadcast,
    finished: bool,
}

impl Publisher {
    pub(crate) fn new(broadcast: Broadcast) -> Self {
        Self { broadcast, finished: false }
    }

    /// The broadcast.
    pub fn broadcast(&self) -> &Broadcast {
        &self.broadcast
    }

    /// Whole seconds to be added to every time of this publisher; see [`Calendar::offset`].
    pub fn offset(&self, first: Time) -> i64 {
        lock(&self.broadcast.0.calendar).offset(first)
    }

    /// Adds a track of the source, or goes on with the one of this name that an earlier epoch had. What is written comes through the
    /// broadcast's chain, where it has one: every protocol uses this.
    ///
    /// # Errors
    /// Where the name is taken, also by another connection of this publisher that is still writing, or there are too many tracks.
    pub fn write_track(&self, name: TrackName, info: Info) -> Result<Writer, TrackError> {
        // A writer that has gone holds the name until its last fragment is through.
        self.broadcast.settle();
        let epoch = self.epoch();
        let producer = self.producer(name, info, epoch)?;
        Ok(match self.broadcast.0.gate.get() {
            Some(gate) => Writer::queued(gate.clone(), producer, epoch),
            None => Writer::straight(producer),
        })
    }

    /// As [`Publisher::write_track`], straight to the track.
    ///
    /// # Errors
    /// As there; where the broadcast has a chain.
    pub fn create_track(&self, name: TrackName, info: Info) -> Result<Producer, TrackError> {
        if self.broadcast.0.gate.get().is_some() {
            return Err(TrackError::HasChain(self.broadcast.name().clone()));
        }
        self.producer(name, info, self.epoch())
    }

    fn epoch(&self) -> Option<Epoch> {
        lock(&self.broadcast.0.calendar).epoch().map(|epoch| epoch.number)
    }

    fn producer(&self, name: TrackName, info: Info, epoch: Option<Epoch>) -> Result<Producer, TrackError> {
        let known = self.broadcast.track(name.as_str()).filter(|track| track.provenance().is_source());
        let same_kind = |track: &Track| track.info().is_none_or(|known| known.kind() == info.kind());
        let Some(track) = known.filter(|track| !track.is_ended()) else {
            return self.broadcast.add(name, Provenance::Source, epoch, Some(info));
        };
        if !same_kind(&track) {
            track.end();
            return self.broadcast.add(name, Provenance::Source, epoch, Some(info));
        }
        let taken = || TrackError::NameTaken { name: name.to_string(), owner: "another connection".into() };
        let mut producer = Producer::new(&track, epoch).ok_or_else(taken)?;
        producer.set_info(info);
        self.broadcast.changed();
        Ok(producer)
    }

    /// Ends the broadcast.
    pub fn finish(mut self) {
        self.finished = true;
        self.broadcast.settle();
        self.broadcast.end(self.broadcast.0.bus.clock.now().monotonic);
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        self.broadcast.settle();
        if self.broadcast.state() == State::Live {
            self.broadcast.wait_for_return(self.broadcast.0.bus.clock.now().monotonic);
        }
    }
}
