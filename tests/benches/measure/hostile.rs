//! What streams notice of plugins that misbehave beside them: from a fragment's being written to a consumer's having read it, with those
//! plugins and without, in turns.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use millrace_cmaf::write::{ChunkWriter, Packet};
use millrace_media::bus::{Bus, Settings};
use millrace_media::clock::Clock;
use millrace_media::fragment::Marks;
use millrace_media::track::{Consumer, Event, Producer, Start, Window};
use millrace_media::{BroadcastName, Publisher, Time, Timescale, TrackName};
use millrace_plugin::{Compiler, EngineSettings, PluginSettings, Plugins};
use millrace_tests::Server;
use millrace_transcode::Runner;
use millrace_transcode::factory::Factory;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::plugin::init;
use crate::report::{Figure, Goal, Row};
use crate::spread::{median, percentile};

/// Each time without and with the others.
const PAIRS: usize = 5;
const HEALTHY: usize = 10;
/// Streams that the misbehaving plugins work on.
const OTHERS: usize = 100;
const RUN: Duration = Duration::from_secs(8);
/// Before anything is measured: instances are made.
const SETTLE: Duration = Duration::from_secs(2);
const FRAGMENT: Duration = Duration::from_millis(33);
const BYTES: usize = 10_000;
/// What `misbehave` is told to do, each in a plugin of its own, on all of the other streams.
const WAYS: [&str; 8] =
    ["loop", "allocate", "log-for-ever", "events-for-ever", "metrics-for-ever", "trap-every-third", "busy", "keep"];

pub(crate) fn measure() -> anyhow::Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let component = std::fs::read(millrace_tests::misbehaving())?;
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for pair in 1..=PAIRS {
        eprintln!("  pair {pair} of {PAIRS}");
        alone.push(runtime.block_on(run(None))?);
        beside.push(runtime.block_on(run(Some(&component)))?);
    }
    let p99 = |runs: &[Vec<f64>]| median(&runs.iter().map(|run| percentile(run, 0.99)).collect::<Vec<_>>());
    let half = |runs: &[Vec<f64>]| median(&runs.iter().map(|run| median(run)).collect::<Vec<_>>());
    let row = |what: &str, with, without| {
        Row::new(what, Figure::new(with, "ms")).beside("without them", Figure::new(without, "ms"))
    };
    let ways = WAYS.len();
    Ok(vec![
        row(&format!("p99 to a consumer beside {ways} hostile plugins on {OTHERS} streams"), p99(&beside), p99(&alone))
            .goal(Goal::RatioOrMore(1.1, 1.0)),
        row("median of the same", half(&beside), half(&alone)),
    ])
}

/// The latencies of the healthy streams, in milliseconds.
async fn run(hostile: Option<&[u8]>) -> anyhow::Result<Vec<f64>> {
    let window = Window { duration: Duration::from_secs(4), ..Window::default() };
    let bus = Bus::new(Settings { window, ..Settings::default() }, Arc::new(Clock::system()));
    let compiler = Compiler { args: vec!["compile-plugin".into()], ..Compiler::new(Server::binary()) };
    let plugins = Plugins::new(EngineSettings { max_instances: 1024, ..EngineSettings::new(compiler) })?;
    let mut factories: Vec<Arc<dyn Factory>> = Vec::new();
    for way in WAYS {
        let Some(component) = hostile else { break };
        let settings = PluginSettings {
            settings: json!({ "do": way }),
            broadcasts: Arc::new(|broadcast| broadcast.as_str().starts_with("other/")),
            ..PluginSettings::new(way, "misbehave.wasm")
        };
        factories
            .push(plugins.load_bytes(settings, component.to_vec()).await?.transcoder().context("it is no transcoder")?);
    }
    let runner = Runner::start(&bus, factories, vec![]);
    let mut streams = JoinSet::new();
    let mut readers = JoinSet::new();
    for number in 0..HEALTHY {
        let stream = Stream::new(&bus, &format!("healthy/{number}"))?;
        readers.spawn(read(stream.producer.track().subscribe(Start::NextGroup), bus.clone()));
        streams.spawn(stream.publish());
    }
    for number in 0..OTHERS {
        streams.spawn(Stream::new(&bus, &format!("other/{number}"))?.publish());
    }
    while let Some(published) = streams.join_next().await {
        published??;
    }
    let mut latencies = Vec::new();
    while let Some(read) = readers.join_next().await {
        latencies.extend(read?);
    }
    drop(runner);
    Ok(latencies)
}

struct Stream {
    publisher: Publisher,
    producer: Producer,
    writer: ChunkWriter,
}

impl Stream {
    fn new(bus: &Bus, name: &str) -> anyhow::Result<Self> {
        let publisher = bus.publish(&BroadcastName::new(name)?)?;
        let producer = publisher.create_track(TrackName::new("video")?, init(true).info()?)?;
        Ok(Self { publisher, producer, writer: ChunkWriter::new(1) })
    }

    /// A fragment every so often, a group every second.
    async fn publish(mut self) -> anyhow::Result<()> {
        let data = Bytes::from(vec![7; BYTES]);
        let mut ticks = tokio::time::interval(FRAGMENT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let begin = Instant::now();
        let mut number = 0i64;
        while begin.elapsed() < SETTLE + RUN {
            ticks.tick().await;
            let keyframe = number % 30 == 0;
            let marks = Marks { keyframe, independent: keyframe, discardable: false };
            let packet = Packet { data: data.clone(), duration: 33, composition_offset: 0, marks };
            let time = Time::new(10_000 + number * 33, Timescale::MILLIS);
            let media = self.writer.chunk(time, [packet], None)?;
            self.producer.write(media).context("the bus took it")?;
            number += 1;
        }
        self.publisher.finish();
        Ok(())
    }
}

/// From the writing of each fragment to its having been read.
async fn read(mut consumer: Consumer, bus: Bus) -> Vec<f64> {
    let begin = Instant::now();
    let mut latencies = Vec::new();
    while let Some(event) = consumer.next().await {
        if let Event::Fragment(fragment) = event {
            let after = bus.clock().now().monotonic.saturating_sub(fragment.arrived());
            if begin.elapsed() > SETTLE {
                latencies.push(after.as_secs_f64() * 1e3);
            }
        }
    }
    latencies
}
