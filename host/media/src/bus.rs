//! The registry of all broadcasts.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;

use crate::broadcast::{Broadcast, Publisher, State};
use crate::calendar;
use crate::clock::Clock;
use crate::name::BroadcastName;
use crate::stage::Stage;
use crate::track::{Total, Track, Window};

/// What a bus is made with.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long a broadcast waits for its publisher's return.
    pub linger: Duration,
    /// How long an ended broadcast can still be read, so that players fetch its end.
    pub retain_ended: Duration,
    /// What each track keeps.
    pub window: Window,
    /// The memory that all tracks may hold together, in bytes. Beyond it, the track that holds most gives up its oldest groups.
    pub total: u64,
    /// How broadcasts are divided.
    pub calendar: calendar::Settings,
    /// The most broadcasts at a time.
    pub max_broadcasts: usize,
    /// The most tracks of a broadcast, derived ones included.
    pub max_tracks: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            linger: Duration::from_secs(30),
            retain_ended: Duration::from_secs(30),
            window: Window::default(),
            total: u64::MAX,
            calendar: calendar::Settings::default(),
            max_broadcasts: 1_000,
            max_tracks: 32,
        }
    }
}

/// The memory of all tracks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// What they hold now, in bytes.
    pub held: u64,
    /// What they may hold, in bytes: [`Settings::total`].
    pub limit: u64,
    /// Fragments that have left their windows early because of the limit.
    pub given_up: u64,
}

/// Why a broadcast cannot be published.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// It has a publisher.
    #[error("{0} is being published by another connection")]
    Live(BroadcastName),
    /// It is the name of the view of another broadcast's rendition.
    #[error("the name {name} is taken by {owner}")]
    NameTaken {
        /// The name.
        name: BroadcastName,
        /// Who has it.
        owner: String,
    },
    /// There are as many as there may be.
    #[error("there are {0} broadcasts, and may not be more")]
    TooMany(usize),
}

/// Is told of every track, before its first fragment.
pub trait Observer: Send + Sync {
    /// `track` has been added to `broadcast` and has no fragment yet, unless the observer came after it. Must not wait, and must not
    /// add tracks itself.
    fn track_added(&self, broadcast: &Broadcast, track: &Track);
}

/// Ends an observer's being told when it is dropped.
pub struct Observation {
    id: u64,
    bus: Weak<Shared>,
}

impl Drop for Observation {
    fn drop(&mut self) {
        if let Some(bus) = self.bus.upgrade() {
            lock(&bus.observers.list).retain(|(id, _)| *id != self.id);
        }
    }
}

impl fmt::Debug for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Observation").field(&self.id).finish()
    }
}

#[derive(Default)]
pub(crate) struct Observers {
    list: Mutex<Vec<(u64, Arc<dyn Observer>)>>,
}

impl Observers {
    pub(crate) fn track_added(&self, broadcast: &Broadcast, track: &Track) {
        let list: Vec<_> = lock(&self.list).iter().map(|(_, observer)| observer.clone()).collect();
        list.iter().for_each(|observer| observer.track_added(broadcast, track));
    }
}

