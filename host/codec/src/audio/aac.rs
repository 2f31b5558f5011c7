//! AAC-LC, ISO/IEC 14496-3 4, by symphonia.

mod config;

use std::panic::{AssertUnwindSafe, catch_unwind};

use millrace_media::time::Time;
use symphonia_codec_aac::AacDecoder as Backend;
use symphonia_core::codecs::audio::well_known::CODEC_ID_AAC;
use symphonia_core::codecs::audio::{AudioCodecParameters, AudioDecoder as _, AudioDecoderOptions};
use symphonia_core::packet::PacketRef;
use symphonia_core::units::{Duration, Timestamp};

use super::{AudioDecodeError, AudioDecoder};
use config::Config;

/// Samples of each channel in a packet.
const FRAME: usize = 1024;
/// The longest packet: 6144 bits for each channel (ISO/IEC 14496-3, 4.5.3.1), and as much again for what fills it up.
const LONGEST: usize = 2 * 6144 / 8 * 2;

/// AAC-LC of one or two channels.
pub(super) struct AacDecoder {
    config: Config,
    parameters: AudioCodecParameters,
    backend: Backend,
    /// Nothing has been decoded since the library's decoder was made.
    fresh: bool,
    samples: Vec<f32>,
}

impl AacDecoder {
    /// A decoder for an `AudioSpecificConfig`.
    pub(super) fn new(record: &[u8]) -> Result<Self, AudioDecodeError> {
        let config = Config::read(record)?;
        let mut parameters = AudioCodecParameters::new();
        parameters.for_codec(CODEC_ID_AAC).with_extra_data(config.minimal().into());
        let backend = open(&parameters)?;
        Ok(Self { config, parameters, backend, fresh: true, samples: Vec::new() })
    }

    /// Decodes into `samples`.
    fn attempt(&mut self, packet: &[u8]) -> Result<(), String> {
        let Self { backend, samples, .. } = self;
        // Whatever the library makes of hostile bytes, one packet is lost and no more: it is replaced after an error.
        let decoded = catch_unwind(AssertUnwindSafe(|| {
            let packet = PacketRef::new(0, Timestamp::ZERO, Duration::ZERO, packet);
            let decoded = backend.decode_ref(&packet).map_err(|error| error.to_string())?;
            decoded.copy_to_vec_interleaved(samples);
            Ok::<_, String>(())
        }));
        decoded.unwrap_or_else(|_| Err("the decoder broke down".into()))?;
        let expected = FRAME * usize::from(self.config.channels);
        if self.samples.len() != expected {
            return Err(format!("{} samples (expected {expected})", self.samples.len()));
        }
        // What is damaged may be decoded to anything.
        if !self.samples.iter().all(|sample| sample.is_finite()) {
            return Err("samples that are no numbers".into());
        }
        self.samples.iter_mut().for_each(|sample| *sample = sample.clamp(-1.0, 1.0));
        Ok(())
    }
}

impl AudioDecoder for AacDecoder {
    fn decode(&mut self, packet: &[u8], time: Time, out: &mut Vec<f32>) -> Result<(), AudioDecodeError> {
        if packet.is_empty() || packet.len() > LONGEST {
            let reason = format!("{} bytes (expected >= 1, <= {LONGEST})", packet.len());
            return Err(AudioDecodeError::damaged(time, reason));
        }
        let mut decoded = self.attempt(packet);
        if decoded.is_err() {
            // A damaged packet may have been taken for another arrangement of channels, against which all that follow are wrong.
            self.backend = open(&self.parameters)?;
            if !std::mem::replace(&mut self.fresh, true) {
                decoded = self.attempt(packet);
                if decoded.is_err() {
                    self.backend = open(&self.parameters)?;
                }
            }
        }
        decoded.map_err(|reason| AudioDecodeError::damaged(time, reason))?;
        self.fresh = false;
        out.extend_from_slice(&self.samples);
        Ok(())
    }

    fn reset(&mut self) {
        self.backend.reset();
    }

    fn sample_rate(&self) -> u32 {
        self.config.sample_rate
    }

    fn channels(&self) -> u8 {
        self.config.channels
    }
}

fn open(parameters: &AudioCodecParameters) -> Result<Backend, AudioDecodeError> {
    Backend::try_new(parameters, &AudioDecoderOptions::default())
        .map_err(|error| AudioDecodeError::Backend { backend: "symphonia", reason: error.to_string() })
}
