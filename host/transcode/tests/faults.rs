//! Factories that misbehave: what goes wrong in one is counted there, and nobody else notices.

#[allow(dead_code, reason = "each test uses what it needs")]
mod source;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use millrace_media::broadcast::State;
use millrace_media::track::Kind;
use millrace_media::{Bus, Fragment};
use millrace_transcode::Runner;
use millrace_transcode::factory::{
    Breaker, Context, Decision, Factory, Fault, Policy, Reason, Scope, SourceTrack, Stop, Taken, Transcoder,
};
use millrace_transcode::output::{Output, Outputs};
use millrace_transcode::stats::Stats;
use source::{Source, bus, until};

/// Copies its track, and faults where it is told to.
struct Copier {
    name: &'static str,
    breaker: Breaker,
    /// What happens at the fragment of this number, counted over all instances.
    fault_at: fn(u32) -> Option<Fault>,
    start: fn(u32) -> Result<Decision, Fault>,
    starts: AtomicU32,
    seen: Arc<AtomicU32>,
    reasons: Mutex<Vec<Reason>>,
}

impl Copier {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            breaker: Breaker::default(),
            fault_at: |_| None,
            start: |_| Ok(Decision::Accept),
            starts: AtomicU32::new(0),
            seen: Arc::default(),
            reasons: Mutex::default(),
        }
    }
}

struct Copy {
    name: &'static str,
    decision: Decision,
    outputs: Outputs,
    output: Option<Output>,
    fault_at: fn(u32) -> Option<Fault>,
    seen: Arc<AtomicU32>,
}

#[async_trait]
impl Factory for Copier {
    fn name(&self) -> &str {
        self.name
    }
    fn scope(&self) -> Scope {
        Scope::Track
    }
    fn kinds(&self) -> &[Kind] {
        &[Kind::Video]
    }
    fn breaker(&self) -> Breaker {
        self.breaker
    }
    async fn start(&self, context: Context) -> Result<Box<dyn Transcoder>, Fault> {
        self.reasons.lock().unwrap().push(context.reason);
        let decision = (self.start)(self.starts.fetch_add(1, Ordering::Relaxed))?;
        let (name, fault_at, seen) = (self.name, self.fault_at, self.seen.clone());
        Ok(Box::new(Copy { name, decision, outputs: context.outputs, output: None, fault_at, seen }))
    }
}

fn returned(error: impl ToString) -> Fault {
    Fault::Returned(error.to_string())
}

#[async_trait]
impl Transcoder for Copy {
    async fn track(&mut self, source: &SourceTrack) -> Result<Decision, Fault> {
        if self.decision == Decision::Accept {
            let output = self.outputs.open(self.name, Some(source.track.name())).map_err(returned)?;
            output.describe_like(source).map_err(returned)?;
            self.output = Some(output);
        }
        Ok(self.decision)
    }
    async fn fragment(&mut self, _: u32, fragment: &Fragment) -> Result<Taken, Fault> {
        if let Some(fault) = (self.fault_at)(self.seen.fetch_add(1, Ordering::Relaxed)) {
            return Err(fault);
        }
        let output = self.output.as_ref().unwrap();
        output.write(fragment.place().group, fragment.media().clone()).map_err(returned)?;
        Ok(Taken::Whole)
    }
    async fn stop(&mut self, _: Stop) -> Result<(), Fault> {
        Err(Fault::Returned("nothing ever stops well".into()))
    }
}

fn stats(runner: &Runner, factory: &str) -> Stats {
    runner.stats().into_iter().find(|(key, _)| &*key.factory == factory).map(|(_, stats)| stats).unwrap_or_default()
}

fn run(bus: &Bus, misbehaving: Copier) -> (Runner, Arc<Copier>) {
    let misbehaving = Arc::new(misbehaving);
    let runner = Runner::start(bus, vec![misbehaving.clone(), Arc::new(Copier::new("healthy"))], vec![]);
    (runner, misbehaving)
}

async fn healthy_saw(runner: &Runner, fragments: u64) {
    until("the healthy one sees all", || stats(runner, "healthy").output_fragments == fragments).await;
    let healthy = stats(runner, "healthy");
    assert_eq!((healthy.fragments, healthy.fragment_faults, healthy.dropped), (fragments, 0, 0));
}

