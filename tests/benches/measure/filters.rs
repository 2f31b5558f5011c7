//! What filters cost that stand in the path of a source: in the chain itself, and from a publisher's write to a reader that waits for it,
//! which is all that they add glass to glass.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use async_trait::async_trait;
use bytes::Bytes;
use millrace_cmaf::write::{ChunkWriter, Packet};
use millrace_media::bus::{Bus, Settings};
use millrace_media::clock::Clock;
use millrace_media::fragment::Marks;
use millrace_media::stage::{Chain, Missing, Stage, TrackEnd, Verdict};
use millrace_media::track::{Event, Info, Start, Track};
use millrace_media::{Broadcast, BroadcastName, Fragment, Time, TrackName};
use millrace_plugin::{Compiler, EngineSettings, Filters, Limits, PluginSettings, Plugins};
use millrace_tests::Server;
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::plugin::init;
use crate::report::{Figure, Goal, Row};
use crate::spread::{median, percentile};

const FRAGMENTS: usize = 3_000;
const WARM_UP: usize = 500;
/// Taking turns, so that a slow moment of the machine hits all alike.
const ROUNDS: usize = 5;
const BYTES: usize = 10_000;
/// Every so many fragments begin a group.
const GROUP: usize = 30;
/// How many filters a long chain has.
const LONG: usize = 10;

/// The medians of one run, in microseconds.
#[derive(Clone, Copy)]
struct Took {
    /// In the chain; nothing where there is none.
    chain: f64,
    /// From the write to a reader.
    reader: f64,
    /// The same, of 99 in 100.
    reader_p99: f64,
}

pub(crate) fn measure() -> anyhow::Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let component = std::fs::read(millrace_tests::filtering())?;
    let compiler = Compiler { args: vec!["compile-plugin".into()], ..Compiler::new(Server::binary()) };
    let plugins = Plugins::new(EngineSettings { threads: 1, ..EngineSettings::new(compiler) })?;
    let limits = Limits { cpu: 1000.0, latency: Duration::from_secs(1), ..Limits::default() };
    let mut loaded = Vec::new();
    for number in 0..LONG {
        let settings = json!({ "do": "nothing" });
        let name = format!("filter-{number}");
        let settings = PluginSettings { limits, settings, ..PluginSettings::new(name, "filter.wasm") };
        loaded.push(runtime.block_on(plugins.load_bytes(settings, component.clone()))?);
    }
    // One thread of its own, as filters have here.
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build()?;
    let native = || Arc::new(Nothing(threads.handle().clone())) as Arc<dyn Stage>;
    let filters = |count: usize| {
        let filters = Filters::new(&loaded[..count], 1)?.context("they are filters")?;
        anyhow::Ok(Arc::new(filters) as Arc<dyn Stage>)
    };
    let mut runs: [Vec<Took>; 4] = Default::default();
    for round in 1..=ROUNDS {
        eprintln!("  round {round} of {ROUNDS}");
        let stages = [None, Some(native()), Some(filters(1)?), Some(filters(LONG)?)];
        for (stage, runs) in stages.into_iter().zip(&mut runs) {
            runs.push(runtime.block_on(runtime.spawn(run(stage)))??);
        }
    }
    let of = |run: usize, what: fn(&Took) -> f64| median(&runs[run].iter().map(what).collect::<Vec<_>>());
    let figure = |run: usize, what: fn(&Took) -> f64| Figure::new(of(run, what), "µs");
    let row = |what: &str, run: usize, of: fn(&Took) -> f64| {
        Row::new(what, figure(run, of)).beside("a native stage that does nothing", figure(1, of))
    };
    Ok(vec![
        row("a filter's pass", 2, |took| took.chain),
        row(&format!("the pass of a chain of {LONG} filters"), 3, |took| took.chain).goal(Goal::AtMost(15.0)),
        row("from a write to a reader, one filter between", 2, |took| took.reader),
        row(&format!("from a write to a reader, {LONG} filters between"), 3, |took| took.reader),
        Row::new(format!("from a write to a reader, {LONG} filters between"), figure(3, |took| took.reader))
            .beside("straight to the track", figure(0, |took| took.reader)),
        Row::new(format!("p99 from a write to a reader, {LONG} filters between"), figure(3, |took| took.reader_p99))
            .beside("straight to the track", figure(0, |took| took.reader_p99)),
    ])
}

