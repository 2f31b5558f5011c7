//! How a rung's bitrate follows what its encoder makes.

/// So many groups in a row have to say the same.
const PATIENCE: u32 = 3;
/// An encoder that makes less than this share of its target has more than it needs.
const EASY: f64 = 0.7;
/// One that makes more than this share may need more.
const HARD: f64 = 0.95;

/// The bitrate of one rung.
#[derive(Clone, Debug)]
pub struct Feedback {
    target: u32,
    least: u32,
    most: u32,
    /// Groups in a row: above zero hard, below zero easy.
    run: i64,
}

impl Feedback {
    /// From `target`, within these bounds. All in bits a second.
    pub fn new(target: u32, least: u32, most: u32) -> Self {
        Self { target, least: least.min(most), most, run: 0 }
    }

    /// Bits a second now.
    pub fn target(&self) -> u32 {
        self.target
    }

    /// A group has taken so many bits a second. Gives a target that is to be set, if it is another.
    pub fn group(&mut self, made: f64) -> Option<u32> {
        let share = made / f64::from(self.target.max(1));
        self.run = match share {
            _ if share < EASY => self.run.min(0) - 1,
            _ if share > HARD => self.run.max(0) + 1,
            _ => 0,
        };
        if self.run.unsigned_abs() < u64::from(PATIENCE) {
            return None;
        }
        let wanted = if self.run < 0 { made * 1.2 } else { f64::from(self.target) * 1.25 };
        self.run = 0;
        let target = (wanted as u32).clamp(self.least, self.most);
        let changed = target != self.target;
        self.target = target;
        changed.then_some(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_that_needs_less_gets_less_down_to_the_floor() {
        let mut rung = Feedback::new(1_000_000, 400_000, 1_000_000);
        assert_eq!([500_000.0, 500_000.0, 500_000.0].map(|made| rung.group(made)), [None, None, Some(600_000)]);
        assert_eq!([100_000.0; 3].map(|made| rung.group(made)), [None, None, Some(400_000)]);
        assert_eq!([100_000.0; 9].map(|made| rung.group(made)), [None; 9], "it is at the floor");
    }

    #[test]
    fn content_that_needs_more_gets_more_up_to_the_ladder() {
        let mut rung = Feedback::new(400_000, 400_000, 1_000_000);
        let targets: Vec<_> = (0..20).filter_map(|_| rung.group(f64::from(rung.target()))).collect();
        assert_eq!(targets, [500_000, 625_000, 781_250, 976_562, 1_000_000]);
    }

    #[test]
    fn single_groups_change_nothing() {
        let mut rung = Feedback::new(1_000_000, 400_000, 1_000_000);
        for made in [500_000.0, 500_000.0, 800_000.0, 500_000.0, 980_000.0, 500_000.0, 500_000.0, 800_000.0] {
            assert_eq!(rung.group(made), None);
        }
    }
}