#[tokio::test]
async fn a_returned_error_is_counted_and_the_next_fragment_follows() {
    let bus = bus();
    let fault_at = |n: u32| (n % 3 == 1).then(|| Fault::Returned("no".into()));
    let breaker = Breaker { max_faults: 11, ..Breaker::default() };
    let (runner, copier) = run(&bus, Copier { fault_at, breaker, ..Copier::new("sick") });
    let mut source = Source::new(&bus);
    source.write(30);
    until("all is seen", || stats(&runner, "sick").fragments == 30).await;
    healthy_saw(&runner, 30).await;
    assert_eq!((stats(&runner, "sick").fragment_faults, stats(&runner, "sick").output_fragments), (10, 20));
    assert_eq!(*copier.reasons.lock().unwrap(), [Reason::Fresh]);
}

#[tokio::test]
async fn returned_errors_open_the_breaker_as_well() {
    let bus = bus();
    let breaker = Breaker { max_faults: 3, window: Duration::from_secs(60), policy: Policy::Drop };
    let fault_at = |_: u32| Some(Fault::Returned("no".into()));
    let (runner, _) = run(&bus, Copier { fault_at, breaker, ..Copier::new("sick") });
    let mut source = Source::new(&bus);
    source.write(30);
    healthy_saw(&runner, 30).await;
    until("what it made ends", || source.publisher.broadcast().track("sick").is_some_and(|track| track.is_ended()))
        .await;
    assert_eq!(stats(&runner, "sick").fragment_faults, 3);
}

#[tokio::test]
async fn after_a_loss_a_fresh_instance_goes_on_with_the_next_group() {
    let bus = bus();
    let fault_at = |n: u32| (n == 4).then(|| Fault::Lost("trapped".into()));
    let (runner, copier) = run(&bus, Copier { fault_at, ..Copier::new("sick") });
    let mut source = Source::new(&bus);
    source.write(30);
    // The rest of the first group, five fragments, passes without an instance.
    until("the next group is seen", || stats(&runner, "sick").fragments == 25).await;
    healthy_saw(&runner, 30).await;
    assert_eq!(*copier.reasons.lock().unwrap(), [Reason::Fresh, Reason::AfterFault]);
    assert_eq!(stats(&runner, "sick").output_fragments, 24);
}

#[tokio::test]
async fn the_breaker_opens_and_its_policy_applies() {
    let breaker = |policy| Breaker { max_faults: 2, window: Duration::from_secs(60), policy };
    let fault_at = |_: u32| Some(Fault::Lost("trapped".into()));
    for policy in [Policy::Bypass, Policy::Drop] {
        let bus = bus();
        let (runner, copier) = run(&bus, Copier { fault_at, breaker: breaker(policy), ..Copier::new("sick") });
        let mut source = Source::new(&bus);
        source.write(50);
        healthy_saw(&runner, 50).await;
        until("the breaker opens", || stats(&runner, "sick").fragment_faults == 2).await;
        let output = source.publisher.broadcast().track("sick").unwrap();
        if policy == Policy::Bypass {
            // The first group and the fragment of the second that opened the breaker are lost; the source stands in from there.
            until("the source's fragments stand in", || output.stats().fragments == 39).await;
        } else {
            until("what it made ends", || output.is_ended()).await;
        }
        assert_eq!(copier.reasons.lock().unwrap().len(), 2, "{policy:?}");
        let sick = stats(&runner, "sick");
        assert_eq!((sick.breaker, sick.state.as_str()), (Some(policy), "breaker-open"));
        assert_eq!(stats(&runner, "healthy").breaker, None);
    }
}

#[tokio::test]
async fn a_broadcast_may_be_made_to_depend_on_a_factory() {
    let bus = bus();
    let breaker = Breaker { max_faults: 1, window: Duration::from_secs(60), policy: Policy::Fail };
    let fault_at = |_: u32| Some(Fault::Lost("trapped".into()));
    let (_runner, _) = run(&bus, Copier { fault_at, breaker, ..Copier::new("sick") });
    let mut source = Source::new(&bus);
    source.write(1);
    until("the broadcast ends", || matches!(source.publisher.broadcast().state(), State::Ended { .. })).await;
}

