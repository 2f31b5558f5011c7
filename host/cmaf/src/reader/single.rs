//! Reading one chunk that is wholly there.

use bytes::Bytes;
use millrace_media::{Media, Time};

use super::{Item, Limits, ReadError, Reader};
use crate::boxes::Boxes;
use crate::fourcc::{self, FourCC};
use crate::header::{Header, TrackHeader};

/// Reads exactly one CMAF chunk of a track: `moof` and `mdat`, with `prft` and `emsg` before them and nothing behind. Its times are taken as
/// they stand: the track's [timeline shift](TrackHeader::timeline_shift) is not applied. The payload shares the buffer.
///
/// # Errors
/// Where it is not one chunk, is of another track, or is broken or beyond the limits.
pub fn chunk_of(bytes: Bytes, track: &TrackHeader, limits: &Limits) -> Result<Media, ReadError> {
    check(&bytes)?;
    let shift = Time::zero(track.info.timescale);
    let header = Header::from(TrackHeader { timeline_shift: shift, ..track.clone() });
    let mut reader = Reader::with_header(*limits, header);
    reader.push(bytes);
    let mut chunk = None;
    while let Some(item) = reader.next()? {
        match item {
            Item::Chunk(read) if chunk.is_none() => chunk = Some(read),
            Item::Chunk(_) => return Err(not_a_chunk("a second traf".to_owned(), "one traf")),
            Item::Skipped(kind) => return Err(not_a_chunk(kind.to_string(), "a sample in moof")),
            Item::Header(_) | Item::SegmentType(_) => {}
        }
    }
    reader.finish()?;
    let chunk = chunk.ok_or_else(|| not_a_chunk("no sample".to_owned(), "a sample in moof"))?;
    let track_id = chunk.track_id();
    // Only a chunk of Smooth Streaming, without a `tfdt`, can say a time before zero.
    chunk.place(shift).map_err(|_| ReadError::NoDecodeTime { track_id })
}

/// Checks the order of the boxes, and that there is nothing else.
fn check(bytes: &Bytes) -> Result<(), ReadError> {
    let mut expected = "moof";
    let mut end = 0;
    for found in Boxes::new(bytes, 0, FourCC::new(b"file")) {
        let found = found?;
        end = found.start + found.whole.len();
        expected = match (expected, found.kind) {
            ("moof", fourcc::PRFT | fourcc::EMSG) => "moof",
            ("moof", fourcc::MOOF) => "mdat",
            ("mdat", fourcc::MDAT) => "the end",
            _ => return Err(not_a_chunk(found.kind.to_string(), expected)),
        };
    }
    match (bytes.len() - end, expected) {
        (0, "the end") => Ok(()),
        (0, expected) => Err(not_a_chunk("the end".to_owned(), expected)),
        (left, expected) => Err(not_a_chunk(format!("{left} bytes"), expected)),
    }
}

fn not_a_chunk(found: String, expected: &'static str) -> ReadError {
    ReadError::NotAChunk { found, expected }
}
