//! A source to work on: real pictures, or fragments of a size.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millrace_cmaf::CodecConfig;
use millrace_cmaf::write::{ChunkWriter, InitSettings, Packet};
use millrace_codec::{Picture, Size, VideoCodec, VideoEncoder, VideoSettings, open_video_encoder};
use millrace_media::bus::{Bus, Settings};
use millrace_media::clock::Clock;
use millrace_media::fragment::Marks;
use millrace_media::stage::Writer;
use millrace_media::track::{Format, Track};
use millrace_media::{Broadcast, BroadcastName, Fragment, Publisher, Time, Timescale, TrackName};

pub(crate) const SCALE: Timescale = Timescale::new(90_000).unwrap();
/// A picture lasts this long, in ticks.
const FRAME: u32 = 3_000;
/// Every so many pictures begin a group.
pub(crate) const GROUP: u32 = 10;

pub(crate) fn bus() -> Bus {
    Bus::new(Settings::default(), Arc::new(Clock::manual(Duration::from_secs(1_800_000_000))))
}

/// What is in the fragments.
enum Content {
    Pictures(Box<dyn VideoEncoder>),
    Bytes(Bytes),
}

/// The publisher of `live/test` with one track, a fragment a picture.
pub(crate) struct Source {
    publisher: Arc<Publisher>,
    track: Writer,
    writer: ChunkWriter,
    content: Content,
    time: i64,
    frame: u32,
}

impl Source {
    /// Pictures of 320x180.
    pub(crate) fn pictures(bus: &Bus) -> Self {
        Self::video(bus, Content::Pictures)
    }

    /// Fragments of so many bytes that are no pictures.
    pub(crate) fn of_size(bus: &Bus, bytes: usize) -> Self {
        Self::video(bus, |_| Content::Bytes(vec![7; bytes].into()))
    }

    fn video(bus: &Bus, content: impl FnOnce(Box<dyn VideoEncoder>) -> Content) -> Self {
        let (encoder, format, config) = encoder();
        Self::new(bus, "video", format, config, content(encoder))
    }

    /// Sound that is none.
    pub(crate) fn sound(bus: &Bus) -> Self {
        Self::new(bus, "audio", AUDIO, opus(), Content::Bytes(vec![7; 200].into()))
    }

    /// Fragments that are no frames, of another broadcast.
    pub(crate) fn named(bus: &Bus, broadcast: &str, bytes: usize) -> Self {
        let publisher = Arc::new(bus.publish(&BroadcastName::new(broadcast).unwrap()).unwrap());
        let (_, format, config) = encoder();
        Self::on(publisher, "video", format, config, Content::Bytes(vec![7; bytes].into()))
    }

    /// Another track of the same broadcast: audio that is none.
    pub(crate) fn beside(&self, name: &str) -> Self {
        Self::on(self.publisher.clone(), name, AUDIO, opus(), Content::Bytes(vec![7; 200].into()))
    }

    fn new(bus: &Bus, name: &str, format: Format, config: CodecConfig, content: Content) -> Self {
        let publisher = Arc::new(bus.publish(&BroadcastName::new("live/test").unwrap()).unwrap());
        Self::on(publisher, name, format, config, content)
    }

    fn on(publisher: Arc<Publisher>, name: &str, format: Format, config: CodecConfig, content: Content) -> Self {
        let offset = publisher.offset(Time::zero(SCALE));
        let init = InitSettings { track_id: 1, timescale: SCALE, format, config, language: None, bitrate: None };
        let track = publisher.write_track(TrackName::new(name).unwrap(), init.info().unwrap()).unwrap();
        let time = offset * i64::from(SCALE.get());
        Self { publisher, track, writer: ChunkWriter::new(1), content, time, frame: 0 }
    }

    pub(crate) fn broadcast(&self) -> Broadcast {
        self.publisher.broadcast().clone()
    }

    /// Writes so many fragments.
    pub(crate) fn write(&mut self, fragments: usize) -> Vec<Fragment> {
        (0..fragments).map(|_| self.write_one().expect("no filter stands between")).collect()
    }

    /// Writes so many fragments to the filters.
    pub(crate) fn send(&mut self, fragments: usize) {
        (0..fragments).for_each(|_| assert!(self.write_one().is_none(), "a filter stands between"));
    }

    pub(crate) fn track(&self) -> Track {
        self.track.track().clone()
    }

    /// Its publisher goes away, and returns at once.
    pub(crate) fn come_back(self, bus: &Bus) -> Self {
        let Self { publisher, track, writer, content, time, frame } = self;
        let (name, broadcast) = (track.track().name().clone(), publisher.broadcast().name().clone());
        let info = track.track().info().expect("it was written");
        drop((track, publisher));
        let publisher = Arc::new(bus.publish(&broadcast).unwrap());
        let track = publisher.write_track(name, (*info).clone()).unwrap();
        // The next group.
        Self { publisher, track, writer, content, time, frame: frame.next_multiple_of(GROUP) }
    }

    fn write_one(&mut self) -> Option<Fragment> {
        let time = Time::new(self.time, SCALE);
        let keyframe = self.frame.is_multiple_of(GROUP);
        let data = match &mut self.content {
            Content::Bytes(bytes) => bytes.clone(),
            Content::Pictures(encoder) => {
                let mut packets = Vec::new();
                encoder.encode(&picture(self.frame), time, keyframe, &mut packets).unwrap();
                packets.remove(0).data
            }
        };
        let marks = Marks { keyframe, independent: keyframe, discardable: false };
        let packet = Packet { data, duration: FRAME, composition_offset: 0, marks };
        let media = self.writer.chunk(time, [packet], None).unwrap();
        self.time += i64::from(FRAME);
        self.frame += 1;
        self.track.write(media).unwrap()
    }

    /// The publisher says that this is the end.
    pub(crate) fn finish(self) {
        drop(self.track);
        Arc::into_inner(self.publisher).expect("the only one left").finish();
    }

    /// This track ends, and the others go on.
    pub(crate) fn end(mut self) {
        self.track.end();
    }
}

const AUDIO: Format = Format::Audio { sample_rate: 48_000, channels: 2 };

/// Version 0, two channels, no pre-skip, 48 kHz, no gain, mapping family 0 (Opus in ISOBMFF, 4.3.2).
fn opus() -> CodecConfig {
    CodecConfig::Opus(Bytes::from_static(&[0, 2, 0, 0, 0, 0, 0xbb, 0x80, 0, 0, 0]))
}

/// An encoder of 320x180, and what its track is.
fn encoder() -> (Box<dyn VideoEncoder>, Format, CodecConfig) {
    let settings = VideoSettings { bitrate: Some(500_000), ..VideoSettings::new(VideoCodec::H264, 320, 180) };
    let mut encoder = open_video_encoder(&settings).unwrap();
    // The headers are known only after a picture; it is encoded again as the first.
    encoder.encode(&picture(0), Time::zero(SCALE), true, &mut Vec::new()).unwrap();
    let config = CodecConfig::Avc(encoder.config().unwrap().record.clone());
    let format = Format::Video { width: 320, height: 180, frame_rate: Some(30.0) };
    (encoder, format, config)
}

/// A grey picture with a bright column whose place tells the frame.
fn picture(frame: u32) -> Picture {
    let size = Size::new(320, 180).unwrap();
    let mut data = vec![128; size.bytes()];
    data[..320 * 180].fill(60);
    let left = (frame * 8 % 280) as usize;
    data[..320 * 180].chunks_mut(320).for_each(|row| row[left..left + 40].fill(220));
    Picture::from_i420(size, Time::zero(SCALE), data).unwrap()
}
