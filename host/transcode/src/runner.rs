//! The runner: a transcoder for every (factory, rendition, broadcast, track) that a factory accepts.
//!
//! It observes the bus. The moment a track of a source appears, and before its first fragment, it is subscribed for each factory that
//! wants it, and a task reads it. What has a transcoder's provenance is never transcoded again.

mod drain;
mod feeds;
mod ladders;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millrace_media::bus::{Bus, Observation, Observer};
use millrace_media::track::{Start, Track};
use millrace_media::{Broadcast, BroadcastName, broadcast};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::decode::{Decoders, Decoding};
use crate::encoder::{Encoders, Wiring};
use crate::factory::{Factory, Scope, Slot, Stop};
use crate::ladder::{Ladder, Rendition};
use crate::output::{Outputs, Owner};
use crate::stats::{Counters, Key, Stats};
use drain::{Cancel, Drain};
use feeds::{Feeds, NewTracks};
pub use ladders::LadderError;
use ladders::{Ladders, Rung};

/// Runs transcoders on the broadcasts of a bus. When it is dropped, they are aborted; [`Runner::shutdown`] lets them finish.
pub struct Runner {
    inner: Arc<Inner>,
    observation: Mutex<Option<Observation>>,
}

struct Inner {
    bus: Bus,
    runtime: Handle,
    factories: Vec<Arc<dyn Factory>>,
    ladders: Ladders,
    tasks: Mutex<HashMap<Key, Task>>,
    stopping: Arc<AtomicBool>,
    decoders: Arc<Decoders>,
}

/// One transcoder's task.
struct Task {
    /// The rung it works for, of a factory that works per rendition.
    rung: Option<Rung>,
    reads: Reads,
    counters: Arc<Counters>,
    cancel: Cancel,
    /// Cancelled when the task has ended, and its tracks with it.
    ended: CancellationToken,
    join: JoinHandle<()>,
}

/// What a task reads.
enum Reads {
    Track(Track),
    /// All of a broadcast: its tracks are added as they appear.
    Broadcast(Broadcast, Arc<NewTracks>),
}

impl Reads {
    fn is_ended(&self) -> bool {
        match self {
            Self::Track(track) => track.is_ended(),
            Self::Broadcast(broadcast, _) => matches!(broadcast.state(), broadcast::State::Ended { .. }),
        }
    }
}

