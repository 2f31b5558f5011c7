//! Encoders and decoders have normal priority, also where the transcoder that opens them has a lower one.
#![cfg(target_os = "linux")]

#[allow(dead_code, reason = "each test uses what it needs")]
mod source;

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use async_trait::async_trait;
use millrace_cmaf::CodecConfig;
use millrace_cmaf::write::{ChunkWriter, InitSettings, Packet};
use millrace_codec::VideoSettings;
use millrace_codec::audio::{AudioCodec, AudioSettings, open_audio_encoder};
use millrace_media::fragment::Marks;
use millrace_media::track::{Format, Kind};
use millrace_media::{Timescale, TrackName};
use millrace_transcode::factory::{Context, Factory, Fault, Scope, Transcoder};
use millrace_transcode::native::NativeLadder;
use millrace_transcode::{Rendition, Runner, Sound};
use source::{Source, bus, ladder, rendition, until};
use tokio::runtime::{Builder, Handle, Runtime};

const OPUS: Timescale = Timescale::new(48_000).unwrap();
/// The name of the transcoders' threads.
const GUEST: &str = "guest";
/// How much lower their priority is.
const LOWER: i32 = 5;

/// The native ladder on threads of low priority.
struct Low {
    runtime: Option<Runtime>,
    handle: Handle,
}

impl Low {
    fn new() -> Self {
        let give_way = || {
            rustix::process::nice(LOWER).unwrap();
        };
        let mut runtime = Builder::new_multi_thread();
        runtime.worker_threads(1).thread_name(GUEST).on_thread_start(give_way).enable_time();
        let runtime = runtime.build().unwrap();
        Self { handle: runtime.handle().clone(), runtime: Some(runtime) }
    }
}

impl Drop for Low {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[async_trait]
impl Factory for Low {
    fn name(&self) -> &str {
        NativeLadder.name()
    }
    fn scope(&self) -> Scope {
        NativeLadder.scope()
    }
    fn kinds(&self) -> &[Kind] {
        &[Kind::Video, Kind::Audio]
    }
    fn threads(&self) -> Option<&Handle> {
        Some(&self.handle)
    }
    async fn start(&self, context: Context) -> Result<Box<dyn Transcoder>, Fault> {
        NativeLadder.start(context).await
    }
}

/// The name and nice value of each thread of this process.
fn threads() -> BTreeSet<(String, i32)> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    // A thread may end before its file is read.
    let stats = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("stat")).ok());
    stats
        .map(|stat| {
            // The name stands in parentheses as the second field; the nice value is the 19th.
            let (name, fields) = stat.split_once('(').unwrap().1.rsplit_once(") ").unwrap();
            (name.to_owned(), fields.split(' ').nth(19 - 3).unwrap().parse().unwrap())
        })
        .collect()
}

#[tokio::test]
async fn encoders_and_decoders_have_normal_priority_where_their_transcoder_has_not() {
    let normal = rustix::process::getpriority_process(None).unwrap();
    let bus = bus();
    let rendition = rendition("a", 160, 90);
    let rendition = Rendition {
        audio: Sound::Opus { bitrate: 96_000 },
        video: VideoSettings { threads: 2, ..rendition.video.clone() },
        ..(*rendition).clone()
    };
    let _runner = Runner::start(&bus, vec![Arc::new(Low::new())], vec![ladder(&[Arc::new(rendition)])]);
    let mut source = Source::new(&bus);
    let first = source.write(1).remove(0).presentation_time;

    let settings = AudioSettings { codec: AudioCodec::Opus, bitrate: 96_000 };
    let mut encoder = open_audio_encoder(&settings, 1, first.rescale(OPUS)).unwrap();
    let init = InitSettings {
        track_id: 1,
        timescale: OPUS,
        format: Format::Audio { sample_rate: OPUS.get(), channels: 1 },
        config: CodecConfig::Opus(encoder.config().record()),
        language: None,
        bitrate: None,
    };
    let mut audio = source.publisher.create_track(TrackName::new("audio").unwrap(), init.info().unwrap()).unwrap();
    let mut packets = Vec::new();
    encoder.encode(&[0.0; 9_600], &mut packets).unwrap();
    let marks = Marks { keyframe: true, independent: true, discardable: false };
    let coded = packets.into_iter().map(|packet| Packet {
        data: packet.data,
        duration: packet.duration,
        composition_offset: 0,
        marks,
    });
    let chunk = ChunkWriter::new(1).chunk(first.rescale(OPUS), coded, None).unwrap();
    audio.write(chunk).unwrap();

    let is_there = |name: &str| threads().iter().any(|(known, _)| known == name);
    until("both encode", || is_there("encode a") && is_there("encode a-audio") && is_there("decode")).await;
    let threads = threads();
    let guest = threads.iter().find(|(name, _)| name == GUEST).unwrap().1;
    assert_eq!(guest, normal + LOWER, "the test itself must run at a nice value of at most 14");
    for (name, nice) in threads.iter().filter(|(name, _)| name != GUEST) {
        assert_eq!(*nice, normal, "{name}");
    }
}
