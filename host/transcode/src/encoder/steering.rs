//! What an encoder is to do at which picture.

use std::collections::BTreeMap;

use millrace_media::Time;

use super::EncodeError;

/// Steers one picture, or what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steering {
    /// A random access point here, inside the group.
    Keyframe,
    /// A new target from here on, in bits per second.
    Bitrate(u32),
    /// The picture is left out; the one before it lasts longer. Never the first of a group.
    Skip,
}

/// How many times may have steering that waits for them.
const WAITING: usize = 1_024;
/// What an encoder takes as a target, in bits per second.
const BITRATES: std::ops::RangeInclusive<u32> = 10_000..=240_000_000;

/// What is to be done at one picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Orders {
    pub(super) keyframe: bool,
    pub(super) bitrate: Option<u32>,
    pub(super) skip: bool,
}

/// Steering that waits for its picture.
#[derive(Debug, Default)]
pub(super) struct Schedule(BTreeMap<Time, Orders>);

impl Schedule {
    pub(super) fn add(&mut self, at: Time, steering: Steering) -> Result<(), EncodeError> {
        if let Steering::Bitrate(bitrate) = steering
            && !BITRATES.contains(&bitrate)
        {
            let (least, most) = (BITRATES.start(), BITRATES.end());
            return Err(EncodeError::Invalid(format!(
                "invalid bitrate {bitrate} bit/s (expected >= {least}, <= {most})"
            )));
        }
        if self.0.len() >= WAITING && !self.0.contains_key(&at) {
            return Err(EncodeError::Overloaded(format!("{WAITING} pictures have steering waiting already")));
        }
        let orders = self.0.entry(at).or_default();
        match steering {
            Steering::Keyframe => orders.keyframe = true,
            Steering::Bitrate(bitrate) => orders.bitrate = Some(bitrate),
            Steering::Skip => orders.skip = true,
        }
        Ok(())
    }

    /// True where the picture presented at `time` is to be left out, as far as is known now.
    pub(super) fn skips(&self, time: Time) -> bool {
        self.0.get(&time).is_some_and(|orders| orders.skip)
    }

    /// What is to be done at the picture presented at `time`. A bitrate set for a picture that never came counts from the next.
    pub(super) fn at(&mut self, time: Time) -> Orders {
        let mut orders = Orders::default();
        while let Some(entry) = self.0.first_entry().filter(|entry| *entry.key() <= time) {
            let exact = *entry.key() == time;
            let set = entry.remove();
            orders.bitrate = set.bitrate.or(orders.bitrate);
            if exact {
                (orders.keyframe, orders.skip) = (set.keyframe, set.skip);
            }
        }
        orders
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Time {
        Time::from_millis(millis)
    }

    #[test]
    fn steering_reaches_its_picture_and_a_bitrate_those_after() {
        let mut schedule = Schedule::default();
        schedule.add(at(40), Steering::Keyframe).unwrap();
        schedule.add(at(60), Steering::Bitrate(300_000)).unwrap();
        schedule.add(at(60), Steering::Skip).unwrap();
        assert_eq!(schedule.at(at(0)), Orders::default());
        assert_eq!(schedule.at(at(40)), Orders { keyframe: true, ..Orders::default() });
        // No picture was presented at 60 ms: the skip is lost, the bitrate is not.
        assert_eq!(schedule.at(at(80)), Orders { bitrate: Some(300_000), ..Orders::default() });
        assert_eq!(schedule.at(at(120)), Orders::default());
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        let mut schedule = Schedule::default();
        assert!(matches!(schedule.add(at(0), Steering::Bitrate(0)), Err(EncodeError::Invalid(_))));
        for n in 0..WAITING as i64 {
            schedule.add(at(n), Steering::Keyframe).unwrap();
        }
        assert!(matches!(schedule.add(at(-1), Steering::Keyframe), Err(EncodeError::Overloaded(_))));
        assert!(schedule.add(at(5), Steering::Skip).is_ok());
    }
}
