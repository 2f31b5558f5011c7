//! From Opus packets to samples.

use millrace_media::time::Time;
use opus::Channels;

use super::SAMPLE_RATE;
use super::header::Header;
use crate::audio::{AudioDecodeError, AudioDecoder};

/// Samples of each channel in the longest packet: 120 ms (RFC 6716, 3.2.5).
const LONGEST: usize = 5760;

/// Opus of one or two channels.
pub(in crate::audio) struct OpusDecoder {
    decoder: opus::Decoder,
    channels: u8,
}

impl OpusDecoder {
    /// A decoder for the body of a `dOps`.
    pub(in crate::audio) fn new(record: &[u8]) -> Result<Self, AudioDecodeError> {
        let Header { channels, gain } = Header::read(record)?;
        let layout = if channels == 1 { Channels::Mono } else { Channels::Stereo };
        let mut decoder = opus::Decoder::new(SAMPLE_RATE, layout).map_err(backend)?;
        decoder.set_gain(gain.into()).map_err(backend)?;
        Ok(Self { decoder, channels })
    }
}

impl AudioDecoder for OpusDecoder {
    fn decode(&mut self, packet: &[u8], time: Time, out: &mut Vec<f32>) -> Result<(), AudioDecodeError> {
        // To the library an empty packet is one that was lost, to be made up.
        if packet.is_empty() {
            return Err(AudioDecodeError::damaged(time, "an empty packet"));
        }
        let (before, channels) = (out.len(), usize::from(self.channels));
        out.resize(before + LONGEST * channels, 0.0);
        let decoded = self.decoder.decode_float(packet, &mut out[before..], false);
        out.truncate(before + decoded.as_ref().map_or(0, |samples| samples * channels));
        // The gain of a stream's header may be anything.
        out[before..].iter_mut().for_each(|sample| *sample = sample.clamp(-1.0, 1.0));
        decoded.map(drop).map_err(|error| AudioDecodeError::damaged(time, error.description()))
    }

    fn reset(&mut self) {
        // Resetting touches memory only: the request cannot be refused.
        let _ = self.decoder.reset_state();
    }

    fn sample_rate(&self) -> u32 {
        SAMPLE_RATE
    }

    fn channels(&self) -> u8 {
        self.channels
    }
}

fn backend(error: opus::Error) -> AudioDecodeError {
    AudioDecodeError::Backend { backend: "opus", reason: error.to_string() }
}
