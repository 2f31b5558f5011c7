//! The demo's sound: a soft chord, and a beep at the beginning of each second.

use std::f64::consts::TAU;

/// Loud enough to be heard, soft enough to be left running.
const CHORD: [(f64, f64); 3] = [(220.0, 0.05), (277.18, 0.04), (329.63, 0.04)];
const BEEP_HZ: f64 = 880.0;
const BEEP_LEVEL: f64 = 0.25;
/// Seconds.
const BEEP_LENGTH: f64 = 0.1;

/// Makes stereo samples one after the other.
#[derive(Debug)]
pub(super) struct Tone {
    rate: u32,
    next: u64,
}

impl Tone {
    pub(super) fn new(rate: u32) -> Self {
        Self { rate, next: 0 }
    }

    /// The samples up to number `end` that have not been made yet: left and right in turn, -1 to 1.
    pub(super) fn samples_until(&mut self, end: u64) -> Vec<f32> {
        let mut samples = Vec::with_capacity(usize::try_from(end.saturating_sub(self.next)).unwrap_or(0) * 2);
        while self.next < end {
            let (left, right) = self.sample(self.next);
            samples.extend([left as f32, right as f32]);
            self.next += 1;
        }
        samples
    }

    fn sample(&self, number: u64) -> (f64, f64) {
        let rate = f64::from(self.rate);
        let time = number as f64 / rate;
        let into_second = (number % u64::from(self.rate)) as f64 / rate;
        let chord: f64 = CHORD.iter().map(|(hz, level)| (time * hz * TAU).sin() * level).sum();
        // Raised and lowered over its length, so that it does not click.
        let beep = if into_second < BEEP_LENGTH {
            (into_second / BEEP_LENGTH * TAU / 2.0).sin() * (time * BEEP_HZ * TAU).sin() * BEEP_LEVEL
        } else {
            0.0
        };
        // The chord wanders from ear to ear, so that a swapped or lost channel is heard.
        let pan = (time * TAU / 8.0).sin() * 0.5 + 0.5;
        (chord * (1.0 - pan) * 2.0 + beep, chord * pan * 2.0 + beep)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_follow_each_other_and_stay_in_range() {
        let mut tone = Tone::new(48_000);
        let mut samples = tone.samples_until(1_600);
        samples.extend(tone.samples_until(96_000));
        assert_eq!(samples.len(), 2 * 96_000);
        assert_eq!(samples, Tone::new(48_000).samples_until(96_000));
        assert!(samples.iter().all(|sample| sample.abs() < 0.9));
        let loudest = |range: std::ops::Range<usize>| samples[range].iter().fold(0f32, |most, s| most.max(s.abs()));
        assert!(loudest(2 * 48_000..2 * 50_000) > loudest(2 * 60_000..2 * 90_000));
    }
}
