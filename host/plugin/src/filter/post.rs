//! One filter at work on one broadcast, or on one track: its instance, and what is decided without it.

mod policy;

use std::sync::Arc;
use std::task::{self, Poll};
use std::time::{Duration, Instant};

use futures::FutureExt;
use metrics::Gauge;
use millrace_media::stage;
use millrace_media::track::Track;
use millrace_media::{BroadcastName, Fragment, Media, broadcast};
use millrace_transcode::Faults;
use millrace_transcode::factory::{Cause, Decision, Fault, Policy, Reason, Slot, SourceTrack, Stop, TrackEnd};
use millrace_transcode::stats::Phase;
use tokio::runtime::Handle;

use super::call::{Call, Done, Job};
use super::stats::{Counters, FilterKey, FilterState};
use super::tracks::{FilteredTrack, Offer};
use super::{Common, FilterPlugin};
use crate::hook::{FilterContext, Purpose};
use crate::imports::Verdict;
use crate::inbox::Calls;
use crate::instance::Instance;
use crate::threads::Owned;

/// How long a source's first fragments wait for the first instance, at the least: nobody is watching yet.
const FIRST_START: Duration = Duration::from_millis(500);

/// What a filter makes of a fragment.
pub(super) enum Decided {
    Pass,
    Replace(Box<Media>),
    Discard,
    Fail,
}

/// See the [module](self).
pub(super) struct Post {
    plugin: Arc<FilterPlugin>,
    common: Arc<Common>,
    threads: Handle,
    broadcast: BroadcastName,
    broadcast_life: broadcast::Weak,
    /// The one track, of a filter that works per track.
    track: Option<Track>,
    /// Kept over all its instances.
    state: Slot,
    /// Lives as long as the filter is at work here.
    life: Arc<()>,
    instance: State,
    /// What the instance is to be called for between fragments.
    calls: Option<Calls>,
    call: Call,
    tracks: Vec<FilteredTrack>,
    /// What the instance has not been told yet.
    ends: Vec<(u32, TrackEnd)>,
    faults: Faults,
    no_room_logged: bool,
    counters: Arc<Counters>,
    instances: Gauge,
}

/// Whether there is an instance for the next fragment.
enum State {
    /// One is started with the next group.
    Due(Reason),
    Starting(Owned<Result<Box<Instance>, Fault>>),
    Ready(Box<Instance>),
    /// It is in the call.
    Called,
    /// It is in a call that has taken too long, beside the path.
    Away(Owned<Done>),
    /// The one track was declined as it is.
    Declined,
    /// The breaker is open.
    Open(Policy),
}

impl Post {
    pub(super) fn new(
        plugin: &Arc<FilterPlugin>,
        common: &Arc<Common>,
        threads: &Handle,
        broadcast: (&BroadcastName, &broadcast::Weak),
        track: Option<&Track>,
    ) -> Self {
        let (broadcast, broadcast_life) = (broadcast.0.clone(), broadcast.1.clone());
        let plugin_name: Arc<str> = plugin.loaded.name.as_str().into();
        let track_name = track.map(|track| track.name().clone());
        let key = FilterKey { plugin: plugin_name, broadcast: broadcast.clone(), track: track_name };
        let counters = Arc::new(Counters::new(key));
        common.count(&counters);
        Self {
            plugin: plugin.clone(),
            common: common.clone(),
            threads: threads.clone(),
            broadcast,
            broadcast_life,
            track: track.cloned(),
            state: Slot::default(),
            life: Arc::default(),
            instance: State::Due(Reason::Fresh),
            calls: None,
            call: Call::new(),
            tracks: Vec::new(),
            ends: Vec::new(),
            faults: Faults::new(plugin.breaker),
            no_room_logged: false,
            counters,
            instances: plugin.loaded.metrics.instances.clone(),
        }
    }

    /// True of the one for this track.
    pub(super) fn is_for(&self, track: &Track) -> bool {
        self.track.as_ref().is_some_and(|known| known.is_same(track))
    }

