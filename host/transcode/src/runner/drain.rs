//! One transcoder's task: it reads the track, or all of a broadcast, and keeps an instance of the transcoder at work.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{self, Poll};

use millrace_media::broadcast::State;
use millrace_media::clock::Clock;
use millrace_media::track::{Event, Track};
use millrace_media::{Broadcast, Fragment};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::feeds::{Feed, Feeds, Item, Offer};
use crate::breaker::Faults;
use crate::encoder::Encoders;
use crate::factory::{
    Cause, Context, Decision, Factory, Fault, Gap, Policy, Reason, Scope, Slot, SourceTrack, Stop, Taken, TrackEnd,
    Transcoder,
};
use crate::ladder::Rendition;
use crate::output::Outputs;
use crate::stats::{Counters, Phase};

/// Tells a transcoder's task to end, and why.
#[derive(Clone, Debug, Default)]
pub(super) struct Cancel {
    token: CancellationToken,
    why: Arc<OnceLock<Stop>>,
}

impl Cancel {
    /// The first reason counts.
    pub(super) fn cancel(&self, why: Stop) {
        let _ = self.why.set(why);
        self.token.cancel();
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.token.is_cancelled()
    }

    async fn cancelled(&self) -> Stop {
        self.token.cancelled().await;
        self.why.get().copied().unwrap_or(Stop::Shutdown)
    }
}

pub(super) struct Drain {
    /// The task that had this key before.
    pub(super) before: Option<JoinHandle<()>>,
    pub(super) factory: Arc<dyn Factory>,
    pub(super) broadcast: Broadcast,
    /// The source's track, where there is only one.
    pub(super) track: Option<Track>,
    pub(super) rendition: Option<Arc<Rendition>>,
    pub(super) renditions: Vec<Arc<Rendition>>,
    pub(super) feeds: Feeds,
    pub(super) outputs: Outputs,
    pub(super) encoders: Encoders,
    pub(super) state: Slot,
    pub(super) life: Arc<()>,
    pub(super) counters: Arc<Counters>,
    pub(super) clock: Arc<Clock>,
    pub(super) cancel: Cancel,
    /// The server stops: what ends from now on ends because of that.
    pub(super) stopping: Arc<AtomicBool>,
}

/// Whether there is an instance for the next fragment.
enum Instance {
    /// One is started with the next group.
    Due(Reason),
    /// It gets it.
    Running(Box<dyn Transcoder>),
    /// Nothing: the one track was declined as it is.
    Declined,
    /// The breaker is open.
    Open(Policy),
}

/// The instance, its faults, and the number of the next track it is told of.
struct Work {
    instance: Instance,
    faults: Faults,
    /// It was logged that there is no room for an instance.
    no_room_logged: bool,
    next_id: u32,
}

impl Drain {
    pub(super) async fn run(mut self) {
        if let Some(before) = self.before.take()
            && let Err(error) = before.await
        {
            tracing::error!(%error, "a transcoder's task did not end well");
        }
        let faults = Faults::new(self.factory.breaker());
        let mut work = Work { instance: Instance::Due(Reason::Fresh), faults, no_room_logged: false, next_id: 0 };
        let cancel = self.cancel.clone();
        let mut called = false;
        let why = loop {
            let over = self.feeds.all().is_empty();
            let next = tokio::select! {
                biased;
                why = cancel.cancelled() => break why,
                next = next(&mut self.feeds, &mut work.instance, called) => next,
                () = ended(&self.broadcast), if over => break self.end(),
            };
            called = matches!(next, Next::Call);
            let item = match next {
                Next::Media(item) => item,
                Next::Call => {
                    self.attend(&mut work).await;
                    continue;
                }
            };
            match item {
                Item::Ended(feed) => {
                    self.track_ended(&mut work, &feed).await;
                    if self.track.is_some() {
                        break self.end();
                    }
                }
                Item::Event(index, Event::Gap { skipped, next }) => self.gap(&mut work, index, skipped, next).await,
                Item::Event(index, Event::Fragment(fragment)) => self.fragment(&mut work, index, &fragment).await,
                Item::Event(_, Event::GroupEnd) => {}
            }
        };
        self.stop(&mut work.instance, why).await;
        self.encoders.finish().await;
        self.outputs.end();
    }

    /// Why a transcoder stops whose source has ended.
    fn end(&self) -> Stop {
        if self.stopping.load(Ordering::Relaxed) { Stop::Shutdown } else { Stop::Ended }
    }