/// Writes fragments one after the other, each when the one before has been read.
async fn run(stage: Option<Arc<dyn Stage>>) -> anyhow::Result<Took> {
    let (took, mut passes) = unbounded_channel();
    let clock = Arc::new(Clock::system());
    let staged = stage.is_some();
    let bus = match stage {
        Some(stage) => Bus::with_stage(Settings::default(), clock, Arc::new(Timed { stage, took })),
        None => Bus::new(Settings::default(), clock),
    };
    let init = init(true);
    let publisher = bus.publish(&BroadcastName::new("bench")?)?;
    let mut track = publisher.write_track(TrackName::new("track")?, init.info()?)?;
    let mut consumer = track.track().subscribe(Start::OldestGroup);
    let (mut writer, data) = (ChunkWriter::new(1), Bytes::from(vec![7; BYTES]));
    let (mut chain, mut reader) = (Vec::with_capacity(FRAGMENTS), Vec::with_capacity(FRAGMENTS));
    for number in 0..WARM_UP + FRAGMENTS {
        let keyframe = number.is_multiple_of(GROUP);
        let marks = Marks { keyframe, independent: keyframe, discardable: false };
        let packet = Packet { data: data.clone(), duration: 20, composition_offset: 0, marks };
        let time = Time::new(10_000 + number as i64 * 20, init.timescale);
        let media = writer.chunk(time, [packet], None)?;
        let began = Instant::now();
        track.write(media)?;
        let next = consumer.next().await;
        let read = began.elapsed();
        anyhow::ensure!(matches!(next, Some(Event::Fragment(_))), "a fragment is lost: {next:?}");
        let pass = if staged { passes.recv().await.context("the chain has ended")? } else { Duration::ZERO };
        if number >= WARM_UP {
            chain.push(pass.as_secs_f64() * 1e6);
            reader.push(read.as_secs_f64() * 1e6);
        }
    }
    drop(track);
    publisher.finish();
    Ok(Took { chain: median(&chain), reader: median(&reader), reader_p99: percentile(&reader, 0.99) })
}

/// A stage whose chain does nothing, on these threads.
struct Nothing(Handle);

impl Stage for Nothing {
    fn chain(&self, _: &Broadcast) -> Option<Box<dyn Chain>> {
        Some(Box::new(NothingChain))
    }

    fn threads(&self) -> &Handle {
        &self.0
    }
}

struct NothingChain;

#[async_trait]
impl Chain for NothingChain {
    fn track(&mut self, _: u32, _: &Track, _: &Arc<Info>) {}
    fn track_end(&mut self, _: u32, _: TrackEnd) {}
    fn missing(&mut self, _: u32, _: u64, _: Missing) {}
    async fn settle(&mut self) {}
    async fn fragment(&mut self, _: u32, _: &Fragment) -> Verdict {
        Verdict::Pass
    }
    fn decide(&mut self, _: u32, _: &Fragment) -> Verdict {
        Verdict::Pass
    }
    async fn stop(&mut self) {}
}

/// Times every pass of a stage's chain.
struct Timed {
    stage: Arc<dyn Stage>,
    took: UnboundedSender<Duration>,
}

struct TimedChain {
    chain: Box<dyn Chain>,
    took: UnboundedSender<Duration>,
}

impl Stage for Timed {
    fn chain(&self, broadcast: &Broadcast) -> Option<Box<dyn Chain>> {
        let chain = self.stage.chain(broadcast)?;
        Some(Box::new(TimedChain { chain, took: self.took.clone() }))
    }

    fn threads(&self) -> &Handle {
        self.stage.threads()
    }
}

#[async_trait]
impl Chain for TimedChain {
    fn track(&mut self, id: u32, track: &Track, info: &Arc<Info>) {
        self.chain.track(id, track, info);
    }

    fn track_end(&mut self, id: u32, why: TrackEnd) {
        self.chain.track_end(id, why);
    }

    fn missing(&mut self, id: u32, fragments: u64, why: Missing) {
        self.chain.missing(id, fragments, why);
    }

    async fn settle(&mut self) {
        self.chain.settle().await;
    }

    async fn fragment(&mut self, id: u32, fragment: &Fragment) -> Verdict {
        let began = Instant::now();
        let verdict = self.chain.fragment(id, fragment).await;
        // The receiver goes only when the run is over.
        let _ = self.took.send(began.elapsed());
        verdict
    }

    fn decide(&mut self, id: u32, fragment: &Fragment) -> Verdict {
        let _ = self.took.send(Duration::ZERO);
        self.chain.decide(id, fragment)
    }

    async fn idle(&mut self) {
        self.chain.idle().await;
    }

    async fn stop(&mut self) {
        self.chain.stop().await;
    }
}