/// For how long sources are decoded once the server is to stop.
const LAST_MOMENT: Duration = Duration::from_secs(1);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Runner {
    /// Runs `factories` on every broadcast of `bus`, now and to come. Their tasks run on the current tokio runtime, where a
    /// factory has no threads of its own.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(bus: &Bus, factories: Vec<Arc<dyn Factory>>, ladders: Vec<Ladder>) -> Self {
        Self::start_within(bus, factories, ladders, Decoding::default())
    }

    /// As [`Runner::start`], where each source may ask for so much decoding.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start_within(bus: &Bus, factories: Vec<Arc<dyn Factory>>, ladders: Vec<Ladder>, decoding: Decoding) -> Self {
        let inner = Arc::new(Inner {
            bus: bus.clone(),
            runtime: Handle::current(),
            factories,
            ladders: Ladders::new(ladders),
            tasks: Mutex::default(),
            stopping: Arc::default(),
            decoders: Arc::new(Decoders::new(decoding)),
        });
        let observation = bus.observe(inner.clone());
        Self { inner, observation: Mutex::new(Some(observation)) }
    }

    /// What has been counted of each transcoder that runs, ordered by key.
    pub fn stats(&self) -> Vec<(Key, Stats)> {
        let tasks = lock(&self.inner.tasks);
        let running = tasks.iter().filter(|(_, task)| !task.cancel.is_cancelled());
        let mut stats: Vec<_> = running.map(|(key, task)| (key.clone(), task.counters.read())).collect();
        stats.sort_by(|(a, _), (b, _)| a.cmp(b));
        stats
    }

    /// Sentences for the operator about what is not decoded of a broadcast, and why.
    pub fn notes(&self, broadcast: &Broadcast) -> Vec<String> {
        self.inner.decoders.notes(broadcast)
    }

    /// The ladders now, in their order: the first that is for a broadcast is its only one.
    pub fn ladders(&self) -> Vec<Ladder> {
        self.inner.ladders.all()
    }

    /// The renditions of the ladder that applies to a broadcast.
    pub fn renditions(&self, broadcast: &BroadcastName) -> Vec<Arc<Rendition>> {
        self.inner.ladders.rungs(broadcast).into_iter().map(|rung| rung.rendition).collect()
    }

    /// Adds a ladder behind the others. Live broadcasts that none of them is for take it up with their next group.
    ///
    /// # Errors
    /// Where there is a ladder of this name.
    pub fn add_ladder(&self, ladder: Ladder) -> Result<(), LadderError> {
        self.inner.ladders.add(ladder)?;
        self.inner.ladders_changed();
        Ok(())
    }

    /// Removes a ladder: its transcoders stop. Broadcasts that another one is for as well get that one's rungs with their next group.
    ///
    /// # Errors
    /// Where there is none of this name.
    pub fn remove_ladder(&self, name: &str) -> Result<(), LadderError> {
        self.inner.ladders.remove(name)?;
        self.inner.ladders_changed();
        Ok(())
    }

    /// Adds a rendition to a ladder. Live broadcasts take it up with their next group.
    ///
    /// # Errors
    /// Where there is no such ladder, or it has a rendition of this name.
    pub fn add_rendition(&self, ladder: &str, rendition: Arc<Rendition>) -> Result<(), LadderError> {
        self.inner.ladders.add_rendition(ladder, rendition)?;
        self.inner.ladders_changed();
        Ok(())
    }

    /// Removes a rendition of a ladder: its transcoders stop, the others go on.
    ///
    /// # Errors
    /// Where there is no such ladder, or no such rendition in it.
    pub fn remove_rendition(&self, ladder: &str, rendition: &str) -> Result<(), LadderError> {
        self.inner.ladders.remove_rendition(ladder, rendition)?;
        self.inner.ladders_changed();
        Ok(())
    }

    /// Waits until the transcoders of what was removed have ended, and with them the rungs: they encode what they were given.
    pub async fn settled(&self) {
        let stopping: Vec<_> = {
            let tasks = lock(&self.inner.tasks);
            tasks.values().filter(|task| task.cancel.is_cancelled()).map(|task| task.ended.clone()).collect()
        };
        for ended in stopping {
            ended.cancelled().await;
        }
    }

    /// The server is to stop: transcoders whose source ends from now on are told that.
    pub fn announce_shutdown(&self) {
        self.inner.stopping.store(true, Ordering::Relaxed);
    }

    /// Lets every transcoder stop in order, and waits for them; those whose source has ended work off what is left of it, as far as it
    /// can be decoded within a second. Nothing is started any more.
    pub async fn shutdown(&self) {
        drop(lock(&self.observation).take());
        self.inner.decoders.stop_by(self.inner.bus.clock().now().monotonic + LAST_MOMENT);
        let tasks: Vec<_> = lock(&self.inner.tasks).drain().map(|(_, task)| task).collect();
        tasks.iter().filter(|task| !task.reads.is_ended()).for_each(|task| task.cancel.cancel(Stop::Shutdown));
        for task in tasks {
            if let Err(error) = task.join.await {
                tracing::error!(%error, "a transcoder's task did not end well");
            }
        }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        drop(lock(&self.observation).take());
        lock(&self.inner.tasks).drain().for_each(|(_, task)| task.join.abort());
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner").field("transcoders", &lock(&self.inner.tasks).len()).finish_non_exhaustive()
    }
}

impl Observer for Inner {
    fn track_added(&self, broadcast: &Broadcast, track: &Track) {
        if !track.provenance().is_source() || track.is_ended() {
            return;
        }
        let Some(info) = track.info() else { return };
        for factory in &self.factories {
            if !factory.kinds().contains(&info.kind()) || !factory.wants(broadcast.name()) {
                continue;
            }
            let rungs = self.ladders.rungs(broadcast.name());
            match factory.scope() {
                Scope::Track | Scope::Broadcast => self.spawn(factory, None, &rungs, broadcast, track),
                Scope::Rendition => {
                    for rung in &rungs {
                        self.spawn(factory, Some(rung), &rungs, broadcast, track);
                    }
                }
            }
        }
    }
}

