//! What decoding may take: the largest frame, the frames a decoder keeps, and the work of a sample.

use crate::decode::DecodeError;
use crate::picture::Size;

/// The most that a decoder does for one track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLimits {
    /// The largest frame that is decoded, by its luma samples: a frame of another shape may have as many.
    pub max_frame: Size,
}

impl Default for DecodeLimits {
    /// Frames of 4096x2304: `MaxFS` of H.264 level 5.2 (ITU-T H.264 table A-1), which is somewhat more than level 5.2 of HEVC and 5.3
    /// of AV1 allow.
    fn default() -> Self {
        Self { max_frame: Size::DCI_4K }
    }
}

/// Frames of the largest size that a decoder may keep for reference and reordering. Smaller frames may be as many more as take the
/// same memory, up to [`MAX_KEPT`].
const KEPT: u64 = 8;
/// No level of H.264 or HEVC lets a decoder keep more frames (ITU-T H.264 A.3.1, ITU-T H.265 A.4.2).
const MAX_KEPT: u64 = 16;
/// Coded frames are made of blocks of up to so many samples each way, cropped to what is shown.
const BLOCK: u64 = 64;

impl DecodeLimits {
    /// Refuses frames that have more samples than the largest, as shown or as coded.
    pub(crate) fn check(&self, codec: &str, shown: Size, coded: (u32, u32)) -> Result<(), DecodeError> {
        let largest = |side: u32| u64::from(side).next_multiple_of(BLOCK);
        let most_coded = largest(self.max_frame.width()) * largest(self.max_frame.height());
        if shown.luma_samples() > self.max_frame.luma_samples() || area(coded) > most_coded {
            let (width, height) = coded;
            let what = format!("{codec} frames of {width}x{height} (the limit is {}: `max_frame`)", self.max_frame);
            return Err(DecodeError::unsupported(what));
        }
        Ok(())
    }

    /// How many frames of a coded size a decoder may keep.
    pub(crate) fn kept(&self, coded: (u32, u32)) -> usize {
        let most = KEPT * self.max_frame.luma_samples() / area(coded).max(1);
        most.clamp(KEPT, MAX_KEPT) as usize
    }

    /// Refuses a stream whose decoder would have to keep more frames than it may.
    pub(crate) fn check_kept(&self, codec: &str, kept: u32, coded: (u32, u32)) -> Result<(), DecodeError> {
        let most = self.kept(coded);
        if kept as usize > most {
            let (width, height) = coded;
            let what = format!("{codec} that keeps {kept} frames of {width}x{height} (expected <= {most})");
            return Err(DecodeError::unsupported(what));
        }
        Ok(())
    }
}

fn area((width, height): (u32, u32)) -> u64 {
    u64::from(width) * u64::from(height)
}

/// Allows or refuses the work of decoding, before it is done.
pub trait Allowance {
    /// Whether frames of so many luma samples together may be decoded now. Where they may not, their sample is dropped:
    /// [`DecodeError::OverBudget`].
    fn admits(&mut self, luma_samples: u64) -> bool;

    /// Whether the frame under way may be decoded further: asked between its slices. Where it may not, its sample is dropped:
    /// [`DecodeError::Stopped`].
    fn goes_on(&mut self) -> bool;
}

/// Allows everything: for streams that are trusted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unlimited;

impl Allowance for Unlimited {
    fn admits(&mut self, _luma_samples: u64) -> bool {
        true
    }

    fn goes_on(&mut self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_limited_by_their_samples_whatever_their_shape() {
        let limits = DecodeLimits { max_frame: Size::new(1920, 1080).unwrap() };
        let fits = |width, height, coded| limits.check("test", Size::new(width, height).unwrap(), coded).is_ok();
        assert!(fits(1920, 1080, (1920, 1088)));
        assert!(fits(1080, 1920, (1088, 1920)));
        assert!(!fits(1920, 1082, (1920, 1088)), "as shown");
        assert!(!fits(320, 180, (4096, 2304)), "as coded");
        assert!(!fits(8192, 1080, (8192, 1088)));
    }

    #[test]
    fn large_frames_are_kept_in_smaller_numbers() {
        let limits = DecodeLimits::default();
        assert_eq!(limits.kept((4096, 2304)), 8);
        assert_eq!(limits.kept((3840, 2160)), 9);
        assert_eq!(limits.kept((1920, 1088)), 16);
        limits.check_kept("test", 16, (1920, 1088)).unwrap();
        let refused = limits.check_kept("test", 9, (4096, 2304)).unwrap_err().to_string();
        assert!(refused.contains("9 frames of 4096x2304 (expected <= 8)"), "{refused}");
    }
}
