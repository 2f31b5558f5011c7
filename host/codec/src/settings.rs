//! What an encoder is asked for, checked in one place.

use crate::picture::{Colour, Size, SizeError};

/// The coding format of video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VideoCodec {
    /// ITU-T H.264, ISO/IEC 14496-10.
    H264,
}

impl VideoCodec {
    /// The name used in configurations and plugins.
    pub const fn name(self) -> &'static str {
        match self {
            Self::H264 => "h264",
        }
    }
}

impl std::str::FromStr for VideoCodec {
    type Err = SettingsError;

    fn from_str(name: &str) -> Result<Self, SettingsError> {
        match name {
            "h264" => Ok(Self::H264),
            _ => Err(SettingsError::Codec(name.chars().take(40).collect())),
        }
    }
}

/// How good pictures should look where no bitrate is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Quality {
    /// No difference from the source to be seen side by side.
    VisuallyLossless,
    /// Differences are seen only when looked for.
    High,
    /// Good for watching.
    #[default]
    Standard,
    /// Recognisable, small.
    Low,
}

/// How much work goes into a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Speed {
    /// The most work for the best picture at a bitrate.
    Archive,
    /// The balance.
    #[default]
    Standard,
    /// The least work.
    Draft,
}

/// What an encoder is asked for.
///
/// | here | openh264 |
/// | --- | --- |
/// | `bitrate: Some` | `RC_BITRATE_MODE`, quantiser 12 to 42, no frame skipping, corrected by what was really spent; `quality` says nothing |
/// | `bitrate: None`, visually lossless | constant quantiser 18 |
/// | `bitrate: None`, high | constant quantiser 23 |
/// | `bitrate: None`, standard | constant quantiser 28 |
/// | `bitrate: None`, low | constant quantiser 34 |
/// | speed archive | `HIGH_COMPLEXITY` |
/// | speed standard | `MEDIUM_COMPLEXITY` |
/// | speed draft | `LOW_COMPLEXITY` |
/// | threads | as many slices of equal height (four at most), a thread for each |
///
/// In every case: High profile with CABAC, no periodic keyframes, no scene-change detection, one reference picture, no
/// reordering: what goes in comes out at once, one packet for one picture.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoSettings {
    /// The coding format.
    pub codec: VideoCodec,
    /// Luma samples in a row.
    pub width: u32,
    /// Rows of luma samples.
    pub height: u32,
    /// Bits per second to aim at, over seconds. Without it the quality is held and the bitrate follows from the pictures.
    /// Pictures too rich for it take more, pictures too plain for it less: there is an end to how coarse and how fine they get.
    pub bitrate: Option<u32>,
    /// Pictures per second to expect. Only a first guess for rate control: the rate is measured from the times of the pictures.
    pub frame_rate: f32,
    /// The quality to hold where there is no bitrate.
    pub quality: Quality,
    /// The work to put in.
    pub speed: Speed,
    /// Threads one encoder may use.
    pub threads: u16,
    /// What the samples mean, to be written into the stream. Unspecified where there is none.
    pub colour: Option<Colour>,
}

impl VideoSettings {
    /// Settings for a size, with the default of everything else: 30 pictures per second, standard quality and speed, one thread.
    pub const fn new(codec: VideoCodec, width: u32, height: u32) -> Self {
        Self {
            codec,
            width,
            height,
            bitrate: None,
            frame_rate: 30.0,
            quality: Quality::Standard,
            speed: Speed::Standard,
            threads: 1,
            colour: None,
        }
    }

    /// Checks every value, and gives the size.
    ///
    /// # Errors
    /// [`SettingsError`] for the first value that is out of range.
    pub fn validate(&self) -> Result<Size, SettingsError> {
        let size = Size::new(self.width, self.height)?;
        if let Some(bitrate) = self.bitrate {
            check_bitrate(bitrate)?;
        }
        if !(1.0..=MAX_FRAME_RATE).contains(&self.frame_rate) {
            return Err(SettingsError::FrameRate(self.frame_rate));
        }
        if !(1..=MAX_THREADS).contains(&self.threads) {
            return Err(SettingsError::Threads(self.threads));
        }
        Ok(size)
    }
}

/// Below this a picture of the least size cannot be coded; above it no level of H.264 reaches.
const MIN_BITRATE: u32 = 10_000;
const MAX_BITRATE: u32 = 240_000_000;
const MAX_FRAME_RATE: f32 = 240.0;
const MAX_THREADS: u16 = 64;

/// Checks a bitrate on its own, for a change in mid-stream.
pub(crate) fn check_bitrate(bitrate: u32) -> Result<(), SettingsError> {
    if (MIN_BITRATE..=MAX_BITRATE).contains(&bitrate) { Ok(()) } else { Err(SettingsError::Bitrate(bitrate)) }
}

/// A value an encoder cannot be asked for.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SettingsError {
    /// No such coding format.
    #[error("unknown video codec {0:?} (expected \"h264\")")]
    Codec(String),
    /// A dimension is odd or out of range.
    #[error(transparent)]
    Size(#[from] SizeError),
    /// The bitrate is out of range.
    #[error("invalid bitrate {0} bit/s (expected >= {MIN_BITRATE}, <= {MAX_BITRATE})")]
    Bitrate(u32),
    /// The frame rate is out of range, or not a number.
    #[error("invalid frame rate {0} (expected >= 1, <= {MAX_FRAME_RATE})")]
    FrameRate(f32),
    /// The number of threads is out of range.
    #[error("invalid number of threads {0} (expected >= 1, <= {MAX_THREADS})")]
    Threads(u16),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_the_value_and_the_range() {
        let good = VideoSettings { bitrate: Some(800_000), ..VideoSettings::new(VideoCodec::H264, 640, 360) };
        assert_eq!(good.validate().unwrap().to_string(), "640x360");
        let message = |settings: VideoSettings| settings.validate().unwrap_err().to_string();
        assert_eq!(
            message(VideoSettings { width: 3, ..good.clone() }),
            "invalid width 3 (expected an even number >= 16, <= 8192)"
        );
        assert_eq!(
            message(VideoSettings { bitrate: Some(0), ..good.clone() }),
            "invalid bitrate 0 bit/s (expected >= 10000, <= 240000000)"
        );
        assert_eq!(
            message(VideoSettings { frame_rate: f32::NAN, ..good.clone() }),
            "invalid frame rate NaN (expected >= 1, <= 240)"
        );
        assert_eq!(message(VideoSettings { threads: 0, ..good }), "invalid number of threads 0 (expected >= 1, <= 64)");
        assert_eq!(
            "vp8".parse::<VideoCodec>().unwrap_err().to_string(),
            "unknown video codec \"vp8\" (expected \"h264\")"
        );
    }
}
