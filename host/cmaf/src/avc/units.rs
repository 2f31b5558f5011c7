//! NAL units: ITU-T H.264 7.3.1 and annex B, and the length prefixes of ISO/IEC 14496-15 5.3. Found where they lie: the bytes of
//! pictures are not copied, and need not lie in one piece.

use bytes::{BufMut, BytesMut};
use millrace_media::Payload;

use super::AvcError;

/// More than any encoder cuts a picture into.
const MAX_UNITS: usize = 4_096;
/// Bytes of the lengths that are written.
const LENGTH: u32 = 4;

/// Where a NAL unit lies in a payload, and what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Where its header byte is.
    pub offset: u32,
    /// In bytes, its header included; never zero.
    pub size: u32,
    /// `nal_unit_type`, ITU-T H.264 table 7-1.
    pub kind: u8,
}

impl Unit {
    /// A slice of an IDR picture.
    pub const IDR_SLICE: u8 = 5;
    /// A sequence parameter set.
    pub const SEQUENCE: u8 = 7;
    /// A picture parameter set.
    pub const PICTURE: u8 = 8;
    /// An access unit delimiter.
    pub const DELIMITER: u8 = 9;

    /// True of a slice of a picture, of whatever kind.
    pub const fn is_slice(&self) -> bool {
        matches!(self.kind, 1..=5)
    }
}

/// True of bytes that begin with a start code. Lengths may look like one: those of units of 1 and of 256 to 511 bytes do.
pub fn is_annex_b(payload: &Payload) -> bool {
    let mut bytes = payload.slices().iter().flatten();
    let mut next = || bytes.next().copied();
    matches!((next(), next(), next()), (Some(0), Some(0), Some(1))) || {
        let mut bytes = payload.slices().iter().flatten();
        let mut next = || bytes.next().copied();
        matches!((next(), next(), next(), next()), (Some(0), Some(0), Some(0), Some(1)))
    }
}

/// The units of a byte stream, ITU-T H.264 annex B.
///
/// # Errors
/// Where there are too many.
pub fn annex_b(payload: &Payload) -> Result<Vec<Unit>, AvcError> {
    let mut units = Vec::new();
    // Where the unit began that is being passed, and its first byte.
    let mut begun: Option<(u32, u8)> = None;
    let (mut at, mut zeros, mut starts) = (0u32, 0u32, false);
    for byte in payload.slices().iter().flatten().copied() {
        if starts {
            (begun, starts) = (Some((at, byte)), false);
        }
        match byte {
            0 => zeros += 1,
            1 if zeros >= 2 => {
                // Zeros before a start code are not the unit's.
                end(&mut units, begun.take(), at - zeros)?;
                (zeros, starts) = (0, true);
            }
            _ => zeros = 0,
        }
        at += 1;
    }
    end(&mut units, begun, at - zeros)?;
    Ok(units)
}

fn end(units: &mut Vec<Unit>, begun: Option<(u32, u8)>, end: u32) -> Result<(), AvcError> {
    if let Some((offset, header)) = begun.filter(|(offset, _)| *offset < end) {
        push(units, Unit { offset, size: end - offset, kind: header & 0x1f })?;
    }
    Ok(())
}

fn push(units: &mut Vec<Unit>, unit: Unit) -> Result<(), AvcError> {
    if units.len() >= MAX_UNITS {
        return Err(AvcError::TooManyUnits(MAX_UNITS));
    }
    units.push(unit);
    Ok(())
}

