//! A native chain that does what a test says, on a thread of its own.

use std::sync::{Condvar, Mutex};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use super::super::*;
use crate::bus::{Bus, Settings};
use crate::clock::Clock;
use crate::name::{BroadcastName, TrackName};
use crate::track::tests::{SCALE, info, media};
use crate::track::{Format, Producer};
use crate::{Publisher, Time};

/// Longer than anything takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a chain does with a fragment.
pub(super) enum Step {
    Say(Verdict),
    /// It never decides.
    Stall,
    Panic,
    /// It blocks its thread until it is let go, and then passes.
    Block,
}

type Answer = dyn Fn(&Fragment) -> Step + Send + Sync;

/// A stage of native chains, and what they were told.
pub(super) struct Native {
    runtime: Runtime,
    answer: Box<Answer>,
    policy: Box<dyn Fn(&Fragment) -> Verdict + Send + Sync>,
    told: Arc<Told>,
}

#[derive(Default)]
struct Told {
    lines: Mutex<Vec<String>>,
    changed: Condvar,
    released: Mutex<bool>,
    release: Condvar,
}

impl Told {
    fn say(&self, line: String) {
        self.lines.lock().unwrap().push(line);
        self.changed.notify_all();
    }
}

/// A bus with such a stage.
pub(super) struct Site {
    pub(super) bus: Bus,
    pub(super) clock: Arc<Clock>,
    told: Arc<Told>,
}

