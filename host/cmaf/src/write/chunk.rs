//! Chunks out of coded packets.

use std::time::Duration;

use bytes::Bytes;
use millrace_media::fragment::Marks;
use millrace_media::{Media, Payload, Sample, Time};

use super::{WriteError, prft};
use crate::fourcc;
use crate::moof::{self, Draft};
use crate::reader::BeforeZero;
use crate::split::piece;

/// One coded picture or audio frame, in the form that CMAF keeps it: NAL units with their lengths before them, OBUs without temporal
/// delimiters, AAC without ADTS.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Its bytes.
    pub data: Bytes,
    /// How long it lasts, in ticks of the track's timescale.
    pub duration: u32,
    /// Presentation time less decode time, in ticks.
    pub composition_offset: i32,
    /// What depends on it, and what it depends on.
    pub marks: Marks,
}

/// Writes the chunks of one track, numbering them.
#[derive(Clone, Debug)]
pub struct ChunkWriter {
    track_id: u32,
    sequence: u32,
}

impl ChunkWriter {
    /// For a track of this `track_ID`; the first chunk's sequence number is 1.
    pub const fn new(track_id: u32) -> Self {
        Self { track_id, sequence: 1 }
    }

    /// For a track of this `track_ID`; the first chunk's sequence number is `sequence`.
    pub const fn starting_at(track_id: u32, sequence: u32) -> Self {
        Self { track_id, sequence }
    }

    /// Makes a chunk of packets in decode order, the first of which is decoded at `decode_time`, counted in the track's timescale. The
    /// packets' buffers become its payload. Where it is known when the first was captured, since the Unix epoch, a `prft` says so.
    ///
    /// # Errors
    /// Where there is no packet, they are too long together, or would be decoded before zero.
    pub fn chunk(
        &mut self,
        decode_time: Time,
        packets: impl IntoIterator<Item = Packet>,
        captured_at: Option<Duration>,
    ) -> Result<Media, WriteError> {
        let (mut payload, mut samples) = (Payload::default(), Vec::new());
        for packet in packets {
            let offset = payload.len();
            let whole = u64::from(offset) + packet.data.len() as u64;
            let too_long = WriteError::PayloadSize { size: whole };
            let Ok(size) = u32::try_from(packet.data.len()) else { return Err(too_long) };
            if !payload.push(packet.data) {
                return Err(too_long);
            }
            let Packet { duration, composition_offset, marks, .. } = packet;
            samples.push(Sample { offset, size, duration, composition_offset, marks });
        }
        self.samples(decode_time, payload, samples, captured_at)
    }

    /// Makes a chunk of samples that lie in `payload` one after the other from its beginning, as [`ChunkWriter::chunk`] does.
    ///
    /// # Errors
    /// As [`ChunkWriter::chunk`].
    pub fn samples(
        &mut self,
        decode_time: Time,
        payload: Payload,
        samples: Vec<Sample>,
        captured_at: Option<Duration>,
    ) -> Result<Media, WriteError> {
        let before_zero =
            BeforeZero { track_id: self.track_id, ticks: decode_time.ticks(), timescale: decode_time.scale().get() };
        let tfdt = u64::try_from(decode_time.ticks()).map_err(|_| before_zero)?;
        if samples.is_empty() {
            return Err(WriteError::Empty);
        }
        let draft = Draft {
            sequence: self.sequence,
            track_id: self.track_id,
            decode_time: tfdt,
            samples: &samples,
            payload_len: payload.len(),
        };
        let captured = captured_at.map(|at| prft(self.track_id, at, decode_time)).transpose()?;
        let head = moof::head(&captured, &draft).map_err(|source| WriteError::Encode { kind: fourcc::MOOF, source })?;
        self.sequence = self.sequence.wrapping_add(1);
        Ok(Media { captured_at, ..piece(head, payload, samples.into(), decode_time) })
    }
}
