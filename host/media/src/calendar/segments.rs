//! Where segments begin.
//!
//! A segment begins where a group does, as soon as the segment before is long enough, or would become longer than the target duration
//! with another group. A source that gives no random access point for too long is cut at a fragment: such a segment is marked as not
//! independent.

use std::collections::VecDeque;
use std::time::Duration;

use super::Settings;
use super::entry::{Epoch, Segment, SegmentInfo};
use crate::time::Time;

/// How many of the last groups say how long the next may be.
const GROUPS_REMEMBERED: usize = 8;

/// The most segments that are remembered: hours of them.
pub(super) const MAX_SEGMENTS: usize = 8_192;

/// Sound is cut at its own chunks, so that a segment of it may be this much longer than the pictures'.
const CHUNK: Time = Time::from_millis(150);

#[derive(Debug)]
pub(super) struct Segments {
    entries: VecDeque<SegmentInfo>,
    next: u64,
    wanted: Time,
    max_secs: u32,
    target: Option<u32>,
    group_lengths: VecDeque<Time>,
    forced_cuts: u64,
    discontinuities: u64,
}

impl Segments {
    pub(super) fn new(settings: Settings) -> Self {
        let max = settings.max_segment.max(settings.segment_target).max(Duration::from_secs(1));
        Self {
            entries: VecDeque::new(),
            next: 0,
            wanted: Time::from(settings.segment_target),
            max_secs: u32::try_from(max.as_secs_f64().ceil() as u64).unwrap_or(u32::MAX),
            target: None,
            group_lengths: VecDeque::new(),
            forced_cuts: 0,
            discontinuities: 0,
        }
    }

    pub(super) fn target(&self) -> Option<u32> {
        self.target
    }

    pub(super) fn forced_cuts(&self) -> u64 {
        self.forced_cuts
    }

    /// A segment this long ends at the next group: 95 % of what was asked for, so that rounding does not double it.
    pub(super) fn cut_after(&self) -> Time {
        Time::from_micros(self.wanted.micros() / 100 * 95)
    }

    /// A duration rounded to the nearest second must not exceed the target duration (RFC 8216, 4.3.3.1).
    fn limit(&self) -> Time {
        Time::from_millis(i64::from(self.target.unwrap_or(self.max_secs)) * 1000 + 499) - CHUNK
    }

    /// A group begins at `start`, the one before it in this epoch began at `before`. Returns the segment it belongs to.
    pub(super) fn group_begins(&mut self, epoch: Epoch, start: Time, before: Option<Time>) -> Segment {
        if let Some(before) = before {
            self.learn(start - before);
        }
        let Some(current) = self.entries.back().filter(|entry| entry.epoch == epoch) else {
            let discontinuity = !self.entries.is_empty();
            return self.begin(epoch, start, discontinuity, true);
        };
        let length = start - current.start;
        let next = self.group_lengths.iter().max().copied().unwrap_or(length);
        if length >= self.cut_after() || length + next > self.limit() {
            return self.begin(epoch, start, false, true);
        }
        current.number
    }

    fn learn(&mut self, length: Time) {
        self.group_lengths.push_back(length);
        if self.group_lengths.len() > GROUPS_REMEMBERED {
            self.group_lengths.pop_front();
        }
        if self.target.is_none() {
            let wanted = self.wanted.as_secs_f64().ceil();
            let secs = (length + CHUNK).as_secs_f64().round().max(wanted).max(1.0);
            self.target = Some((secs as u32).min(self.max_secs));
        }
    }

    /// Begins a segment at `start` where a fragment from there to `end` would make the current one too long.
    pub(super) fn cut_if_too_long(&mut self, epoch: Epoch, start: Time, end: Time) {
        let Some(current) = self.entries.back().filter(|entry| entry.epoch == epoch) else { return };
        if start <= current.start || end - current.start <= self.limit() {
            return;
        }
        self.target.get_or_insert(self.max_secs);
        self.forced_cuts += 1;
        self.begin(epoch, start, false, false);
    }

    /// How many are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    fn begin(&mut self, epoch: Epoch, start: Time, discontinuity: bool, independent: bool) -> Segment {
        // A source without keyframes begins no groups, by which segments are forgotten otherwise.
        if self.entries.len() == MAX_SEGMENTS {
            self.entries.pop_front();
        }
        let number = Segment(self.next);
        self.next += 1;
        self.discontinuities += u64::from(discontinuity);
        self.entries.push_back(SegmentInfo {
            number,
            epoch,
            start,
            discontinuity,
            discontinuities: self.discontinuities,
            independent,
            program_date_time: Duration::ZERO,
        });
        number
    }

    pub(super) fn move_start(&mut self, segment: Segment, start: Time) {
        if let Some(entry) = self.entries.iter_mut().rev().find(|entry| entry.number == segment) {
            entry.start = start;
        }
    }

    pub(super) fn get(&self, segment: Segment) -> Option<&SegmentInfo> {
        let first = self.entries.front()?.number.0;
        self.entries.get(usize::try_from(segment.0.checked_sub(first)?).ok()?)
    }

    /// The segment of `epoch` that `start` lies in, not before `from` and not after `until`.
    pub(super) fn at(&self, epoch: Epoch, start: Time, from: Segment, until: Option<Segment>) -> Segment {
        let last = self.entries.iter().rev().skip_while(|entry| until.is_some_and(|until| entry.number > until));
        last.take_while(|entry| entry.number >= from)
            .find(|entry| entry.epoch == epoch && entry.start <= start)
            .map_or(from, |entry| entry.number)
    }

    pub(super) fn forget_before(&mut self, segment: Segment) {
        while self.entries.front().is_some_and(|entry| entry.number < segment) {
            self.entries.pop_front();
        }
    }
}
