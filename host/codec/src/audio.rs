//! Sound: from packets to samples, to another rate and another number of channels, and back to packets.
//!
//! [`AudioDecoder`] and [`AudioEncoder`] are what video's are: backends stand behind [`open_audio_decoder`] and
//! [`open_audio_encoder`]. Samples are interleaved `f32`. Sound of more than two channels is not decoded.

mod aac;
mod decode;
mod mix;
mod opus;
mod resample;
mod settings;

use bytes::Bytes;
use millrace_media::time::Time;

pub use decode::{AudioDecodeError, AudioDecoder, open_audio_decoder};
pub use mix::mix;
pub use opus::OpusEncoder;
pub use resample::{ResampleError, Resampler};
pub use settings::{AudioCodec, AudioSettings};

/// One packet of sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioPacket {
    /// A sample as it goes into `mdat`.
    pub data: Bytes,
    /// When the first sample that the decoder makes of it is presented, the encoder's delay taken off: the first packets of a
    /// stream begin before the first sample that was given.
    pub time: Time,
    /// How long it lasts, in ticks of [`AudioConfig::sample_rate`].
    pub duration: u32,
}

/// What a track of an encoder's packets must say in its init segment; for Opus the fields of the `dOps` box
/// (Encapsulation of Opus in ISO BMFF 4.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioConfig {
    /// Channels, interleaved in the order of the format.
    pub channels: u8,
    /// Samples per second of each channel, and the timescale of times.
    pub sample_rate: u32,
    /// Samples of each channel that the decoder makes at the start and that are not to be heard.
    pub pre_skip: u16,
}

impl AudioConfig {
    /// The configuration as it stands in a sample entry: the body of `dOps`.
    pub fn record(&self) -> Bytes {
        opus::write_header(self)
    }
}

/// Encodes samples into one audio track.
pub trait AudioEncoder: Send {
    /// Takes any number of whole interleaved samples, in the range -1 to 1, and appends the packets that are complete to `out`.
    ///
    /// # Errors
    /// [`AudioError`] where the samples are not whole or the library fails.
    fn encode(&mut self, samples: &[f32], out: &mut Vec<AudioPacket>) -> Result<(), AudioError>;

    /// Aims at another bitrate, in bits per second, from here on. Setting the one in force costs nothing.
    ///
    /// # Errors
    /// [`AudioError::Bitrate`] out of range, [`AudioError::Backend`] where the library fails.
    fn set_bitrate(&mut self, bitrate: u32) -> Result<(), AudioError>;

    /// Appends what is left to `out`, filled up with silence so that every sample given comes out of a decoder. The stream is over.
    ///
    /// # Errors
    /// [`AudioError::Backend`] where the library fails.
    fn finish(self: Box<Self>, out: &mut Vec<AudioPacket>) -> Result<(), AudioError>;

    /// What the init segment must say.
    fn config(&self) -> AudioConfig;
}

/// Why there is no packet, or no encoder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AudioError {
    /// No such coding format.
    #[error("unknown audio codec {0:?} (expected \"opus\")")]
    Codec(String),
    /// Channels out of range.
    #[error("invalid number of channels {0} (expected 1 or 2)")]
    Channels(u8),
    /// The bitrate is out of range.
    #[error("invalid audio bitrate {0} bit/s (expected >= 6000, <= 510000)")]
    Bitrate(u32),
    /// The samples end in the middle of the channels.
    #[error("{samples} values given for {channels} channels (expected a multiple)")]
    Partial {
        /// Values given.
        samples: usize,
        /// Channels of the stream.
        channels: u8,
    },
    /// The encoding library failed.
    #[error("audio encoder {backend}: {reason}")]
    Backend {
        /// The library.
        backend: &'static str,
        /// What it said.
        reason: String,
    },
}

/// Opens an encoder of samples at 48 kHz, the first of which is presented at `start`.
///
/// # Errors
/// [`AudioError::Channels`] and [`AudioError::Bitrate`] out of range, [`AudioError::Backend`] where the library fails.
pub fn open_audio_encoder(
    settings: &AudioSettings,
    channels: u8,
    start: Time,
) -> Result<Box<dyn AudioEncoder>, AudioError> {
    match settings.codec {
        AudioCodec::Opus => Ok(Box::new(OpusEncoder::new(channels, settings.bitrate, start)?)),
    }
}
