//! Sample flags (ISO/IEC 14496-12, 8.8.3.1) and the marks they mean.

use millrace_media::fragment::{Marks, Sample};

const NON_SYNC: u32 = 1 << 16;
const DEPENDS_ON_SHIFT: u32 = 24;
const DEPENDED_ON_SHIFT: u32 = 22;

/// What the flags of a sample say.
pub(crate) fn from_flags(flags: u32) -> Marks {
    let keyframe = flags & NON_SYNC == 0;
    let depends_on = (flags >> DEPENDS_ON_SHIFT) & 3;
    let depended_on = (flags >> DEPENDED_ON_SHIFT) & 3;
    Marks { keyframe, independent: keyframe || depends_on == 2, discardable: depended_on == 2 }
}

/// Flags that say what the marks do.
pub(crate) fn to_flags(marks: Marks) -> u32 {
    let depends_on = if marks.keyframe || marks.independent { 2 } else { 1 };
    let depended_on = if marks.discardable { 2 } else { 0 };
    let non_sync = if marks.keyframe { 0 } else { NON_SYNC };
    depends_on << DEPENDS_ON_SHIFT | depended_on << DEPENDED_ON_SHIFT | non_sync
}

/// The marks of a fragment of these samples.
pub(crate) fn of_fragment(samples: &[Sample]) -> Marks {
    let keyframe = samples.first().is_some_and(|s| s.marks.keyframe);
    Marks {
        keyframe,
        independent: keyframe || (!samples.is_empty() && samples.iter().all(|s| s.marks.independent)),
        discardable: !samples.is_empty() && samples.iter().all(|s| s.marks.discardable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_survive_their_flags() {
        for bits in 0..8u8 {
            let keyframe = bits & 1 != 0;
            let marks = Marks { keyframe, independent: keyframe || bits & 2 != 0, discardable: bits & 4 != 0 };
            assert_eq!(from_flags(to_flags(marks)), marks);
        }
    }

    #[test]
    fn flags_as_ffmpeg_writes_them() {
        assert_eq!(from_flags(0x0200_0000), Marks { keyframe: true, independent: true, discardable: false });
        assert_eq!(from_flags(0x0101_0000), Marks::default());
    }
}
