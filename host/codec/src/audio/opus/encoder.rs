//! From samples to Opus packets.

use bytes::Bytes;
use millrace_media::time::{Time, Timescale};
use opus::{Application, Bitrate, Channels};

use super::SAMPLE_RATE;
use crate::audio::settings::check_bitrate;
use crate::audio::{AudioConfig, AudioEncoder, AudioError, AudioPacket};

/// Samples of each channel in a packet: 20 ms, the length Opus is tuned for.
const FRAME: usize = 960;
/// The longest packet of one frame, RFC 6716 3.4.
const MAX_PACKET: usize = 1275;

/// Opus at 48 kHz in packets of 20 ms.
pub struct OpusEncoder {
    encoder: opus::Encoder,
    config: AudioConfig,
    /// Bits per second.
    bitrate: u32,
    /// Interleaved samples that do not fill a packet yet.
    waiting: Vec<f32>,
    start: Time,
    /// Samples of each channel given, and encoded.
    given: u64,
    encoded: u64,
}

impl OpusEncoder {
    /// An encoder for 1 or 2 channels whose first sample is presented at `start`.
    ///
    /// # Errors
    /// [`AudioError::Channels`] and [`AudioError::Bitrate`] out of range, [`AudioError::Backend`] where the library fails.
    pub fn new(channels: u8, bitrate: u32, start: Time) -> Result<Self, AudioError> {
        let layout = match channels {
            1 => Channels::Mono,
            2 => Channels::Stereo,
            _ => return Err(AudioError::Channels(channels)),
        };
        check_bitrate(bitrate)?;
        let mut encoder = opus::Encoder::new(SAMPLE_RATE, layout, Application::Audio).map_err(backend)?;
        encoder.set_bitrate(Bitrate::Bits(bitrate as i32)).map_err(backend)?;
        let lookahead = encoder.get_lookahead().map_err(backend)?;
        let pre_skip = u16::try_from(lookahead)
            .map_err(|_| AudioError::Backend { backend: "opus", reason: format!("lookahead of {lookahead}") })?;
        let config = AudioConfig { channels, sample_rate: SAMPLE_RATE, pre_skip };
        let start = start.rescale(Timescale::new(SAMPLE_RATE).expect("not zero"));
        Ok(Self { encoder, config, bitrate, waiting: Vec::new(), start, given: 0, encoded: 0 })
    }

    fn packet(&mut self, samples: &[f32]) -> Result<AudioPacket, AudioError> {
        let mut data = vec![0; MAX_PACKET];
        let length = self.encoder.encode_float(samples, &mut data).map_err(backend)?;
        data.truncate(length);
        let ticks = self.start.ticks().saturating_add_unsigned(self.encoded) - i64::from(self.config.pre_skip);
        self.encoded += FRAME as u64;
        Ok(AudioPacket { data: Bytes::from(data), time: Time::new(ticks, self.start.scale()), duration: FRAME as u32 })
    }

    /// Encodes every whole packet that waits.
    fn drain(&mut self, out: &mut Vec<AudioPacket>) -> Result<(), AudioError> {
        let length = FRAME * usize::from(self.config.channels);
        let waiting = std::mem::take(&mut self.waiting);
        let packets = waiting.chunks_exact(length);
        self.waiting.extend(packets.remainder());
        for samples in packets {
            out.push(self.packet(samples)?);
        }
        Ok(())
    }
}

impl AudioEncoder for OpusEncoder {
    fn encode(&mut self, samples: &[f32], out: &mut Vec<AudioPacket>) -> Result<(), AudioError> {
        let channels = self.config.channels;
        if !samples.len().is_multiple_of(usize::from(channels)) {
            return Err(AudioError::Partial { samples: samples.len(), channels });
        }
        self.given += (samples.len() / usize::from(channels)) as u64;
        self.waiting.extend(samples);
        self.drain(out)
    }

    fn set_bitrate(&mut self, bitrate: u32) -> Result<(), AudioError> {
        if bitrate == self.bitrate {
            return Ok(());
        }
        check_bitrate(bitrate)?;
        self.encoder.set_bitrate(Bitrate::Bits(bitrate as i32)).map_err(backend)?;
        self.bitrate = bitrate;
        Ok(())
    }