    async fn fragment(&mut self, work: &mut Work, index: usize, fragment: &Fragment) {
        let before = self.feeds.all()[index].source().map(|source| source.id);
        if let Some(why) = self.feeds.all_mut()[index].look(fragment, &mut work.next_id) {
            self.track_changed(work, index, before, why).await;
        }
        if fragment.starts_group() {
            if let Instance::Due(reason) = work.instance {
                self.start(work, reason).await;
            }
            if self.feeds.all()[index].offer == Offer::Due {
                self.offer(work, index).await;
            }
        }
        let feed = &self.feeds.all()[index];
        match (&mut work.instance, feed.offer, feed.source()) {
            (Instance::Running(transcoder), Offer::Accepted, Some(source)) => {
                let taken = transcoder.fragment(source.id, fragment).await;
                let after = self.clock.now().monotonic.saturating_sub(fragment.arrived());
                self.counters.taken(after, || self.feeds.waiting());
                match taken {
                    Ok(Taken::Skipped) => self.counters.over_share(),
                    Ok(Taken::Whole) | Err(_) => self.counters.fragment(),
                }
                if let Err(fault) = taken {
                    self.faulted(work, Phase::Fragment, &fault);
                }
            }
            (Instance::Open(Policy::Bypass), _, Some(source)) => self.bypass(source, fragment).await,
            _ => {}
        }
    }

    /// The instance is to be called for something else than media.
    async fn attend(&mut self, work: &mut Work) {
        if let Instance::Running(transcoder) = &mut work.instance
            && let Err(fault) = transcoder.attend().await
        {
            self.faulted(work, Phase::Call, &fault);
        }
    }

    async fn gap(&mut self, work: &mut Work, index: usize, skipped: u64, next: millrace_media::calendar::Group) {
        self.counters.skipped(skipped);
        let feed = &self.feeds.all()[index];
        if let (Instance::Running(transcoder), Offer::Accepted, Some(source)) =
            (&mut work.instance, feed.offer, feed.source())
        {
            let gap = Gap { track: source.id, skipped, next, cause: Cause::Behind };
            if let Err(fault) = transcoder.gap(gap).await {
                self.faulted(work, Phase::Fragment, &fault);
            }
        }
    }

    async fn start(&mut self, work: &mut Work, reason: Reason) {
        let context = Context {
            broadcast: self.broadcast.name().clone(),
            track: self.track.clone(),
            rendition: self.rendition.clone(),
            renditions: self.renditions.clone(),
            reason,
            outputs: self.outputs.clone(),
            encoders: self.encoders.clone(),
            state: self.state.clone(),
            life: self.life.clone(),
            broadcast_life: self.broadcast.downgrade(),
        };
        for feed in self.feeds.all_mut() {
            feed.offer = Offer::Due;
        }
        match self.factory.start(context).await {
            Ok(transcoder) => work.instance = Instance::Running(transcoder),
            Err(fault) => self.faulted(work, Phase::Start, &fault),
        }
    }

    /// Asks the instance whether it works on a track.
    async fn offer(&mut self, work: &mut Work, index: usize) {
        let feed = &self.feeds.all()[index];
        let (Instance::Running(transcoder), Some(source)) = (&mut work.instance, feed.source()) else { return };
        match transcoder.track(source).await {
            Ok(Decision::Accept) => self.feeds.all_mut()[index].offer = Offer::Accepted,
            Ok(Decision::Decline) => {
                self.feeds.all_mut()[index].offer = Offer::Declined;
                if self.track.is_some() {
                    work.instance = Instance::Declined;
                }
            }
            Err(fault) => self.faulted(work, Phase::Start, &fault),
        }
    }

    /// The source describes a track anew, or its publisher has returned: the transcoder is told of its end, and is asked about it again.
    async fn track_changed(&mut self, work: &mut Work, index: usize, before: Option<u32>, why: TrackEnd) {
        let accepted = self.feeds.all()[index].offer == Offer::Accepted;
        self.feeds.all_mut()[index].offer = Offer::Due;
        match &mut work.instance {
            Instance::Declined => work.instance = Instance::Due(Reason::Fresh),
            Instance::Running(transcoder) if accepted => {
                if let Some(id) = before
                    && let Err(fault) = transcoder.track_end(id, why).await
                {
                    self.faulted(work, Phase::Fragment, &fault);
                }
            }
            _ => {}
        }
    }

