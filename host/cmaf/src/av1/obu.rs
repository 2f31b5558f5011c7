//! Open bitstream units: AV1 5.3.

use super::Av1Error;

/// An open bitstream unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Obu<'a> {
    /// `obu_type`, AV1 6.2.2.
    pub kind: u8,
    /// Header, size and payload.
    pub whole: &'a [u8],
    /// What stands behind header and size.
    pub payload: &'a [u8],
}

impl Obu<'_> {
    /// `OBU_SEQUENCE_HEADER`.
    pub const SEQUENCE_HEADER: u8 = 1;
    /// `OBU_TEMPORAL_DELIMITER`.
    pub const TEMPORAL_DELIMITER: u8 = 2;
    /// `OBU_FRAME_HEADER`.
    pub const FRAME_HEADER: u8 = 3;
    /// `OBU_FRAME`.
    pub const FRAME: u8 = 6;
    /// `OBU_REDUNDANT_FRAME_HEADER`.
    pub const REDUNDANT_FRAME_HEADER: u8 = 7;
    /// `OBU_PADDING`.
    pub const PADDING: u8 = 15;

    /// `spatial_id`, AV1 5.3.3: 0 where the header has no extension.
    pub fn spatial_id(&self) -> u8 {
        match self.whole {
            [header, extension, ..] if header & 4 != 0 => extension >> 3 & 3,
            _ => 0,
        }
    }

    /// True where a frame begins, AV1 5.9 and 5.10.
    pub const fn begins_frame(&self) -> bool {
        matches!(self.kind, Self::FRAME_HEADER | Self::FRAME)
    }

    /// True where a frame begins that is shown and needs no other: a key frame, AV1 5.9.2. `reduced` is the
    /// [`reduced_still_picture`](super::SequenceHeader::reduced_still_picture) of its sequence.
    pub fn begins_shown_key_frame(&self, reduced: bool) -> bool {
        // show_existing_frame 0, frame_type KEY_FRAME, show_frame 1
        self.begins_frame() && (reduced || self.payload.first().is_some_and(|first| first >> 4 == 0b0001))
    }
}

/// The OBUs of a temporal unit, a sample or an `av1C`. One that says no size reaches to the end.
///
/// An item is an error where an OBU is broken or runs past the end; nothing follows it.
pub fn obus(mut bytes: &[u8]) -> impl Iterator<Item = Result<Obu<'_>, Av1Error>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        match split_first(bytes) {
            Ok(obu) => {
                bytes = &bytes[obu.whole.len()..];
                Some(Ok(obu))
            }
            Err(error) => {
                bytes = &[];
                Some(Err(error))
            }
        }
    })
}

fn split_first(bytes: &[u8]) -> Result<Obu<'_>, Av1Error> {
    let header = *bytes.first().ok_or(Av1Error::Short("an OBU header"))?;
    if header & 0x80 != 0 {
        return Err(Av1Error::Forbidden(header));
    }
    let (extended, sized) = (header & 4 != 0, header & 2 != 0);
    let start = 1 + usize::from(extended);
    let rest = bytes.get(start..).ok_or(Av1Error::Short("an OBU header"))?;
    let (size, prefix) = if sized { leb128(rest)? } else { (rest.len(), 0) };
    let payload = rest[prefix..].get(..size).ok_or(Av1Error::Short("an OBU"))?;
    Ok(Obu { kind: header >> 3 & 0xf, whole: &bytes[..start + prefix + size], payload })
}

/// The value, and how many bytes it takes: `leb128()`, AV1 4.10.5.
fn leb128(bytes: &[u8]) -> Result<(usize, usize), Av1Error> {
    let mut value = 0_u64;
    for (i, byte) in bytes.iter().take(8).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            let value = u32::try_from(value).map_err(|_| Av1Error::Size)?;
            return Ok((value as usize, i + 1));
        }
    }
    Err(if bytes.len() < 8 { Av1Error::Short("the size of an OBU") } else { Av1Error::Size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_split_by_their_sizes() {
        let unit = [0x12, 0, 0x0a, 1, 0xaa, 0x36, 0x08, 2, 1, 2, 0x30, 9];
        let found: Vec<_> = obus(&unit).collect::<Result<_, _>>().unwrap();
        assert_eq!(found.iter().map(|obu| obu.kind).collect::<Vec<_>>(), [2, 1, 6, 6]);
        assert_eq!(found[1].payload, [0xaa]);
        assert_eq!((found[2].whole, found[2].payload), (&unit[5..10], &[1, 2][..]), "with an extension");
        assert_eq!(found[3].payload, [9], "without a size, to the end");
    }

    #[test]
    fn shown_key_frames_are_told_from_others() {
        let obu = |bytes: &'static [u8]| obus(bytes).next().unwrap().unwrap();
        assert!(obu(&[0x32, 1, 0x10]).begins_shown_key_frame(false));
        assert!(!obu(&[0x32, 1, 0x30]).begins_shown_key_frame(false), "an inter frame");
        assert!(obu(&[0x32, 1, 0x30]).begins_shown_key_frame(true));
        assert!(!obu(&[0x0a, 1, 0x10]).begins_shown_key_frame(true), "no frame");
        assert!(!obu(&[0x32, 0]).begins_shown_key_frame(false), "an empty one");
    }

    #[test]
    fn hostile_sizes_are_errors() {
        let error = |bytes: &[u8]| obus(bytes).last().unwrap().unwrap_err();
        assert_eq!(error(&[0x0a, 5, 0]), Av1Error::Short("an OBU"));
        assert_eq!(error(&[0x0a]), Av1Error::Short("the size of an OBU"));
        assert_eq!(error(&[0x0e]), Av1Error::Short("an OBU header"), "the extension is missing");
        assert_eq!(error(&[0x8a, 0]), Av1Error::Forbidden(0x8a));
        let endless = [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0];
        assert_eq!(error(&endless), Av1Error::Size);
        let large = [0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f];
        assert_eq!(error(&large), Av1Error::Size);
        assert_eq!(obus(&[]).count(), 0);
    }
}
