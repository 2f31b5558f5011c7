//! Pictures that no other picture refers to, where the container does not say so: ffmpeg, for one, never does.

use millrace_media::track::Info;

/// How a codec tells them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disposable {
    /// H.264: `nal_ref_idc` is 0 (ITU-T H.264, 7.4.1). NAL units have lengths of so many bytes before them.
    Avc { length_size: usize },
    /// It is not looked for.
    Unknown,
}

impl Disposable {
    /// For the track of a decoder configuration record.
    pub(super) fn of(info: &Info, record: &[u8]) -> Self {
        match record.get(4) {
            Some(byte) if info.codec.starts_with("avc") => Self::Avc { length_size: usize::from(byte & 3) + 1 },
            _ => Self::Unknown,
        }
    }

    /// True of a sample nothing refers to. A damaged one is taken for one that something does.
    pub(super) fn is(self, mut sample: &[u8]) -> bool {
        let Self::Avc { length_size } = self else { return false };
        while let Some((length, rest)) = sample.split_at_checked(length_size) {
            let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
            let Some((unit, rest)) = rest.split_at_checked(length) else { return false };
            // Slices, in one piece or in partitions: types 1 to 5.
            if let Some(header) = unit.first()
                && (1..=5).contains(&(header & 31))
            {
                return header & 0x60 == 0;
            }
            sample = rest;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_slice_tells() {
        let avc = Disposable::Avc { length_size: 2 };
        assert!(avc.is(&[0, 2, 6, 9, 0, 2, 0x01, 9]), "SEI, then a slice with nal_ref_idc 0");
        assert!(!avc.is(&[0, 2, 0x41, 9]), "nal_ref_idc 2");
        assert!(!avc.is(&[0, 2, 0x65, 9]), "IDR");
        for damaged in [&[][..], &[0], &[0, 9, 1], &[0, 0], &[0, 1, 6]] {
            assert!(!avc.is(damaged), "{damaged:?}");
        }
        assert!(!Disposable::Unknown.is(&[0, 2, 0x01, 9]));
    }
}
