//! What is done when the machine cannot carry a ladder: a plain value that is told how each rung fares and says what to change.
//!
//! A ladder is *overloaded* where a rung has been further behind the arrival of its source than [`LAG`] for [`SUSTAINED`], and is not
//! catching up, or has lost pictures. Then the next step of the configured list is taken, and what it brings is waited for before the
//! one after. A step that brings nothing (no picture of the source can be spared) is simply followed by the next.
//!
//! `DropRung` gives up the running rung of the lowest priority, among equals the one that costs most a picture; at the end of the
//! list it goes on with the next rung, and the next, but the last running rung is never given up: it keeps skipping to its next group
//! instead, as rungs do where no steps are configured.
//!
//! Steps are taken back one by one, last first, when no rung has been behind for a time that is the controller's *patience*, and what
//! is left does not fill the time it has. The patience doubles each time that a step has to be taken again soon after it was taken
//! back, so that a ladder the machine almost carries does not flap.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::ladder::{Economy, Relief};
use crate::stats::Reliefs;

/// A rung further behind than this is overloaded, if it stays so.
const LAG: Duration = Duration::from_millis(500);
/// For so long.
const SUSTAINED: Duration = Duration::from_secs(1);
/// So long is waited for the effect of a step.
const SETTLING: Duration = Duration::from_secs(2);
/// A rung less far behind than this is well.
const CALM: Duration = Duration::from_millis(250);
/// How long all must be well before a step is taken back, at first and at most.
const PATIENCE: Duration = Duration::from_secs(10);
const MOST_PATIENCE: Duration = Duration::from_secs(300);
/// A rung that needs more than this part of the time it has is not given more to do.
const HEADROOM: f64 = 0.8;
/// The weight of a new measurement in an average.
const WEIGHT: f64 = 1.0 / 16.0;

/// One rung among those of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RungId(pub(super) u64);

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) relief: Relief,
    /// Which rung was given up, or is not any more.
    pub(super) rung: Option<RungId>,
    /// Taken, or taken back.
    pub(super) taken: bool,
}

/// How a rung fares at one picture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// How far it is behind the arrival of its source.
    pub(super) lag: Duration,
    /// What the last picture it encoded has cost: scaling and encoding.
    pub(super) cost: Option<Duration>,
    /// How long the source's picture lasts.
    pub(super) picture: Duration,
}

#[derive(Debug)]
struct Rung {
    economy: Arc<Economy>,
    priority: u32,
    /// Averages, in seconds.
    cost: Option<f64>,
    picture: Option<f64>,
    lag: Duration,
    /// Since when it has been behind, and how far it was then.
    behind: Option<(Duration, Duration)>,
    /// It is asleep: it says nothing of how the machine fares.
    rests: bool,
}

#[derive(Clone, Copy, Debug)]
struct Taken {
    /// Which of the list.
    index: usize,
    relief: Relief,
    rung: Option<RungId>,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Controller {
    rungs: BTreeMap<RungId, Rung>,
    next_id: u64,
    /// What is in force, in the order it was taken.
    taken: Vec<Taken>,
    changed: Option<Duration>,
    calm_since: Option<Duration>,
    taken_back: Option<Duration>,
    patience: Duration,
}

impl Default for Controller {
    fn default() -> Self {
        Self {
            rungs: BTreeMap::new(),
            next_id: 0,
            taken: Vec::new(),
            changed: None,
            calm_since: None,
            taken_back: None,
            patience: PATIENCE,
        }
    }
}

impl Controller {
    /// A rung more. Steps that are in force apply to it as well.
    pub(super) fn join(&mut self, economy: Arc<Economy>, priority: u32) -> RungId {
        let id = RungId(self.next_id);
        self.next_id += 1;
        let rung =
            Rung { economy, priority, cost: None, picture: None, lag: Duration::ZERO, behind: None, rests: false };
        self.rungs.insert(id, rung);
        id
    }

    /// A rung less. When it was given up, the step that did it is void.
    pub(super) fn leave(&mut self, id: RungId) {
        self.rungs.remove(&id);
        self.taken.retain(|taken| taken.rung != Some(id));
        if self.rungs.is_empty() {
            self.taken.clear();
        }
    }

    /// The rung encodes nothing for now.
    pub(super) fn rest(&mut self, id: RungId) {
        if let Some(rung) = self.rungs.get_mut(&id) {
            (rung.rests, rung.behind) = (true, None);
        }
    }

    /// How a rung fares.
    pub(super) fn observe(&mut self, id: RungId, now: Duration, sample: Sample) -> Option<Change> {
        let rung = self.rungs.get_mut(&id)?;
        rung.rests = false;
        rung.lag = sample.lag;
        rung.behind = (sample.lag > LAG).then(|| rung.behind.unwrap_or((now, sample.lag)));
        let average = |known: &mut Option<f64>, new: Duration| {
            let new = new.as_secs_f64();
            *known = Some(known.map_or(new, |known| known + (new - known) * WEIGHT));
        };
        average(&mut rung.picture, sample.picture);
        if let Some(cost) = sample.cost {
            average(&mut rung.cost, cost);
        }
        self.evaluate(now)
    }

