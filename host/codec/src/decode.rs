//! From the coded pictures of a track to pictures.

mod limits;

use std::panic::{AssertUnwindSafe, catch_unwind};

use millrace_media::time::Time;

pub use limits::{Allowance, DecodeLimits, Unlimited};

use crate::av1_decode::Av1Decoder;
use crate::avc::H264Decoder;
use crate::config::ConfigError;
use crate::hevc::HevcDecoder;
use crate::picture::{Colour, Picture, Size};

/// Decodes one video track.
///
/// Coded pictures go in in decoding order; pictures come out in presentation order, each with exactly the time its sample was
/// given, whatever was lost in between. A picture comes out as soon as it is certain that none before it is to come.
pub trait VideoDecoder: Send {
    /// Decodes one coded picture and appends the pictures that are ready to `out`: none, one, or several.
    ///
    /// `sample` is a sample of a CMAF track as it stands in `mdat` (for H.264 and HEVC NAL units with length prefixes, ISO/IEC
    /// 14496-15 5.3 and 8.3; for AV1 a temporal unit), `time` the time it is presented. `allowance` is asked before anything is
    /// decoded, and not at all where nothing needs to be.
    ///
    /// A sample is one access unit: what holds more is refused before it is decoded. Of H.264 and HEVC it is one coded frame of the
    /// base layer, of AV1 one shown frame of each spatial layer and up to eight hidden ones.
    ///
    /// Decoding begins where the stream allows it: at an IDR picture or a recovery point of H.264, an IDR, CRA or BLA picture of
    /// HEVC, a shown key frame of AV1. Pictures that follow such a point but are presented before it, and refer to what was before
    /// it, are passed over.
    ///
    /// # Errors
    /// [`DecodeError`]: no picture will come of this sample. What was decoded before is still appended to `out`, and the next
    /// keyframe decodes again.
    fn decode(
        &mut self,
        sample: &[u8],
        time: Time,
        allowance: &mut dyn Allowance,
        out: &mut Vec<Picture>,
    ) -> Result<(), DecodeError>;

    /// Appends every picture still inside to `out`. The next sample must be a keyframe.
    ///
    /// # Errors
    /// [`DecodeError::Backend`] where the decoder cannot be made ready for more.
    fn flush(&mut self, out: &mut Vec<Picture>) -> Result<(), DecodeError>;

    /// The size of the pictures.
    fn size(&self) -> Size;

    /// What their samples mean, where the stream says it.
    fn colour(&self) -> Option<Colour>;
}

/// Why there is no picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The decoder configuration cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The stream is valid but of a kind nothing here decodes.
    #[error("cannot decode {what}; {supported}")]
    Unsupported {
        /// What the stream is.
        what: String,
        /// What can be decoded.
        supported: &'static str,
    },
    /// The sample is broken, or refers to pictures that are missing.
    #[error("damaged access unit at {time}: {reason}")]
    Damaged {
        /// The time the sample was given.
        time: Time,
        /// What is wrong.
        reason: String,
    },
    /// The sample is not one access unit, or has more units than any encoder writes: nothing of it was decoded.
    #[error("access unit at {time} refused: {reason}")]
    Refused {
        /// The time the sample was given.
        time: Time,
        /// What is wrong.
        reason: String,
    },
    /// The [`Allowance`] did not admit it. Where others depend on its frames, they are passed over until a keyframe comes.
    #[error("access unit at {time} dropped: {luma_samples} luma samples are more than may be decoded now")]
    OverBudget {
        /// The time the sample was given.
        time: Time,
        /// What it would have cost.
        luma_samples: u64,
    },
    /// The [`Allowance`] ended it.
    #[error("access unit at {time} given up")]
    Stopped {
        /// The time the sample was given.
        time: Time,
    },
    /// The sample depends on pictures that were lost: it is passed over until a keyframe comes.
    #[error("access unit at {time} passed over: waiting for a keyframe")]
    AwaitingKeyframe {
        /// The time the sample was given.
        time: Time,
    },
    /// The stream changed the size of its pictures without a new decoder configuration.
    #[error("the pictures changed from {from} to {to} in mid-stream: a new decoder configuration is needed")]
    SizeChanged {
        /// The size of the configuration.
        from: Size,
        /// The size the stream turned to.
        to: Size,
    },
    /// The decoding library failed in a way no input explains.
    #[error("decoder {backend}: {reason}")]
    Backend {
        /// The library.
        backend: &'static str,
        /// What it said.
        reason: String,
    },
}

const SUPPORTED: &str =
    "there are decoders for H.264 (avc1, avc3), HEVC (hvc1, hev1) and AV1 (av01): 8-bit 4:2:0, progressive";

/// A sample longer than this is not a frame: no level codes one so large.
pub(crate) const MAX_SAMPLE: usize = 32 << 20;

/// Opens a decoder for a track.
///
/// `codec` is the RFC 6381 string of the track or its sample entry's code alone (`avc1.64001f`, `hvc1`); `config` the bytes of its
/// decoder configuration record: the content of the `avcC` box (ISO/IEC 14496-15 5.3.3.1), the `hvcC` box (8.3.3.1) or the `av1C`
/// box (AV1 Codec ISO Media File Format Binding 2.3).
///
/// # Errors
/// [`DecodeError::Unsupported`] with what there is, also for frames beyond `limits`, [`DecodeError::Config`] for a record that cannot be read.
pub fn open_video_decoder(
    codec: &str,
    config: &[u8],
    limits: DecodeLimits,
) -> Result<Box<dyn VideoDecoder>, DecodeError> {
    match codec.split('.').next() {
        Some("avc1" | "avc3") => Ok(Box::new(H264Decoder::new(config, limits)?)),
        Some("hvc1" | "hev1") => Ok(Box::new(HevcDecoder::new(config, limits)?)),
        Some("av01") => Ok(Box::new(Av1Decoder::new(config, limits)?)),
        _ => Err(DecodeError::unsupported(format!("codec {:?}", codec.chars().take(40).collect::<String>()))),
    }
}

impl DecodeError {
    /// A stream of a kind that is not decoded.
    pub(crate) fn unsupported(what: impl Into<String>) -> Self {
        Self::Unsupported { what: what.into(), supported: SUPPORTED }
    }
}

/// The size of the frames of a `codec` as they are shown, and refused where it is odd, or beyond the limits as they are shown or coded.
pub(crate) fn frame_size(
    codec: &str,
    (width, height): (u32, u32),
    coded: (u32, u32),
    limits: DecodeLimits,
) -> Result<Size, DecodeError> {
    let size = Size::new(width, height).map_err(|error| DecodeError::unsupported(format!("{codec}: {error}")))?;
    limits.check(codec, size, coded)?;
    Ok(size)
}

/// Refuses a size that is not the configuration's.
pub(crate) fn check_size(from: Size, to: Size) -> Result<(), DecodeError> {
    if from == to { Ok(()) } else { Err(DecodeError::SizeChanged { from, to }) }
}

/// Runs a decoder written in safe Rust on bytes that may be hostile.
///
/// Such a decoder answers a mistake of its own with a panic, where C would write out of bounds. What it was doing is then in an
/// unknown state: the caller must throw the decoder away, and treats the sample as damaged.
pub(crate) fn contained<T>(decode: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|_| Err("the decoder gave up on it".to_owned()))
}