/// The units of a sample whose lengths take `length_size` bytes: 1, 2 or 4. Empty ones are passed over.
///
/// # Errors
/// Where a length runs past the end, or there are too many.
pub fn length_prefixed(payload: &Payload, length_size: usize) -> Result<Vec<Unit>, AvcError> {
    const SHORT: AvcError = AvcError::Short("a NAL unit");
    let (mut units, mut at) = (Vec::new(), 0u32);
    let prefix = length_size as u32;
    while at < payload.len() {
        let length = payload.contiguous(at, prefix).ok_or(SHORT)?;
        let size = length.iter().fold(0u32, |size, byte| size << 8 | u32::from(*byte));
        at += prefix;
        let end = at.checked_add(size).filter(|end| *end <= payload.len()).ok_or(SHORT)?;
        if let Some(header) = payload.contiguous(at, size.min(1)).and_then(|header| header.first().copied()) {
            push(&mut units, Unit { offset: at, size, kind: header & 0x1f })?;
        }
        at = end;
    }
    Ok(units)
}

/// The units one after the other with lengths of four bytes before them; the units' bytes are the payload's.
pub fn with_lengths(payload: &Payload, units: &[Unit]) -> Payload {
    let mut lengths = BytesMut::with_capacity(units.len() * LENGTH as usize);
    units.iter().for_each(|unit| lengths.put_u32(unit.size));
    let lengths = Payload::from(lengths.freeze());
    let mut out = Payload::default();
    for (at, unit) in (0..).step_by(LENGTH as usize).zip(units) {
        let parts = [lengths.range(at, LENGTH), payload.range(unit.offset, unit.size)];
        for slice in parts.iter().flatten().flat_map(Payload::slices) {
            // One byte more a unit than a payload that was in memory: it still fits.
            let _ = out.push(slice.clone());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn payload(slices: &[&[u8]]) -> Payload {
        let mut payload = Payload::default();
        slices.iter().for_each(|slice| assert!(payload.push(Bytes::copy_from_slice(slice))));
        payload
    }

    fn kinds(units: &[Unit]) -> Vec<(u8, u32)> {
        units.iter().map(|unit| (unit.kind, unit.size)).collect()
    }

    #[test]
    fn start_codes_are_found_wherever_the_slices_end() {
        let stream = [0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 0, 0, 0, 1, 0x65, 0, 0, 3, 0, 9, 0, 0];
        for cut in 0..stream.len() {
            let payload = payload(&[&stream[..cut], &stream[cut..]]);
            assert!(is_annex_b(&payload));
            let units = annex_b(&payload).unwrap();
            assert_eq!(kinds(&units), [(7, 2), (8, 1), (5, 6)], "cut at {cut}");
            let sample = with_lengths(&payload, &units);
            let expected =
                [&[0, 0, 0, 2, 0x67, 1][..], &[0, 0, 0, 1, 0x68], &[0, 0, 0, 6, 0x65, 0, 0, 3, 0, 9]].concat();
            assert_eq!(sample.slices().concat(), expected);
            assert_eq!(length_prefixed(&sample, 4).unwrap().len(), 3);
        }
        assert!(annex_b(&payload(&[&[0, 0, 1]])).unwrap().is_empty());
        assert!(annex_b(&Payload::default()).unwrap().is_empty());
    }

    #[test]
    fn lengths_are_checked_against_what_is_there() {
        let of = |bytes: &[u8], size| length_prefixed(&payload(&[bytes]), size).map(|units| kinds(&units));
        assert_eq!(of(&[0, 2, 0x65, 1, 0, 0, 0, 1, 0x41], 2), Ok(vec![(5, 2), (1, 1)]), "an empty unit is passed over");
        assert!(of(&[0, 0, 0, 9, 0x65], 4).is_err());
        assert!(of(&[0xff, 0xff, 0xff, 0xff], 4).is_err());
        assert!(of(&[0, 1, 0x65, 0], 2).is_err());
        assert_eq!(of(&[], 4), Ok(vec![]));
        assert!(!is_annex_b(&payload(&[&[0, 0, 0, 2, 0x65, 1]])));
    }

    #[test]
    fn a_picture_in_too_many_pieces_is_refused() {
        let stream = [0, 0, 1, 0x41].repeat(MAX_UNITS + 1);
        assert_eq!(annex_b(&payload(&[&stream])), Err(AvcError::TooManyUnits(MAX_UNITS)));
    }
}
