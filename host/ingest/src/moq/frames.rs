//! Frames that come one by one, each with its timestamp before it (LOC, or hang's first container), made CMAF.
//!
//! They say neither how long they last nor when they are decoded. Sound says so itself. A picture lasts until the next one: one picture
//! is kept back, and decode times are made of the presentation times. The header is made of the parameter sets, and so at the first
//! keyframe. The bytes of frames are passed on as they lie.

mod av1;
mod avc;
mod pace;
mod sound;

use std::sync::Arc;
use std::time::Duration;

use millrace_cmaf::av1::Av1Error;
use millrace_cmaf::avc::AvcError;
use millrace_cmaf::write::{ChunkWriter, InitSettings};
use millrace_cmaf::{CodecConfig, TrackHeader, WriteError};
use millrace_media::fragment::Marks;
use millrace_media::track::Format;
use millrace_media::{Media, Payload, Sample, Time, Timescale};
use moq_net::VarInt;

use super::catalog::{Codec, Coding, Framing};
use super::container::{Coded, Piece};
use crate::lane::Incoming;
use pace::{Audio, Video};

/// `track_ID` of what is made here.
const TRACK: u32 = 1;
/// The longest that stands before a frame in LOC, in bytes: what says when it was taken, and what is passed over.
const MAX_PROPERTIES: u64 = 64 << 10;

