//! One transcoder's task: it reads the track and keeps an instance of the transcoder at work on it.

use std::sync::Arc;

use millrace_media::clock::Clock;
use millrace_media::track::{Consumer, Event, Info};
use millrace_media::{Broadcast, Fragment};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::breaker::Faults;
use crate::encoder::Encoders;
use crate::factory::{Context, Factory, Fault, Policy, Reason, Transcoder};
use crate::ladder::Rendition;
use crate::output::Outputs;
use crate::stats::{Counters, Phase};

pub(super) struct Drain {
    /// The task that had this key before.
    pub(super) before: Option<JoinHandle<()>>,
    pub(super) factory: Arc<dyn Factory>,
    pub(super) broadcast: Broadcast,
    pub(super) rendition: Option<Arc<Rendition>>,
    pub(super) consumer: Consumer,
    pub(super) outputs: Outputs,
    pub(super) encoders: Encoders,
    pub(super) counters: Arc<Counters>,
    pub(super) clock: Arc<Clock>,
    pub(super) cancel: CancellationToken,
}

/// What is done with the next fragment.
enum Instance {
    /// One is started with the next group.
    Due(Reason),
    /// It gets it.
    Running(Box<dyn Transcoder>),
    /// Nothing: the factory does not want the track as it is.
    Declined,
    /// The breaker is open.
    Open(Policy),
}

impl Drain {
    pub(super) async fn run(mut self) {
        if let Some(before) = self.before.take()
            && let Err(error) = before.await
        {
            tracing::error!(%error, "a transcoder's task did not end well");
        }
        let mut faults = Faults::new(self.factory.breaker());
        let mut instance = Instance::Due(Reason::Fresh);
        // What the track was when the instance was started, and in which epoch.
        let mut known: Option<(Arc<Info>, millrace_media::calendar::Epoch)> = None;
        let cancel = self.cancel.clone();
        let source_ended = loop {
            let event = tokio::select! {
                biased;
                () = cancel.cancelled() => break false,
                event = self.consumer.next() => event,
            };
            match event {
                None => break true,
                Some(Event::Gap { skipped, next }) => {
                    self.counters.skipped(skipped);
                    if let Instance::Running(transcoder) = &mut instance
                        && let Err(fault) = transcoder.gap(next, skipped).await
                    {
                        self.faulted(&mut instance, &mut faults, Phase::Fragment, &fault);
                    }
                }
                Some(Event::Fragment(fragment)) => {
                    let now = (fragment.info().clone(), fragment.place().epoch);
                    let changed = known.as_ref().is_some_and(|(info, epoch)| *epoch != now.1 || *info != now.0);
                    if changed && !matches!(instance, Instance::Open(_)) {
                        self.stop(&mut instance).await;
                        instance = Instance::Due(Reason::SourceReturned);
                    }
                    known = Some(now);
                    self.fragment(&mut instance, &mut faults, &fragment).await;
                }
                Some(Event::GroupEnd) => {}
            }
        };
        self.stop(&mut instance).await;
        self.encoders.finish(source_ended).await;
        self.outputs.end();
    }

    async fn fragment(&self, instance: &mut Instance, faults: &mut Faults, fragment: &Fragment) {
        if let Instance::Due(reason) = *instance
            && fragment.starts_group()
        {
            self.start(instance, faults, reason, fragment).await;
        }
        match instance {
            Instance::Running(transcoder) => {
                self.counters.fragment();
                if let Err(fault) = transcoder.fragment(fragment).await {
                    self.faulted(instance, faults, Phase::Fragment, &fault);
                }
            }
            Instance::Open(Policy::Bypass) => self.bypass(fragment).await,
            Instance::Due(_) | Instance::Declined | Instance::Open(_) => {}
        }
    }

    async fn start(&self, instance: &mut Instance, faults: &mut Faults, reason: Reason, fragment: &Fragment) {
        let context = Context {
            broadcast: self.broadcast.name().clone(),
            track: self.consumer.track().name().clone(),
            info: fragment.info().clone(),
            rendition: self.rendition.clone(),
            reason,
            outputs: self.outputs.clone(),
            encoders: self.encoders.clone(),
        };
        match self.factory.start(context).await {
            Ok(Some(transcoder)) => *instance = Instance::Running(transcoder),
            Ok(None) => *instance = Instance::Declined,
            Err(fault) => self.faulted(instance, faults, Phase::Start, &fault),
        }
    }

    async fn stop(&self, instance: &mut Instance) {
        if let Instance::Running(mut transcoder) = std::mem::replace(instance, Instance::Declined)
            && let Err(fault) = transcoder.stop().await
        {
            self.counters.fault(Phase::Stop);
            self.report(Phase::Stop, &fault);
        }
    }

    /// Counts a fault. After an error returned the instance goes on; one that is lost, or could not be started, is followed by another at
    /// the next group. Any fault too many opens the breaker.
    fn faulted(&self, instance: &mut Instance, faults: &mut Faults, phase: Phase, fault: &Fault) {
        self.counters.fault(phase);
        self.report(phase, fault);
        if !faults.add(self.clock.now().monotonic) {
            if phase == Phase::Start || matches!(fault, Fault::Lost(_)) {
                *instance = Instance::Due(Reason::AfterFault);
            }
            return;
        }
        let policy = self.factory.breaker().policy;
        tracing::error!(factory = self.factory.name(), broadcast = %self.broadcast.name(), ?policy, "the breaker opens");
        match policy {
            Policy::Bypass => {}
            Policy::Drop => self.outputs.end(),
            Policy::Fail => self.broadcast.close(),
        }
        *instance = Instance::Open(policy);
    }

    fn report(&self, phase: Phase, fault: &Fault) {
        tracing::warn!(
            factory = self.factory.name(),
            rendition = self.rendition.as_deref().map(|rendition| &*rendition.name),
            broadcast = %self.broadcast.name(),
            track = %self.consumer.track().name(),
            phase = phase.as_str(),
            %fault,
            "a transcoder has faulted"
        );
    }

    /// Does what can be done without the transcoder.
    async fn bypass(&self, fragment: &Fragment) {
        for encoder in self.encoders.all() {
            if encoder.submit(fragment).await.is_err() {
                self.counters.dropped(1);
            }
        }
        for encoder in self.encoders.all_audio() {
            if encoder.submit(fragment).await.is_err() {
                self.counters.dropped(1);
            }
        }
        for output in self.outputs.all().into_iter().filter(|output| output.is_like_source()) {
            // A refusal is counted by the output itself.
            let _ = output.write(fragment.place().group, fragment.media().clone());
        }
    }
}
