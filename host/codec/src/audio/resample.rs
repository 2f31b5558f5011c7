//! Another sampling rate.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _, WindowFunction};

/// Blocks a second, at most: each is 10 ms or little more, and one and a half are what the resampler keeps back. Long enough to pass
/// all that is heard.
const BLOCKS: u32 = 100;
/// Samples of each channel in the longest block, at either rate: it bounds what odd rates would need.
const LONGEST: usize = 8_192;

/// Brings sound to another rate, sample by sample in its place: the first sample that comes out is of the instant of the first that
/// went in, however the samples were portioned.
pub struct Resampler {
    channels: usize,
    from: u32,
    to: u32,
    /// None where the rates are equal.
    blocks: Option<Blocks>,
}

struct Blocks {
    backend: Fft<f32>,
    /// Interleaved samples that do not fill a block yet.
    waiting: Vec<f32>,
    block: Vec<f32>,
    /// Samples of each channel that the filter puts before the first, still to be left out.
    delay: usize,
    /// Samples of each channel that were given and that have come out.
    given: u64,
    made: u64,
}

/// Why sound cannot be brought to a rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResampleError {
    /// A rate is not one of sound, or the two have too little in common.
    #[error("cannot resample {from} Hz to {to} Hz (expected rates >= 7350, <= 96000 with a common divisor)")]
    Rates {
        /// Samples in a second, before.
        from: u32,
        /// Samples in a second, after.
        to: u32,
    },
    /// The resampling library failed.
    #[error("resampler rubato: {0}")]
    Backend(String),
}

impl Resampler {
    /// A resampler from one rate to another, in samples of each channel in a second.
    ///
    /// # Errors
    /// [`ResampleError::Rates`] out of range.
    pub fn new(from: u32, to: u32, channels: u8) -> Result<Self, ResampleError> {
        let rates = 7_350..=96_000;
        let wrong = ResampleError::Rates { from, to };
        if !rates.contains(&from) || !rates.contains(&to) {
            return Err(wrong);
        }
        let channels = usize::from(channels.max(1));
        if from == to {
            return Ok(Self { channels, from, to, blocks: None });
        }
        // The blocks of rates with little in common are long, and kept back as a whole.
        let common = greatest_common_divisor(from, to);
        if (from.max(to) / common) as usize > LONGEST {
            return Err(wrong);
        }
        let unit = from / common;
        // The filter's middle is a sample, and its delay a whole number of them, where the block is even.
        let even = if unit.is_multiple_of(2) { 1 } else { 2 };
        let size = (unit * (from / BLOCKS).div_ceil(unit).next_multiple_of(even)) as usize;
        let window = WindowFunction::BlackmanHarris2;
        let backend =
            Fft::new_custom(from as usize, to as usize, size, 1, channels, window, FixedSync::Both).map_err(backend)?;
        let block = vec![0.0; backend.output_frames_max() * channels];
        let delay = backend.output_delay();
        Ok(Self {
            channels,
            from,
            to,
            blocks: Some(Blocks { backend, waiting: Vec::new(), block, delay, given: 0, made: 0 }),
        })
    }

    /// Takes any number of whole interleaved samples, and appends those that are ready to `out`.
    ///
    /// # Errors
    /// [`ResampleError::Backend`] where the library fails.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) -> Result<(), ResampleError> {
        match &mut self.blocks {
            None => out.extend_from_slice(samples),
            Some(blocks) => {
                blocks.given += (samples.len() / self.channels) as u64;
                blocks.waiting.extend_from_slice(samples);
                blocks.drain(self.channels, out)?;
            }
        }
        Ok(())
    }

    /// Appends what is left to `out`, so that the sound that came out lasts as long as the sound that went in. The stream is over.
    ///
    /// # Errors
    /// [`ResampleError::Backend`] where the library fails.
    pub fn finish(mut self, out: &mut Vec<f32>) -> Result<(), ResampleError> {
        let Some(blocks) = &mut self.blocks else { return Ok(()) };
        let (from, to) = (u64::from(self.from), u64::from(self.to));
        let wanted = (blocks.given * to + from / 2) / from;
        let began = out.len();
        let before = blocks.made;
        while blocks.made < wanted {
            let block = blocks.backend.input_frames_next() * self.channels;
            blocks.waiting.resize(blocks.waiting.len().next_multiple_of(block).max(block), 0.0);
            blocks.drain(self.channels, out)?;
        }
        out.truncate(began + (wanted - before) as usize * self.channels);
        Ok(())
    }
}

