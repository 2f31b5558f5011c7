//! What parts a track can have, found out from how its first fragments arrive.
//!
//! A part is a run of whole fragments, not longer than the part target and, but for a segment's last, not shorter than 85 % of it
//! (rfc8216bis, 4.4.4.9). Not every length can keep both rules with given fragments, so the target is chosen among those that would
//! have with the ones seen. A source that delivers a group of pictures at a time gets no parts: they would be promised seconds before
//! they exist.

use std::time::Duration;

use millrace_media::calendar::Group;
use millrace_media::{Fragment, Time};

/// A fragment this long makes no part of low latency.
const LONGEST_FRAGMENT: Time = Time::from_millis(1_000);
/// A part target longer than this is no low latency either.
const LONGEST_TARGET: Time = Time::from_millis(1_000);
/// Arrival is judged over at least this much media, in whole groups.
const ROUND: Time = Time::from_millis(1_000);
/// So many rounds must arrive in bursts: one may, when a transcoder has to catch up.
const BURSTS: u32 = 2;
/// The most fragments looked at: more than a second of any cadence, less than would cost anything.
const MOST_FRAGMENTS: usize = 4_096;
/// From how many places a candidate is tried.
const TRIALS: usize = 64;

/// How a track is divided into parts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Division {
    /// The part target.
    pub(super) target: Time,
    /// The longest fragment to be expected.
    pub(super) fragment: Time,
}

impl Division {
    /// True where a part of this length should not wait for another fragment.
    pub(super) fn is_full(&self, length: Time) -> bool {
        length + self.fragment > self.target
    }

    /// Either rule broken by a part that is not its segment's last.
    pub(super) fn is_broken_by(&self, length: Time) -> bool {
        length > self.target || is_too_short(length, self.target)
    }
}

fn is_too_short(length: Time, target: Time) -> bool {
    i128::from(length.ticks()) * i128::from(target.scale().get()) * 100
        < i128::from(target.ticks()) * i128::from(length.scale().get()) * 85
}

/// What has been found out.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Parts {
    /// So the track is divided.
    Divided(Division),
    /// It has none, and why.
    None(String),
}

/// Looks at a track's first fragments.
#[derive(Debug)]
pub(super) struct Watch {
    wanted: Time,
    last: Option<(Group, u64)>,
    round: Vec<Arrival>,
    rounds: u32,
}

#[derive(Debug)]
struct Arrival {
    arrived: Duration,
    duration: Time,
    group: Group,
}

impl Watch {
    /// Parts should be `wanted` long.
    pub(super) fn new(wanted: Duration) -> Self {
        Self { wanted: Time::from(wanted), last: None, round: Vec::new(), rounds: 0 }
    }

    /// Looks at the next fragment. The answer comes once, at the end of a group.
    pub(super) fn look(&mut self, fragment: &Fragment) -> Option<Parts> {
        let here = (fragment.place().group, fragment.place().segment.0);
        let ends = self.last.replace(here).is_some_and(|last| last != here);
        let found =
            if (ends && self.length() >= ROUND) || self.round.len() >= MOST_FRAGMENTS { self.judge() } else { None };
        self.round.push(Arrival {
            arrived: fragment.arrived(),
            duration: fragment.duration,
            group: fragment.place().group,
        });
        found
    }

    /// The track has ended: what has come must do.
    pub(super) fn finish(&mut self) -> Parts {
        self.rounds = BURSTS;
        self.judge().unwrap_or_else(|| Parts::None("it ended before its cadence was known".into()))
    }

    fn length(&self) -> Time {
        self.round.iter().fold(Time::from_micros(0), |sum, arrival| sum + arrival.duration)
    }