    /// A rung has lost pictures. What is lost before the last step has had its effect does not count.
    pub(super) fn lost(&mut self, now: Duration) -> Option<Change> {
        self.calm_since = None;
        if self.has_settled(now) { self.take(now) } else { None }
    }

    fn has_settled(&self, now: Duration) -> bool {
        self.changed.is_none_or(|changed| now.saturating_sub(changed) >= SETTLING)
    }

    /// Looks again whether something is to change. To be called for a rung that is given up, which observes nothing.
    pub(super) fn evaluate(&mut self, now: Duration) -> Option<Change> {
        if self.is_overloaded(now) {
            self.calm_since = None;
            return if self.has_settled(now) { self.take(now) } else { None };
        }
        if !self.running().all(|(_, rung)| rung.lag <= CALM) {
            self.calm_since = None;
            return None;
        }
        let since = *self.calm_since.get_or_insert(now);
        let patient = now.saturating_sub(since) >= self.patience;
        if patient && self.has_headroom_without_last() { self.take_back(now) } else { None }
    }

    /// What is in force on a rung.
    pub(super) fn in_force(&self, id: RungId) -> Reliefs {
        let Some(rung) = self.rungs.get(&id) else { return Reliefs::default() };
        let applies = |taken: &&Taken| match taken.rung {
            Some(given_up) => given_up == id,
            None => rung.economy.on_overload.contains(&taken.relief),
        };
        self.taken.iter().filter(applies).map(|taken| taken.relief).collect()
    }

    fn is_given_up(&self, id: RungId) -> bool {
        self.taken.iter().any(|taken| taken.rung == Some(id))
    }

    /// The rungs that are encoded.
    fn running(&self) -> impl Iterator<Item = (RungId, &Rung)> {
        self.rungs.iter().filter(|(id, rung)| !rung.rests && !self.is_given_up(**id)).map(|(id, rung)| (*id, rung))
    }

    /// Begins the time over which a rung must stay behind anew where it has caught up by a tenth.
    fn is_overloaded(&mut self, now: Duration) -> bool {
        let mut overloaded = false;
        let given_up: Vec<_> = self.taken.iter().filter_map(|taken| taken.rung).collect();
        for (_, rung) in self.rungs.iter_mut().filter(|(id, rung)| !rung.rests && !given_up.contains(id)) {
            let Some((since, lag)) = rung.behind else { continue };
            if now.saturating_sub(since) < SUSTAINED {
                continue;
            }
            if rung.lag < lag.mul_f64(0.9) {
                rung.behind = Some((now, rung.lag));
            } else {
                overloaded = true;
            }
        }
        overloaded
    }

    fn take(&mut self, now: Duration) -> Option<Change> {
        let steps = self.rungs.values().map(|rung| &rung.economy.on_overload).max_by_key(|steps| steps.len())?.clone();
        let first = self.taken.iter().map(|taken| taken.index + 1).max().unwrap_or(0);
        let rest = steps.iter().copied().enumerate().skip(first);
        // At the end of the list, one more rung is given up.
        let again = steps.contains(&Relief::DropRung).then_some((steps.len(), Relief::DropRung));
        let next = rest.chain(again).find_map(|(index, relief)| match relief {
            Relief::DropRung => self.victim().map(|rung| Taken { index, relief, rung: Some(rung) }),
            _ => Some(Taken { index, relief, rung: None }),
        })?;
        if let Some(back) = self.taken_back.take() {
            let soon = now.saturating_sub(back) < self.patience * 2;
            self.patience = if soon { (self.patience * 2).min(MOST_PATIENCE) } else { PATIENCE };
        }
        self.taken.push(next);
        self.settle(now);
        Some(Change { relief: next.relief, rung: next.rung, taken: true })
    }

    fn take_back(&mut self, now: Duration) -> Option<Change> {
        let last = self.taken.pop()?;
        self.taken_back = Some(now);
        self.settle(now);
        Some(Change { relief: last.relief, rung: last.rung, taken: false })
    }

    /// From now on only what comes counts.
    fn settle(&mut self, now: Duration) {
        self.changed = Some(now);
        self.calm_since = None;
        self.rungs.values_mut().for_each(|rung| rung.behind = None);
    }

    /// The rung to be given up next; none where only one is left.
    fn victim(&self) -> Option<RungId> {
        if self.running().count() < 2 {
            return None;
        }
        let candidates = self.running().filter(|(_, rung)| rung.economy.on_overload.contains(&Relief::DropRung));
        let dearest = |rung: &Rung| rung.cost.unwrap_or(0.0);
        candidates
            .min_by(|(_, a), (_, b)| a.priority.cmp(&b.priority).then(dearest(b).total_cmp(&dearest(a))))
            .map(|(id, _)| id)
    }

    /// Whether the running rungs could take every picture of the source. Nobody knows what a rung costs beside the others before it is
    /// tried, so that for one given up patience must do.
    fn has_headroom_without_last(&self) -> bool {
        let fits = |rung: &Rung| match (rung.cost, rung.picture) {
            (Some(cost), Some(picture)) => cost <= picture * HEADROOM,
            _ => true,
        };
        match self.taken.last() {
            Some(Taken { relief: Relief::DropRung, .. }) => true,
            Some(_) => self.running().all(|(_, rung)| fits(rung)),
            None => false,
        }
    }
}
