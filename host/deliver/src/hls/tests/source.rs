//! A source whose media arrives as the test says, on a clock that the test moves.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millrace_cmaf::write::Event;
use millrace_media::bus::{self, Bus};
use millrace_media::clock::Clock;
use millrace_media::fragment::Marks;
use millrace_media::track::{Format, Info, Producer};
use millrace_media::{
    Broadcast, BroadcastName, Fragment, Media, Payload, Publisher, Sample, Time, Timescale, TrackName,
};

pub(super) const UNIX: Duration = Duration::from_secs(1_800_000_000);
const AUDIO_SCALE: u32 = 48_000;
const AUDIO_FRAME: u32 = 1_024;

/// Pictures: ticks per second, the durations of pictures in turn, pictures a group.
#[derive(Clone)]
pub(super) struct Pictures {
    pub(super) scale: u32,
    pub(super) durations: Vec<u32>,
    pub(super) group: u64,
}

impl Pictures {
    pub(super) fn regular(scale: u32, duration: u32, group: u64) -> Self {
        Self { scale, durations: vec![duration], group }
    }
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Arrival {
    /// Every fragment when its last sample has been taken.
    Steady,
    /// A group at a time.
    Groups,
    /// A group's length at a time, the sound before the pictures.
    SoundFirst,
}

pub(super) fn name(text: &str) -> BroadcastName {
    BroadcastName::new(text).unwrap()
}

pub(super) fn track(text: &str) -> TrackName {
    TrackName::new(text).unwrap()
}

pub(super) fn video_info(scale: u32, init: &str) -> Info {
    Info {
        codec: "avc1.64001f".into(),
        timescale: Timescale::new(scale).unwrap(),
        format: Format::Video { width: 640, height: 360, frame_rate: None },
        language: None,
        bitrate: None,
        init: Bytes::copy_from_slice(init.as_bytes()),
    }
}

pub(super) fn audio_info() -> Info {
    Info {
        codec: "opus".into(),
        timescale: Timescale::new(AUDIO_SCALE).unwrap(),
        format: Format::Audio { sample_rate: AUDIO_SCALE, channels: 2 },
        language: Some("en".into()),
        bitrate: None,
        init: Bytes::from_static(b"audio header"),
    }
}

/// A fragment of `durations.len()` samples beginning at `ticks`, with bytes that no other fragment has.
pub(super) fn media(ticks: i64, scale: u32, durations: &[u32], keyframe: bool, size: usize) -> Media {
    let scale = Timescale::new(scale).unwrap();
    let body: Vec<u8> = format!("<{ticks}/{}>", scale.get()).bytes().cycle().take(size).collect();
    let mut payload = Payload::default();
    let body = Bytes::from(body);
    assert!(payload.push(body.slice(..size / 3)) && payload.push(body.slice(size / 3..)));
    let marks = Marks { keyframe, independent: keyframe, discardable: false };
    let each = (size / durations.len()) as u32;
    let samples: Vec<_> = durations
        .iter()
        .enumerate()
        .map(|(i, duration)| Sample {
            offset: i as u32 * each,
            size: each,
            duration: *duration,
            composition_offset: 0,
            marks,
        })
        .collect();
    Media {
        head: Bytes::from(format!("[moof {ticks}]")),
        payload,
        samples: samples.into(),
        decode_time: Time::new(ticks, scale),
        presentation_time: Time::new(ticks, scale),
        duration: Time::new(durations.iter().map(|d| i64::from(*d)).sum(), scale),
        marks,
        captured_at: None,
    }
}

/// Pictures, sound, or both, published as `live/demo`.
pub(super) struct Source {
    pub(super) bus: Bus,
    pub(super) clock: Arc<Clock>,
    pub(super) broadcast: Broadcast,
    pub(super) publisher: Option<Publisher>,
    pub(super) video: Option<Producer>,
    pub(super) audio: Option<Producer>,
    pictures: Option<Pictures>,
    arrival: Arrival,
    /// Where the epoch began on the clock and on the timeline.
    began: Duration,
    origin: i64,
    picture: u64,
    picture_ticks: i64,
    chunk_ticks: i64,
    /// How many frames the sound's chunks have in turn.
    pub(super) chunks: Vec<u32>,
    chunk: usize,
    /// Events that come with the picture that many seconds into the epoch, earliest first.
    pub(super) events: VecDeque<(f64, Event)>,
}

impl Source {
    pub(super) fn new(pictures: Option<Pictures>, arrival: Arrival) -> Self {
        Self::on(bus::Settings::default(), pictures, arrival)
    }

