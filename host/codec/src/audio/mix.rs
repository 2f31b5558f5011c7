//! Another number of channels.

use std::borrow::Cow;

/// Whole interleaved samples of `from` channels as samples of `to`, both 1 or 2. Mono is heard from both sides at its own level;
/// stereo becomes the mean of its sides, which cannot be too loud (the downmix of ITU-R BS.775-4, annex 4, made safe by 3 dB).
pub fn mix(samples: &[f32], from: u8, to: u8) -> Cow<'_, [f32]> {
    match (from, to) {
        (1, 2) => samples.iter().flat_map(|sample| [*sample; 2]).collect(),
        (2, 1) => samples.chunks_exact(2).map(|sides| (sides[0] + sides[1]) / 2.0).collect(),
        _ => Cow::Borrowed(samples),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_keeps_its_level_between_one_channel_and_two() {
        assert_eq!(*mix(&[0.5, -1.0], 1, 2), [0.5, 0.5, -1.0, -1.0]);
        assert_eq!(*mix(&[0.5, 0.25, 1.0, 1.0], 2, 1), [0.375, 1.0]);
        assert!(matches!(mix(&[0.5, 0.25], 2, 2), Cow::Borrowed([0.5, 0.25])));
    }
}
