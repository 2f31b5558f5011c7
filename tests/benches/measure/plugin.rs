//! What a plugin's pass on a fragment costs: the call into the sandbox, what the guest does there, and the way back, beside native
//! code doing the same and doing nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use async_trait::async_trait;
use bytes::Bytes;
use millrace_cmaf::CodecConfig;
use millrace_cmaf::write::{ChunkWriter, InitSettings, Packet};
use millrace_media::bus::{Bus, Settings};
use millrace_media::clock::Clock;
use millrace_media::fragment::Marks;
use millrace_media::track::{Format, Kind};
use millrace_media::{BroadcastName, Fragment, Time, Timescale, TrackName};
use millrace_plugin::{Compiler, EngineSettings, Limits, PluginSettings, Plugins};
use millrace_tests::Server;
use millrace_transcode::Runner;
use millrace_transcode::factory::{Context, Factory, Fault, Scope, Transcoder};
use millrace_transcode::output::Output;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::report::{Figure, Goal, Row};
use crate::spread::median;

const FRAGMENTS: usize = 3_000;
const WARM_UP: usize = 500;
/// Taking turns, so that a slow moment of the machine hits all alike.
const ROUNDS: usize = 5;
const SIZES: [(usize, &str); 2] = [(1_000, "1 kB"), (1_000_000, "1 MB")];

pub(crate) fn measure() -> anyhow::Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let compiler = Compiler { args: vec!["compile-plugin".into()], ..Compiler::new(Server::binary()) };
    let plugins = Plugins::new(EngineSettings { threads: 1, ..EngineSettings::new(compiler) })?;
    // Nothing but the pass is to be measured.
    let limits = Limits { output_rate: u64::MAX, ..Limits::default() };
    let settings =
        PluginSettings { limits, ..PluginSettings::new("passthrough", millrace_tests::shipped("passthrough")) };
    let plugin = runtime.block_on(plugins.load(settings))?;
    let threads = plugin.threads().context("plugins have threads of their own")?;
    let factories: [Arc<dyn Factory>; 3] = [plugin.clone(), Arc::new(Native::Nothing), Arc::new(Native::Copy)];
    let mut medians: [[Vec<f64>; 3]; SIZES.len()] = Default::default();
    for round in 1..=ROUNDS {
        eprintln!("  round {round} of {ROUNDS}");
        for ((size, _), medians) in SIZES.iter().zip(&mut medians) {
            for (factory, medians) in factories.iter().zip(medians) {
                // The runner has plugins run on their own threads; so do the others here, that all are measured alike.
                medians.push(threads.block_on(threads.spawn(passes(factory.clone(), *size)))??);
            }
        }
    }
    let figures = medians.map(|of_size| of_size.map(|medians| Figure::new(median(&medians), "µs")));
    let mut rows = Vec::new();
    for ((_, size), [pass, nothing, copy]) in SIZES.iter().zip(&figures) {
        let row = Row::new(format!("a pass on {size}"), pass.clone());
        rows.push(row.clone().beside("native, nothing done", nothing.clone()).goal(Goal::AtMost(3.0)));
        rows.push(row.beside("native, the same done", copy.clone()));
    }
    let [[small, ..], [large, ..]] = figures;
    rows.push(Row::new("a pass on 1 MB", large).beside("on 1 kB", small).goal(Goal::RatioAtMost(1.2)));
    Ok(rows)
}

/// The median time of a pass on fragments of `size` bytes, in microseconds.
async fn passes(factory: Arc<dyn Factory>, size: usize) -> anyhow::Result<f64> {
    let bus = Bus::new(Settings::default(), Arc::new(Clock::system()));
    let (took, mut passes) = unbounded_channel();
    let runner = Runner::start(&bus, vec![Arc::new(Timed { factory, took })], vec![]);
    let publisher = bus.publish(&BroadcastName::new("bench")?)?;
    let timescale = Timescale::MILLIS;
    let init = InitSettings {
        track_id: 1,
        timescale,
        format: Format::Audio { sample_rate: 48_000, channels: 2 },
        config: CodecConfig::Opus(Bytes::from_static(&[0, 2, 0, 0, 0, 0, 0xbb, 0x80, 0, 0, 0])),
        language: None,
        bitrate: None,
    };
    let mut producer = publisher.create_track(TrackName::new("audio")?, init.info()?)?;
    let (mut writer, data) = (ChunkWriter::new(1), Bytes::from(vec![7; size]));
    let marks = Marks { keyframe: true, independent: true, discardable: false };
    let mut times = Vec::with_capacity(FRAGMENTS);
    for number in 0..WARM_UP + FRAGMENTS {
        let packet = Packet { data: data.clone(), duration: 20, composition_offset: 0, marks };
        let time = Time::new(10_000 + number as i64 * 20, timescale);
        producer.write(writer.chunk(time, [packet], None)?)?;
        let took = passes.recv().await.context("the transcoder has ended")?;
        if number >= WARM_UP {
            times.push(took.as_secs_f64() * 1e6);
        }
    }
    runner.shutdown().await;
    Ok(median(&times))
}

/// Does nothing, or passes on, natively.
#[derive(Clone, Copy)]
enum Native {
    Nothing,
    Copy,
}

struct NativeTranscoder(Option<Output>);

#[async_trait]
impl Factory for Native {
    fn name(&self) -> &str {
        "native"
    }

    fn scope(&self) -> Scope {
        Scope::PerTrack
    }

    fn kinds(&self) -> &[Kind] {
        &[Kind::Audio]
    }

    async fn start(&self, context: Context) -> Result<Option<Box<dyn Transcoder>>, Fault> {
        let output = match self {
            Self::Nothing => None,
            Self::Copy => {
                let output = context.outputs.open("copy").map_err(|error| Fault::Returned(error.to_string()))?;
                output.describe_like(&context.info);
                Some(output)
            }
        };
        Ok(Some(Box::new(NativeTranscoder(output))))
    }
}

#[async_trait]
impl Transcoder for NativeTranscoder {
    async fn fragment(&mut self, fragment: &Fragment) -> Result<(), Fault> {
        let Some(output) = &self.0 else { return Ok(()) };
        output
            .write(fragment.place().group, fragment.media().clone())
            .map_err(|error| Fault::Returned(error.to_string()))
    }
}

/// Measures every pass of another factory's transcoder.
struct Timed {
    factory: Arc<dyn Factory>,
    took: UnboundedSender<Duration>,
}

struct TimedTranscoder {
    transcoder: Box<dyn Transcoder>,
    took: UnboundedSender<Duration>,
}

#[async_trait]
impl Factory for Timed {
    fn name(&self) -> &str {
        self.factory.name()
    }

    fn scope(&self) -> Scope {
        self.factory.scope()
    }

    fn kinds(&self) -> &[Kind] {
        self.factory.kinds()
    }

    async fn start(&self, context: Context) -> Result<Option<Box<dyn Transcoder>>, Fault> {
        let took = self.took.clone();
        let started = self.factory.start(context).await?;
        Ok(started.map(|transcoder| Box::new(TimedTranscoder { transcoder, took }) as Box<dyn Transcoder>))
    }
}

#[async_trait]
impl Transcoder for TimedTranscoder {
    async fn fragment(&mut self, fragment: &Fragment) -> Result<(), Fault> {
        let start = Instant::now();
        let done = self.transcoder.fragment(fragment).await;
        // The receiver goes only when the run is over.
        let _ = self.took.send(start.elapsed());
        done
    }
}