#[tokio::test]
async fn a_failed_start_is_tried_again_and_a_declined_track_is_left_alone() {
    let bus = bus();
    let start = |n: u32| if n < 2 { Err(Fault::Returned("not yet".into())) } else { Ok(Decision::Accept) };
    let (runner, copier) = run(&bus, Copier { start, ..Copier::new("sick") });
    let mut source = Source::new(&bus);
    source.write(30);
    until("it starts with the third group", || stats(&runner, "sick").fragments == 10).await;
    assert_eq!(stats(&runner, "sick").start_faults, 2);
    assert_eq!(*copier.reasons.lock().unwrap(), [Reason::Fresh, Reason::AfterFault, Reason::AfterFault]);
    healthy_saw(&runner, 30).await;

    let bus = source::bus();
    let (runner, copier) = run(&bus, Copier { start: |_| Ok(Decision::Decline), ..Copier::new("sick") });
    let mut source = Source::new(&bus);
    source.write(30);
    healthy_saw(&runner, 30).await;
    assert_eq!((stats(&runner, "sick").fragments, copier.starts.load(Ordering::Relaxed)), (0, 1));
}

#[tokio::test]
async fn a_fault_in_stopping_is_counted_and_ends_it_all_the_same() {
    let bus = bus();
    let runner = Runner::start(&bus, vec![Arc::new(Copier::new("copy"))], vec![]);
    let mut source = Source::new(&bus);
    source.write(5);
    until("it runs", || stats(&runner, "copy").output_fragments == 5).await;
    let output = source.publisher.broadcast().track("copy").unwrap();
    source.publisher.finish();
    until("the output ends", || output.is_ended()).await;
    assert_eq!(stats(&runner, "copy").stop_faults, 1);
}

#[tokio::test]
async fn fragments_that_are_skipped_for_the_share_are_not_counted_as_given() {
    struct Half(AtomicU32);

    #[async_trait]
    impl Factory for Half {
        fn name(&self) -> &str {
            "half"
        }
        fn scope(&self) -> Scope {
            Scope::Track
        }
        fn kinds(&self) -> &[Kind] {
            &[Kind::Video]
        }
        async fn start(&self, _: Context) -> Result<Box<dyn Transcoder>, Fault> {
            Ok(Box::new(Half(AtomicU32::new(0))))
        }
    }

    #[async_trait]
    impl Transcoder for Half {
        async fn track(&mut self, _: &SourceTrack) -> Result<Decision, Fault> {
            Ok(Decision::Accept)
        }
        async fn fragment(&mut self, _: u32, _: &Fragment) -> Result<Taken, Fault> {
            let given = self.0.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
            Ok(if given { Taken::Whole } else { Taken::Skipped })
        }
    }

    let bus = bus();
    let runner = Runner::start(&bus, vec![Arc::new(Half(AtomicU32::new(0)))], vec![]);
    let mut source = Source::new(&bus);
    source.write(20);
    until("all is handled", || {
        let half = stats(&runner, "half");
        half.fragments + half.over_share >= 20
    })
    .await;
    assert_eq!((stats(&runner, "half").fragments, stats(&runner, "half").over_share), (10, 10));
}

#[tokio::test]
async fn a_transcoder_without_room_is_tried_again_and_opens_no_breaker() {
    let bus = bus();
    let breaker = Breaker { max_faults: 1, ..Breaker::default() };
    let start = |n: u32| if n < 4 { Err(Fault::NoRoom("the limit is 1".into())) } else { Ok(Decision::Accept) };
    let (runner, copier) = run(&bus, Copier { start, breaker, ..Copier::new("sick") });
    let mut source = Source::new(&bus);
    source.write(50);
    until("it starts with the fifth group", || stats(&runner, "sick").fragments == 10).await;
    let sick = stats(&runner, "sick");
    assert_eq!((sick.no_room, sick.start_faults, sick.breaker), (4, 0, None));
    assert_eq!(*copier.reasons.lock().unwrap(), [Reason::Fresh; 5], "there was none before it");
}
