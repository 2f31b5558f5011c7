//! A source with real pictures, coded here, and what tests need around it.

use std::sync::Arc;
use std::time::Duration;

use millrace_cmaf::CodecConfig;
use millrace_cmaf::write::{ChunkWriter, InitSettings, Packet};
use millrace_codec::{
    DecodeLimits, Picture, Plane, Size, VideoCodec, VideoDecoder, VideoEncoder, VideoSettings, open_video_decoder,
    open_video_encoder,
};
use millrace_media::bus::{Bus, Settings};
use millrace_media::clock::Clock;
use millrace_media::fragment::Marks;
use millrace_media::track::{Consumer, Event, Format, Info, Producer};
use millrace_media::{BroadcastName, Fragment, Media, Publisher, Time, Timescale, TrackName};
use millrace_transcode::{Ladder, Rendition, Sound};

pub(crate) const SCALE: Timescale = Timescale::new(90_000).unwrap();
/// A picture lasts this long, in ticks; every fourth one twice as long, so that nothing can count on a constant rate.
pub(crate) const FRAME: i64 = 3_000;

pub(crate) fn bus() -> Bus {
    Bus::new(Settings::default(), Arc::new(Clock::manual(Duration::from_secs(1_800_000_000))))
}

pub(crate) fn rendition(name: &str, width: u32, height: u32) -> Arc<Rendition> {
    let video = VideoSettings { bitrate: Some(200_000), ..VideoSettings::new(VideoCodec::H264, width, height) };
    Arc::new(Rendition { name: name.into(), video, audio: Sound::Source, priority: 0 })
}

pub(crate) fn ladder(renditions: &[Arc<Rendition>]) -> Ladder {
    Ladder {
        name: "test".into(),
        applies_to: Arc::new(|_| true),
        renditions: renditions.to_vec(),
        economy: Arc::default(),
    }
}

/// A publisher of pictures with a bright square that moves.
pub(crate) struct Source {
    pub(crate) publisher: Publisher,
    pub(crate) producer: Producer,
    size: Size,
    encoder: Box<dyn VideoEncoder>,
    writer: ChunkWriter,
    /// Of the next picture, in ticks.
    pub(crate) time: i64,
    pub(crate) frame: i64,
    /// Every so many pictures one is a keyframe.
    pub(crate) gop: i64,
    /// Every so many pictures all but the first are marked as ones that nothing depends on.
    pub(crate) needed: i64,
    ready: Vec<Media>,
}

impl Source {
    pub(crate) fn new(bus: &Bus) -> Self {
        Self::of_size(bus, 320, 180)
    }

    pub(crate) fn of_size(bus: &Bus, width: u32, height: u32) -> Self {
        let publisher = bus.publish(&BroadcastName::new("live/test").unwrap()).unwrap();
        let offset = publisher.offset(Time::zero(SCALE));
        let size = Size::new(width, height).unwrap();
        let (encoder, info) = coded(size);
        let producer = publisher.create_track(TrackName::new("video").unwrap(), info).unwrap();
        let time = offset * i64::from(SCALE.get());
        let writer = ChunkWriter::new(1);
        Self { publisher, producer, size, encoder, writer, time, frame: 0, gop: 10, needed: 1, ready: Vec::new() }
    }

    /// From the next picture on, which begins a group, the pictures have another size.
    pub(crate) fn change_size(&mut self, width: u32, height: u32) {
        self.size = Size::new(width, height).unwrap();
        let (encoder, info) = coded(self.size);
        self.encoder = encoder;
        self.producer.set_info(info);
        self.frame = (self.frame + self.gop - 1) / self.gop * self.gop;
    }

    /// Writes so many pictures, each tenth one a keyframe; gives their fragments.
    pub(crate) fn write(&mut self, pictures: usize) -> Vec<Fragment> {
        (0..pictures).map(|_| self.write_one()).collect()
    }

