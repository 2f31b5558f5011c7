//! NAL units: ITU-T H.264 7.3.1, and the length prefixes of ISO/IEC 14496-15 5.3.

/// What a NAL unit carries, as far as it matters here: `nal_unit_type`, ITU-T H.264 table 7-1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NalKind {
    /// A slice of a picture that is not IDR.
    Slice,
    /// A slice of an IDR picture.
    IdrSlice,
    /// A slice in data partitions: extended profile.
    Partition,
    /// A sequence parameter set.
    SequenceParameters,
    /// A picture parameter set.
    PictureParameters,
    /// A delimiter, supplemental information, or the end of a sequence: behind a frame's slices, the next access unit begins with it
    /// (7.4.1.2.3).
    Opening,
    /// Filler, redundant and other layers: nothing a picture of the base layer needs.
    Other,
}

/// A NAL unit with its header byte, without start code or length. Never empty.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nal<'a>(&'a [u8]);

impl<'a> Nal<'a> {
    /// None where there is not even a header.
    pub(crate) const fn new(bytes: &'a [u8]) -> Option<Self> {
        if bytes.is_empty() { None } else { Some(Self(bytes)) }
    }

    pub(crate) const fn bytes(self) -> &'a [u8] {
        self.0
    }

    pub(crate) const fn kind(self) -> NalKind {
        match self.0[0] & 0x1f {
            1 => NalKind::Slice,
            2..=4 => NalKind::Partition,
            5 => NalKind::IdrSlice,
            7 => NalKind::SequenceParameters,
            8 => NalKind::PictureParameters,
            6 | 9..=11 => NalKind::Opening,
            _ => NalKind::Other,
        }
    }
}

/// The NAL units of a sample whose lengths take `length_size` bytes (1, 2 or 4). Empty ones are passed over.
///
/// An item is an error where a length runs past the end of the sample; nothing follows it.
pub(crate) fn split_length_prefixed(
    mut sample: &[u8],
    length_size: usize,
) -> impl Iterator<Item = Result<Nal<'_>, String>> {
    std::iter::from_fn(move || {
        while !sample.is_empty() {
            let Some((prefix, rest)) = sample.split_at_checked(length_size) else {
                let left = std::mem::take(&mut sample).len();
                return Some(Err(format!("{left} bytes left where a NAL length of {length_size} bytes should stand")));
            };
            let length = prefix.iter().fold(0_usize, |length, &byte| length << 8 | usize::from(byte));
            let Some((nal, rest)) = rest.split_at_checked(length) else {
                sample = &[];
                return Some(Err(format!("a NAL unit of {length} bytes where {} are left", rest.len())));
            };
            sample = rest;
            if let Some(nal) = Nal::new(nal) {
                return Some(Ok(nal));
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_checked_against_what_is_there() {
        let kinds =
            |sample: &[u8], size| split_length_prefixed(sample, size).map(|nal| nal.map(Nal::kind)).collect::<Vec<_>>();
        assert_eq!(
            kinds(&[0, 2, 0x65, 1, 0, 0, 0, 1, 0x41], 2),
            [Ok(NalKind::IdrSlice), Ok(NalKind::Slice)],
            "an empty unit is passed over"
        );
        assert!(matches!(kinds(&[0, 0, 0, 9, 0x65], 4)[..], [Err(_)]));
        assert!(matches!(kinds(&[0xff, 0xff, 0xff, 0xff], 4)[..], [Err(_)]));
        assert!(matches!(kinds(&[1, 0x65, 0], 1)[..], [Ok(NalKind::IdrSlice)]));
        assert!(matches!(kinds(&[0, 1, 0x65, 0], 2)[..], [Ok(NalKind::IdrSlice), Err(_)]));
        assert!(kinds(&[], 4).is_empty());
    }
}
