//! The same plugin in each language: what loading it takes, with the cache and without, starting an instance, a call, and an instance's
//! memory.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use async_trait::async_trait;
use bytes::Bytes;
use millrace_cmaf::write::{ChunkWriter, Packet};
use millrace_media::bus::{Bus, Settings};
use millrace_media::clock::Clock;
use millrace_media::fragment::Marks;
use millrace_media::track::{Kind, Producer};
use millrace_media::{BroadcastName, Publisher, Time, TrackName};
use millrace_plugin::{CacheSettings, Compiler, EngineSettings, Limits, PluginFactory, PluginSettings, Plugins};
use millrace_tests::{Server, resident};
use millrace_transcode::Runner;
use millrace_transcode::factory::{Context, Factory, Fault, Scope, Transcoder};
use tokio::sync::mpsc::UnboundedSender;

use crate::plugin::{init, passes};
use crate::report::{Figure, Goal, Row};
use crate::spread::median;

/// Instances whose memory is measured together, and a call's goal in microseconds.
const LANGUAGES: [(&str, usize, Option<f64>); 5] = [
    ("rust", 1000, Some(1.5)),
    ("wasip2", 200, None),
    ("c", 200, Some(1.5)),
    ("javascript", 30, Some(50.0)),
    ("python", 30, None),
];
const STARTS: usize = 200;
/// In microseconds.
const START_GOAL: f64 = 70.0;

pub(crate) fn measure() -> anyhow::Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut rows = Vec::new();
    for (language, instances, goal) in LANGUAGES {
        let component = millrace_tests::root().join(format!("plugins/dist/examples/gop-stats-{language}.wasm"));
        if !component.exists() {
            eprintln!("  {language}: skipped, `make plugins-examples-all` builds it");
            continue;
        }
        eprintln!("  {language}");
        rows.extend(runtime.block_on(of_language(language, &component, instances, goal))?);
    }
    anyhow::ensure!(!rows.is_empty(), "no example plugin is built: `make plugins-examples-all` builds them");
    Ok(rows)
}

async fn of_language(
    language: &str,
    component: &Path,
    instances: usize,
    goal: Option<f64>,
) -> anyhow::Result<Vec<Row>> {
    let directory = tempfile::tempdir()?;
    let compiler = Compiler {
        args: vec!["compile-plugin".into()],
        cache: Some(CacheSettings::new(directory.path().join("cache"))),
        ..Compiler::new(Server::binary())
    };
    let load = async || {
        let settings = EngineSettings { max_instances: 1100, threads: 1, ..EngineSettings::new(compiler.clone()) };
        let plugins = Plugins::new(settings)?;
        let limits = Limits { cpu: 1000.0, log: 1000, series: 100_000, ..Limits::default() };
        let settings = PluginSettings { limits, ..PluginSettings::new("gop-stats", component) };
        let began = Instant::now();
        let plugin = plugins.load(settings).await?.transcoder().context("it is no transcoder")?;
        anyhow::Ok((plugin, began.elapsed().as_secs_f64() * 1e3))
    };
    let (_, cold) = load().await?;
    let (plugin, warm) = load().await?;
    let threads = plugin.threads().context("plugins have threads of their own")?.clone();
    let given = Given::new().await?;
    let (starts, per_instance) = threads.spawn(started(plugin.clone(), given.context.clone(), instances)).await??;
    let mut row = Row::new(
        format!("{language}: a call on 1 kB"),
        Figure::new(threads.spawn(passes(plugin.clone(), 1_000)).await??, "µs"),
    );
    let large = Figure::new(threads.spawn(passes(plugin, 1_000_000)).await??, "µs");
    row = row.beside("on 1 MB", large);
    if let Some(goal) = goal {
        row = row.goal(Goal::AtMost(goal));
    }
    let mut start = Row::new(format!("{language}: start of an instance"), Figure::new(starts, "µs"));
    if matches!(language, "rust" | "c") {
        start = start.goal(Goal::AtMost(START_GOAL));
    }
    let mut cached = Row::new(format!("{language}: loading from the cache"), Figure::new(warm, "ms"))
        .beside("compiling", Figure::new(cold, "ms"));
    if language == "javascript" {
        cached = cached.goal(Goal::AtMost(1000.0));
    }
    let memory = Row::new(
        format!("{language}: memory of one of {instances} instances"),
        Figure::new(per_instance / 1024.0, "KiB"),
    );
    Ok(vec![cached, start, row, memory])
}

/// What transcoders are given for a track, and what it belongs to.
struct Given {
    context: Context,
    _runner: Runner,
    _publisher: Publisher,
    _producer: Producer,
}

impl Given {
    async fn new() -> anyhow::Result<Self> {
        let bus = Bus::new(Settings::default(), Arc::new(Clock::system()));
        let (sender, mut contexts) = tokio::sync::mpsc::unbounded_channel();
        let runner = Runner::start(&bus, vec![Arc::new(Asks(sender))], vec![]);
        let publisher = bus.publish(&BroadcastName::new("bench")?)?;
        let mut producer = publisher.create_track(TrackName::new("track")?, init(true).info()?)?;
        let marks = Marks { keyframe: true, independent: true, discardable: false };
        let packet = Packet { data: Bytes::from_static(b"frame"), duration: 20, composition_offset: 0, marks };
        producer.write(ChunkWriter::new(1).chunk(Time::from_millis(10_000), [packet], None)?)?;
        let context = contexts.recv().await.context("the runner starts a transcoder")?;
        Ok(Self { context, _runner: runner, _publisher: publisher, _producer: producer })
    }
}

/// A factory that passes on what it is given, and makes nothing.
struct Asks(UnboundedSender<Context>);

#[async_trait]
impl Factory for Asks {
    fn name(&self) -> &str {
        "asks"
    }
    fn scope(&self) -> Scope {
        Scope::Track
    }
    fn kinds(&self) -> &[Kind] {
        &[Kind::Video]
    }
    async fn start(&self, context: Context) -> Result<Box<dyn Transcoder>, Fault> {
        // Nobody listens after the first.
        let _ = self.0.send(context);
        Err(Fault::Returned("nothing is made".into()))
    }
}

/// The median time of a start in microseconds, and the memory of each of so many instances in bytes.
async fn started(plugin: Arc<PluginFactory>, context: Context, instances: usize) -> Result<(f64, f64), Fault> {
    let lost = |error: anyhow::Error| Fault::Lost(error.to_string());
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let began = Instant::now();
        let instance = plugin.start(context.clone()).await?;
        times.push(began.elapsed().as_secs_f64() * 1e6);
        drop(instance);
    }
    let before = resident(std::process::id()).map_err(|error| lost(error.into()))?;
    let mut held: Vec<Box<dyn Transcoder>> = Vec::new();
    for _ in 0..instances {
        held.push(plugin.start(context.clone()).await?);
    }
    let after = resident(std::process::id()).map_err(|error| lost(error.into()))?;
    Ok((median(&times), after.saturating_sub(before) as f64 / instances as f64))
}