    pub(crate) fn write_one(&mut self) -> Fragment {
        let media = self.next();
        self.producer.write(media).unwrap()
    }

    /// The next picture, not written.
    pub(crate) fn next(&mut self) -> Media {
        let time = Time::new(self.time, SCALE);
        let duration = if self.frame % 4 == 3 { 2 * FRAME } else { FRAME };
        let mut packets = Vec::new();
        let keyframe = self.frame % self.gop == 0;
        self.encoder.encode(&picture(self.size, self.frame, time), time, keyframe, &mut packets).unwrap();
        for packet in packets {
            let discardable = self.frame % self.needed != 0;
            let marks = Marks { keyframe: packet.keyframe, independent: packet.keyframe, discardable };
            let coded = Packet { data: packet.data, duration: duration as u32, composition_offset: 0, marks };
            let captured = Some(Duration::from_millis(1_700_000_000_000 + self.frame as u64));
            self.ready.push(self.writer.chunk(packet.time, [coded], captured).unwrap());
        }
        self.time += duration;
        self.frame += 1;
        self.ready.remove(0)
    }
}

/// An encoder for pictures of a size, and the track of what it makes.
fn coded(size: Size) -> (Box<dyn VideoEncoder>, Info) {
    let (width, height) = (size.width(), size.height());
    let settings = VideoSettings { bitrate: Some(500_000), ..VideoSettings::new(VideoCodec::H264, width, height) };
    let mut encoder = open_video_encoder(&settings).unwrap();
    // The headers are known only after a picture; it is encoded again as the first.
    let mut packets = Vec::new();
    let zero = Time::zero(SCALE);
    encoder.encode(&picture(size, 0, zero), zero, true, &mut packets).unwrap();
    let info = InitSettings {
        track_id: 1,
        timescale: SCALE,
        format: Format::Video { width, height, frame_rate: None },
        config: CodecConfig::Avc(encoder.config().unwrap().record.clone()),
        language: None,
        bitrate: None,
    };
    (encoder, info.info().unwrap())
}

/// A grey picture with a bright square of an eighth of its width, whose place tells the frame.
fn picture(size: Size, frame: i64, time: Time) -> Picture {
    let (width, height) = (size.width() as usize, size.height() as usize);
    let mut data = vec![128; size.bytes()];
    data[..width * height].fill(60);
    let left = (frame * 8 % 280) as usize * width / 320;
    for row in data[..width * height].chunks_mut(width).skip(height / 3).take(height * 2 / 9) {
        row[left..left + width / 8].fill(220);
    }
    Picture::from_i420(size, time, data).unwrap()
}

/// Where the bright square of a picture begins, in pixels of the source.
pub(crate) fn square(picture: &Picture) -> i64 {
    let (width, height) = (picture.size().width() as usize, picture.size().height() as usize);
    let row = &picture.plane(Plane::Y)[width * (height * 80 / 180)..][..width];
    let left = row.iter().position(|luma| *luma > 140).expect("the square is there");
    (left * 320 / width) as i64
}

pub(crate) fn decoder(info: &Info) -> Box<dyn VideoDecoder> {
    let header = millrace_cmaf::describe(&info.init).unwrap();
    open_video_decoder(&info.codec, header.config.record(), DecodeLimits::default()).unwrap()
}

/// Reads to the end, or `count` fragments.
pub(crate) async fn read(consumer: &mut Consumer, count: usize) -> Vec<Fragment> {
    let mut read = Vec::new();
    while read.len() < count {
        match tokio::time::timeout(Duration::from_secs(30), consumer.next()).await.expect("a fragment comes") {
            Some(Event::Fragment(fragment)) => read.push(fragment),
            Some(Event::Gap { skipped, .. }) => panic!("{skipped} fragments skipped"),
            Some(Event::GroupEnd) => {}
            None => break,
        }
    }
    read
}

/// Waits until `condition` holds, looking again whenever the bus changes or something was read.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..3_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}
