//! From a publisher's timeline to the broadcast's.
//!
//! Decode times are unsigned where they are written (ISO/IEC 14496-12, 8.8.12), and priming, pre-skip and reordering begin below
//! zero. A broadcast's timeline therefore begins some seconds above it. Whole seconds are exact in every timescale.

use crate::time::Time;

/// Room below the first picture, in seconds: more than any priming or reordering delay.
const HEADROOM: i64 = 10;
/// How far a source's clock may have run ahead of ours while it was away, and still have just run on. What lies further ahead was set
/// anew: a gap of an hour would push what viewers are watching out of every window.
const AHEAD: i64 = 10;

/// What is known of the epoch before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Previous {
    /// Its offset, in whole seconds.
    pub(super) offset: i64,
    /// Where it would be by now if its source had gone on, on the broadcast's timeline.
    pub(super) now: Option<Time>,
}

/// The offset of an epoch whose earliest time is `first` on the publisher's timeline, after `previous`, where there is one, and after
/// media that ended at `end` of the broadcast's.
pub(super) fn choose(first: Time, previous: Option<Previous>, end: Option<Time>) -> i64 {
    let scale = first.scale();
    let begins = first.ticks().div_euclid(i64::from(scale.get()));
    let Some(end) = end else {
        return if begins >= 1 { 0 } else { HEADROOM.saturating_sub(begins) };
    };
    if let Some(Previous { offset, now }) = previous {
        let at = first + Time::from_secs(offset, scale);
        let latest = now.map_or(end, |now| now.max(end)) + Time::from_secs(AHEAD, scale);
        if (end..=latest).contains(&at) {
            return offset;
        }
    }
    let ends = end.ticks().div_euclid(i64::from(end.scale().get()));
    ends.saturating_add(2).saturating_sub(begins)
}
