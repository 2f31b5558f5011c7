//! From the packets of an audio track to samples.

use millrace_media::time::Time;

use super::aac::AacDecoder;
use super::opus::OpusDecoder;

/// Decodes one audio track.
pub trait AudioDecoder: Send {
    /// Decodes one packet, as it stands in `mdat`, and appends its samples to `out`: interleaved, in the range -1 to 1, whole.
    ///
    /// The first of them is presented at `time`, which is the packet's on the presentation timeline: encoder delay and pre-skip
    /// have been taken off there, so that nothing is to be dropped here. A stream's first packets may sound of nothing.
    ///
    /// # Errors
    /// [`AudioDecodeError::Damaged`]: nothing will come of this packet, and nothing was appended. The next decodes again.
    fn decode(&mut self, packet: &[u8], time: Time, out: &mut Vec<f32>) -> Result<(), AudioDecodeError>;

    /// Forgets the packets before: the next does not follow them.
    fn reset(&mut self);

    /// Samples of each channel in a second.
    fn sample_rate(&self) -> u32;

    /// Channels, interleaved in the order of the format: 1 or 2.
    fn channels(&self) -> u8;
}

/// Why there are no samples.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AudioDecodeError {
    /// The decoder configuration cannot be read.
    #[error("invalid decoder configuration: {0}")]
    Config(String),
    /// The stream is valid but of a kind nothing here decodes.
    #[error("cannot decode {what}; {supported}")]
    Unsupported {
        /// What the stream is.
        what: String,
        /// What can be decoded.
        supported: &'static str,
    },
    /// The packet is broken.
    #[error("damaged packet of sound at {time}: {reason}")]
    Damaged {
        /// The time the packet was given.
        time: Time,
        /// What is wrong.
        reason: String,
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

const SUPPORTED: &str = "there are decoders for AAC-LC (mp4a.40.2) and Opus, of one or two channels";

impl AudioDecodeError {
    pub(super) fn unsupported(what: impl Into<String>) -> Self {
        Self::Unsupported { what: what.into(), supported: SUPPORTED }
    }

    pub(super) fn damaged(time: Time, reason: impl Into<String>) -> Self {
        Self::Damaged { time, reason: reason.into() }
    }
}

/// Opens a decoder for a track.
///
/// `codec` is the RFC 6381 string of the track or its sample entry's code alone (`mp4a.40.2`, `opus`); `config` the bytes of its
/// configuration: `AudioSpecificConfig` for AAC (ISO/IEC 14496-3, 1.6.2.1), the body of `dOps` for Opus.
///
/// Only the AAC that is decoded whole is decoded at all: HE-AAC, which a decoder of AAC-LC would play without its upper octave, is
/// refused by its name. HE-AAC that does not say so in its configuration (implicit signalling, 1.6.5.3) cannot be told from AAC-LC
/// here: it is decoded at the rate its configuration says, which is half of what it sounds like elsewhere.
///
/// # Errors
/// [`AudioDecodeError::Unsupported`] with what there is, [`AudioDecodeError::Config`] for a configuration that cannot be read.
pub fn open_audio_decoder(codec: &str, config: &[u8]) -> Result<Box<dyn AudioDecoder>, AudioDecodeError> {
    match codec.split('.').next() {
        Some("mp4a") => Ok(Box::new(AacDecoder::new(config)?)),
        Some("opus" | "Opus") => Ok(Box::new(OpusDecoder::new(config)?)),
        _ => Err(AudioDecodeError::unsupported(format!("codec {:?}", codec.chars().take(40).collect::<String>()))),
    }
}
