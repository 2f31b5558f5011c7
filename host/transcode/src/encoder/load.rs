//! The controller of one source's rungs, as they share it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millrace_media::track::Track;

use super::relief::{Change, Controller, RungId, Sample};
use crate::ladder::{Economy, Relief};
use crate::stats::Reliefs;

/// How well the machine carries the rungs of a source. Each tells it how it fares, and asks it what is in force.
pub(crate) struct Load {
    track: Track,
    rungs: Mutex<Rungs>,
}

#[derive(Default)]
struct Rungs {
    controller: Controller,
    names: Vec<(RungId, Arc<str>)>,
}

impl Load {
    pub(crate) fn new(track: &Track) -> Self {
        Self { track: track.clone(), rungs: Mutex::default() }
    }

    fn rungs(&self) -> MutexGuard<'_, Rungs> {
        self.rungs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A rung more, until what is returned is dropped.
    pub(super) fn join(self: &Arc<Self>, name: &str, economy: Arc<Economy>, priority: u32) -> Member {
        let mut rungs = self.rungs();
        let id = rungs.controller.join(economy, priority);
        rungs.names.push((id, name.into()));
        Member { load: self.clone(), id }
    }

    /// Says and counts what has changed.
    fn report(&self, rungs: &Rungs, change: Option<Change>) {
        let Some(Change { relief, rung, taken }) = change else { return };
        let step = relief.as_str();
        let rung = rungs.names.iter().find(|(id, _)| Some(*id) == rung).map(|(_, name)| &**name);
        let track = self.track.name().as_str();
        if taken {
            metrics::counter!("millrace_relief_total", "step" => step).increment(1);
            tracing::warn!(step, rung, track, "the machine cannot carry the ladder: a step of relief is taken");
        } else {
            metrics::counter!("millrace_relief_taken_back_total", "step" => step).increment(1);
            tracing::info!(step, rung, track, "there is room again: a step of relief is taken back");
        }
    }
}

impl fmt::Debug for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Load").field(&self.rungs().controller).finish()
    }
}

/// One rung's place among those of its source.
pub(super) struct Member {
    load: Arc<Load>,
    id: RungId,
}

impl Member {
    /// How it fares at a picture; what is in force on it now.
    pub(super) fn observe(&self, now: Duration, sample: Sample) -> Reliefs {
        let mut rungs = self.load.rungs();
        let change = rungs.controller.observe(self.id, now, sample);
        self.load.report(&rungs, change);
        rungs.controller.in_force(self.id)
    }

    /// It has lost pictures.
    pub(super) fn lost(&self, now: Duration) {
        let mut rungs = self.load.rungs();
        let change = rungs.controller.lost(now);
        self.load.report(&rungs, change);
    }

    /// It encodes nothing for now.
    pub(super) fn rest(&self) {
        self.load.rungs().controller.rest(self.id);
    }

    /// What is in force on it. One that is given up looks here whether it still is.
    pub(super) fn in_force(&self, now: Duration) -> Reliefs {
        let mut rungs = self.load.rungs();
        let reliefs = rungs.controller.in_force(self.id);
        if !reliefs.contains(Relief::DropRung) {
            return reliefs;
        }
        let change = rungs.controller.evaluate(now);
        self.load.report(&rungs, change);
        rungs.controller.in_force(self.id)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut rungs = self.load.rungs();
        rungs.controller.leave(self.id);
        rungs.names.retain(|(id, _)| *id != self.id);
    }
}
