//! How long each picture is shown.
//!
//! A sample's duration says how long it is until the next sample is *decoded*. Where pictures are reordered and the frame rate
//! varies, that is another's: a picture then waits for the one that follows it, which is the price of the right length. A stream that
//! does not reorder, or keeps its rate, waits for nothing.

use millrace_media::Time;
use millrace_media::fragment::Sample;

/// So many samples alike make a rate, or an order, that is kept.
const STEADY: u32 = 32;
/// A picture that would last so many times as long as its sample does not: there is a hole in the source behind it.
const LONGEST: i64 = 4;

/// What the last samples of a stream were like.
#[derive(Debug, Default)]
pub(super) struct Lengths {
    last: Option<Sample>,
    /// For how many samples the rate has not changed.
    rate_kept: u32,
    /// For how many samples the time from decoding to presentation has not.
    order_kept: u32,
    reorders: bool,
}

impl Lengths {
    /// The next sample in decode order.
    pub(super) fn sample(&mut self, sample: &Sample) {
        if let Some(last) = self.last.replace(*sample) {
            self.rate_kept = if last.duration == sample.duration { self.rate_kept.saturating_add(1) } else { 0 };
            let kept = last.composition_offset == sample.composition_offset;
            self.order_kept = if kept { self.order_kept.saturating_add(1) } else { 0 };
            self.reorders = !kept || (self.reorders && self.order_kept < STEADY);
        }
    }

    /// True where only the next picture tells how long one is shown.
    pub(super) fn waits_for_next(&self) -> bool {
        self.reorders && self.rate_kept < STEADY
    }
}

/// How long a picture at `time` is shown, of a sample of this duration and followed by a picture at `next`.
pub(super) fn until(time: Time, duration: Time, next: Time) -> Time {
    let until = next - time;
    let longest = Time::new(duration.ticks().saturating_mul(LONGEST), duration.scale());
    if until > Time::zero(duration.scale()) && until <= longest { until.rescale(duration.scale()) } else { duration }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(samples: impl Iterator<Item = (u32, i32)>) -> Vec<bool> {
        let mut lengths = Lengths::default();
        samples
            .map(|(duration, composition_offset)| {
                let marks = Default::default();
                lengths.sample(&Sample { offset: 0, size: 1, duration, composition_offset, marks });
                lengths.waits_for_next()
            })
            .collect()
    }

    #[test]
    fn only_what_is_reordered_at_a_rate_that_varies_waits() {
        let steady = waits((0..100).map(|_| (512, 0)));
        assert!(!steady.contains(&true));
        let varies = waits((0..100).map(|i| (512 * (1 + i % 2), 1024)));
        assert!(!varies.contains(&true), "the times of decoding are those of presentation");
        let reordered = waits((0..100).map(|i| (512, [512, 2048, 0][i % 3])));
        assert!(reordered[1] && !reordered[99], "until the rate is known to be kept");
        let both = waits((0..100).map(|i| (512 * (1 + i as u32 % 2), [512, 2048, 0][i % 3])));
        assert!(!both[1..].contains(&false));
    }

    #[test]
    fn a_hole_is_not_a_length() {
        let ms = Time::from_millis;
        assert_eq!(until(ms(100), ms(40), ms(180)), ms(80));
        assert_eq!(until(ms(100), ms(40), ms(3_600_000)), ms(40));
        assert_eq!(until(ms(100), ms(40), ms(90)), ms(40));
    }
}