    fn finish(mut self: Box<Self>, out: &mut Vec<AudioPacket>) -> Result<(), AudioError> {
        // The last samples leave the encoder `pre_skip` samples late.
        let needed = self.given + u64::from(self.config.pre_skip);
        let packets = needed.saturating_sub(self.encoded).div_ceil(FRAME as u64) as usize;
        self.waiting.resize(packets * FRAME * usize::from(self.config.channels), 0.0);
        self.drain(out)
    }

    fn config(&self) -> AudioConfig {
        self.config
    }
}

fn backend(error: opus::Error) -> AudioError {
    AudioError::Backend { backend: "opus", reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tone of 440 Hz that begins at sample 0 with full strength.
    fn tone(samples: usize, channels: usize) -> Vec<f32> {
        (0..samples * channels)
            .map(|i| 0.5 * ((i / channels) as f32 * 440.0 * std::f32::consts::TAU / SAMPLE_RATE as f32).cos())
            .collect()
    }

    fn encode(channels: u8, chunk: usize, samples: &[f32], start: Time) -> (AudioConfig, Vec<AudioPacket>) {
        let mut encoder = Box::new(OpusEncoder::new(channels, 128_000, start).unwrap());
        let config = encoder.config();
        let mut out = Vec::new();
        for chunk in samples.chunks(chunk * usize::from(channels)) {
            encoder.encode(chunk, &mut out).unwrap();
        }
        encoder.finish(&mut out).unwrap();
        (config, out)
    }

    #[test]
    fn the_chunks_samples_come_in_do_not_matter() {
        let samples = tone(5000, 2);
        let whole = encode(2, 5000, &samples, Time::from_millis(0)).1;
        for chunk in [1, 7, 959, 960, 961, 4000] {
            assert_eq!(encode(2, chunk, &samples, Time::from_millis(0)).1, whole, "chunks of {chunk}");
        }
    }

    #[test]
    fn every_sample_comes_back_at_its_place_once_pre_skip_is_dropped() {
        for channels in [1, 2] {
            let samples = tone(48_000, channels.into());
            let (config, packets) = encode(channels, 480, &samples, Time::from_millis(0));
            assert!(config.pre_skip > 0);
            let layout = if channels == 1 { Channels::Mono } else { Channels::Stereo };
            let mut decoder = opus::Decoder::new(SAMPLE_RATE, layout).unwrap();
            let mut decoded = Vec::new();
            for packet in &packets {
                let mut samples = vec![0.0; FRAME * usize::from(channels)];
                let count = decoder.decode_float(&packet.data, &mut samples, false).unwrap();
                assert_eq!(count as u32, packet.duration);
                decoded.extend(samples);
            }
            let decoded = &decoded[usize::from(config.pre_skip) * usize::from(channels)..];
            assert!(decoded.len() >= samples.len() && decoded.len() < samples.len() + FRAME * usize::from(channels));
            // Past the onset the tone must match; a slip of ten samples would be 0.58 rad, an error of 0.28 of its strength.
            let steady = 4800 * usize::from(channels)..40_000 * usize::from(channels);
            let (error, strength) = steady.fold((0.0_f32, 0.0_f32), |(error, strength), i| {
                (error + (decoded[i] - samples[i]).powi(2), strength + samples[i].powi(2))
            });
            assert!(error / strength < 0.01, "{channels} channels: {}", error / strength);
        }
    }

    #[test]
    fn times_are_exact_and_begin_before_the_start_by_pre_skip() {
        let (config, packets) = encode(1, 480, &tone(9600, 1), Time::from_millis(2500));
        let first = 120_000 - i64::from(config.pre_skip);
        let ticks: Vec<i64> = packets.iter().map(|packet| packet.time.ticks()).collect();
        assert_eq!(ticks, (0..11).map(|i| first + i * 960).collect::<Vec<_>>());
        assert!(packets.iter().all(|packet| packet.time.scale().get() == config.sample_rate));
    }

    #[test]
    fn wrong_values_are_refused() {
        let at = Time::from_millis(0);
        assert_eq!(OpusEncoder::new(3, 64_000, at).err(), Some(AudioError::Channels(3)));
        assert_eq!(OpusEncoder::new(2, 5_000, at).err(), Some(AudioError::Bitrate(5_000)));
        let mut encoder = OpusEncoder::new(2, 64_000, at).unwrap();
        let partial = encoder.encode(&[0.0; 3], &mut Vec::new());
        assert_eq!(partial, Err(AudioError::Partial { samples: 3, channels: 2 }));
    }
}
