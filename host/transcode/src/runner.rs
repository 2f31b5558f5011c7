//! The runner: a transcoder for every (factory, rendition, broadcast, track) that a factory accepts.
//!
//! It observes the bus. The moment a track of a source appears, and before its first fragment, it is subscribed for each factory that
//! wants it, and a task reads it. What has a transcoder's provenance is never transcoded again.

mod breaker;
mod drain;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millrace_media::bus::{Bus, Observation, Observer};
use millrace_media::track::{Provenance, Start, Track};
use millrace_media::{Broadcast, BroadcastName};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::decode::Decoders;
use crate::encoder::{Encoders, Wiring};
use crate::factory::{Factory, Scope};
use crate::ladder::{Economy, Ladder, Rendition};
use crate::output::Outputs;
use crate::stats::{Counters, Key, Stats};
use drain::Drain;

/// A rendition of this name is there already.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is a rendition {0} already")]
pub struct Duplicate(pub Arc<str>);

/// Runs transcoders on the broadcasts of a bus. When it is dropped, they are aborted; [`Runner::shutdown`] lets them finish.
pub struct Runner {
    inner: Arc<Inner>,
    observation: Mutex<Option<Observation>>,
}

struct Inner {
    bus: Bus,
    runtime: Handle,
    factories: Vec<Arc<dyn Factory>>,
    ladders: Mutex<Vec<Ladder>>,
    tasks: Mutex<HashMap<Key, Task>>,
    decoders: Arc<Decoders>,
}

/// One transcoder's task.
struct Task {
    track: Track,
    counters: Arc<Counters>,
    cancel: CancellationToken,
    join: JoinHandle<()>,
}

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
        let inner = Arc::new(Inner {
            bus: bus.clone(),
            runtime: Handle::current(),
            factories,
            ladders: Mutex::new(ladders),
            tasks: Mutex::default(),
            decoders: Arc::default(),
        });
        let observation = bus.observe(inner.clone());
        Self { inner, observation: Mutex::new(Some(observation)) }
    }

    /// What has been counted of each transcoder that runs, ordered by key.
    pub fn stats(&self) -> Vec<(Key, Stats)> {
        let mut stats: Vec<_> =
            lock(&self.inner.tasks).iter().map(|(key, task)| (key.clone(), task.counters.read())).collect();
        stats.sort_by(|(a, _), (b, _)| a.cmp(b));
        stats
    }

    /// The ladders now, high to low.
    pub fn ladders(&self) -> Vec<Ladder> {
        lock(&self.inner.ladders).clone()
    }

    /// Adds a rendition to the broadcasts that `ladder` applies to. Live ones take it up with their next group.
    ///
    /// # Errors
    /// Where a rendition of one of the names is there already.
    pub fn add(&self, ladder: Ladder) -> Result<(), Duplicate> {
        {
            let mut ladders = lock(&self.inner.ladders);
            let known = |name: &Arc<str>| ladders.iter().flat_map(|l| &l.renditions).any(|r| r.name == *name);
            if let Some(duplicate) = ladder.renditions.iter().find(|rendition| known(&rendition.name)) {
                return Err(Duplicate(duplicate.name.clone()));
            }
            ladders.push(ladder);
        }
        for broadcast in self.inner.bus.broadcasts() {
            broadcast.tracks().iter().for_each(|track| self.inner.track_added(&broadcast, track));
        }
        Ok(())
    }

    /// Removes the renditions of this name: their transcoders stop, the others go on. False where there is none.
    pub fn remove(&self, rendition: &str) -> bool {
        let mut found = false;
        for ladder in lock(&self.inner.ladders).iter_mut() {
            let before = ladder.renditions.len();
            ladder.renditions.retain(|known| &*known.name != rendition);
            found |= ladder.renditions.len() != before;
        }
        for (key, task) in lock(&self.inner.tasks).iter() {
            if key.rendition.as_deref() == Some(rendition) {
                task.cancel.cancel();
            }
        }
        found
    }

    /// Lets every transcoder stop in order, and waits for them; those whose source has ended work off what is left of it. Nothing is
    /// started any more.
    pub async fn shutdown(&self) {
        drop(lock(&self.observation).take());
        let tasks: Vec<_> = lock(&self.inner.tasks).drain().map(|(_, task)| task).collect();
        tasks.iter().filter(|task| !task.track.is_ended()).for_each(|task| task.cancel.cancel());
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
            match factory.scope() {
                Scope::PerTrack => self.spawn(factory, None, Arc::default(), broadcast, track),
                Scope::PerRendition => {
                    for (rendition, economy) in self.renditions(broadcast.name()) {
                        self.spawn(factory, Some(rendition), economy, broadcast, track);
                    }
                }
            }
        }
    }
}

impl Inner {
    /// The renditions of a broadcast, each with the economy of its ladder.
    fn renditions(&self, broadcast: &BroadcastName) -> Vec<(Arc<Rendition>, Arc<Economy>)> {
        let ladders = lock(&self.ladders);
        let applying = ladders.iter().filter(|ladder| (ladder.applies_to)(broadcast));
        applying.flat_map(|l| l.renditions.iter().map(|r| (r.clone(), l.economy.clone()))).collect()
    }

    fn spawn(
        &self,
        factory: &Arc<dyn Factory>,
        rendition: Option<Arc<Rendition>>,
        economy: Arc<Economy>,
        broadcast: &Broadcast,
        track: &Track,
    ) {
        let key = Key {
            factory: factory.name().into(),
            rendition: rendition.as_ref().map(|rendition| rendition.name.clone()),
            broadcast: broadcast.name().clone(),
            track: track.name().clone(),
        };
        let mut tasks = lock(&self.tasks);
        // Finished tasks are forgotten whenever one is added: there are never more than there were tracks.
        tasks.retain(|_, task| !task.join.is_finished());
        if tasks.get(&key).is_some_and(|task| task.track.is_same(track) && !task.cancel.is_cancelled()) {
            return;
        }
        // A transcoder of this key that is still stopping holds its outputs' names until it has.
        let before = tasks.remove(&key).map(|task| task.join);
        let counters = Arc::new(Counters::new(&key));
        let provenance = Provenance::Derived {
            factory: key.factory.clone(),
            rendition: key.rendition.clone(),
            from: track.name().clone(),
        };
        let outputs = Outputs::new(broadcast.clone(), provenance, counters.clone());
        let clock = self.bus.clock().clone();
        let encoders = Encoders::new(Wiring {
            track: track.clone(),
            rendition: rendition.clone(),
            economy,
            outputs: outputs.clone(),
            counters: counters.clone(),
            decoders: self.decoders.clone(),
            clock: clock.clone(),
        });
        // A new track is read from its beginning; one that has run for a while is joined live, not caught up with.
        let start = if track.stats().fragments == 0 { Start::OldestGroup } else { Start::NextGroup };
        let cancel = CancellationToken::new();
        let drain = Drain {
            before,
            factory: factory.clone(),
            broadcast: broadcast.clone(),
            rendition,
            consumer: track.subscribe(start),
            outputs,
            encoders,
            counters: counters.clone(),
            clock,
            cancel: cancel.clone(),
        };
        let join = factory.threads().unwrap_or(&self.runtime).spawn(drain.run());
        tasks.insert(key, Task { track: track.clone(), counters, cancel, join });
    }
}