    pub(super) fn on(settings: bus::Settings, pictures: Option<Pictures>, arrival: Arrival) -> Self {
        let clock = Arc::new(Clock::manual(UNIX));
        let bus = Bus::new(settings, clock.clone());
        let publisher = bus.publish(&name("live/demo")).unwrap();
        let broadcast = publisher.broadcast().clone();
        let mut source = Self {
            bus,
            clock,
            broadcast,
            publisher: Some(publisher),
            video: None,
            audio: None,
            pictures,
            arrival,
            began: UNIX,
            origin: 10,
            picture: 0,
            picture_ticks: 0,
            chunk_ticks: 0,
            chunks: vec![5, 5, 4],
            chunk: 0,
            events: VecDeque::new(),
        };
        source.declare();
        source
    }

    fn declare(&mut self) {
        let publisher = self.publisher.as_ref().unwrap();
        if let Some(pictures) = &self.pictures {
            let info = video_info(pictures.scale, "video header");
            self.video = Some(publisher.create_track(track("video"), info).unwrap());
        }
        self.audio = Some(publisher.create_track(track("audio"), audio_info()).unwrap());
    }

    /// The publisher goes away and returns `after` later, a timeline of its own beginning `origin` seconds on.
    pub(super) fn returns(&mut self, after: Duration, origin: i64) {
        (self.video, self.audio, self.publisher) = (None, None, None);
        self.clock.advance(after);
        self.publisher = Some(self.bus.publish(&name("live/demo")).unwrap());
        self.began = self.clock.now().monotonic;
        (self.origin, self.picture, self.picture_ticks, self.chunk_ticks) = (origin, 0, 0, 0);
        self.declare();
    }

    /// The next fragment, and when it is complete since the epoch began.
    fn next(&mut self) -> (Duration, bool) {
        let sound = f64::from(self.chunks[self.chunk % self.chunks.len()] * AUDIO_FRAME) + self.chunk_ticks as f64;
        let sound = Duration::from_secs_f64(sound / f64::from(AUDIO_SCALE));
        let Some(pictures) = &self.pictures else { return (sound, false) };
        let duration = pictures.durations[self.picture as usize % pictures.durations.len()];
        let picture = self.picture_ticks + i64::from(duration);
        let picture = Duration::from_secs_f64(picture as f64 / f64::from(pictures.scale));
        if self.arrival == Arrival::SoundFirst {
            let at_once = |time: Duration| (time.as_secs_f64() / self.group_length() - 1e-6).floor();
            return if at_once(sound) <= at_once(picture) { (sound, false) } else { (picture, true) };
        }
        if picture <= sound { (picture, true) } else { (sound, false) }
    }

    fn group_length(&self) -> f64 {
        let pictures = self.pictures.as_ref().unwrap();
        pictures.group as f64 * f64::from(pictures.durations[0]) / f64::from(pictures.scale)
    }

    fn write(&mut self, is_picture: bool) -> Fragment {
        if !is_picture {
            let count = self.chunks[self.chunk % self.chunks.len()];
            self.chunk += 1;
            let ticks = self.chunk_ticks + self.origin * i64::from(AUDIO_SCALE);
            self.chunk_ticks += i64::from(count * AUDIO_FRAME);
            let durations = vec![AUDIO_FRAME; count as usize];
            return self.audio.as_mut().unwrap().write(media(ticks, AUDIO_SCALE, &durations, true, 800)).unwrap();
        }
        let pictures = self.pictures.as_ref().unwrap();
        let duration = pictures.durations[self.picture as usize % pictures.durations.len()];
        let keyframe = self.picture.is_multiple_of(pictures.group);
        let ticks = self.picture_ticks + self.origin * i64::from(pictures.scale);
        self.picture += 1;
        self.picture_ticks += i64::from(duration);
        let seconds = (self.picture_ticks - i64::from(duration)) as f64 / f64::from(pictures.scale);
        let mut media = media(ticks, pictures.scale, &[duration], keyframe, if keyframe { 9_000 } else { 1_500 });
        while let Some((_, event)) = self.events.pop_front_if(|(at, _)| *at <= seconds + 1e-6) {
            media = millrace_cmaf::with_event(&media, &event).unwrap();
        }
        self.video.as_mut().unwrap().write(media).unwrap()
    }

    /// Goes on until `until` seconds of the epoch, telling `each` of every fragment.
    pub(super) fn run(&mut self, until: f64, mut each: impl FnMut(&Fragment)) {
        let until = Duration::from_secs_f64(until);
        loop {
            let (complete, is_picture) = self.next();
            if complete > until {
                return;
            }
            let arrives = match self.arrival {
                Arrival::Steady => complete,
                Arrival::Groups | Arrival::SoundFirst => {
                    let number = (complete.as_secs_f64() / self.group_length() - 1e-6).floor() + 1.0;
                    Duration::from_secs_f64(number * self.group_length())
                }
            };
            let now = self.clock.now().monotonic;
            self.clock.advance((self.began + arrives).saturating_sub(now));
            each(&self.write(is_picture));
        }
    }
}
