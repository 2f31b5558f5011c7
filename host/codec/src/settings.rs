//! What an encoder is asked for, checked in one place.

use crate::picture::{Colour, Size, SizeError};

/// The coding format of video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VideoCodec {
    /// ITU-T H.264, ISO/IEC 14496-10.
    H264,
    /// AV1, of the Alliance for Open Media.
    Av1,
}

impl VideoCodec {
    /// The name used in configurations and plugins.
    pub const fn name(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::Av1 => "av1",
        }
    }
}

impl std::str::FromStr for VideoCodec {
    type Err = SettingsError;

    fn from_str(name: &str) -> Result<Self, SettingsError> {
        match name {
            "h264" => Ok(Self::H264),
            "av1" => Ok(Self::Av1),
            _ => Err(SettingsError::Codec(name.chars().take(40).collect())),
        }
    }
}

/// Which library encodes, where there is a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum EncoderLibrary {
    /// The one that needs the least work: OpenH264 for H.264; for AV1, SVT-AV1 where it is built in and does the size, else rav1e.
    #[default]
    Auto,
    /// rav1e: AV1, always built in.
    Rav1e,
    /// SVT-AV1: AV1, built in with the feature `svt-av1`.
    SvtAv1,
}

impl EncoderLibrary {
    /// The name used in configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Rav1e => "rav1e",
            Self::SvtAv1 => "svt-av1",
        }
    }
}

impl std::str::FromStr for EncoderLibrary {
    type Err = SettingsError;

    fn from_str(name: &str) -> Result<Self, SettingsError> {
        [Self::Auto, Self::Rav1e, Self::SvtAv1]
            .into_iter()
            .find(|library| library.name() == name)
            .ok_or_else(|| SettingsError::Library(name.chars().take(40).collect()))
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
/// | here | openh264 | rav1e | SVT-AV1 |
/// | --- | --- | --- | --- |
/// | `bitrate: Some` | `RC_BITRATE_MODE`, quantiser 12 to 42, no frame skipping, corrected by what was really spent | `bitrate` with `quantizer` 255 (it is a hidden maximum), a reservoir of three seconds | `CBR`, each group's target corrected by what the groups before it spent |
/// | `bitrate: None`, visually lossless | constant quantiser 18 | `quantizer` 80 | `CQP_OR_CRF`, `qp` 20 |
/// | `bitrate: None`, high | constant quantiser 23 | `quantizer` 108 | `qp` 27 |
/// | `bitrate: None`, standard | constant quantiser 28 | `quantizer` 128 | `qp` 32 |
/// | `bitrate: None`, low | constant quantiser 34 | `quantizer` 152 | `qp` 38 |
/// | speed archive | `HIGH_COMPLEXITY` | speed 6 | preset 8 |
/// | speed standard | `MEDIUM_COMPLEXITY` | speed 8 | preset 10 |
/// | speed draft | `LOW_COMPLEXITY` | speed 10 | preset 12 |
/// | threads | as many slices of equal height (four at most), a thread for each | as many threads, and tiles for them (eight at most) | `logical_processors`, three at most |
/// | keyframes | `ForceIntraFrame` | `FrameTypeOverride::Key`, scene detection off, no greatest interval | a new instance |
/// | a bitrate set later | from the next picture | from the next keyframe, with a new context | from the next keyframe |
/// | frame rate, as measured | from the next picture | from the next keyframe, with a new context | from the next keyframe |
/// | pictures inside | none | four | one |
/// | sizes | to 3840x2160, lying or standing | all | from 64x64 |
/// | level | by the library | the lowest of AV1 annex A that size, frame rate and bitrate fit at the beginning | as rav1e |
///
/// In every case: no periodic keyframes, no scene-change detection, no reordering: one packet for one picture, in the order they
/// went in. H.264 is of High profile with CABAC and one reference picture; AV1 of Main profile, 8 bits.
///
/// To do 640x360 at 30 pictures a second live, rav1e needs `draft` and two threads; SVT-AV1 does it
/// with one thread, and 1280x720 with `draft`.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoSettings {
    /// The coding format.
    pub codec: VideoCodec,
    /// The library that encodes.
    pub library: EncoderLibrary,
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
            library: EncoderLibrary::Auto,
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
        if self.codec != VideoCodec::Av1 && self.library != EncoderLibrary::Auto {
            return Err(SettingsError::LibraryCodec { library: self.library.name(), codec: self.codec.name() });
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
    #[error("unknown video codec {0:?} (expected \"h264\" or \"av1\")")]
    Codec(String),
    /// No such encoding library.
    #[error("unknown encoder {0:?} (expected \"auto\", \"rav1e\" or \"svt-av1\")")]
    Library(String),
    /// The library does another coding format.
    #[error("the encoder {library} does not encode {codec} (expected \"auto\")")]
    LibraryCodec {
        /// The library asked for.
        library: &'static str,
        /// The coding format asked for.
        codec: &'static str,
    },
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
        assert_eq!(
            message(VideoSettings { library: EncoderLibrary::Rav1e, ..good.clone() }),
            "the encoder rav1e does not encode h264 (expected \"auto\")"
        );
        assert_eq!(
            "x264".parse::<EncoderLibrary>().unwrap_err().to_string(),
            "unknown encoder \"x264\" (expected \"auto\", \"rav1e\" or \"svt-av1\")"
        );
        assert_eq!(message(VideoSettings { threads: 0, ..good }), "invalid number of threads 0 (expected >= 1, <= 64)");
        assert_eq!(
            "vp8".parse::<VideoCodec>().unwrap_err().to_string(),
            "unknown video codec \"vp8\" (expected \"h264\" or \"av1\")"
        );
    }
}
