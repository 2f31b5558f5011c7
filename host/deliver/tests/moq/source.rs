//! A broadcast that is written as the test says, in real CMAF.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millrace_cmaf::CodecConfig;
use millrace_cmaf::write::{ChunkWriter, Event, InitSettings, Packet};
use millrace_media::bus::{self, Bus};
use millrace_media::calendar::Group;
use millrace_media::clock::Clock;
use millrace_media::fragment::Marks;
use millrace_media::track::{Format, Listing, Producer, Provenance, Track};
use millrace_media::{Broadcast, BroadcastName, Fragment, Publisher, Time, Timescale, TrackName};

pub(crate) const UNIX: Duration = Duration::from_secs(1_800_000_000);
pub(crate) const NAME: &str = "live/demo";
pub(crate) const AVC: [u8; 7] = [1, 0x42, 0xc0, 0x1e, 0xff, 0xe0, 0];
const VIDEO_SCALE: u32 = 12_800;
const AUDIO_SCALE: u32 = 48_000;
const PICTURE: u32 = 512;
const FRAME: u32 = 960;
/// Pictures, of 40 ms, in a group.
pub(crate) const PICTURES: u64 = 10;
/// Frames, of 20 ms, in a chunk of sound.
const FRAMES: u32 = 5;

pub(crate) fn track(name: &str) -> TrackName {
    TrackName::new(name).unwrap()
}

fn settings(format: Format, config: CodecConfig, scale: u32, bitrate: Option<u32>) -> InitSettings {
    let timescale = Timescale::new(scale).unwrap();
    InitSettings { track_id: 1, timescale, format, config, language: None, bitrate }
}

fn video(width: u32, height: u32, bitrate: Option<u32>) -> InitSettings {
    let config = CodecConfig::Avc(Bytes::from_static(&AVC));
    settings(Format::Video { width, height, frame_rate: Some(25.0) }, config, VIDEO_SCALE, bitrate)
}

fn audio() -> InitSettings {
    let config = CodecConfig::Opus(Bytes::from_static(&[0, 2, 0x01, 0x38, 0, 0, 0xbb, 0x80, 0, 0, 0]));
    settings(Format::Audio { sample_rate: 48_000, channels: 2 }, config, AUDIO_SCALE, Some(96_000))
}

fn packet(ticks: i64, duration: u32, keyframe: bool, size: usize) -> Packet {
    let data: Vec<u8> = format!("<{ticks}>").bytes().cycle().take(size).collect();
    let marks = Marks { keyframe, independent: keyframe, discardable: false };
    Packet { data: data.into(), duration, composition_offset: 0, marks }
}

/// A track that is written.
pub(crate) struct Written {
    pub(crate) producer: Producer,
    chunks: ChunkWriter,
    ticks: i64,
}

impl Written {
    fn new(producer: Producer, scale: u32) -> Self {
        // Ten seconds in.
        Self { producer, chunks: ChunkWriter::new(1), ticks: i64::from(scale) * 10 }
    }
}

/// See the [module](self).
pub(crate) struct Source {
    pub(crate) bus: Bus,
    pub(crate) clock: Arc<Clock>,
    pub(crate) broadcast: Broadcast,
    pub(crate) publisher: Option<Publisher>,
    pub(crate) video: Option<Written>,
    pub(crate) audio: Option<Written>,
    /// A picture's size in bytes; a keyframe's is four times that.
    pub(crate) size: usize,
    /// An event that comes with the next picture.
    pub(crate) event: Option<Event>,
    picture: u64,
}

impl Source {
    pub(crate) fn new() -> Self {
        Self::on(bus::Settings::default())
    }

    pub(crate) fn on(settings: bus::Settings) -> Self {
        Self::at(UNIX, settings)
    }

    /// On a server that starts at this time since the Unix epoch.
    pub(crate) fn at(unix: Duration, settings: bus::Settings) -> Self {
        let clock = Arc::new(Clock::manual(unix));
        let bus = Bus::new(settings, clock.clone());
        let publisher = bus.publish(&BroadcastName::new(NAME).unwrap()).unwrap();
        let broadcast = publisher.broadcast().clone();
        let publisher = Some(publisher);
        let (video, audio) = (None, None);
        let mut source = Self { bus, clock, broadcast, publisher, video, audio, size: 1_000, event: None, picture: 0 };
        source.declare();
        source
    }

    fn declare(&mut self) {
        let publisher = self.publisher.as_ref().unwrap();
        let video = publisher.create_track(track("video"), video(640, 360, None).info().unwrap()).unwrap();
        let audio = publisher.create_track(track("audio"), audio().info().unwrap()).unwrap();
        (self.video, self.audio) = (Some(Written::new(video, VIDEO_SCALE)), Some(Written::new(audio, AUDIO_SCALE)));
        self.picture = 0;
    }

    /// The publisher goes away and comes back a second later.
    pub(crate) fn returns(&mut self) {
        (self.video, self.audio, self.publisher) = (None, None, None);
        self.clock.advance(Duration::from_secs(1));
        self.publisher = Some(self.bus.publish(&BroadcastName::new(NAME).unwrap()).unwrap());
        self.declare();
    }