/// See the [module](self). Cheap to clone.
#[derive(Clone)]
pub struct Bus(Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<Clock>,
    pub(crate) observers: Observers,
    pub(crate) total: Arc<Total>,
    stage: Option<Arc<dyn Stage>>,
    broadcasts: Mutex<BTreeMap<BroadcastName, Broadcast>>,
    changes: watch::Sender<u64>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn is_published(&self, name: &BroadcastName) -> bool {
        lock(&self.broadcasts).get(name).is_some_and(|known| !matches!(known.state(), State::Ended { .. }))
    }

    pub(crate) fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

impl Bus {
    /// A bus with no broadcasts.
    pub fn new(settings: Settings, clock: Arc<Clock>) -> Self {
        Self::make(settings, clock, None)
    }

    /// A bus with no broadcasts, where `stage` stands between publishers and tracks.
    pub fn with_stage(settings: Settings, clock: Arc<Clock>, stage: Arc<dyn Stage>) -> Self {
        Self::make(settings, clock, Some(stage))
    }

    fn make(settings: Settings, clock: Arc<Clock>, stage: Option<Arc<dyn Stage>>) -> Self {
        Self(Arc::new(Shared {
            settings,
            clock,
            observers: Observers::default(),
            total: Total::new(settings.total),
            stage,
            broadcasts: Mutex::default(),
            changes: watch::Sender::new(0),
        }))
    }

    /// What it was made with.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// The clock that everything on it goes by.
    pub fn clock(&self) -> &Arc<Clock> {
        &self.0.clock
    }

    /// Publishes a broadcast, or goes on with one whose publisher went away within the linger time: then a new epoch begins.
    ///
    /// # Errors
    /// Where it has a publisher, where the name is that of a rendition's view, where there are too many.
    pub fn publish(&self, name: &BroadcastName) -> Result<Publisher, PublishError> {
        let now = self.0.clock.now();
        let mut broadcasts = lock(&self.0.broadcasts);
        let broadcast = match broadcasts.get(name) {
            Some(known) => match known.state() {
                State::Live => return Err(PublishError::Live(name.clone())),
                State::Waiting { since } if now.monotonic.saturating_sub(since) < self.0.settings.linger => {
                    known.clone()
                }
                State::Waiting { .. } => {
                    known.end(now.monotonic);
                    Broadcast::new(name.clone(), self.0.clone())
                }
                State::Ended { .. } => Broadcast::new(name.clone(), self.0.clone()),
            },
            None if broadcasts.len() >= self.0.settings.max_broadcasts => {
                return Err(PublishError::TooMany(self.0.settings.max_broadcasts));
            }
            None => Broadcast::new(name.clone(), self.0.clone()),
        };
        if let Some((parent, last)) = name.split_last()
            && let Some(track) = broadcasts.get(&parent).and_then(|parent| parent.track(last))
            && !track.provenance().is_source()
            && !track.is_ended()
        {
            return Err(PublishError::NameTaken {
                name: name.clone(),
                owner: format!("{} of {parent}", track.provenance()),
            });
        }
        broadcast.begin_epoch(now);
        let known = broadcasts.insert(name.clone(), broadcast.clone());
        drop(broadcasts);
        let is_new = known.is_none_or(|known| !known.is_same(&broadcast));
        if is_new
            && let Some(stage) = &self.0.stage
            && let Some(chain) = stage.chain(&broadcast)
        {
            broadcast.set_chain(&**stage, chain);
        }
        self.0.changed();
        Ok(Publisher::new(broadcast))
    }

    /// Ends a broadcast that waits for its publisher's return. Gives the state that it was in: only one that was
    /// [waiting](State::Waiting) has been ended. None where there is no such broadcast.
    pub fn end_waiting(&self, name: &BroadcastName) -> Option<State> {
        let now = self.0.clock.now().monotonic;
        // Publishers return under the same lock.
        let broadcasts = lock(&self.0.broadcasts);
        let broadcast = broadcasts.get(name)?;
        let state = broadcast.state();
        if let State::Waiting { .. } = state {
            broadcast.end(now);
        }
        Some(state)
    }

    /// A broadcast, also one that has ended a short while ago.
    pub fn broadcast(&self, name: &BroadcastName) -> Option<Broadcast> {
        lock(&self.0.broadcasts).get(name).cloned()
    }

    /// All broadcasts, by name.
    pub fn broadcasts(&self) -> Vec<Broadcast> {
        lock(&self.0.broadcasts).values().cloned().collect()
    }

    /// What all tracks hold.
    pub fn memory(&self) -> Memory {
        let total = &self.0.total;
        Memory { held: total.held(), limit: total.limit(), given_up: total.given_up() }
    }

    /// Changes whenever a broadcast or a track comes or goes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    /// Tells `observer` of every track there is, and of every track to come, until the observation is dropped.
    #[must_use = "dropping the observation ends it"]
    pub fn observe(&self, observer: Arc<dyn Observer>) -> Observation {
        let id = {
            let mut list = lock(&self.0.observers.list);
            let id = list.last().map_or(0, |(last, _)| last + 1);
            list.push((id, observer.clone()));
            id
        };
        for broadcast in self.broadcasts() {
            broadcast.tracks().iter().for_each(|track| observer.track_added(&broadcast, track));
        }
        Observation { id, bus: Arc::downgrade(&self.0) }
    }

    /// Ends what has waited for its publisher too long, and forgets what has ended. To be called from time to time.
    pub fn expire(&self) {
        let now = self.0.clock.now().monotonic;
        let Settings { linger, retain_ended, .. } = self.0.settings;
        for broadcast in self.broadcasts() {
            match broadcast.state() {
                State::Live => broadcast.expire_tracks(now, linger),
                State::Waiting { since } if now.saturating_sub(since) >= linger => broadcast.end(now),
                State::Waiting { .. } | State::Ended { .. } => {}
            }
        }
        let before = lock(&self.0.broadcasts).len();
        lock(&self.0.broadcasts).retain(|_, broadcast| match broadcast.state() {
            State::Ended { since } => now.saturating_sub(since) < retain_ended || !broadcast.has_ended(),
            State::Live | State::Waiting { .. } => true,
        });
        if lock(&self.0.broadcasts).len() != before {
            self.0.changed();
        }
    }
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus").field("broadcasts", &lock(&self.0.broadcasts).len()).finish()
    }
}