/// Why an object is no frame.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    #[error("a frame of {0} bytes has no timestamp before it")]
    NoTimestamp(u32),
    #[error("what stands before a frame cannot be read: {0}")]
    Properties(#[from] moq_loc::Error),
    #[error("properties of {0} bytes stand before a frame (expected at most {MAX_PROPERTIES})")]
    LongProperties(u64),
    #[error("H.264 cannot be read: {0}")]
    Avc(#[from] AvcError),
    #[error("AV1 cannot be read: {0}")]
    Av1(#[from] Av1Error),
    #[error("AAC needs its configuration in the catalog, or ADTS headers before its frames")]
    NoConfig,
    #[error("the configuration of {0} in the catalog cannot be used")]
    Config(&'static str),
    #[error("an Opus packet of {0} bytes is broken")]
    Opus(u32),
    #[error("a header cannot be made: {0}")]
    Header(#[from] WriteError),
}

/// A frame as it lies in CMAF, with what it says of itself.
struct Sampled {
    payload: Payload,
    keyframe: bool,
    /// A header that holds from here on.
    settings: Option<InitSettings>,
    /// The pictures that may be decoded before one that is shown earlier.
    reorder_depth: usize,
    /// In ticks, where it says so.
    duration: Option<u32>,
}

/// What is known of a codec while its frames are read.
#[derive(Debug)]
enum State {
    Avc(avc::Avc),
    Av1(av1::Av1),
    Aac(sound::Aac),
    Opus(sound::Opus),
}

#[derive(Debug)]
enum Pace {
    Video(Video),
    Audio(Audio),
}

/// Reads the frames of one track.
#[derive(Debug)]
pub(super) struct Frames {
    framing: Framing,
    coding: Coding,
    language: Option<String>,
    state: State,
    header: Option<Arc<TrackHeader>>,
    pace: Pace,
    sequence: u32,
}

impl Frames {
    pub(super) fn new(framing: Framing, coding: Coding, language: Option<String>) -> Self {
        let state = match coding.codec {
            Codec::Avc => State::Avc(avc::Avc::default()),
            Codec::Av1 => State::Av1(av1::Av1::default()),
            Codec::Aac => State::Aac(sound::Aac::default()),
            Codec::Opus => State::Opus(sound::Opus::default()),
        };
        let pace = match coding.codec {
            Codec::Avc | Codec::Av1 => Pace::Video(Video::new(coding.frame_rate)),
            Codec::Aac | Codec::Opus => Pace::Audio(Audio::default()),
        };
        Self { framing, coding, language, state, header: None, pace, sequence: 0 }
    }

    /// Takes an object, and gives the frame that is ready with it: of video, the one before.
    pub(super) fn push(&mut self, object: &Payload) -> Result<Vec<Piece>, FrameError> {
        if object.is_empty() {
            return Ok(Vec::new());
        }
        let (stamp, payload) = self.framing.open(object)?;
        let sampled = match &mut self.state {
            State::Avc(avc) => avc.read(&payload, &self.coding)?,
            State::Av1(av1) => av1.read(&payload, &self.coding)?,
            State::Aac(aac) => aac.read(&payload, &self.coding)?,
            State::Opus(opus) => opus.read(&payload, &self.coding)?,
        };
        let mut pieces = Vec::new();
        // A picture before the first keyframe, or nothing but parameter sets.
        let Some(sampled) = sampled else { return Ok(pieces) };
        if let Some(settings) = sampled.settings {
            pieces.extend(self.cut());
            let settings = InitSettings { language: self.language.clone(), ..settings };
            self.header = Some(Arc::new(settings.track()?));
        }
        let Some(header) = self.header.clone() else { return Ok(pieces) };
        let frame = Frame {
            sequence: self.sequence,
            payload: sampled.payload,
            keyframe: sampled.keyframe,
            decode_time: stamp.time.rescale(header.info.timescale),
            composition_offset: 0,
            duration: sampled.duration.unwrap_or(0),
            shift: header.timeline_shift,
            captured_at: stamp.captured_at,
        };
        self.sequence = self.sequence.wrapping_add(1);
        let ready = match &mut self.pace {
            Pace::Video(video) => video.push(frame, sampled.reorder_depth),
            Pace::Audio(audio) => Some(audio.push(frame)),
        };
        pieces.extend(ready.map(|frame| Piece { header, media: Coded::Frame(frame) }));
        Ok(pieces)
    }

    /// Something is missing: gives the frame that was kept back.
    pub(super) fn cut(&mut self) -> Option<Piece> {
        let kept = match &mut self.pace {
            Pace::Video(video) => video.cut(),
            Pace::Audio(_) => None,
        };
        Some(Piece { header: self.header.clone()?, media: Coded::Frame(kept?) })
    }
}

/// What stands before a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    /// When it is presented, on the publisher's timeline.
    time: Time,
    /// Since the Unix epoch.
    captured_at: Option<Duration>,
}

impl Framing {
    /// The timestamp and the frame behind it.
    fn open(self, object: &Payload) -> Result<(Stamp, Payload), FrameError> {
        let none = || FrameError::NoTimestamp(object.len());
        let (value, length) = varint(object).ok_or_else(none)?;
        match self {
            Self::Legacy => {
                let time = Time::from_micros(i64::try_from(value).map_err(|_| none())?);
                let frame = object.range(length, object.len() - length).ok_or_else(none)?;
                Ok((Stamp { time, captured_at: None }, frame))
            }
            Self::Loc => {
                if value > MAX_PROPERTIES {
                    return Err(FrameError::LongProperties(value));
                }
                let begins = length + value as u32;
                let properties = object.contiguous(0, begins).ok_or_else(none)?;
                let read = moq_loc::decode(properties)?;
                let frame = object.range(begins, object.len() - begins).ok_or_else(none)?;
                Ok((loc_stamp(read.timestamp, read.timescale).ok_or_else(none)?, frame))
            }
        }
    }
}

/// In draft-ietf-moq-loc a timestamp without a timescale counts microseconds. Publishers that follow it count them from the Unix
/// epoch, which says when the frame was captured; those that count from their own beginning do not get near it.
fn loc_stamp(timestamp: u64, timescale: Option<u64>) -> Option<Stamp> {
    const BEFORE_LOC: Duration = Duration::from_secs(1_577_836_800); // 2020
    let ticks = i64::try_from(timestamp).ok()?;
    let time = match timescale {
        Some(scale) => Time::new(ticks, Timescale::new(u32::try_from(scale).ok()?)?),
        None => Time::from_micros(ticks),
    };
    let since = Duration::from_micros(timestamp);
    let captured_at = (timescale.is_none() && since > BEFORE_LOC).then_some(since);
    Some(Stamp { time, captured_at })
}

/// A variable-length integer at the beginning (RFC 9000, 16), and how many bytes it takes.
fn varint(object: &Payload) -> Option<(u64, u32)> {
    let mut bytes = object.contiguous(0, object.len().min(8))?;
    let most = bytes.len();
    let value = VarInt::decode_quic(&mut bytes).ok()?;
    Some((value.into(), (most - bytes.len()) as u32))
}

/// A frame that is to be a chunk of its own.
#[derive(Debug)]
pub(super) struct Frame {
    sequence: u32,
    payload: Payload,
    keyframe: bool,
    decode_time: Time,
    /// In ticks.
    composition_offset: i32,
    /// In ticks.
    duration: u32,
    /// To be added to its times.
    shift: Time,
    captured_at: Option<Duration>,
}

impl Incoming for Frame {
    fn decode_time(&self) -> Time {
        self.decode_time + self.shift
    }

    fn presentation_time(&self) -> Time {
        Incoming::decode_time(self) + Time::new(self.composition_offset.into(), self.decode_time.scale())
    }

    fn duration(&self) -> Time {
        Time::new(self.duration.into(), self.decode_time.scale())
    }

    fn is_keyframe(&self) -> bool {
        self.keyframe
    }

    fn lateness(&self) -> Time {
        let least = i64::from(self.composition_offset).min(0);
        Time::new(-least, self.decode_time.scale())
    }

    fn place(self, offset: Time, lead: Time) -> Result<Media, WriteError> {
        let ticks = i32::try_from(lead.ticks()).unwrap_or(i32::MAX);
        let sample = Sample {
            offset: 0,
            size: self.payload.len(),
            duration: self.duration,
            composition_offset: self.composition_offset.saturating_add(ticks),
            marks: Marks { keyframe: self.keyframe, independent: self.keyframe, discardable: false },
        };
        let decode_time = Incoming::decode_time(&self) - lead + offset;
        ChunkWriter::starting_at(TRACK, self.sequence).samples(
            decode_time,
            self.payload,
            vec![sample],
            self.captured_at,
        )
    }
}

/// The settings of a header, apart from the language.
fn settings(timescale: Timescale, format: Format, config: CodecConfig, coding: &Coding) -> InitSettings {
    InitSettings { track_id: TRACK, timescale, format, config, language: None, bitrate: coding.bitrate }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn payload(bytes: &[u8]) -> Payload {
        Payload::from(Bytes::copy_from_slice(bytes))
    }

    #[test]
    fn a_timestamp_stands_before_a_frame() {
        let (stamp, frame) = Framing::Legacy.open(&payload(&[0x40, 0xff, 9, 8])).unwrap();
        assert_eq!((stamp.time, stamp.captured_at), (Time::from_micros(255), None));
        assert_eq!(frame.slices().concat(), [9, 8]);
        assert!(Framing::Legacy.open(&payload(&[0xc0, 1])).is_err());

        let loc = payload(&moq_loc::encode(96_000, &[7]).unwrap());
        let (stamp, frame) = Framing::Loc.open(&loc).unwrap();
        assert_eq!((stamp.time, stamp.captured_at), (Time::from_micros(96_000), None));
        assert_eq!(frame.slices().concat(), [7]);
        assert!(matches!(Framing::Loc.open(&payload(&[9, 0])), Err(FrameError::NoTimestamp(2))));
        let long = payload(&[0x80, 0xff, 0xff, 0xff]);
        assert!(matches!(Framing::Loc.open(&long), Err(FrameError::LongProperties(_))));
    }

    #[test]
    fn a_wall_clock_says_when_a_frame_was_captured() {
        let now = 1_790_000_000_000_000;
        let stamp = loc_stamp(now, None).unwrap();
        assert_eq!(stamp.captured_at, Some(Duration::from_micros(now)));
        assert_eq!(loc_stamp(now, Some(90_000)).unwrap().captured_at, None);
        assert_eq!(loc_stamp(5, Some(0)), None);
    }
}
