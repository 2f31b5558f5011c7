//! Holding a bitrate over seconds.

/// Watches what an encoder really spends, and says what to ask of it so that the target is met over seconds.
///
/// An encoder's own rate control looks a few pictures ahead and forgets what it overspent, on keyframes above all. This keeps the
/// account, and pays a debt back over [`HORIZON`].
pub(crate) struct RateAccount {
    target: f64,
    asked: f64,
    /// Bits spent beyond the target; below zero, bits saved.
    debt: f64,
    since_change: u32,
}

/// Seconds in which a debt is paid back.
const HORIZON: f64 = 1.0;
/// Seconds' worth of bits that may be saved up: easy pictures must not pay for a burst much later.
const MAX_SAVED: f64 = 0.5;
/// Seconds' worth of bits that are owed at most: hard pictures must not starve the easy ones that follow.
const MAX_OWED: f64 = 2.0;
/// What is asked stays within these parts of the target.
const RANGE: (f64, f64) = (0.3, 1.6);
/// The encoder is asked anew at most each so many pictures, and only for a change of more than so much: it plans that far.
const MIN_PICTURES: u32 = 8;
const MIN_CHANGE: f64 = 0.02;

impl RateAccount {
    /// An account for a target in bits per second.
    pub(crate) fn new(target: u32) -> Self {
        Self { target: target.into(), asked: target.into(), debt: 0.0, since_change: 0 }
    }

    /// Changes the target. What was spent before is forgotten.
    pub(crate) fn set_target(&mut self, target: u32) {
        *self = Self::new(target);
    }

    /// Enters a picture of `bits` at `rate` pictures per second, and gives the bitrate to ask of the encoder where it is time to
    /// ask for another.
    pub(crate) fn spend(&mut self, bits: usize, rate: f32) -> Option<u32> {
        self.debt += bits as f64 - self.target / f64::from(rate);
        self.debt = self.debt.clamp(-MAX_SAVED * self.target, MAX_OWED * self.target);
        self.since_change += 1;
        if self.since_change < MIN_PICTURES {
            return None;
        }
        let wanted = (self.target - self.debt / HORIZON).clamp(RANGE.0 * self.target, RANGE.1 * self.target);
        if (wanted - self.asked).abs() < MIN_CHANGE * self.target {
            return None;
        }
        self.asked = wanted;
        self.since_change = 0;
        Some(wanted as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds of an encoder that spends `bias` times what it is asked, with a keyframe of ten pictures' worth each 60 pictures.
    fn run(account: &mut RateAccount, target: f64, bias: f64, seconds: usize) -> f64 {
        let (mut asked, mut total) = (target, 0.0);
        for i in 0..seconds * 30 {
            let bits = asked * bias / 30.0 * if i % 60 == 0 { 10.0 } else { 1.0 };
            total += bits;
            if let Some(bitrate) = account.spend(bits as usize, 30.0) {
                asked = bitrate.into();
            }
        }
        total / seconds as f64
    }

    #[test]
    fn an_encoder_that_spends_too_much_or_too_little_is_brought_to_the_target() {
        for bias in [0.75, 1.0, 1.25, 1.8] {
            let spent = run(&mut RateAccount::new(1_000_000), 1_000_000.0, bias, 5);
            assert!((0.85..1.15).contains(&(spent / 1e6)), "bias {bias}: {spent}");
        }
    }

    #[test]
    fn easy_pictures_save_no_burst_and_hard_ones_leave_no_famine() {
        let mut account = RateAccount::new(1_000_000);
        for _ in 0..3000 {
            assert!(account.spend(100, 30.0).is_none_or(|asked| asked <= 1_600_000));
        }
        assert!(account.debt >= -500_000.0);
        for _ in 0..3000 {
            assert!(account.spend(1_000_000, 30.0).is_none_or(|asked| asked >= 300_000));
        }
        assert!(account.debt <= 2_000_000.0);
        account.set_target(500_000);
        assert_eq!(account.debt, 0.0);
    }
}
