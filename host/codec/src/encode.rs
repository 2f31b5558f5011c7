//! From pictures to the coded pictures of a track.

use bytes::Bytes;
use millrace_media::time::Time;

use crate::openh264::H264Encoder;
use crate::picture::{Picture, Size};
use crate::rav1e::Rav1eEncoder;
use crate::settings::{EncoderLibrary, SettingsError, VideoCodec, VideoSettings};
#[cfg(feature = "svt-av1")]
use crate::svt::SvtEncoder;

/// One coded picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// A sample as it goes into `mdat`: for H.264, NAL units with length prefixes of four bytes (ISO/IEC 14496-15 5.3), without
    /// parameter sets, access unit delimiters or SEI; for AV1, the OBUs of a temporal unit without its delimiter (AV1 in ISOBMFF
    /// 2.4), a keyframe's with the sequence header.
    pub data: Bytes,
    /// When it is presented: the time the picture was given.
    pub time: Time,
    /// True where decoding can start here (H.264: an IDR picture; AV1: a shown key frame).
    pub keyframe: bool,
}

/// What a track of an encoder's packets must say in its init segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoConfig {
    /// The coding format.
    pub codec: VideoCodec,
    /// The decoder configuration record: for H.264 the content of the `avcC` box (ISO/IEC 14496-15 5.3.3.1), for AV1
    /// that of the `av1C` box with the sequence header (AV1 in ISOBMFF 2.3).
    pub record: Bytes,
    /// The size of the pictures.
    pub size: Size,
}

/// Encodes pictures into one video track.
///
/// Keyframes stand where they are asked for and nowhere else, the first picture aside, and with AV1 the first after a flush. Packets
/// come out in decoding order; no encoder here reorders, so that is presentation order. A packet may come out with a later picture
/// than its own, [`VideoEncoder::delay`] pictures later at most. The headers never change once they are known.
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

    /// Pictures that may be inside when a call returns: a picture's packet comes out with so many pictures more, or a flush.
    fn delay(&self) -> usize;

    /// Aims at another bitrate: H.264 from the next picture on, AV1 from the next keyframe that is asked for.
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
    #[error("encoder {backend} changed its headers in mid-stream")]
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
    let size = settings.validate()?;
    match (settings.codec, settings.library) {
        (VideoCodec::H264, _) => Ok(Box::new(H264Encoder::new(settings)?)),
        (VideoCodec::Av1, EncoderLibrary::Auto) if svt_av1_does(size) => svt_av1(settings),
        (VideoCodec::Av1, EncoderLibrary::SvtAv1) => svt_av1(settings),
        (VideoCodec::Av1, EncoderLibrary::Auto | EncoderLibrary::Rav1e) => Ok(Box::new(Rav1eEncoder::new(settings)?)),
    }
}

#[cfg(feature = "svt-av1")]
fn svt_av1_does(size: Size) -> bool {
    SvtEncoder::does(size)
}

#[cfg(feature = "svt-av1")]
fn svt_av1(settings: &VideoSettings) -> Result<Box<dyn VideoEncoder>, EncodeError> {
    Ok(Box::new(SvtEncoder::new(settings)?))
}

#[cfg(not(feature = "svt-av1"))]
fn svt_av1_does(_: Size) -> bool {
    false
}

#[cfg(not(feature = "svt-av1"))]
fn svt_av1(_: &VideoSettings) -> Result<Box<dyn VideoEncoder>, EncodeError> {
    Err(EncodeError::Unsupported {
        what: "AV1 with svt-av1".to_owned(),
        supported: "it is not built in: build with the feature svt-av1, where Debian's libsvtav1enc-dev is installed, \
                    or choose the encoder \"rav1e\"",
    })
}
