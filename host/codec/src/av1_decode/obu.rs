//! Open bitstream units: AV1 bitstream specification 5.3 to 5.9.

use crate::bits::Bits;

/// `obu_type`, AV1 6.2.2, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ObuKind {
    SequenceHeader,
    /// A frame header, alone or with tiles behind it.
    Frame,
    Other,
}

/// One unit, without its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Obu<'a> {
    pub(super) kind: ObuKind,
    /// With the header.
    pub(super) bytes: &'a [u8],
    pub(super) payload: &'a [u8],
}

impl Obu<'_> {
    /// True where a frame begins that stands alone and is shown: a key frame, AV1 5.9.2. `reduced` is the sequence's
    /// `reduced_still_picture_header`.
    pub(super) fn is_shown_key_frame(&self, reduced: bool) -> bool {
        let mut bits = Bits::new(self.payload);
        // show_existing_frame, frame_type KEY_FRAME, show_frame
        self.kind == ObuKind::Frame && (reduced || bits.read(4) == Some(0b0001))
    }
}

/// The units of a temporal unit, or of the `configOBUs` of a record. An item is an error where a unit runs past the end; nothing
/// follows it.
pub(super) fn split(mut bytes: &[u8]) -> impl Iterator<Item = Result<Obu<'_>, String>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let first = next(bytes);
        bytes = first.as_ref().map_or(&[][..], |(_, rest)| rest);
        Some(first.map(|(obu, _)| obu))
    })
}

fn next(bytes: &[u8]) -> Result<(Obu<'_>, &[u8]), String> {
    let header = bytes[0];
    if header & 0x80 != 0 {
        return Err(format!("{header:#04x} where a unit should begin"));
    }
    let kind = match header >> 3 & 0xf {
        1 => ObuKind::SequenceHeader,
        3 | 6 => ObuKind::Frame,
        _ => ObuKind::Other,
    };
    let mut start = if header & 4 == 0 { 1 } else { 2 };
    let mut length = bytes.len().saturating_sub(start);
    if header & 2 != 0 {
        let (size, taken) = leb128(bytes.get(start..).unwrap_or_default()).ok_or("a unit without its size")?;
        start += taken;
        length = size;
    }
    let end = start.checked_add(length).filter(|&end| end <= bytes.len());
    let end =
        end.ok_or_else(|| format!("a unit of {length} bytes where {} are left", bytes.len().saturating_sub(start)))?;
    let (unit, rest) = bytes.split_at(end);
    Ok((Obu { kind, bytes: unit, payload: &unit[start..] }, rest))
}

/// `leb128()`, AV1 4.10.5: the number and the bytes it takes.
fn leb128(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0_u64;
    for (i, byte) in bytes.iter().take(8).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(u32::try_from(value).ok()?).ok()?, i + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_split_by_size_and_the_last_may_have_none() {
        let stream = [0x12, 0, 0x0a, 1, 7, 0x36, 0, 2, 0x10, 9, 0x30, 0x10, 1];
        let units: Vec<_> = split(&stream).map(Result::unwrap).collect();
        let kinds: Vec<_> = units.iter().map(|unit| unit.kind).collect();
        assert_eq!(kinds, [ObuKind::Other, ObuKind::SequenceHeader, ObuKind::Frame, ObuKind::Frame]);
        assert_eq!((units[1].payload, units[2].payload, units[3].payload), (&[7][..], &[0x10, 9][..], &[0x10, 1][..]));
        assert!(units[2].is_shown_key_frame(false) && !units[1].is_shown_key_frame(true));
    }

    #[test]
    fn hostile_sizes_are_errors() {
        for stream in [
            &[0x12][..],
            &[0x0a, 5, 1],
            &[0x80, 0],
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
            &[0x0a, 0x80],
            &[0x0e],
            &[0x04],
        ] {
            let units: Vec<_> = split(stream).collect();
            assert!(matches!(units[..], [Err(_)]), "{stream:?}: {units:?}");
        }
    }
}
