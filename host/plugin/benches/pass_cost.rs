//! What a plugin's pass on a fragment costs, beside native code doing the same and doing nothing. Prints medians and ratios within the run.
//!
//! Reads `plugins/dist/passthrough.wasm`, which `make plugins` builds.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use millrace_cmaf::CodecConfig;
use millrace_cmaf::write::{ChunkWriter, InitSettings, Packet};
use millrace_media::bus::{Bus, Settings};
use millrace_media::clock::Clock;
use millrace_media::fragment::Marks;
use millrace_media::track::{Format, Kind};
use millrace_media::{BroadcastName, Fragment, Time, Timescale, TrackName};
use millrace_plugin::{EngineSettings, Limits, PluginSettings, Plugins};
use millrace_transcode::Runner;
use millrace_transcode::factory::{Context, Factory, Fault, Scope, Transcoder};
use millrace_transcode::output::Output;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

const FRAGMENTS: usize = 3_000;
const WARM_UP: usize = 500;
const SIZES: [usize; 3] = [1_000, 100_000, 1_000_000];

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

/// The median time of a pass on fragments of `size` bytes.
async fn median(factory: Arc<dyn Factory>, size: usize) -> anyhow::Result<Duration> {
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
        let took = passes.recv().await.ok_or_else(|| anyhow::anyhow!("the transcoder has ended"))?;
        if number >= WARM_UP {
            times.push(took);
        }
    }
    runner.shutdown().await;
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let plugins = Plugins::new(EngineSettings { threads: 1, ..EngineSettings::default() })?;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/dist/passthrough.wasm");
    // Nothing but the pass is to be measured.
    let limits = Limits { output_rate: u64::MAX, ..Limits::default() };
    let settings = PluginSettings { limits, ..PluginSettings::new("passthrough", path) };
    let plugin = runtime.block_on(plugins.load(settings))?;
    println!("a pass on a fragment, median of {FRAGMENTS}, in microseconds");
    println!(
        "{:>10} {:>14} {:>12} {:>10} {:>22}",
        "bytes", "native no-op", "native copy", "plugin", "plugin, other threads"
    );
    let threads = plugin.threads().ok_or_else(|| anyhow::anyhow!("plugins have threads of their own"))?;
    let mut at_sizes = Vec::new();
    for size in SIZES {
        // All but the last run where plugins do, so that no change of threads is measured.
        let on_its_threads = |factory| threads.block_on(threads.spawn(median(factory, size)));
        let nothing = on_its_threads(Arc::new(Native::Nothing) as Arc<dyn Factory>)??;
        let copy = on_its_threads(Arc::new(Native::Copy))??;
        let pass = on_its_threads(plugin.clone())??;
        let from_elsewhere = runtime.block_on(runtime.spawn(median(plugin.clone(), size)))??;
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        println!(
            "{size:>10} {:>14.2} {:>12.2} {:>10.2} {:>22.2}",
            micros(nothing),
            micros(copy),
            micros(pass),
            micros(from_elsewhere)
        );
        at_sizes.push(micros(pass));
    }
    let ratio = at_sizes[at_sizes.len() - 1] / at_sizes[0];
    println!("plugin, {} bytes against {}: {ratio:.2}", SIZES[SIZES.len() - 1], SIZES[0]);
    Ok(())
}
