//! The live test source: a moving picture with a burnt-in clock, and a tone that marks the seconds.
//!
//! It publishes to the bus as an ingest module does: H.264, a chunk for each picture, and Opus in chunks of 100 ms.

mod picture;
mod tone;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use millrace_cmaf::CodecConfig;
use millrace_cmaf::write::{ChunkWriter, InitSettings, Packet};
use millrace_codec::audio::{AudioEncoder, OpusEncoder};
use millrace_codec::{Size, VideoCodec, VideoEncoder, VideoSettings, open_video_encoder};
use millrace_media::fragment::Marks;
use millrace_media::stage::Writer;
use millrace_media::track::Format;
use millrace_media::{BroadcastName, Bus, Publisher, Time, Timescale, TrackName};

use picture::Painter;
use tone::Tone;

/// The name of the demo's broadcast.
pub(crate) const BROADCAST: &str = "live/demo";

const WIDTH: u32 = 1280;
const HEIGHT: u32 = 720;
const FRAME_RATE: u32 = 30;
/// Seconds from one keyframe to the next.
const GROUP: u32 = 2;
const VIDEO_BITRATE: u32 = 2_500_000;
const AUDIO_BITRATE: u32 = 96_000;
const SAMPLE_RATE: u32 = 48_000;
/// Opus packets of 20 ms in a chunk of sound.
const PACKETS_PER_CHUNK: usize = 5;
const VIDEO_SCALE: Timescale = Timescale::new(90_000).unwrap();
const AUDIO_SCALE: Timescale = Timescale::new(SAMPLE_RATE).unwrap();

/// The source at work. It ends its broadcast when it is stopped or dropped.
#[derive(Debug)]
pub(crate) struct Demo {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Demo {
    /// Begins to publish.
    ///
    /// # Errors
    /// Where the broadcast has a publisher, or an encoder or a thread cannot be had.
    pub(crate) fn start(bus: &Bus) -> anyhow::Result<Self> {
        let publisher = bus.publish(&BroadcastName::new(BROADCAST)?)?;
        let source = Source::new(publisher)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::Builder::new().name("demo source".into()).spawn(move || {
            if let Err(error) = source.run(&stopped) {
                tracing::error!("the demo source has failed: {error:#}");
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Ends the broadcast and waits for the source's last picture. Takes no longer than a picture lasts.
    pub(crate) fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the demo source's thread did not end well");
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.end();
    }
}

struct Source {
    publisher: Publisher,
    /// Whole seconds from the source's time to the broadcast's.
    offset: i64,
    painter: Painter,
    encoder: Box<dyn VideoEncoder>,
    video: Option<Writer>,
    video_chunks: ChunkWriter,
    tone: Tone,
    sound: Box<dyn AudioEncoder>,
    audio: Writer,
    audio_chunks: ChunkWriter,
    packets: Vec<millrace_codec::audio::AudioPacket>,
}

impl Source {
    fn new(publisher: Publisher) -> anyhow::Result<Self> {
        let size = Size::new(WIDTH, HEIGHT)?;
        let settings = VideoSettings {
            bitrate: Some(VIDEO_BITRATE),
            frame_rate: FRAME_RATE as f32,
            ..VideoSettings::new(VideoCodec::H264, WIDTH, HEIGHT)
        };
        let encoder = open_video_encoder(&settings)?;
        let sound = OpusEncoder::new(2, AUDIO_BITRATE, Time::zero(AUDIO_SCALE))?;
        let config = sound.config();
        let offset = publisher.offset(Time::new(-i64::from(config.pre_skip), AUDIO_SCALE));
        let info = InitSettings {
            track_id: 1,
            timescale: AUDIO_SCALE,
            format: Format::Audio { sample_rate: SAMPLE_RATE, channels: u16::from(config.channels) },
            config: CodecConfig::Opus(config.record()),
            language: None,
            bitrate: Some(AUDIO_BITRATE),
        };
        let audio = publisher.write_track(TrackName::new("audio")?, info.info()?)?;
        Ok(Self {
            publisher,
            offset,
            painter: Painter::new(size),
            encoder,
            video: None,
            video_chunks: ChunkWriter::new(1),
            tone: Tone::new(SAMPLE_RATE),
            sound: Box::new(sound),
            audio,
            audio_chunks: ChunkWriter::new(1),
            packets: Vec::new(),
        })
    }

    fn run(mut self, stop: &AtomicBool) -> anyhow::Result<()> {
        let began = std::time::Instant::now();
        for frame in 0u64.. {
            let due = Duration::from_secs(frame) / FRAME_RATE;
            std::thread::sleep(due.saturating_sub(began.elapsed()));
            if stop.load(Ordering::Relaxed) {
                break;
            }
            self.picture(frame)?;
            self.sound(frame)?;
        }
        self.publisher.finish();
        Ok(())
    }

    fn picture(&mut self, frame: u64) -> anyhow::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the machine's clock is before 1970")?;
        let ticks = VIDEO_SCALE.get() / FRAME_RATE;
        let time = Time::new(i64::try_from(frame)? * i64::from(ticks), VIDEO_SCALE)
            + Time::from_secs(self.offset, VIDEO_SCALE);
        let picture = self.painter.paint(frame, now, time)?;
        let keyframe = frame.is_multiple_of(u64::from(GROUP * FRAME_RATE));
        let mut packets = Vec::new();
        self.encoder.encode(&picture, time, keyframe, &mut packets)?;
        for packet in packets {
            let marks = Marks { keyframe: packet.keyframe, independent: packet.keyframe, discardable: false };
            let coded = Packet { data: packet.data, duration: ticks, composition_offset: 0, marks };
            let media = self.video_chunks.chunk(packet.time, [coded], Some(now))?;
            self.video()?.write(media)?;
        }
        Ok(())
    }

    /// The video track, made once the encoder knows its headers.
    fn video(&mut self) -> anyhow::Result<&mut Writer> {
        if self.video.is_none() {
            let config = self.encoder.config().context("the encoder gave a picture without headers")?;
            let info = InitSettings {
                track_id: 1,
                timescale: VIDEO_SCALE,
                format: Format::Video { width: WIDTH, height: HEIGHT, frame_rate: Some(FRAME_RATE as f32) },
                config: CodecConfig::Avc(config.record.clone()),
                language: None,
                bitrate: Some(VIDEO_BITRATE),
            };
            self.video = Some(self.publisher.write_track(TrackName::new("video")?, info.info()?)?);
        }
        self.video.as_mut().context("the track was just made")
    }

    fn sound(&mut self, frame: u64) -> anyhow::Result<()> {
        // The sound of exactly the time that the picture lasts.
        let samples = self.tone.samples_until((frame + 1) * u64::from(SAMPLE_RATE) / u64::from(FRAME_RATE));
        self.sound.encode(&samples, &mut self.packets)?;
        while self.packets.len() >= PACKETS_PER_CHUNK {
            let chunk: Vec<_> = self.packets.drain(..PACKETS_PER_CHUNK).collect();
            let start = chunk[0].time + Time::from_secs(self.offset, AUDIO_SCALE);
            let marks = Marks { keyframe: true, independent: true, discardable: false };
            let coded = chunk.into_iter().map(|packet| Packet {
                data: packet.data,
                duration: packet.duration,
                composition_offset: 0,
                marks,
            });
            let media = self.audio_chunks.chunk(start, coded, None)?;
            self.audio.write(media)?;
        }
        Ok(())
    }
}
