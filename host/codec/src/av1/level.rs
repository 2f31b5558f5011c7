//! Levels: AV1 annex A.3.

use crate::picture::Size;

/// What a level allows.
struct Limits {
    /// As in `2.0`.
    major: u8,
    minor: u8,
    /// `MaxPicSize`, in luma samples.
    samples: u64,
    /// `MaxHSize` and `MaxVSize`.
    sides: (u32, u32),
    /// `MaxDisplayRate`, in luma samples a second.
    rate: u64,
    /// `MainMbps`, in kilobits a second.
    kilobits: u32,
}

const fn limits(name: (u8, u8), samples: u64, sides: (u32, u32), rate: u64, kilobits: u32) -> Limits {
    Limits { major: name.0, minor: name.1, samples, sides, rate, kilobits }
}

/// The levels of the main tier, from the lowest up.
const LEVELS: [Limits; 14] = [
    limits((2, 0), 147_456, (2048, 1152), 4_423_680, 1_500),
    limits((2, 1), 278_784, (2816, 1584), 8_363_520, 3_000),
    limits((3, 0), 665_856, (4352, 2448), 19_975_680, 6_000),
    limits((3, 1), 1_065_024, (5504, 3096), 31_950_720, 10_000),
    limits((4, 0), 2_359_296, (6144, 3456), 70_778_880, 12_000),
    limits((4, 1), 2_359_296, (6144, 3456), 141_557_760, 20_000),
    limits((5, 0), 8_912_896, (8192, 4352), 267_386_880, 30_000),
    limits((5, 1), 8_912_896, (8192, 4352), 534_773_760, 40_000),
    limits((5, 2), 8_912_896, (8192, 4352), 1_069_547_520, 60_000),
    limits((5, 3), 8_912_896, (8192, 4352), 1_069_547_520, 60_000),
    limits((6, 0), 35_651_584, (16384, 8704), 1_069_547_520, 60_000),
    limits((6, 1), 35_651_584, (16384, 8704), 2_139_095_040, 100_000),
    limits((6, 2), 35_651_584, (16384, 8704), 4_278_190_080, 160_000),
    limits((6, 3), 35_651_584, (16384, 8704), 4_278_190_080, 160_000),
];

/// A level of the main tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Level {
    major: u8,
    minor: u8,
}

impl Level {
    /// The lowest level for pictures of a size, so many a second, at a bitrate where there is one. None where no level fits.
    pub(crate) fn lowest(size: Size, frame_rate: f32, bitrate: Option<u32>) -> Option<Self> {
        let samples = u64::from(size.width()) * u64::from(size.height());
        let rate = (samples as f64 * f64::from(frame_rate)) as u64;
        let kilobits = bitrate.unwrap_or(0) / 1000;
        LEVELS
            .iter()
            .find(|limits| {
                samples <= limits.samples
                    && size.width() <= limits.sides.0
                    && size.height() <= limits.sides.1
                    && rate <= limits.rate
                    && kilobits <= limits.kilobits
            })
            .map(|limits| Self { major: limits.major, minor: limits.minor })
    }

    /// `seq_level_idx`.
    pub(crate) const fn index(self) -> u8 {
        (self.major - 2) * 4 + self.minor
    }

    /// Ten times the name: 31 for 3.1.
    #[cfg(feature = "svt-av1")]
    pub(crate) const fn tens(self) -> u32 {
        self.major as u32 * 10 + self.minor as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_level_that_fits_is_taken() {
        let index = |width, height, rate, bitrate| {
            Level::lowest(Size::new(width, height).unwrap(), rate, bitrate).map(Level::index)
        };
        assert_eq!(index(426, 240, 30.0, Some(400_000)), Some(0));
        assert_eq!(index(640, 360, 30.0, Some(800_000)), Some(1));
        assert_eq!(index(640, 360, 60.0, None), Some(4));
        assert_eq!(index(1280, 720, 30.0, Some(2_500_000)), Some(5));
        assert_eq!(index(1280, 720, 30.0, Some(11_000_000)), Some(8));
        assert_eq!(index(1080, 1920, 60.0, None), Some(9));
        assert_eq!(index(3840, 2160, 60.0, None), Some(13));
        assert_eq!(index(7680, 4320, 60.0, None), Some(17));
        assert_eq!(index(1280, 720, 30.0, Some(200_000_000)), None);
    }
}
