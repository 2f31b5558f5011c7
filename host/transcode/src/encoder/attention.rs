//! Whether an encoder's work is wanted: it sleeps while nobody plays what it makes, or while it is given up.

use std::time::Duration;

/// What is to be done with a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Its pictures are encoded.
    Encode,
    /// Nothing any more: the encoder is to rest.
    FallAsleep,
    /// Nothing.
    Sleep,
}

/// How things stand when a fragment is submitted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Situation {
    pub(super) starts_group: bool,
    /// On the bus's monotonic clock.
    pub(super) now: Duration,
    /// Somebody plays it, or has within the timeout.
    pub(super) viewed: bool,
    /// Its headers are known, so that playlists list it.
    pub(super) described: bool,
    /// The controller has given the rung up.
    pub(super) given_up: bool,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Attention {
    timeout: Option<Duration>,
    awake_since: Option<Duration>,
    asleep: bool,
}

impl Attention {
    /// Without a timeout it never falls asleep for want of viewers.
    pub(super) fn new(timeout: Option<Duration>) -> Self {
        Self { timeout, awake_since: None, asleep: false }
    }

    /// For want of viewers it falls asleep where a group begins, so that the one before is whole; given up, at once. It wakes where a
    /// group begins.
    pub(super) fn decide(&mut self, situation: Situation) -> Verdict {
        let Situation { starts_group, now, viewed, described, given_up } = situation;
        if self.asleep {
            let idle = self.timeout.is_some() && !viewed;
            if !starts_group || given_up || idle {
                return Verdict::Sleep;
            }
            self.asleep = false;
            self.awake_since = Some(now);
            return Verdict::Encode;
        }
        let since = *self.awake_since.get_or_insert(now);
        let unseen = self.timeout.is_some_and(|timeout| !viewed && now.saturating_sub(since) >= timeout);
        if given_up || (unseen && starts_group && described) {
            self.asleep = true;
            return Verdict::FallAsleep;
        }
        Verdict::Encode
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64, starts_group: bool, viewed: bool) -> Situation {
        Situation { starts_group, now: Duration::from_secs(secs), viewed, described: true, given_up: false }
    }

    #[test]
    fn it_sleeps_when_nobody_has_played_it_for_so_long_and_wakes_with_a_group() {
        let mut attention = Attention::new(Some(Duration::from_secs(10)));
        assert_eq!(attention.decide(at(0, true, false)), Verdict::Encode);
        assert_eq!(attention.decide(at(9, true, false)), Verdict::Encode);
        assert_eq!(attention.decide(at(11, false, false)), Verdict::Encode, "its group is finished first");
        assert_eq!(attention.decide(at(12, true, false)), Verdict::FallAsleep);
        assert_eq!(attention.decide(at(13, true, false)), Verdict::Sleep);
        assert_eq!(attention.decide(at(14, false, true)), Verdict::Sleep, "no picture here can be decoded alone");
        assert_eq!(attention.decide(at(15, true, true)), Verdict::Encode);
        assert_eq!(attention.decide(at(24, true, false)), Verdict::Encode);
        assert_eq!(attention.decide(at(25, true, false)), Verdict::FallAsleep);
    }

    #[test]
    fn a_new_rung_stays_awake_until_its_headers_are_known() {
        let mut attention = Attention::new(Some(Duration::from_secs(1)));
        attention.decide(at(0, true, false));
        let unknown = Situation { described: false, ..at(20, true, false) };
        assert_eq!(attention.decide(unknown), Verdict::Encode);
        assert_eq!(attention.decide(at(21, true, false)), Verdict::FallAsleep);
    }

    #[test]
    fn without_a_timeout_only_the_controller_puts_it_to_sleep() {
        let mut attention = Attention::new(None);
        assert_eq!(attention.decide(at(0, true, false)), Verdict::Encode);
        assert_eq!(attention.decide(at(1_000, true, false)), Verdict::Encode);
        let given_up = |starts_group| Situation { given_up: true, ..at(1_001, starts_group, true) };
        assert_eq!(attention.decide(given_up(false)), Verdict::FallAsleep, "at once");
        assert_eq!(attention.decide(given_up(true)), Verdict::Sleep);
        assert_eq!(attention.decide(at(1_002, false, true)), Verdict::Sleep);
        assert_eq!(attention.decide(at(1_003, true, false)), Verdict::Encode);
    }
}