    fn judge(&mut self) -> Option<Parts> {
        let longest = self.round.iter().map(|arrival| arrival.duration).max()?;
        if longest >= LONGEST_FRAGMENT {
            return Some(Parts::None(format!("its fragments are {longest} long")));
        }
        if let Some(burst) = self.burst() {
            self.rounds += 1;
            if self.rounds < BURSTS {
                self.round.clear();
                return None;
            }
            let seconds = burst.as_secs_f64();
            return Some(Parts::None(format!("its media arrives in bursts, {seconds:.1} s at a time")));
        }
        Some(match self.divide() {
            Some(division) => Parts::Divided(division),
            None => Parts::None("its fragments are too unequal in length".into()),
        })
    }

    /// How much media arrives at a time, where that is more than a player's hold-back can bridge, and most of a group or the way most
    /// of the media comes.
    fn burst(&self) -> Option<Time> {
        let bridged = 2 * self.wanted.micros();
        let (mut ends, mut group, mut longest_group) = (0, 0, 0);
        let (mut run, mut longest_run, mut in_runs) = (0, 0, 0);
        let (mut least, mut most) = (i64::MAX, i64::MIN);
        let mut before: Option<&Arrival> = None;
        for arrival in &self.round {
            let duration = arrival.duration.micros();
            let follows = before.is_some_and(|before| {
                arrival.arrived.saturating_sub(before.arrived) * 2 < arrival.duration.to_duration()
            });
            if before.is_none_or(|before| before.group != arrival.group) {
                group = 0;
            }
            if !follows {
                run = 0;
            }
            (ends, group, run) = (ends + duration, group + duration, run + duration);
            if run > bridged {
                // All of the run counts from the moment it is too long.
                in_runs += if run - duration > bridged { duration } else { run };
            }
            (longest_group, longest_run) = (longest_group.max(group), longest_run.max(run));
            let lag = Time::from(arrival.arrived).micros().saturating_sub(ends);
            (least, most) = (least.min(lag), most.max(lag));
            before = Some(arrival);
        }
        let spread = most.saturating_sub(least);
        let is_burst = spread > bridged && (spread > longest_group / 2 || in_runs > ends / 2);
        is_burst.then(|| Time::from_micros(longest_run.max(spread)))
    }

    fn divide(&self) -> Option<Division> {
        // The last fragment of a group is what was left for it; it says nothing about the others.
        let inner = self.round.windows(2).filter(|pair| pair[0].group == pair[1].group).map(|pair| pair[0].duration);
        let mut lengths: Vec<Time> = inner.collect();
        if lengths.is_empty() {
            lengths = self.round.iter().map(|arrival| arrival.duration).collect();
        }
        let fragment = *lengths.iter().max()?;
        if fragment.ticks() <= 0 {
            return None;
        }
        let times = |n: i64| Time::new(fragment.ticks().saturating_mul(n), fragment.scale());
        let nearest = (self.wanted.as_secs_f64() / fragment.as_secs_f64()).round().max(1.0) as i64;
        let mut counts: Vec<i64> = (1..=nearest.saturating_mul(2).min(1_000)).collect();
        counts.sort_by_key(|n| (times(*n).micros() - self.wanted.micros()).abs());
        let candidates = counts.into_iter().map(|n| Division { target: times(n), fragment });
        // A part closes only when less than one fragment is missing from the target. Where that is 15 % of it, both rules hold
        // whatever comes.
        let safe = Division { target: Time::new(fragment.ticks().saturating_mul(20) / 3, fragment.scale()), fragment };
        candidates
            .chain([safe])
            .find(|division| division.target <= LONGEST_TARGET.max(self.wanted) && keeps_the_rules(*division, &lengths))
    }
}

/// True where no part that begins at any of the fragments breaks a rule.
fn keeps_the_rules(division: Division, lengths: &[Time]) -> bool {
    (0..lengths.len().min(TRIALS)).all(|from| {
        let mut part = Time::zero(division.target.scale());
        lengths[from..].iter().all(|length| {
            part = part + *length;
            if !division.is_full(part) {
                return true;
            }
            let kept = !division.is_broken_by(part);
            part = Time::zero(part.scale());
            kept
        })
    })
}