    /// True where it is offered this track.
    pub(super) fn has(&self, id: u32) -> bool {
        self.tracks.iter().any(|track| track.is(id))
    }

    /// A track comes.
    pub(super) fn add(&mut self, source: SourceTrack) {
        if let State::Declined = self.instance {
            self.set(State::Due(Reason::Fresh));
        }
        let no_instance = matches!(self.instance, State::Due(_));
        let mut track = FilteredTrack::new(source);
        // A track that comes while another instance is started waits for that one like the others.
        track.waits = self.tracks.iter().any(|known| known.waits) && !matches!(self.instance, State::Ready(_));
        self.tracks.push(track);
        if no_instance {
            self.start();
        }
    }

    /// A track is over.
    pub(super) fn end(&mut self, id: u32, why: TrackEnd) {
        let Some(at) = self.tracks.iter().position(|track| track.is(id)) else { return };
        let track = self.tracks.remove(at);
        // It may be accepted in the call that the instance is in.
        let may_be = track.offer == Offer::Due && matches!(self.instance, State::Called | State::Away(_));
        if (track.offer == Offer::Accepted || may_be) && !matches!(self.instance, State::Open(_)) {
            self.ends.push((id, why));
        }
    }

    /// Fragments of a track do not come.
    pub(super) fn miss(&mut self, id: u32, fragments: u64, cause: Cause) {
        if let Some(track) = self.tracks.iter_mut().find(|track| track.is(id) && track.offer != Offer::Declined) {
            track.miss(fragments, cause);
            self.counters.missed(fragments);
        }
    }

    /// Tells the instance of the tracks that came and went. An instance that is started for the first time is waited for.
    pub(super) async fn settle(&mut self) {
        let patience = self.plugin.patience();
        let decided = self.tracks.iter().any(|track| track.waits);
        if !decided && let State::Starting(starting) = &mut self.instance {
            // Dropping the future leaves it where it is.
            if let Ok(started) = tokio::time::timeout(patience.max(FIRST_START), starting).await {
                let started = started.unwrap_or_else(|_| Err(Fault::Lost("the host panicked in it".into())));
                self.started(started);
            }
        }
        self.called(patience).await;
        let due = |track: &&FilteredTrack| track.offer == Offer::Due && !track.waits;
        let offers: Vec<_> = self.tracks.iter().filter(due).map(|track| track.source.clone()).collect();
        if offers.is_empty() && self.ends.is_empty() {
            return;
        }
        self.tell(Job { offers, ..Job::default() }, patience).await;
    }

    /// Decides about a fragment of a track.
    pub(super) async fn fragment(&mut self, id: u32, fragment: &Fragment) -> Decided {
        let Some(at) = self.tracks.iter().position(|track| track.is(id)) else { return Decided::Pass };
        if self.tracks[at].offer == Offer::Declined || matches!(self.instance, State::Declined) {
            return Decided::Pass;
        }
        if let State::Open(_) = self.instance {
            return self.policy();
        }
        let patience = self.plugin.patience();
        self.called(patience).await;
        let starts = fragment.starts_group();
        if self.plugin.loaded.share.is_over(Instant::now()) {
            self.counters.over_share();
            return self.without(id, Cause::Limit);
        }
        if self.tracks[at].waits && !starts {
            return self.without(id, Cause::Fault);
        }
        self.collect(starts);
        if !matches!(self.instance, State::Ready(_)) {
            if starts && matches!(self.instance, State::Due(_)) {
                self.start();
            }
            let cause = if matches!(self.instance, State::Away(_)) { Cause::Behind } else { Cause::Fault };
            return self.without(id, cause);
        }
        let track = &mut self.tracks[at];
        let offers = if track.offer == Offer::Due { vec![track.source.clone()] } else { Vec::new() };
        let job = Job { offers, gap: track.give(fragment), fragment: Some((id, fragment.clone())), ..Job::default() };
        let Some(told) = self.tell(job, patience).await else { return self.without(id, Cause::Behind) };
        if let Some(took) = told.took {
            self.counters.took(took);
        }
        match told.verdict {
            Some(verdict) => self.take(id, fragment, verdict),
            // It declined the track.
            None if self.tracks.iter().any(|track| track.is(id) && track.offer == Offer::Declined) => Decided::Pass,
            None if told.lost => self.without(id, Cause::Fault),
            None => self.policy(),
        }
    }

