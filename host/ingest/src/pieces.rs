//! Bringing what a publisher sends to a size that suits delivery.
//!
//! Video that comes in long fragments is cut at sample boundaries, and before every keyframe. Audio goes in chunks of a length of
//! its own: longer fragments are cut, and shorter ones, down to a frame each, are put together. Payload slices are shared, not copied.

use std::time::Duration;

use millrace_cmaf::{ReadError, WriteError};
use millrace_media::track::Kind;
use millrace_media::{Media, Sample, Time};

/// How long pieces are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths {
    /// The most of a piece of video. Each has at least one picture.
    pub video: Duration,
    /// What a chunk of audio comes near to, and does not pass unless a single frame does.
    pub audio: Duration,
}

impl Default for Lengths {
    /// Video of 200 ms, audio of 100 ms.
    fn default() -> Self {
        Self { video: Duration::from_millis(200), audio: Duration::from_millis(100) }
    }
}

/// Why media cannot be brought to size.
#[derive(Debug, thiserror::Error)]
pub enum PieceError {
    /// It cannot be cut.
    #[error(transparent)]
    Split(#[from] ReadError),
    /// It cannot be put together.
    #[error(transparent)]
    Join(#[from] WriteError),
}

/// Brings the media of one track to size.
#[derive(Debug)]
pub struct Pieces {
    longest: Time,
    gathers: bool,
    waiting: Vec<Media>,
    /// Of what waits.
    length: Time,
    /// Where the last frame of audio ended, and how long it was.
    last: Option<(Time, Time)>,
}

impl Pieces {
    /// For a track of a kind.
    pub fn new(kind: Kind, lengths: Lengths) -> Self {
        let gathers = kind == Kind::Audio;
        let longest = Time::from(if gathers { lengths.audio } else { lengths.video });
        Self { longest, gathers, waiting: Vec::new(), length: Time::zero(longest.scale()), last: None }
    }

    /// Takes media and gives what is ready, in order. At most one chunk of audio less one frame is kept back.
    ///
    /// # Errors
    /// Where media cannot be cut or put together; what waited is lost with it.
    pub fn push(&mut self, media: Media) -> Result<Vec<Media>, PieceError> {
        if !self.gathers {
            return Ok(millrace_cmaf::split(&media, self.longest)?);
        }
        let media = self.mend(media)?;
        let mut ready = Vec::new();
        let follows = self.waiting.last().is_none_or(|last| last.decode_time + last.duration == media.decode_time);
        let alone = media.duration >= self.longest || millrace_cmaf::carries_events(&media);
        if !follows || alone || self.length + media.duration > self.longest {
            ready.extend(self.flush()?);
        }
        if alone {
            ready.extend(millrace_cmaf::split(&media, self.longest)?);
            return Ok(ready);
        }
        let frame = media.duration;
        // In the track's own timescale, so that nothing is lost to rounding.
        self.length = if self.waiting.is_empty() { frame } else { self.length + frame };
        self.waiting.push(media);
        // The next one would most likely be as long: better now than when it has come.
        if self.length + frame > self.longest {
            ready.extend(self.flush()?);
        }
        Ok(ready)
    }

    /// ffmpeg, where it copies audio into fragments of single frames, stamps a frame that follows another at once with the time of
    /// its end, and with no duration. It began where the one before ended.
    fn mend(&mut self, media: Media) -> Result<Media, PieceError> {
        let mended = match (self.last, &*media.samples) {
            (Some((end, frame)), [sample]) if sample.duration == 0 && media.decode_time == end + frame => {
                let duration = u32::try_from(frame.ticks()).unwrap_or(0);
                let samples = Sample { duration, ..*sample }.into();
                millrace_cmaf::rewrite(&Media { decode_time: end, samples, ..media })?
            }
            _ => media,
        };
        if let Some(sample) = mended.samples.last() {
            let frame = Time::new(i64::from(sample.duration), mended.decode_time.scale());
            self.last = Some((mended.decode_time + mended.duration, frame));
        }
        Ok(mended)
    }

    /// What waits, though it is short.
    ///
    /// # Errors
    /// Where it cannot be put together; it is lost.
    pub fn flush(&mut self) -> Result<Option<Media>, PieceError> {
        self.length = Time::zero(self.longest.scale());
        let waiting = std::mem::take(&mut self.waiting);
        Ok(if waiting.is_empty() { None } else { Some(millrace_cmaf::join(&waiting)?) })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use millrace_cmaf::write::{ChunkWriter, Packet};
    use millrace_media::Timescale;
    use millrace_media::fragment::Marks;

    use super::*;

    const FRAME: u32 = 1024;

    fn scale() -> Timescale {
        Timescale::new(48_000).unwrap()
    }

    /// `frames` of AAC from the `first`th on, each of one byte that counts them.
    fn aac(first: u32, frames: u32) -> Media {
        let packet = |n: u32| Packet {
            data: Bytes::from(vec![n as u8]),
            duration: FRAME,
            composition_offset: 0,
            marks: Marks { keyframe: true, independent: true, discardable: false },
        };
        let start = Time::new(i64::from(first * FRAME), scale());
        ChunkWriter::new(1).chunk(start, (first..first + frames).map(packet), None).unwrap()
    }

    fn frames(media: &[Media]) -> Vec<usize> {
        media.iter().map(|media| media.samples.len()).collect()
    }

    #[test]
    fn single_frames_of_audio_are_put_together() {
        let mut pieces = Pieces::new(Kind::Audio, Lengths::default());
        let mut out = Vec::new();
        for n in 0..10 {
            out.extend(pieces.push(aac(n, 1)).unwrap());
        }
        // Four frames are 85 ms; five would be 107.
        assert_eq!(frames(&out), [4, 4]);
        out.extend(pieces.flush().unwrap());
        assert_eq!(frames(&out), [4, 4, 2]);
        let starts: Vec<_> = out.iter().map(|media| media.decode_time.ticks()).collect();
        assert_eq!(starts, [0, 4096, 8192]);
        let bytes: Vec<u8> = out.iter().flat_map(|media| media.payload.slices().concat()).collect();
        assert_eq!(bytes, (0..10).collect::<Vec<u8>>());
        assert!(pieces.flush().unwrap().is_none());
    }

    #[test]
    fn long_audio_is_cut() {
        let mut pieces = Pieces::new(Kind::Audio, Lengths::default());
        let mut out = pieces.push(aac(0, 1)).unwrap();
        out.extend(pieces.push(aac(1, 10)).unwrap());
        assert_eq!(frames(&out), [1, 4, 4, 2]);
    }

    #[test]
    fn frames_that_ffmpeg_stamps_with_their_end_are_mended() {
        let mut pieces = Pieces::new(Kind::Audio, Lengths::default());
        let mut out = Vec::new();
        for n in [0, 1, 2, 3] {
            let mut media = aac(n, 1);
            if n % 2 == 1 {
                media.decode_time = media.decode_time + media.duration;
                media.samples = Sample { duration: 0, ..media.samples[0] }.into();
                media.duration = Time::zero(scale());
            }
            out.extend(pieces.push(media).unwrap());
        }
        assert_eq!(frames(&out), [4]);
        assert!(out[0].samples.iter().all(|sample| sample.duration == FRAME));
        assert_eq!(out[0].duration.ticks(), i64::from(4 * FRAME));
    }

    #[test]
    fn a_hole_is_not_joined_over() {
        let mut pieces = Pieces::new(Kind::Audio, Lengths::default());
        assert!(pieces.push(aac(0, 1)).unwrap().is_empty());
        let out = pieces.push(aac(2, 1)).unwrap();
        assert_eq!(frames(&out), [1]);
        assert_eq!(pieces.flush().unwrap().unwrap().decode_time.ticks(), 2048);
    }

    #[test]
    fn video_is_cut_at_its_length() {
        let mut pieces = Pieces::new(Kind::Video, Lengths { video: Duration::from_millis(50), ..Lengths::default() });
        assert_eq!(frames(&pieces.push(aac(0, 5)).unwrap()), [2, 2, 1]);
    }
}
