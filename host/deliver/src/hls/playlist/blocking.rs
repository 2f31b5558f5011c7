//! Which requests are answered at once, which wait, and which are refused (rfc8216bis, 6.2.5.2).

use super::MediaPlaylist;

/// What a client wants the playlist to contain: `_HLS_msn` and `_HLS_part`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// A media sequence number.
    pub segment: u64,
    /// The index of a part of it; without one the segment must be complete.
    pub part: Option<u64>,
}

/// What is to be done with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Answer it now.
    Ready,
    /// It asks for what will be there soon.
    Wait,
    /// It asks for what is too far ahead.
    TooFar {
        /// The newest complete segment, where there is one.
        last: Option<u64>,
    },
}

impl MediaPlaylist {
    /// What is to be done with a request that wants this.
    pub fn ask(&self, wanted: Wanted) -> Answer {
        if self.ended {
            return Answer::Ready;
        }
        let Some(newest) = self.segments.back().filter(|_| self.is_ready()) else { return Answer::Wait };
        // Of a track that is silent, the newest segment is complete, and nothing is there of the next.
        let (open, parts) =
            if newest.complete { (newest.number() + 1, 0) } else { (newest.number(), newest.parts.len() as u64) };
        let too_far = Answer::TooFar { last: open.checked_sub(1) };
        if wanted.segment > open.saturating_add(1) {
            return too_far;
        }
        let (Some(division), Some(part)) = (self.division(), wanted.part) else {
            return if wanted.segment < open { Answer::Ready } else { Answer::Wait };
        };
        if wanted.segment < open {
            // A part past the segment's last means the first of the next.
            let next = self.find(wanted.segment).is_some_and(|segment| part >= segment.parts.len() as u64)
                && wanted.segment + 1 == open;
            return if next && parts == 0 { Answer::Wait } else { Answer::Ready };
        }
        let there = if wanted.segment == open { parts } else { 0 };
        if part < there {
            return Answer::Ready;
        }
        let seconds = division.target.as_secs_f64();
        let ahead = if seconds < 1.0 { (3.0 / seconds) as u64 } else { 3 };
        if part - there >= ahead { too_far } else { Answer::Wait }
    }
}
