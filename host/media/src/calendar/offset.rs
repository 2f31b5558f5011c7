//! From a publisher's timeline to the broadcast's.
//!
//! Decode times are unsigned where they are written (ISO/IEC 14496-12, 8.8.12), and priming, pre-skip and reordering begin below
//! zero. A broadcast's timeline therefore begins some seconds above it. Whole seconds are exact in every timescale.

use crate::time::Time;

/// Room below the first picture, in seconds: more than any priming or reordering delay.
const HEADROOM: i64 = 10;
/// A source whose clock runs on while it is away may come back this much later, in seconds, and keep its timeline.
const LONGEST_ABSENCE: i64 = 86_400;

/// The offset of an epoch whose earliest time is `first` on the publisher's timeline, after one whose offset was `previous` and that
/// ended at `end` of the broadcast's.
pub(super) fn choose(first: Time, previous: Option<i64>, end: Option<Time>) -> i64 {
    let scale = first.scale();
    let begins = first.ticks().div_euclid(i64::from(scale.get()));
    let Some(end) = end else {
        return if begins >= 1 { 0 } else { HEADROOM.saturating_sub(begins) };
    };
    if let Some(previous) = previous {
        let at = first + Time::from_secs(previous, scale);
        if at >= end && at - end <= Time::from_secs(LONGEST_ABSENCE, scale) {
            return previous;
        }
    }
    let ends = end.ticks().div_euclid(i64::from(end.scale().get()));
    ends.saturating_add(2).saturating_sub(begins)
}