impl Blocks {
    /// Resamples every whole block that waits.
    fn drain(&mut self, channels: usize, out: &mut Vec<f32>) -> Result<(), ResampleError> {
        let mut done = 0;
        loop {
            let (taken, given) = (self.backend.input_frames_next(), self.backend.output_frames_next());
            let Some(input) = self.waiting.get(done..done + taken * channels) else { break };
            let input = InterleavedSlice::new(input, channels, taken).map_err(backend)?;
            let mut output = InterleavedSlice::new_mut(&mut self.block, channels, given).map_err(backend)?;
            let (_, made) = self.backend.process_into_buffer(&input, &mut output, None).map_err(backend)?;
            done += taken * channels;
            let left_out = self.delay.min(made);
            self.delay -= left_out;
            self.made += (made - left_out) as u64;
            out.extend_from_slice(&self.block[left_out * channels..made * channels]);
        }
        self.waiting.drain(..done);
        Ok(())
    }
}

fn greatest_common_divisor(mut a: u32, mut b: u32) -> u32 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn backend(error: impl std::fmt::Display) -> ResampleError {
    ResampleError::Backend(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::f32::consts::TAU;

    use super::*;

    fn resample(from: u32, to: u32, channels: u8, samples: &[f32], portion: usize) -> Vec<f32> {
        let mut resampler = Resampler::new(from, to, channels).unwrap();
        let mut out = Vec::new();
        samples.chunks(portion * usize::from(channels)).for_each(|samples| resampler.push(samples, &mut out).unwrap());
        resampler.finish(&mut out).unwrap();
        out
    }

    fn tone(rate: u32, hertz: f32, samples: u32) -> Vec<f32> {
        (0..samples).map(|i| 0.5 * ((i as f32 * hertz / rate as f32).fract() * TAU).sin()).collect()
    }

    #[test]
    fn a_tone_stays_in_its_place_from_every_rate() {
        for from in [7_350, 8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000] {
            let out = resample(from, 48_000, 1, &tone(from, 1_000.0, from), 1_024);
            assert_eq!(out.len(), 48_000, "from {from}");
            // Away from the ends, whose steps ring. A slip of a tenth of a sample would be an error of 0.0066.
            let expected = tone(48_000, 1_000.0, 48_000);
            let error = (4_800..43_200).map(|i| (out[i] - expected[i]).abs()).fold(0.0, f32::max);
            assert!(error < 0.004, "from {from}: {error}");
        }
    }

    #[test]
    fn a_click_stays_in_its_place() {
        let mut samples = vec![0.0; 44_100];
        samples[22_050] = 1.0;
        let out = resample(44_100, 48_000, 1, &samples, 1_024);
        let loudest = (0..out.len()).max_by(|a, b| out[*a].abs().total_cmp(&out[*b].abs())).unwrap();
        assert_eq!(loudest, 24_000);
    }

    #[test]
    fn channels_stay_apart_and_portions_do_not_matter() {
        let samples: Vec<f32> =
            tone(44_100, 440.0, 10_000).iter().flat_map(|sample| [*sample, -sample / 2.0]).collect();
        let whole = resample(44_100, 48_000, 2, &samples, 10_000);
        assert_eq!(whole.len(), 10_884 * 2);
        assert!(whole.chunks(2).all(|sides| (sides[0] + 2.0 * sides[1]).abs() < 1e-5));
        for portion in [1, 441, 1_024, 4_097] {
            assert_eq!(resample(44_100, 48_000, 2, &samples, portion), whole, "{portion}");
        }
    }

    #[test]
    fn all_that_is_heard_passes() {
        let level = |samples: &[f32]| samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len() as f32;
        let whole = level(&tone(44_100, 1_000.0, 44_100));
        for hertz in [20.0, 15_000.0, 19_000.0] {
            let out = resample(44_100, 48_000, 1, &tone(44_100, hertz, 44_100), 1_024);
            let loss = 10.0 * (level(&out[4_800..43_200]) / whole).log10();
            assert!(loss.abs() < 0.5, "{hertz} Hz: {loss} dB");
        }
    }

    #[test]
    fn equal_rates_pass_and_impossible_ones_are_refused() {
        let samples = tone(48_000, 440.0, 100);
        assert_eq!(resample(48_000, 48_000, 1, &samples, 7), samples);
        for from in [0, 7_349, 96_001, 44_099] {
            assert_eq!(Resampler::new(from, 48_000, 2).err(), Some(ResampleError::Rates { from, to: 48_000 }));
        }
    }
}