    /// The broadcast ends.
    pub(crate) fn finish(&mut self) {
        (self.video, self.audio) = (None, None);
        self.publisher.take().unwrap().finish();
    }

    /// Writes a picture, and the sound as far as it. The first of every ten is a keyframe.
    pub(crate) fn picture(&mut self) -> Fragment {
        let keyframe = self.picture.is_multiple_of(PICTURES);
        let size = if keyframe { self.size * 4 } else { self.size };
        self.picture += 1;
        let written = self.video.as_mut().unwrap();
        let at = Time::new(written.ticks, Timescale::new(VIDEO_SCALE).unwrap());
        let mut media = written.chunks.chunk(at, [packet(written.ticks, PICTURE, keyframe, size)], None).unwrap();
        if let Some(event) = self.event.take() {
            media = millrace_cmaf::with_event(&media, &event).unwrap();
        }
        written.ticks += i64::from(PICTURE);
        let fragment = written.producer.write(media).unwrap();
        let through = written.ticks * i64::from(AUDIO_SCALE / 1_600) / i64::from(VIDEO_SCALE / 1_600);
        while self.audio.as_ref().is_some_and(|audio| audio.ticks < through) {
            self.sound();
        }
        fragment
    }

    /// Writes a picture of these bytes, which depends on the one before it.
    pub(crate) fn given(&mut self, data: Bytes) {
        self.picture += 1;
        let written = self.video.as_mut().unwrap();
        let at = Time::new(written.ticks, Timescale::new(VIDEO_SCALE).unwrap());
        let packet = Packet { data, duration: PICTURE, composition_offset: 0, marks: Marks::default() };
        let media = written.chunks.chunk(at, [packet], None).unwrap();
        written.ticks += i64::from(PICTURE);
        written.producer.write(media).unwrap();
    }

    /// Writes so many frames that last no time, as one fragment.
    pub(crate) fn instants(&mut self, count: u32) {
        let written = self.video.as_mut().unwrap();
        let at = Time::new(written.ticks, Timescale::new(VIDEO_SCALE).unwrap());
        let frames = (0..count).map(|_| packet(written.ticks, 0, false, 100));
        let media = written.chunks.chunk(at, frames, None).unwrap();
        written.producer.write(media).unwrap();
    }

    fn sound(&mut self) {
        let written = self.audio.as_mut().unwrap();
        let at = Time::new(written.ticks, Timescale::new(AUDIO_SCALE).unwrap());
        let frames = (0..FRAMES).map(|n| packet(written.ticks + i64::from(n * FRAME), FRAME, true, 120));
        let media = written.chunks.chunk(at, frames, None).unwrap();
        written.ticks += i64::from(FRAMES * FRAME);
        written.producer.write(media).unwrap();
    }

    pub(crate) fn pictures(&mut self, count: u64) {
        for _ in 0..count {
            self.picture();
        }
    }

    pub(crate) fn track(&self, name: &str) -> Track {
        self.broadcast.track(name).unwrap()
    }

    /// A rung of the video; it has no fragment yet.
    pub(crate) fn rung(&self, name: &str) -> Written {
        let provenance =
            Provenance::Derived { factory: "ladder".into(), rendition: Some(name.into()), from: Some(track("video")) };
        let mut producer = self.broadcast.derive(track(name), provenance).unwrap();
        producer.set_info(video(320, 180, Some(300_000)).info().unwrap());
        Written::new(producer, VIDEO_SCALE)
    }
}

impl Source {
    /// Video that a plugin makes of no track in particular; it has no fragment yet.
    pub(crate) fn made(&self, name: &str, listing: Listing) -> Written {
        let provenance = Provenance::Derived { factory: "plugin".into(), rendition: None, from: None };
        let mut producer = self.broadcast.derive(track(name), provenance).unwrap();
        producer.set_listing(listing).unwrap();
        producer.set_info(video(640, 360, Some(500_000)).info().unwrap());
        Written::new(producer, VIDEO_SCALE)
    }
}

impl Written {
    /// Writes what a rung makes of a picture.
    pub(crate) fn follow(&mut self, picture: &Fragment) {
        let at = picture.decode_time;
        let packet = packet(at.ticks(), PICTURE, picture.starts_group(), 300);
        let media = self.chunks.chunk(at, [packet], None).unwrap();
        self.producer.write_in(picture.place().group, media).unwrap();
    }
}

/// An object's bytes, shown by their number and their middle.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Object(pub(crate) Vec<u8>);

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let middle = self.0.len() / 2;
        let excerpt = self.0.get(middle..middle + 8).unwrap_or_default();
        write!(f, "{} bytes, {}", self.0.len(), String::from_utf8_lossy(excerpt))
    }
}

/// A fragment as it is sent.
pub(crate) fn object(fragment: &Fragment) -> Object {
    let mut bytes = fragment.head.to_vec();
    fragment.payload.slices().iter().for_each(|slice| bytes.extend_from_slice(slice));
    Object(bytes)
}

/// The objects that the bus holds of a group.
pub(crate) fn objects(track: &Track, group: Group) -> Vec<Object> {
    track.held().iter().filter(|fragment| fragment.place().group == group).map(object).collect()
}

/// The number of the newest group.
pub(crate) fn newest(track: &Track) -> Group {
    track.newest().unwrap().place().group
}
