//! `[transcode]`: how much decoding a source may ask for.

use std::fmt;

use millrace_codec::Size;

use super::section::Section;
use super::setting::{Refusal, Setting};
use super::unit::PixelRate;

/// How much decoding each source may ask for, where renditions are made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcode {
    /// The largest frame, by its pixels.
    pub max_frame: FrameSize,
    /// Pixels a second, hidden frames included.
    pub max_decode: PixelRate,
}

impl Default for Transcode {
    fn default() -> Self {
        let decoding = millrace_transcode::Decoding::default();
        Self { max_frame: FrameSize(decoding.max_frame), max_decode: PixelRate::new(decoding.max_rate) }
    }
}

impl Transcode {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        let rates = PixelRate::new(1_000_000)..=PixelRate::new(100_000_000_000);
        Self {
            max_frame: section.value("max_frame", default.max_frame),
            max_decode: section.within("max_decode", default.max_decode, rates),
        }
    }
}

/// The size of a frame, written `"1920x1080"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameSize(Size);

impl FrameSize {
    /// In luma samples.
    pub const fn get(self) -> Size {
        self.0
    }
}

impl fmt::Display for FrameSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Setting for FrameSize {
    const EXPECTED: &'static str =
        "a width and a height in pixels, such as \"1920x1080\": even numbers from 16 to 8192";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        let side = |side: &str| side.parse().map_err(|_| Refusal::Value(None));
        let (width, height) = text.split_once('x').ok_or(Refusal::Value(None))?;
        Size::new(side(width)?, side(height)?).map(Self).map_err(|_| Refusal::Value(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_shown() {
        let size = |text: &str| FrameSize::from_text(text).ok().map(|size| size.to_string());
        assert_eq!(size("1920x1080").as_deref(), Some("1920x1080"));
        for bad in ["", "1920", "1920x", "x1080", "1920×1080", "1921x1080", "8x8", "8194x16", "1920x1080x2", "-2x16"] {
            assert_eq!(size(bad), None, "{bad:?} was taken");
        }
    }
}