    /// Decides about a fragment without calling anybody: the path is behind.
    pub(super) fn decide(&mut self, id: u32) -> Decided {
        if let State::Called = self.instance {
            self.leave();
        }
        let declined = |track: &FilteredTrack| track.is(id) && track.offer == Offer::Declined;
        if !self.has(id) || self.tracks.iter().any(declined) || matches!(self.instance, State::Declined) {
            return Decided::Pass;
        }
        self.without(id, Cause::Behind)
    }

    /// Ready once the instance is to be called for something else than media, or a call has been left in the middle.
    pub(super) fn poll_called(&mut self, context: &mut task::Context<'_>) -> Poll<()> {
        match (&self.instance, &mut self.calls) {
            (State::Called, _) => Poll::Ready(()),
            (State::Ready(_), Some(calls)) => calls.poll_ready(context),
            _ => Poll::Pending,
        }
    }

    /// Calls the instance for something else than media.
    pub(super) async fn attend(&mut self) {
        let patience = self.plugin.patience();
        self.called(patience).await;
        if let State::Ready(_) = self.instance
            && let Some(call) = self.calls.as_mut().and_then(Calls::take)
        {
            self.tell(Job { call: Some(call), ..Job::default() }, patience).await;
        }
    }

    /// The broadcast, or the track, is over.
    pub(super) async fn stop(&mut self, why: Stop) {
        let patience = self.plugin.patience();
        self.called(patience).await;
        match &mut self.instance {
            State::Starting(starting) => {
                if let Ok(Ok(started)) = tokio::time::timeout(patience, starting).await {
                    self.started(started);
                }
            }
            State::Away(away) => {
                if let Ok(Ok(done)) = tokio::time::timeout(patience, away).await {
                    self.absorb(done);
                }
            }
            _ => {}
        }
        self.tell(Job { stop: Some(why), ..Job::default() }, patience).await;
        // What is still at work ends here.
        self.set(State::Declined);
    }

    /// Tells the instance, if there is one. None where there is none, or the call takes too long: then it goes on beside the path.
    async fn tell(&mut self, job: Job, patience: Duration) -> Option<Told> {
        let instance = match std::mem::replace(&mut self.instance, State::Called) {
            State::Ready(instance) => instance,
            other => {
                self.instance = other;
                return None;
            }
        };
        let ends = std::mem::take(&mut self.ends);
        self.call.begin(instance, Job { ends, ..job });
        match self.call.end(patience).await {
            Some(done) => Some(self.absorb(done)),
            None => {
                self.leave();
                None
            }
        }
    }

    /// Waits for a call that was left in the middle.
    async fn called(&mut self, patience: Duration) {
        if let State::Called = self.instance {
            match self.call.end(patience).await {
                Some(done) => drop(self.absorb(done)),
                None => self.leave(),
            }
        }
    }

    /// The call takes too long, and goes on beside the path.
    fn leave(&mut self) {
        self.counters.late();
        tracing::debug!(plugin = self.plugin.loaded.name, broadcast = %self.broadcast, "a call of a filter takes too long");
        let call = self.call.leave(&self.threads);
        self.set(State::Away(call));
    }

    /// Takes back what was beside the path and is done; an instance that was late only where a group `starts`.
    fn collect(&mut self, starts: bool) {
        match &mut self.instance {
            State::Starting(starting) => {
                if let Some(started) = starting.now_or_never() {
                    let started = started.unwrap_or_else(|_| Err(Fault::Lost("the host panicked in it".into())));
                    self.started(started);
                }
            }
            State::Away(away) if starts => match away.now_or_never() {
                Some(Ok(done)) => drop(self.absorb(done)),
                Some(Err(_)) => {
                    self.set(State::Due(Reason::AfterFault));
                    self.faulted(Phase::Fragment, &Fault::Lost("the host panicked in it".into()));
                }
                None => {}
            },
            _ => {}
        }
    }

