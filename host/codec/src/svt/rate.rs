//! Holding a bitrate over groups.

/// Watches what the groups of a stream really spend, and says what to ask of the next so that the target is met over several.
///
/// An instance of the library lives for one group, and knows nothing of those before it.
pub(super) struct GroupAccount {
    target: f64,
    /// Bits spent beyond the target; below zero, bits saved.
    debt: f64,
    /// Seconds since the group's beginning.
    seconds: f64,
    /// The quantizer that the last pictures were coded with, smoothed; none before there are any.
    quantizer: Option<f64>,
}

/// What is asked of the instance for a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    /// Bits per second.
    pub(super) bitrate: u32,
    /// The finest and the coarsest quantizer it may use. An instance begins in the middle of them and is slow to leave it.
    pub(super) quantizers: (u32, u32),
}

/// Seconds in which a debt is paid back, at least: a group may be much shorter.
const HORIZON: f64 = 4.0;
/// And so many groups, since what is asked of one holds to its end.
const GROUPS: f64 = 2.0;
/// What is asked stays within these parts of the target, and no more is saved up or owed than can be paid with that.
const RANGE: (f64, f64) = (0.6, 1.25);

/// All quantizers, but 0, which is lossless.
const QUANTIZERS: (f64, f64) = (1.0, 63.0);
/// Quantizers between which there is always a choice: pictures may become much richer within a group.
const MAX_FINEST: f64 = 30.0;
const MIN_COARSEST: f64 = 44.0;
/// The part of a picture in the smoothed quantizer.
const SMOOTHING: f64 = 1.0 / 8.0;

impl GroupAccount {
    /// An account for a target in bits per second.
    pub(super) fn new(target: u32) -> Self {
        Self { target: target.into(), debt: 0.0, seconds: 0.0, quantizer: None }
    }

    /// Changes the target. What was spent before is forgotten.
    pub(super) fn set_target(&mut self, target: u32) {
        *self = Self { seconds: self.seconds, quantizer: self.quantizer, ..Self::new(target) };
    }

    /// Enters a picture of `bits`, coded with a quantizer, at `rate` pictures per second.
    pub(super) fn spend(&mut self, bits: usize, quantizer: u32, rate: f32) {
        let seconds = 1.0 / f64::from(rate);
        self.seconds += seconds;
        self.debt += bits as f64 - self.target * seconds;
        let quantizer = f64::from(quantizer);
        let smoothed = self.quantizer.get_or_insert(quantizer);
        *smoothed += (quantizer - *smoothed) * SMOOTHING;
    }

    /// Begins a group, and gives what to ask for it.
    pub(super) fn next_group(&mut self) -> Asked {
        let horizon = HORIZON.max(GROUPS * self.seconds);
        self.seconds = 0.0;
        let asked = (self.target - self.debt / horizon).clamp(RANGE.0 * self.target, RANGE.1 * self.target);
        self.debt = (self.target - asked) * horizon;
        let (finest, coarsest) = self.quantizer.map_or(QUANTIZERS, |middle| {
            let finest = (2.0 * middle - QUANTIZERS.1).clamp(QUANTIZERS.0, MAX_FINEST);
            let coarsest = (2.0 * middle - QUANTIZERS.0).clamp(MIN_COARSEST, QUANTIZERS.1);
            (finest, coarsest)
        });
        Asked { bitrate: asked as u32, quantizers: (finest as u32, coarsest as u32) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bits per second over the last half of groups of so many seconds, by an encoder that spends `bias` times what it is asked.
    fn run(seconds: usize, bias: f64) -> f64 {
        let mut account = GroupAccount::new(1_000_000);
        let (groups, mut settled) = (40, 0.0);
        for group in 0..groups {
            let asked = f64::from(account.next_group().bitrate);
            for _ in 0..seconds * 30 {
                account.spend((asked * bias / 30.0) as usize, 32, 30.0);
                settled += if group >= groups / 2 { asked * bias / 30.0 } else { 0.0 };
            }
        }
        settled / (groups / 2 * seconds) as f64
    }

    #[test]
    fn groups_of_any_length_settle_on_the_target() {
        for seconds in [1, 2, 4, 10] {
            for bias in [0.85, 1.0, 1.3] {
                let spent = run(seconds, bias) / 1e6;
                assert!((0.97..1.03).contains(&spent), "{seconds} s, bias {bias}: {spent}");
            }
        }
    }

    #[test]
    fn another_target_forgets_the_debt() {
        let mut account = GroupAccount::new(1_000_000);
        account.spend(9_000_000, 32, 30.0);
        assert_eq!(account.next_group().bitrate, 600_000);
        account.set_target(500_000);
        assert_eq!(account.next_group().bitrate, 500_000);
    }

    #[test]
    fn a_group_begins_near_the_quantizer_of_the_one_before_with_room_on_both_sides() {
        let mut account = GroupAccount::new(1_000_000);
        assert_eq!(account.next_group().quantizers, (1, 63));
        for (quantizer, expected) in [(10, (1, 44)), (30, (1, 59)), (40, (17, 63)), (60, (30, 63))] {
            (0..100).for_each(|_| account.spend(33_333, quantizer, 30.0));
            let asked = account.next_group().quantizers;
            assert!(asked.0.abs_diff(expected.0) <= 1 && asked.1.abs_diff(expected.1) <= 1, "{quantizer}: {asked:?}");
        }
    }
}
