//! A segment of one track, and its parts.

use std::sync::Arc;
use std::time::Duration;

use millrace_media::calendar::SegmentInfo;
use millrace_media::{Fragment, Time};

use super::cadence::{Division, Parts};

/// A run of fragments that is fetched in one piece.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// None where the media is lost.
    pub(super) fragments: Arc<[Fragment]>,
    pub(super) duration: Time,
    /// Decoding can begin at its beginning.
    pub(super) independent: bool,
}

impl Part {
    fn of(fragments: Vec<Fragment>, duration: Time) -> Self {
        let independent = fragments.first().is_some_and(|first| first.marks.keyframe);
        Self { fragments: fragments.into(), duration, independent }
    }

    pub(super) fn is_lost(&self) -> bool {
        self.fragments.is_empty()
    }
}

/// Where the files of an epoch lie, and which CMAF header they need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The directory of the epoch.
    pub(super) directory: Arc<str>,
    /// The header's number in it.
    pub(super) number: u32,
}

#[derive(Debug)]
pub(super) struct Segment {
    pub(super) info: SegmentInfo,
    pub(super) header: Header,
    /// When the track's own first sample in it was captured, since the Unix epoch.
    pub(super) date_time: Duration,
    /// Of a track without parts, one that holds all, once the segment is complete.
    pub(super) parts: Vec<Part>,
    /// What is in no part yet.
    pub(super) rest: Vec<Fragment>,
    rest_duration: Time,
    pub(super) duration: Time,
    pub(super) bytes: u64,
    pub(super) samples: u64,
    /// Some of its media is missing.
    pub(super) lost: bool,
    pub(super) complete: bool,
    /// The sequence number of its first fragment, where it has one.
    pub(super) first: Option<u64>,
}

impl Segment {
    pub(super) fn new(info: SegmentInfo, header: Header, date_time: Duration) -> Self {
        let zero = Time::zero(info.start.scale());
        Self {
            info,
            header,
            date_time,
            parts: Vec::new(),
            rest: Vec::new(),
            rest_duration: zero,
            duration: zero,
            bytes: 0,
            samples: 0,
            lost: false,
            complete: false,
            first: None,
        }
    }

    pub(super) fn number(&self) -> u64 {
        self.info.number.0
    }

    /// What is in parts already.
    pub(super) fn parted(&self) -> Time {
        self.duration - self.rest_duration
    }

    /// Adds a fragment. False where one of the rules for parts could not be kept.
    pub(super) fn add(&mut self, fragment: Fragment, parts: Option<&Parts>) -> bool {
        if self.first.is_none() {
            self.first = Some(fragment.place().sequence);
            self.rest_duration = Time::zero(fragment.duration.scale());
            self.duration = self.rest_duration + self.duration;
        }
        self.duration = self.duration + fragment.duration;
        self.bytes += fragment.size();
        self.samples += fragment.samples.len() as u64;
        let Some(Parts::Divided(division)) = parts else {
            self.rest_duration = self.rest_duration + fragment.duration;
            self.rest.push(fragment);
            return true;
        };
        let mut kept = true;
        if !self.rest.is_empty() && self.rest_duration + fragment.duration > division.target {
            kept = !division.is_broken_by(self.rest_duration);
            self.close_part();
        }
        self.rest_duration = self.rest_duration + fragment.duration;
        self.rest.push(fragment);
        if division.is_full(self.rest_duration) {
            kept &= self.rest_duration <= division.target;
            self.close_part();
        }
        kept
    }

    fn close_part(&mut self) {
        if !self.rest.is_empty() {
            let duration = std::mem::replace(&mut self.rest_duration, Time::zero(self.duration.scale()));
            self.parts.push(Part::of(std::mem::take(&mut self.rest), duration));
        }
    }

    /// Divides anew what came before the division was known.
    pub(super) fn divide(&mut self, parts: &Parts) {
        let held: Vec<_> =
            self.parts.drain(..).flat_map(|part| part.fragments.to_vec()).chain(self.rest.drain(..)).collect();
        let duration = self.duration;
        self.duration = Time::zero(duration.scale());
        (self.bytes, self.samples, self.first) = (0, 0, None);
        for fragment in held {
            self.add(fragment, Some(parts));
        }
        // That of a segment with a hole is more than its fragments'.
        self.duration = duration;
        if self.complete {
            self.close_part();
        }
    }

    /// Nothing more comes. Where media is missing, the segment still lasts as long as the calendar says: `length`.
    pub(super) fn complete(&mut self, length: Option<Time>, parts: Option<&Parts>) {
        self.close_part();
        self.complete = true;
        if let Some(missing) =
            length.map(|length| length - self.duration).filter(|missing| self.lost && missing.ticks() > 0)
        {
            self.duration = self.duration + missing;
            if let Some(Parts::Divided(division)) = parts {
                self.add_lost_parts(missing, *division);
            }
        }
    }

    /// Its first `missing` media is absent: the segment begins where the calendar says nevertheless.
    pub(super) fn begin_late(&mut self, missing: Time, parts: Option<&Parts>) {
        self.lost = true;
        self.date_time = self.info.program_date_time;
        self.duration = self.duration + missing;
        if let Some(Parts::Divided(division)) = parts {
            self.add_lost_parts(missing, *division);
        }
    }

    /// Parts that stand for `missing` media, none longer than the target.
    fn add_lost_parts(&mut self, missing: Time, division: Division) {
        let mut left = missing;
        while left.ticks() > 0 {
            let duration = left.min(division.target);
            self.parts.push(Part { fragments: Arc::new([]), duration, independent: false });
            left = left - duration;
        }
    }

    /// Bits per second, where it has any duration.
    pub(super) fn bit_rate(&self) -> Option<u64> {
        let micros = u64::try_from(self.duration.micros()).ok().filter(|micros| *micros > 0)?;
        Some(u64::try_from(u128::from(self.bytes) * 8_000_000 / u128::from(micros)).unwrap_or(u64::MAX))
    }
}
