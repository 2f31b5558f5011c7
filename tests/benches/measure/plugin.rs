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
use millrace_transcode::factory::{Context, Decision, Factory, Fault, Scope, SourceTrack, Taken, Transcoder};
use millrace_transcode::output::{Output, Outputs};
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
    let limits = Limits { output_rate: u64::MAX, fragments: u64::MAX, cpu: 1000.0, ..Limits::default() };
    let settings =
        PluginSettings { limits, ..PluginSettings::new("passthrough", millrace_tests::shipped("passthrough")) };
    let plugin = runtime.block_on(plugins.load(settings))?.transcoder().context("it is no transcoder")?;
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
        rows.push(row.clone().beside("native, nothing done", nothing.clone()).goal(Goal::AtMost(1.5)));
        rows.push(row.beside("native, the same done", copy.clone()));
    }
    let [[small, ..], [large, ..]] = figures;
    rows.push(Row::new("a pass on 1 MB", large).beside("on 1 kB", small).goal(Goal::RatioAtMost(1.2)));
    Ok(rows)
}

/// Every so many fragments begin a group.
const GROUP: usize = 30;

/// The median time of a pass on fragments of `size` bytes, in microseconds. On video where the factory wants that, else on audio.
pub(crate) async fn passes(factory: Arc<dyn Factory>, size: usize) -> anyhow::Result<f64> {
    let bus = Bus::new(Settings::default(), Arc::new(Clock::system()));
    let (took, mut passes) = unbounded_channel();
    let init = init(factory.kinds().contains(&Kind::Video));
    let runner = Runner::start(&bus, vec![Arc::new(Timed { factory, took })], vec![]);
    let publisher = bus.publish(&BroadcastName::new("bench")?)?;
    let mut producer = publisher.create_track(TrackName::new("track")?, init.info()?)?;
    let (mut writer, data) = (ChunkWriter::new(1), Bytes::from(vec![7; size]));
    let mut times = Vec::with_capacity(FRAGMENTS);
    for number in 0..WARM_UP + FRAGMENTS {
        let keyframe = number.is_multiple_of(GROUP);
        let marks = Marks { keyframe, independent: keyframe, discardable: false };
        let packet = Packet { data: data.clone(), duration: 20, composition_offset: 0, marks };
        let time = Time::new(10_000 + number as i64 * 20, init.timescale);
        producer.write(writer.chunk(time, [packet], None)?)?;
        let took = passes.recv().await.context("the transcoder has ended")?;
        if number >= WARM_UP {
            times.push(took.as_secs_f64() * 1e6);
        }
    }
    runner.shutdown().await;
    Ok(median(&times))
}

/// What a track is of which nobody looks into the frames.
pub(crate) fn init(video: bool) -> InitSettings {
    let (format, config) = if video {
        // A record with no parameter sets (ISO/IEC 14496-15, 5.3.3.1).
        let record = Bytes::from_static(&[1, 66, 192, 30, 0xff, 0xe0, 0]);
        (Format::Video { width: 640, height: 360, frame_rate: Some(30.0) }, CodecConfig::Avc(record))
    } else {
        let record = Bytes::from_static(&[0, 2, 0, 0, 0, 0, 0xbb, 0x80, 0, 0, 0]);
        (Format::Audio { sample_rate: 48_000, channels: 2 }, CodecConfig::Opus(record))
    };
    InitSettings { track_id: 1, timescale: Timescale::MILLIS, format, config, language: None, bitrate: None }
}

/// Does nothing, or passes on, natively.
#[derive(Clone, Copy)]
enum Native {
    Nothing,
    Copy,
}

struct NativeTranscoder {
    outputs: Option<Outputs>,
    output: Option<Output>,
}

fn returned(error: impl ToString) -> Fault {
    Fault::Returned(error.to_string())
}

#[async_trait]
impl Factory for Native {
    fn name(&self) -> &str {
        "native"
    }

    fn scope(&self) -> Scope {
        Scope::Track
    }

    fn kinds(&self) -> &[Kind] {
        &[Kind::Audio]
    }

    async fn start(&self, context: Context) -> Result<Box<dyn Transcoder>, Fault> {
        let outputs = matches!(self, Self::Copy).then_some(context.outputs);
        Ok(Box::new(NativeTranscoder { outputs, output: None }))
    }
}

#[async_trait]
impl Transcoder for NativeTranscoder {
    async fn track(&mut self, source: &SourceTrack) -> Result<Decision, Fault> {
        if let Some(outputs) = &self.outputs {
            let output = outputs.open("copy", Some(source.track.name())).map_err(returned)?;
            output.describe_like(source).map_err(returned)?;
            self.output = Some(output);
        }
        Ok(Decision::Accept)
    }

    async fn fragment(&mut self, _: u32, fragment: &Fragment) -> Result<Taken, Fault> {
        if let Some(output) = &self.output {
            output.write(fragment.place().group, fragment.media().clone()).map_err(returned)?;
        }
        Ok(Taken::Whole)
    }
}

/// Times every pass of a factory's transcoder.
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

    async fn start(&self, context: Context) -> Result<Box<dyn Transcoder>, Fault> {
        let (took, transcoder) = (self.took.clone(), self.factory.start(context).await?);
        Ok(Box::new(TimedTranscoder { transcoder, took }))
    }
}

#[async_trait]
impl Transcoder for TimedTranscoder {
    async fn track(&mut self, track: &SourceTrack) -> Result<Decision, Fault> {
        self.transcoder.track(track).await
    }

    async fn fragment(&mut self, track: u32, fragment: &Fragment) -> Result<Taken, Fault> {
        let start = Instant::now();
        let done = self.transcoder.fragment(track, fragment).await;
        // The receiver goes only when the run is over.
        let _ = self.took.send(start.elapsed());
        done
    }
}
