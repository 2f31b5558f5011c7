//! Putting short chunks together.

use millrace_media::{Media, Payload, Sample, Samples};

use crate::boxes::Boxes;
use crate::fourcc::{self, FourCC};
use crate::moof::{self, Draft};
use crate::reader::ReadError;
use crate::split::{Head, piece};
use crate::write::WriteError;

/// Makes one chunk of several of the same track that follow each other without a hole. One alone is given back as it is.
///
/// The payload shares the buffers of theirs. What stands before the first, `prft` and events, stands before the whole, which has its
/// sequence number and time of capture too; what stands before the others is lost, see [`carries_events`].
///
/// # Errors
/// Where there is none, they are too long together, or a head is not that of a chunk.
pub fn join(parts: &[Media]) -> Result<Media, WriteError> {
    match parts {
        [one] => Ok(one.clone()),
        parts => write(parts),
    }
}

/// Writes the head of a chunk anew, after its decode time or its samples have been changed.
///
/// # Errors
/// Where the head is not that of a chunk.
pub fn rewrite(media: &Media) -> Result<Media, WriteError> {
    write(std::slice::from_ref(media))
}

fn write(parts: &[Media]) -> Result<Media, WriteError> {
    let first = parts.first().ok_or(WriteError::Empty)?;
    let head = Head::read(&first.head)?;
    let mut payload = Payload::default();
    let mut samples = Vec::with_capacity(parts.iter().map(|part| part.samples.len()).sum());
    let whole: u64 = parts.iter().map(|part| u64::from(part.payload.len())).sum();
    for part in parts {
        let start = payload.len();
        for slice in part.payload.slices() {
            if !payload.push(slice.clone()) {
                return Err(WriteError::PayloadSize { size: whole });
            }
        }
        // A sample lies within its payload, and the whole is not too long.
        samples.extend(part.samples.iter().map(|sample| Sample { offset: start + sample.offset, ..*sample }));
    }
    let outside = ReadError::OutsideMdat { track_id: head.track_id };
    let (payload, samples) = crate::gather::gather(&payload, &samples).ok_or(WriteError::Uneditable(outside))?;
    assemble(&head, first, payload, samples)
}

/// A chunk of these samples, which lie one after the other in `payload`, in the place of `first`, whose head is `head`.
///
/// # Errors
/// Where the boxes would be longer than their size fields can say.
pub(crate) fn assemble(head: &Head, first: &Media, payload: Payload, samples: Samples) -> Result<Media, WriteError> {
    let draft = Draft {
        sequence: head.sequence,
        track_id: head.track_id,
        decode_time: u64::try_from(first.decode_time.ticks()).unwrap_or(0),
        samples: &samples,
        payload_len: payload.len(),
    };
    let written = moof::head([&head.before], &draft);
    let written = written.map_err(|source| WriteError::Encode { kind: fourcc::MOOF, source })?;
    Ok(Media { captured_at: first.captured_at, ..piece(written, payload, samples, first.decode_time) })
}

/// True of media with event messages before it.
pub fn carries_events(media: &Media) -> bool {
    Boxes::new(&media.head, 0, FourCC::new(b"file"))
        .map_while(Result::ok)
        .take_while(|found| found.kind != fourcc::MOOF)
        .any(|found| found.kind == fourcc::EMSG)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use millrace_media::fragment::Marks;
    use millrace_media::{Time, Timescale};

    use super::*;
    use crate::write::{ChunkWriter, Packet};

    fn chunk(writer: &mut ChunkWriter, at: i64, data: &[&'static str]) -> Media {
        let packets = data.iter().map(|text| Packet {
            data: Bytes::from_static(text.as_bytes()),
            duration: 10,
            composition_offset: 0,
            marks: Marks { keyframe: true, independent: true, discardable: false },
        });
        writer.chunk(Time::new(at, Timescale::MILLIS), packets, None).unwrap()
    }

    #[test]
    fn chunks_are_joined_without_a_copy() {
        let mut writer = ChunkWriter::new(7);
        let parts = [chunk(&mut writer, 100, &["a", "bc"]), chunk(&mut writer, 120, &["def"])];
        let whole = join(&parts).unwrap();
        assert_eq!((whole.decode_time.ticks(), whole.duration.ticks(), whole.samples.len()), (100, 30, 3));
        assert_eq!(whole.samples.iter().map(|s| (s.offset, s.size)).collect::<Vec<_>>(), [(0, 1), (1, 2), (3, 3)]);
        assert_eq!(whole.payload.slices().concat(), b"abcdef");
        assert_eq!(whole.payload.slices()[2].as_ptr(), parts[1].payload.slices()[0].as_ptr());
        // Its head reads as that of such a chunk: it can be cut again where it was joined.
        let cut = crate::split(&whole, Time::from_millis(20)).unwrap();
        assert_eq!(cut.iter().map(|part| part.samples.len()).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(cut[1].decode_time.ticks(), 120);
        assert!(matches!(join(&[]), Err(WriteError::Empty)));
    }
}