    /// A track has ended.
    async fn track_ended(&mut self, work: &mut Work, feed: &Feed) {
        if let (Instance::Running(transcoder), Offer::Accepted, Some(source)) =
            (&mut work.instance, feed.offer, feed.source())
            && let Err(fault) = transcoder.track_end(source.id, TrackEnd::Ended).await
        {
            self.faulted(work, Phase::Fragment, &fault);
        }
        if self.factory.scope() == Scope::Broadcast {
            self.encoders.finish_on(feed.track()).await;
        }
    }

    async fn stop(&self, instance: &mut Instance, why: Stop) {
        if let Instance::Running(mut transcoder) = std::mem::replace(instance, Instance::Declined)
            && let Err(fault) = transcoder.stop(why).await
        {
            self.counters.fault(Phase::Stop);
            self.report(Phase::Stop, &fault);
        }
    }

    /// Counts a fault. After an error returned the instance goes on; one that is lost, or could not be started, is followed by another at
    /// the next group. Any fault too many opens the breaker. Where there is no room, nothing changes, and it is tried again as before.
    fn faulted(&self, work: &mut Work, phase: Phase, fault: &Fault) {
        if matches!(fault, Fault::NoRoom(_)) {
            self.counters.no_room();
            if !std::mem::replace(&mut work.no_room_logged, true) {
                self.report(phase, fault);
            }
            return;
        }
        self.counters.fault(phase);
        self.report(phase, fault);
        if !work.faults.add(self.clock.now().monotonic) {
            let started = matches!(work.instance, Instance::Running(_));
            if !started || matches!(fault, Fault::Lost(_)) {
                work.instance = Instance::Due(Reason::AfterFault);
            }
            return;
        }
        let policy = self.factory.breaker().policy;
        tracing::error!(
            factory = self.factory.name(),
            rendition = self.rendition.as_deref().map(|rendition| &*rendition.name),
            broadcast = %self.broadcast.name(),
            track = self.track.as_ref().map(|track| track.name().as_str()),
            policy = policy.as_str(),
            "the breaker opens: it is not called here any more"
        );
        match policy {
            Policy::Bypass => {}
            Policy::Drop => self.outputs.end(),
            Policy::Fail => self.broadcast.close(),
        }
        self.counters.breaker_opened(policy);
        work.instance = Instance::Open(policy);
    }

    fn report(&self, phase: Phase, fault: &Fault) {
        tracing::warn!(
            factory = self.factory.name(),
            rendition = self.rendition.as_deref().map(|rendition| &*rendition.name),
            broadcast = %self.broadcast.name(),
            track = self.track.as_ref().map(|track| track.name().as_str()),
            phase = phase.as_str(),
            %fault,
            "a transcoder has faulted"
        );
    }

    /// Handles a fragment while the breaker is open: see [`Policy::Bypass`].
    async fn bypass(&self, source: &SourceTrack, fragment: &Fragment) {
        if self.outputs.has_exceeded() {
            return;
        }
        self.counters.dropped(self.encoders.submit_all(&source.track, fragment).await);
        for (output, like) in self.outputs.like(&source.track) {
            // The source has changed since: the output changes with it.
            if like.id != source.id
                && let Err(error) = output.describe_like(source)
            {
                tracing::debug!(%error, "an output cannot change with its source");
                self.counters.dropped(1);
                continue;
            }
            // A refusal is counted by the output itself.
            let _ = output.write(fragment.place().group, fragment.media().clone());
        }
    }
}

/// What a transcoder is called for.
enum Next {
    /// Its tracks.
    Media(Item),
    /// Something else: [`Transcoder::attend`].
    Call,
}

/// Waits for what comes next. Where there is both, media and calls take turns: neither keeps the other waiting for longer than one call.
/// Dropping the future loses nothing.
async fn next(feeds: &mut Feeds, instance: &mut Instance, called_last: bool) -> Next {
    let mut poll_called = |context: &mut task::Context<'_>| match instance {
        Instance::Running(transcoder) => transcoder.poll_called(context).is_ready(),
        Instance::Due(_) | Instance::Declined | Instance::Open(_) => false,
    };
    let mut media = pin!(feeds.next());
    poll_fn(|context| {
        if !called_last && poll_called(context) {
            return Poll::Ready(Next::Call);
        }
        if let Poll::Ready(item) = media.as_mut().poll(context) {
            return Poll::Ready(Next::Media(item));
        }
        if called_last && poll_called(context) {
            return Poll::Ready(Next::Call);
        }
        Poll::Pending
    })
    .await
}

/// Waits for the end of a broadcast.
async fn ended(broadcast: &Broadcast) {
    let mut changes = broadcast.changes();
    while !matches!(broadcast.state(), State::Ended { .. }) {
        if changes.changed().await.is_err() {
            return;
        }
    }
}
