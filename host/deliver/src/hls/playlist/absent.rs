//! Media that never comes: of a rung that rests because nobody plays it, of one that was given up for a while, and of a track whose
//! reader was too slow.
//!
//! The numbers of its segments are taken, since all tracks of a broadcast count alike. They are listed as absent (rfc8216bis, 4.4.4.7),
//! so that a player that comes to the track finds its way to the media after them.

use millrace_media::calendar::Segment as SegmentNumber;
use millrace_media::{Broadcast, Fragment, Time};

use super::{Cadence, MediaPlaylist};
use crate::hls::cadence::Parts;
use crate::hls::segment::{Header, Segment};

/// The most segments without media that are listed at a time: a longer hole begins the list anew.
const MOST_ABSENT: u64 = 64;
/// Less than this is missing of a whole segment: tracks are not cut at the same tick.
const TOLERATED: Time = Time::from_millis(200);

impl MediaPlaylist {
    /// The track has fallen silent, and the source has come to segment `reached`: what is before it does not come any more. Should it
    /// come nevertheless, it is passed over.
    pub fn pass(&mut self, reached: SegmentNumber, broadcast: &Broadcast) {
        if self.ended || self.segments.back().is_none_or(|open| open.number() >= reached.0) {
            return;
        }
        self.target_duration = self.target_duration.or_else(|| broadcast.target_duration());
        self.settle();
        self.remember();
        self.complete_short(broadcast);
        self.list_absent(reached.0, broadcast);
        self.silent = true;
        self.shorten();
        self.forget_unlisted();
    }

    /// Nothing has come since segments were passed over.
    pub fn is_silent(&self) -> bool {
        self.silent
    }

    /// Lists the segments before `number` of which nothing came. Where the calendar has forgotten one of them, the list begins anew.
    pub(super) fn list_absent(&mut self, number: u64, broadcast: &Broadcast) {
        let (Some(last), Some(header)) = (self.segments.back(), self.inits.last()) else { return };
        let (next, header) = (last.number() + 1, header.header.clone());
        let first = next.max(number.saturating_sub(MOST_ABSENT));
        if first != next {
            self.begin_anew(first);
        }
        for number in first..number {
            match self.absent(number, header.clone(), broadcast) {
                Some(absent) => self.segments.push_back(absent),
                None => self.begin_anew(number + 1),
            }
        }
    }

    /// A segment of which nothing came.
    fn absent(&self, number: u64, header: Header, broadcast: &Broadcast) -> Option<Segment> {
        let info = broadcast.segment(SegmentNumber(number))?;
        let next = broadcast.segment(SegmentNumber(number + 1)).filter(|next| next.epoch == info.epoch);
        let usual = || Time::from_secs(self.target_duration.unwrap_or(1).into(), info.start.scale());
        let length = next.map_or_else(usual, |next| next.start - info.start);
        let mut absent = Segment::new(info, header, info.program_date_time);
        absent.lost = true;
        absent.complete(Some(length), self.parts());
        Some(absent)
    }

    fn begin_anew(&mut self, number: u64) {
        self.remember();
        self.segments.clear();
        self.listed_from = number;
    }

    /// Completes the open segment, which lacks some of its media if it is shorter than the calendar says.
    fn complete_short(&mut self, broadcast: &Broadcast) {
        let Some(open) = self.segments.back_mut().filter(|open| !open.complete) else { return };
        let next = broadcast.segment(SegmentNumber(open.number() + 1)).filter(|next| next.epoch == open.info.epoch);
        open.lost |= next.is_some_and(|next| next.start - open.info.start - open.duration > TOLERATED);
        self.complete_open(Some(broadcast));
    }

    /// After a silence, media may begin in the middle of its segment: what is before it is absent.
    pub(super) fn resume(&mut self, first: &Fragment) {
        if !std::mem::take(&mut self.silent) {
            return;
        }
        let Self { segments, cadence, .. } = self;
        let Some(open) = segments.back_mut() else { return };
        let missing = first.presentation_time - open.info.start;
        if open.info.epoch == first.place().epoch && missing > TOLERATED {
            let parts = if let Cadence::Known(parts) = cadence { Some(parts) } else { None };
            open.begin_late(missing, parts.as_deref());
        }
    }

    /// Too late: the segment it belongs to is complete.
    pub(super) fn is_late(&self, segment: SegmentNumber) -> bool {
        let newest = self.segments.back();
        newest.is_some_and(|newest| segment.0 < newest.number() || (segment.0 == newest.number() && newest.complete))
    }

    fn parts(&self) -> Option<&Parts> {
        if let Cadence::Known(parts) = &self.cadence { Some(parts) } else { None }
    }

    /// Lets go of segments that left the list longer ago than the bus would have kept them. It lets go of a track's media when more
    /// comes, and of a silent one's never.
    fn forget_unlisted(&mut self) {
        let kept = Time::from(self.kept);
        let unlisted = self.segments.iter().take_while(|segment| segment.number() < self.listed_from);
        let mut length = unlisted.fold(Time::from_micros(0), |sum, segment| sum + segment.duration);
        while length > kept && self.segments.len() > 1 {
            let Some(oldest) = self.segments.pop_front() else { break };
            length = length - oldest.duration;
        }
        self.forget_headers();
    }
}
