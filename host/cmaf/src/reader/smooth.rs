//! When a fragment of Smooth Streaming begins ([MS-SSTR], 2.2.4.4): its `traf` has no `tfdt` but a `uuid` box called tfxd.

use super::ReadError;
use crate::boxes::{BoxRef, u32_at, u64_at};
use crate::fourcc;

const TFXD: [u8; 16] = [0x6d, 0x1d, 0x9b, 0x05, 0x42, 0xd5, 0x44, 0xe6, 0x80, 0xe2, 0x14, 0x1d, 0xaf, 0xf7, 0x57, 0xb2];

/// The time of the first sample, in ticks of the track, as the tfxd of a `traf` has it; none where there is no tfxd.
///
/// The specification does not say which time is meant. ffmpeg writes that of presentation, and where sound is primed before zero it
/// writes it below zero: 64 bits are taken to be signed.
///
/// # Errors
/// Where the box is too short for its version, or a box of the `traf` does not fit.
pub(super) fn fragment_time(traf: &BoxRef<'_>) -> Result<Option<i64>, ReadError> {
    for child in traf.children(0) {
        let child = child?;
        if child.kind != fourcc::UUID {
            continue;
        }
        // The type, then version and flags, then the time and the duration.
        let body = child.body();
        let Some(fields) = body.strip_prefix(&TFXD) else { continue };
        let time = match fields.first() {
            Some(0) => u32_at(fields, 4).map(i64::from),
            Some(_) => u64_at(fields, 4).map(u64::cast_signed),
            None => None,
        };
        return time.map(Some).ok_or(ReadError::TooShort { kind: fourcc::UUID, size: body.len() });
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traf(boxes: &[&[u8]]) -> Vec<u8> {
        let boxed = |kind: &[u8; 4], body: &[u8]| {
            [&u32::try_from(body.len() + 8).unwrap().to_be_bytes()[..], kind, body].concat()
        };
        boxed(b"traf", &boxes.iter().flat_map(|body| boxed(b"uuid", body)).collect::<Vec<_>>())
    }

    fn time(boxes: &[&[u8]]) -> Result<Option<i64>, ReadError> {
        fragment_time(&BoxRef::whole(&traf(boxes)).unwrap())
    }

    #[test]
    fn times_are_read_in_both_widths() {
        let wide = [&TFXD[..], &[1, 0, 0, 0], &(-213_333i64).to_be_bytes(), &9_600_000u64.to_be_bytes()].concat();
        assert_eq!(time(&[&wide]).unwrap(), Some(-213_333));
        let narrow = [&TFXD[..], &[0; 4], &u32::MAX.to_be_bytes(), &[0; 4]].concat();
        assert_eq!(time(&[&narrow]).unwrap(), Some(i64::from(u32::MAX)));
        // What comes next, which ffmpeg says where it looks ahead, is another box.
        let tfrf = [0xd4; 40];
        assert_eq!(time(&[&tfrf, &wide]).unwrap(), Some(-213_333));
        assert_eq!(time(&[&tfrf]).unwrap(), None);
    }

    #[test]
    fn short_boxes_are_refused_or_are_others() {
        assert!(matches!(time(&[&TFXD]), Err(ReadError::TooShort { size: 16, .. })));
        let cut = [&TFXD[..], &[1, 0, 0, 0], &[0; 7]].concat();
        assert!(matches!(time(&[&cut]), Err(ReadError::TooShort { .. })));
        assert_eq!(time(&[&TFXD[..15], b""]).unwrap(), None);
    }
}
