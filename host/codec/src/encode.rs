//! From pictures to the coded pictures of a track.

use bytes::Bytes;
use millrace_media::time::Time;

use crate::openh264::H264Encoder;
use crate::picture::{Picture, Size};
use crate::settings::{SettingsError, VideoCodec, VideoSettings};

/// One coded picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// A sample as it goes into `mdat`: for H.264, NAL units with length prefixes of four bytes (ISO/IEC 14496-15 5.3), without
    /// parameter sets, access unit delimiters or SEI.
    pub data: Bytes,
    /// When it is presented: the time the picture was given.
    pub time: Time,
    /// True where decoding can start here (H.264: an IDR picture).
    pub keyframe: bool,
}

/// What a track of an encoder's packets must say in its init segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoConfig {
    /// The coding format.
    pub codec: VideoCodec,
    /// The decoder configuration record: for H.264 the content of the `avcC` box (ISO/IEC 14496-15 5.3.3.1).
    pub record: Bytes,
    /// The size of the pictures.
    pub size: Size,
}

/// Encodes pictures into one video track.
///
/// Keyframes stand where they are asked for and nowhere else, the first picture aside. Packets come out in decoding order; no
/// encoder here reorders, so that is presentation order. The headers never change once they are known.
pub trait VideoEncoder: Send {
    /// Encodes a picture, presented at `time`, and appends the packets that are ready to `out`.
    ///
    /// # Errors
    /// [`EncodeError`]; nothing of this picture comes out.
    fn encode(
        &mut self,
        picture: &Picture,
        time: Time,
        force_keyframe: bool,
        out: &mut Vec<Packet>,
    ) -> Result<(), EncodeError>;

    /// Aims at another bitrate from the next picture on.
    ///
    /// # Errors
    /// [`EncodeError::Settings`] out of range, [`EncodeError::ConstantQuality`] where the encoder holds a quality instead.
    fn set_bitrate(&mut self, bits_per_second: u32) -> Result<(), EncodeError>;

    /// Appends every packet still inside to `out`. More pictures may follow.
    ///
    /// # Errors
    /// [`EncodeError`] where the library fails.
    fn flush(&mut self, out: &mut Vec<Packet>) -> Result<(), EncodeError>;

    /// What the init segment must say; known after the first packet.
    fn config(&self) -> Option<&VideoConfig>;
}

/// Why there is no packet, or no encoder.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EncodeError {
    /// A setting is out of range.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The settings are valid but nothing here fulfils them.
    #[error("cannot encode {what}; {supported}")]
    Unsupported {
        /// What was asked for.
        what: String,
        /// What there is.
        supported: &'static str,
    },
    /// The picture is not of the encoder's size.
    #[error("a picture of {actual} given to an encoder of {expected}")]
    Size {
        /// The encoder's size.
        expected: Size,
        /// The picture's size.
        actual: Size,
    },
    /// A bitrate was asked of an encoder that was opened without one.
    #[error("the encoder holds a quality: it was opened without a bitrate, so none can be set")]
    ConstantQuality,
    /// The headers changed in mid-stream, so that the init segment no longer fits.
    #[error("encoder {backend} changed its parameter sets in mid-stream")]
    HeadersChanged {
        /// The library.
        backend: &'static str,
    },
    /// The encoding library failed.
    #[error("encoder {backend}: {reason}")]
    Backend {
        /// The library.
        backend: &'static str,
        /// What it said.
        reason: String,
    },
}

/// Opens an encoder.
///
/// # Errors
/// [`EncodeError::Settings`] for a value out of range, [`EncodeError::Unsupported`] with what there is.
pub fn open_video_encoder(settings: &VideoSettings) -> Result<Box<dyn VideoEncoder>, EncodeError> {
    match settings.codec {
        VideoCodec::H264 => Ok(Box::new(H264Encoder::new(settings)?)),
    }
}
