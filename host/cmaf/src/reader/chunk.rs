//! Chunks as they were read, and their way onto a broadcast's timeline.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use millrace_media::fragment::Marks;
use millrace_media::{Media, Payload, Sample, Samples, Time};

use super::event::Before;
use super::{BeforeZero, ReadError};
use crate::moof::{self, Draft};

/// One track's part of a fragment, with at least one sample, on the source's presentation timeline.
#[derive(Clone, Debug)]
pub struct Chunk {
    pub(super) track_id: u32,
    pub(super) sequence: u32,
    pub(super) before: Vec<Before>,
    pub(super) form: Form,
    pub(super) payload: Payload,
    pub(super) samples: Samples,
    pub(super) marks: Marks,
    /// As `tfdt` has it, or what Smooth Streaming has in its place. May be below zero.
    pub(super) decode_time: Time,
    pub(super) timeline_shift: Time,
}

/// How the head of a chunk is made.
#[derive(Clone, Debug)]
pub(super) enum Form {
    /// `moof`, what followed it, and the header of `mdat`, as they came. `tfdt_at` is where the body of `tfdt` begins in them.
    Original { head: Bytes, tfdt_at: usize },
    /// Written anew: it was shared with other tracks, counted positions in a file, is decoded earlier than it said, or was of Smooth
    /// Streaming and had no `tfdt`.
    Rebuilt,
}

impl Chunk {
    /// `track_ID`.
    pub fn track_id(&self) -> u32 {
        self.track_id
    }

    /// `sequence_number` of its `mfhd`.
    pub fn sequence_number(&self) -> u32 {
        self.sequence
    }

    /// Of the first sample, with the track's [timeline shift](crate::TrackHeader::timeline_shift) applied. May be below zero.
    pub fn decode_time(&self) -> Time {
        self.decode_time + self.timeline_shift
    }

    /// Of the sample that is presented first, with the timeline shift applied. May be below zero.
    pub fn presentation_time(&self) -> Time {
        let scale = self.decode_time.scale();
        let mut elapsed = 0i64;
        let mut earliest = i64::MAX;
        for sample in self.samples.iter() {
            earliest = earliest.min(elapsed + i64::from(sample.composition_offset));
            elapsed += i64::from(sample.duration);
        }
        self.decode_time() + Time::new(earliest, scale)
    }

    /// By how much a sample of it is decoded after it is presented, at the most: composition offsets may be negative (ISO/IEC
    /// 14496-12, 8.6.1.3). Zero where none is.
    pub fn lateness(&self) -> Time {
        let least = self.samples.iter().map(|sample| i64::from(sample.composition_offset)).min().unwrap_or(0);
        Time::new(least.min(0).saturating_neg(), self.decode_time.scale())
    }

    /// The same samples, presented as before and decoded `lead` earlier; the lead is counted in the track's timescale.
    pub fn decoded_earlier(&self, lead: Time) -> Self {
        let ticks = i32::try_from(lead.ticks()).unwrap_or(i32::MAX);
        let earlier =
            |sample: &Sample| Sample { composition_offset: sample.composition_offset.saturating_add(ticks), ..*sample };
        Self {
            form: Form::Rebuilt,
            samples: self.samples.iter().map(earlier).collect(),
            decode_time: self.decode_time - Time::new(i64::from(ticks), lead.scale()),
            ..self.clone()
        }
    }

    /// The samples' durations added up.
    pub fn duration(&self) -> Time {
        let ticks = self.samples.iter().map(|s| i64::from(s.duration)).sum();
        Time::new(ticks, self.decode_time.scale())
    }

    /// In decode order; they lie within the payload.
    pub fn samples(&self) -> &Samples {
        &self.samples
    }

    /// As in [`Media::marks`].
    pub fn marks(&self) -> Marks {
        self.marks
    }

    /// The bytes of the samples.
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// When it was captured, since the Unix epoch: from a `prft` before it that says when the encoder took it in or gave it out.
    /// What a `prft` says of the moment of writing, or of a flush, is not taken for that.
    pub fn captured_at(&self) -> Option<Duration> {
        self.before.iter().find_map(|before| before.captured_at)
    }

    /// The chunk as media of a timeline on which the source's presentation timeline begins at `offset`.
    ///
    /// Where times stay as they are, the head is the source's bytes. Otherwise `tfdt` is patched in a copy of it, and so are the times
    /// in a `prft` and in an `emsg` of version 1; only where the new time does not fit is the head written anew.
    ///
    /// # Errors
    /// Where it would be decoded before zero.
    pub fn place(&self, offset: Time) -> Result<Media, BeforeZero> {
        let scale = self.decode_time.scale();
        let shift = self.timeline_shift + offset;
        let decode_time = self.decode_time + shift;
        let before_zero = BeforeZero { track_id: self.track_id, ticks: decode_time.ticks(), timescale: scale.get() };
        let tfdt = u64::try_from(decode_time.ticks()).map_err(|_| before_zero)?;
        let before: Vec<Bytes> = self.before.iter().filter_map(|before| before.moved(shift, offset)).collect();
        let head = match self.original(&before, tfdt, shift.ticks() == 0) {
            Some(head) => head,
            None => {
                let draft = Draft {
                    sequence: self.sequence,
                    track_id: self.track_id,
                    decode_time: tfdt,
                    samples: &self.samples,
                    payload_len: self.payload.len(),
                };
                moof::head(&before, &draft).expect("the limits keep boxes shorter than their sizes can say")
            }
        };
        Ok(Media {
            head,
            payload: self.payload.clone(),
            samples: self.samples.clone(),
            decode_time,
            presentation_time: self.presentation_time() + offset,
            duration: self.duration(),
            marks: self.marks,
            captured_at: self.captured_at(),
        })
    }

    /// The source's head with another decode time; none where it has to be written anew.
    fn original(&self, before: &[Bytes], tfdt: u64, unchanged: bool) -> Option<Bytes> {
        let Form::Original { head, tfdt_at } = &self.form else { return None };
        if unchanged && before.is_empty() {
            return Some(head.clone());
        }
        let mut out = BytesMut::with_capacity(before.iter().map(Bytes::len).sum::<usize>() + head.len());
        before.iter().for_each(|part| out.extend_from_slice(part));
        let at = out.len() + tfdt_at;
        out.extend_from_slice(head);
        if !unchanged {
            match out.get(at)? {
                0 => out.get_mut(at + 4..at + 8)?.copy_from_slice(&u32::try_from(tfdt).ok()?.to_be_bytes()),
                _ => out.get_mut(at + 4..at + 12)?.copy_from_slice(&tfdt.to_be_bytes()),
            }
        }
        Some(out.freeze())
    }
}

/// Samples that do not lie one after the other from the beginning are brought together for a head that is written anew.
pub(super) fn gathered(track_id: u32, payload: &Payload, samples: &[Sample]) -> Result<(Payload, Samples), ReadError> {
    crate::gather::gather(payload, samples).ok_or(ReadError::OutsideMdat { track_id })
}
