//! From the coded pictures of a track to pictures.

use millrace_media::time::Time;

use crate::avc::AvcConfigError;
use crate::openh264::H264Decoder;
use crate::picture::{Colour, Picture, Size};

/// Decodes one video track.
///
/// Coded pictures go in in decoding order; pictures come out in presentation order, each with exactly the time its sample was
/// given, whatever was lost in between. A picture comes out as soon as it is certain that none before it is to come.
pub trait VideoDecoder: Send {
    /// Decodes one coded picture and appends the pictures that are ready to `out`: none, one, or several.
    ///
    /// `sample` is a sample of a CMAF track as it stands in `mdat` (for H.264: NAL units with length prefixes, ISO/IEC 14496-15
    /// 5.3), `time` the time it is presented.
    ///
    /// # Errors
    /// [`DecodeError`]: no picture will come of this sample. What was decoded before is still appended to `out`, and the next
    /// keyframe decodes again.
    fn decode(&mut self, sample: &[u8], time: Time, out: &mut Vec<Picture>) -> Result<(), DecodeError>;

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
    Config(#[from] AvcConfigError),
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
    "there is a decoder for H.264 (avc1, avc3): baseline, main and high profile, 8-bit 4:2:0, progressive";

/// Opens a decoder for a track.
///
/// `codec` is the RFC 6381 string of the track or its sample entry's code alone (`avc1.64001f`, `avc1`); `config` the bytes of its
/// decoder configuration record (for H.264 the content of the `avcC` box, ISO/IEC 14496-15 5.3.3.1).
///
/// # Errors
/// [`DecodeError::Unsupported`] with what there is, [`DecodeError::Config`] for a record that cannot be read.
pub fn open_video_decoder(codec: &str, config: &[u8]) -> Result<Box<dyn VideoDecoder>, DecodeError> {
    match codec.split('.').next() {
        Some("avc1" | "avc3") => Ok(Box::new(H264Decoder::new(config)?)),
        _ => {
            let what = format!("codec {:?}", codec.chars().take(40).collect::<String>());
            Err(DecodeError::Unsupported { what, supported: SUPPORTED })
        }
    }
}

impl DecodeError {
    /// An H.264 stream of a kind that is not decoded.
    pub(crate) fn unsupported(what: impl Into<String>) -> Self {
        Self::Unsupported { what: what.into(), supported: SUPPORTED }
    }
}