    /// Takes what has come of a call.
    fn absorb(&mut self, done: Done) -> Told {
        let Done { instance, decisions, faults, verdict, took } = done;
        let lost = instance.is_none();
        self.set(instance.map_or(State::Due(Reason::AfterFault), State::Ready));
        for (id, decision) in decisions {
            let Some(track) = self.tracks.iter_mut().find(|track| track.is(id)) else { continue };
            track.offer = match decision {
                Decision::Accept => Offer::Accepted,
                Decision::Decline => Offer::Declined,
            };
            if decision == Decision::Decline && self.track.is_some() {
                self.set(State::Declined);
            }
        }
        for (phase, fault) in faults {
            self.faulted(phase, &fault);
        }
        if lost {
            self.forget();
            // Beside the path, and at once: it takes over with the next group.
            if matches!(self.instance, State::Due(_)) {
                self.start();
            }
        }
        Told { verdict, took, lost }
    }

    /// An instance was started, or not.
    fn started(&mut self, started: Result<Box<Instance>, Fault>) {
        match started {
            Ok(instance) => {
                self.calls = instance.calls();
                self.set(State::Ready(instance));
            }
            Err(fault) => {
                let reason = if matches!(fault, Fault::NoRoom(_)) { Reason::Fresh } else { Reason::AfterFault };
                self.set(State::Due(reason));
                self.faulted(Phase::Start, &fault);
                self.forget();
            }
        }
    }

    /// The instance is gone, and what it was told with it.
    fn forget(&mut self) {
        self.calls = None;
        self.ends.clear();
        self.tracks.iter_mut().for_each(FilteredTrack::forget);
    }

    /// Starts an instance, beside the path.
    fn start(&mut self) {
        let State::Due(reason) = self.instance else { return };
        let context = FilterContext {
            broadcast: self.broadcast.clone(),
            track: self.track.as_ref().map(|track| track.name().clone()),
            renditions: self.common.renditions(&self.broadcast),
            reason,
            state: self.state.clone(),
            life: self.life.clone(),
            broadcast_life: self.broadcast_life.clone(),
        };
        let plugin = self.plugin.loaded.clone();
        let starting = async move {
            let mut instance = Box::new(Instance::new(&plugin, Purpose::Filter(Box::new(context))).await?);
            instance.start().await?;
            Ok(instance)
        };
        let starting = Owned(self.threads.spawn(starting));
        self.set(State::Starting(starting));
    }

    fn set(&mut self, state: State) {
        let has = |state: &State| matches!(state, State::Ready(_) | State::Called | State::Away(_));
        match (has(&self.instance), has(&state)) {
            (false, true) => self.instances.increment(1.0),
            (true, false) => self.instances.decrement(1.0),
            _ => {}
        }
        self.instance = state;
        self.counters.set(match &self.instance {
            State::Due(_) => FilterState::Waiting,
            State::Starting(_) => FilterState::Starting,
            State::Ready(_) | State::Called => FilterState::Running,
            State::Away(_) => FilterState::Late,
            State::Declined => FilterState::Declined,
            State::Open(policy) => FilterState::BreakerOpen(*policy),
        });
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        self.set(State::Declined);
    }
}

/// What came of telling an instance something.
struct Told {
    verdict: Option<Verdict>,
    took: Option<Duration>,
    lost: bool,
}

impl From<Decided> for stage::Verdict {
    fn from(decided: Decided) -> Self {
        match decided {
            Decided::Pass => Self::Pass,
            Decided::Replace(media) => Self::Replace(*media),
            Decided::Discard => Self::Discard,
            Decided::Fail => Self::Fail,
        }
    }
}
