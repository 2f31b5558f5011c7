//! Cutting media at sample boundaries.

use bytes::Bytes;
use millrace_media::{Media, Sample, Samples, Time};
use mp4_atom::{Mfhd, Tfhd};

use crate::boxes::Boxes;
use crate::fourcc::{self, FourCC};
use crate::gather::gather;
use crate::marks;
use crate::moof::{self, Draft};
use crate::reader::ReadError;

/// Cuts media into pieces of at most `longest`, each of at least one sample, and before every keyframe that not all are. Media that
/// needs no cut is given back as it is.
///
/// Each piece has a new head and shares the payload's buffers. Events and `prft` stay with the first. All carry the sequence number
/// of the whole; the time of capture goes on with the decode time.
///
/// # Errors
/// Where the head is not that of a chunk, or the samples do not lie in the payload.
pub fn split(media: &Media, longest: Time) -> Result<Vec<Media>, ReadError> {
    let cuts = cuts(&media.samples, longest.rescale(media.decode_time.scale()).ticks());
    if cuts.len() <= 1 {
        return Ok(vec![media.clone()]);
    }
    let head = Head::read(&media.head)?;
    let scale = media.decode_time.scale();
    let mut elapsed = 0i64;
    let mut pieces = Vec::with_capacity(cuts.len());
    for range in cuts {
        let outside = || ReadError::OutsideMdat { track_id: head.track_id };
        let first = range.start == 0;
        let (payload, samples) = gather(&media.payload, &media.samples[range]).ok_or_else(outside)?;
        let decode_time = media.decode_time + Time::new(elapsed, scale);
        let draft = Draft {
            sequence: head.sequence,
            track_id: head.track_id,
            decode_time: u64::try_from(decode_time.ticks()).unwrap_or(0),
            samples: &samples,
            payload_len: payload.len(),
        };
        let before = first.then_some(&head.before);
        let written = moof::head(before, &draft);
        let malformed = |source| ReadError::Malformed { kind: fourcc::MOOF, source };
        let piece = piece(written.map_err(malformed)?, payload, samples, decode_time);
        let since = Time::new(elapsed, scale).to_duration();
        elapsed += piece.duration.ticks();
        pieces.push(Media { captured_at: media.captured_at.map(|at| at + since), ..piece });
    }
    Ok(pieces)
}

/// Media of these parts, with what follows from them.
pub(crate) fn piece(head: Bytes, payload: millrace_media::Payload, samples: Samples, decode_time: Time) -> Media {
    let scale = decode_time.scale();
    let (mut elapsed, mut earliest) = (0i64, i64::MAX);
    for sample in samples.iter() {
        earliest = earliest.min(elapsed + i64::from(sample.composition_offset));
        elapsed += i64::from(sample.duration);
    }
    Media {
        head,
        payload,
        marks: marks::of_fragment(&samples),
        decode_time,
        presentation_time: decode_time + Time::new(if samples.is_empty() { 0 } else { earliest }, scale),
        duration: Time::new(elapsed, scale),
        samples,
        captured_at: None,
    }
}

/// The runs of samples to make pieces of.
fn cuts(samples: &[Sample], longest: i64) -> Vec<std::ops::Range<usize>> {
    let at_keyframes = !samples.iter().all(|s| s.marks.keyframe);
    let (mut cuts, mut start, mut length) = (Vec::new(), 0, 0i64);
    for (i, sample) in samples.iter().enumerate() {
        let with = length.saturating_add(i64::from(sample.duration));
        if i > start && (with > longest || (at_keyframes && sample.marks.keyframe)) {
            cuts.push(start..i);
            (start, length) = (i, 0);
        }
        length = length.saturating_add(i64::from(sample.duration));
    }
    if start < samples.len() {
        cuts.push(start..samples.len());
    }
    cuts
}

/// What a new head takes over from an old one.
pub(crate) struct Head {
    /// What stands before `moof`.
    pub(crate) before: Bytes,
    pub(crate) sequence: u32,
    pub(crate) track_id: u32,
}

impl Head {
    pub(crate) fn read(head: &Bytes) -> Result<Self, ReadError> {
        // The last box, mdat, is not all there: its body is the payload.
        for found in Boxes::new(head, 0, FourCC::new(b"file")) {
            let found = found?;
            if found.kind == fourcc::MOOF {
                return Ok(Self {
                    before: head.slice(..found.start),
                    sequence: found.require(fourcc::MFHD)?.decode::<Mfhd>()?.sequence_number,
                    track_id: found.require(fourcc::TRAF)?.require(fourcc::TFHD)?.decode::<Tfhd>()?.track_id,
                });
            }
        }
        Err(ReadError::Missing { kind: fourcc::MOOF, inside: FourCC::new(b"file") })
    }
}