impl Inner {
    /// Stops what has no rung any more, and starts what has one now.
    fn ladders_changed(&self) {
        for (key, task) in lock(&self.tasks).iter() {
            if task.rung.as_ref().is_some_and(|rung| !self.ladders.has(&key.broadcast, rung)) {
                task.cancel.cancel(Stop::Removed);
            }
        }
        for broadcast in self.bus.broadcasts() {
            broadcast.tracks().iter().for_each(|track| self.track_added(&broadcast, track));
        }
    }

    /// Starts a transcoder that works for `rung`, one of the `rungs` of the broadcast, or for none.
    fn spawn(
        &self,
        factory: &Arc<dyn Factory>,
        rung: Option<&Rung>,
        rungs: &[Rung],
        broadcast: &Broadcast,
        track: &Track,
    ) {
        let of_broadcast = factory.scope() == Scope::Broadcast;
        let key = Key {
            factory: factory.name().into(),
            rendition: rung.map(|rung| rung.rendition.name.clone()),
            broadcast: broadcast.name().clone(),
            track: (!of_broadcast).then(|| track.name().clone()),
        };
        // A new track is read from its beginning; one that has run for a while is joined live, not caught up with.
        let start = if track.stats().fragments == 0 { Start::OldestGroup } else { Start::NextGroup };
        let mut tasks = lock(&self.tasks);
        // The rung may have been removed since it was looked up. Removals look at the tasks after they have changed the ladders, so that
        // with the tasks locked one of the two sees the other.
        if rung.is_some_and(|rung| !self.ladders.has(broadcast.name(), rung)) {
            return;
        }
        // Finished tasks are forgotten whenever one is added: there are never more than there were tracks.
        tasks.retain(|_, task| !task.join.is_finished());
        match tasks.get(&key).filter(|task| !task.cancel.is_cancelled()).map(|task| &task.reads) {
            Some(Reads::Track(known)) if known.is_same(track) => return,
            Some(Reads::Broadcast(known, new_tracks)) if known.is_same(broadcast) => {
                return new_tracks.add(track, start);
            }
            _ => {}
        }
        // A transcoder of this key that is still stopping holds its outputs' names until it has.
        let before = tasks.remove(&key).map(|task| task.join);
        let counters = Arc::new(Counters::new(&key));
        let renditions: Vec<_> = rungs.iter().map(|rung| rung.rendition.clone()).collect();
        let owner = Owner {
            factory: key.factory.clone(),
            rendition: key.rendition.clone(),
            track: key.track.clone(),
            renditions: renditions.clone(),
        };
        let outputs = Outputs::new(broadcast.clone(), owner, counters.clone());
        let clock = self.bus.clock().clone();
        let encoders = Encoders::new(Wiring {
            renditions: renditions.clone(),
            economy: rung.or(rungs.first()).map(|rung| rung.economy.clone()).unwrap_or_default(),
            outputs: outputs.clone(),
            counters: counters.clone(),
            decoders: self.decoders.clone(),
            clock: clock.clone(),
        });
        let (feeds, reads) = if of_broadcast {
            let new_tracks = Arc::new(NewTracks::default());
            new_tracks.add(track, start);
            (Feeds::of_broadcast(new_tracks.clone()), Reads::Broadcast(broadcast.clone(), new_tracks))
        } else {
            (Feeds::one(track.subscribe(start)), Reads::Track(track.clone()))
        };
        let cancel = Cancel::default();
        let drain = Drain {
            before,
            factory: factory.clone(),
            broadcast: broadcast.clone(),
            track: (!of_broadcast).then(|| track.clone()),
            rendition: rung.map(|rung| rung.rendition.clone()),
            renditions,
            feeds,
            outputs,
            encoders,
            state: Slot::default(),
            life: Arc::default(),
            counters: counters.clone(),
            clock,
            cancel: cancel.clone(),
            stopping: self.stopping.clone(),
        };
        let ended = CancellationToken::new();
        let ends = ended.clone().drop_guard();
        let join = factory.threads().unwrap_or(&self.runtime).spawn(async move {
            let _ends = ends;
            drain.run().await;
        });
        tasks.insert(key, Task { rung: rung.cloned(), reads, counters, cancel, ended, join });
    }
}