/// What became of the fragments of a track.
#[derive(Default)]
pub(super) struct Outcomes(Mutex<Vec<&'static str>>);

impl Report for Outcomes {
    fn settled(&self, _: u64, outcome: Outcome<'_>) {
        self.0.lock().unwrap().push(match outcome {
            Outcome::Written => "written",
            Outcome::Discarded => "discarded",
            Outcome::Refused(_) => "refused",
            Outcome::AfterRefused => "after refused",
        });
    }
}

impl Outcomes {
    pub(super) fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Site {
    /// What it passes it passes unchanged; what `answer` is for it decides, and past it the policy passes everything.
    pub(super) fn new(answer: impl Fn(&Fragment) -> Step + Send + Sync + 'static) -> Self {
        Self::with_policy(answer, |_| Verdict::Pass)
    }

    pub(super) fn with_policy(
        answer: impl Fn(&Fragment) -> Step + Send + Sync + 'static,
        policy: impl Fn(&Fragment) -> Verdict + Send + Sync + 'static,
    ) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let told = Arc::<Told>::default();
        let stage = Native { runtime, answer: Box::new(answer), policy: Box::new(policy), told: told.clone() };
        let clock = Arc::new(Clock::manual(Duration::from_secs(1_800_000_000)));
        let bus = Bus::with_stage(Settings::default(), clock.clone(), Arc::new(Shared(Arc::new(stage))));
        Self { bus, clock, told }
    }

    pub(super) fn passing() -> Self {
        Self::new(|_| Step::Say(Verdict::Pass))
    }

    pub(super) fn publish(&self) -> Publisher {
        self.bus.publish(&BroadcastName::new("live/demo").unwrap()).unwrap()
    }

    /// What chains were told since this was asked before.
    pub(super) fn told(&self) -> Vec<String> {
        std::mem::take(&mut self.told.lines.lock().unwrap())
    }

    /// Waits until a chain was told this.
    pub(super) fn until(&self, line: &str) {
        let lines = self.told.lines.lock().unwrap();
        let there = |lines: &mut Vec<String>| !lines.iter().any(|known| known == line);
        let (lines, waited) = self.told.changed.wait_timeout_while(lines, PATIENCE, there).unwrap();
        assert!(!waited.timed_out(), "{line:?} is not among {lines:?}");
    }

    /// Lets go of chains that block.
    pub(super) fn release(&self) {
        *self.told.released.lock().unwrap() = true;
        self.told.release.notify_all();
    }
}

pub(super) fn video(publisher: &Publisher) -> Writer {
    publisher.write_track(TrackName::new("video").unwrap(), info()).unwrap()
}

pub(super) fn audio_info() -> Info {
    Info { codec: "opus".into(), format: Format::Audio { sample_rate: 48_000, channels: 2 }, ..info() }
}

pub(super) fn audio(publisher: &Publisher) -> Writer {
    publisher.write_track(TrackName::new("audio").unwrap(), audio_info()).unwrap()
}

/// Ten fragments a group, 100 ms each.
pub(super) fn write(writer: &mut Writer, fragments: std::ops::Range<i64>) {
    for n in fragments {
        assert!(writer.write(media(n * 100, n % 10 == 0, 10)).unwrap().is_none());
    }
}

/// The times of what the track holds, in milliseconds.
pub(super) fn held(track: &Track) -> Vec<i64> {
    track.held().iter().map(|fragment| fragment.decode_time.ticks()).collect()
}

/// The fragments that a straight track would hold, had a source written those at these times and no others.
pub(super) fn written_straight(times: &[i64]) -> Vec<Fragment> {
    let bus = Bus::new(Settings::default(), Arc::new(Clock::manual(Duration::from_secs(1_800_000_000))));
    let publisher = bus.publish(&BroadcastName::new("live/demo").unwrap()).unwrap();
    let mut producer: Producer = publisher.create_track(TrackName::new("video").unwrap(), info()).unwrap();
    times.iter().map(|at| producer.write(media(*at, at % 1_000 == 0, 10)).unwrap()).collect()
}

pub(super) fn at(millis: i64) -> Time {
    Time::new(millis, SCALE)
}

struct Shared(Arc<Native>);

impl Stage for Shared {
    fn chain(&self, _: &Broadcast) -> Option<Box<dyn Chain>> {
        Some(Box::new(Scripted(self.0.clone())))
    }

    fn threads(&self) -> &Handle {
        self.0.runtime.handle()
    }
}

/// A chain drops its runtime from one of the runtime's own threads, where it is the last to have it: that must not wait.
impl Drop for Native {
    fn drop(&mut self) {
        let runtime = Builder::new_current_thread().build().unwrap();
        std::mem::replace(&mut self.runtime, runtime).shutdown_background();
    }
}

struct Scripted(Arc<Native>);

impl Scripted {
    fn say(&self, line: String) {
        self.0.told.say(line);
    }
}

#[async_trait]
impl Chain for Scripted {
    fn track(&mut self, id: u32, track: &Track, info: &Arc<Info>) {
        self.say(format!("{id} is {} {}", track.name(), info.codec));
    }

    fn track_end(&mut self, id: u32, why: TrackEnd) {
        self.say(format!("{id} over: {why:?}"));
    }

    fn missing(&mut self, id: u32, fragments: u64, why: Missing) {
        self.say(format!("{id} lacks {fragments}: {why:?}"));
    }

    async fn settle(&mut self) {}

    async fn fragment(&mut self, id: u32, fragment: &Fragment) -> Verdict {
        let place = fragment.place();
        let group = place.group.0 % 1_000;
        self.say(format!("{id} {} in {group} as {}", fragment.decode_time.ticks(), place.object));
        match (self.0.answer)(fragment) {
            Step::Say(verdict) => verdict,
            Step::Stall => std::future::pending().await,
            Step::Panic => panic!("a chain that panics"),
            Step::Block => {
                let told = &self.0.told;
                let released = told.released.lock().unwrap();
                drop(told.release.wait_timeout_while(released, PATIENCE, |released| !*released).unwrap());
                Verdict::Pass
            }
        }
    }

    fn decide(&mut self, id: u32, fragment: &Fragment) -> Verdict {
        self.say(format!("{id} {} by policy", fragment.decode_time.ticks()));
        (self.0.policy)(fragment)
    }

    async fn stop(&mut self) {
        self.say("stop".into());
    }
}
