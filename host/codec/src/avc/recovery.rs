//! Where decoding may begin without an IDR picture: the recovery point SEI message, ITU-T H.264 D.2.8.

use h264_reader::nal::sei::recovery_point::RecoveryPoint;
use h264_reader::nal::sei::{HeaderType, SeiReader};
use h264_reader::nal::{Nal as _, RefNal};
use millrace_media::time::Time;

use super::slice::Slice;
use crate::avc::Nal;

/// The `nal_unit_type` of SEI.
const SUPPLEMENTAL_INFORMATION: u8 = 6;

/// How many counts of `frame_num` after this access unit pictures are right, where this unit is an SEI that says so.
pub(super) fn recovery_point(nal: Nal<'_>) -> Option<u32> {
    if nal.bytes()[0] & 0x1f != SUPPLEMENTAL_INFORMATION {
        return None;
    }
    let mut payload = Vec::new();
    let unit = RefNal::new(nal.bytes(), &[], true);
    let mut messages = SeiReader::from_rbsp_bytes(unit.rbsp_bytes(), &mut payload);
    while let Ok(Some(message)) = messages.next() {
        if message.payload_type == HeaderType::RecoveryPoint {
            return RecoveryPoint::read(&message).ok().map(|point| point.recovery_frame_cnt);
        }
    }
    None
}

/// A coded picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Coded {
    pub(super) idr: bool,
    /// Its recovery point, if it has one: see [`recovery_point`].
    pub(super) recovery: Option<u32>,
    pub(super) slice: Slice,
}

/// How much of what comes out is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nothing: an IDR picture or a recovery point is awaited.
    Awaiting,
    /// Nothing yet: decoding began at a recovery point that is reached after so many counts of `frame_num`.
    Recovering(u32),
    /// Pictures presented from this time on.
    From(Time),
    /// Everything.
    Whole,
}

impl Progress {
    /// True where a picture presented at `time` is right.
    pub(super) fn shows(self, time: Time) -> bool {
        match self {
            Self::Awaiting | Self::Recovering(_) => false,
            Self::From(first) => time >= first,
            Self::Whole => true,
        }
    }

    /// Goes on to a picture presented at `time`, that counts `frame_num` on by `counts`.
    pub(super) fn advance(self, time: Time, picture: &Coded, counts: u32) -> Self {
        match (self, picture.recovery) {
            _ if picture.idr => Self::Whole,
            (Self::Whole, _) => Self::Whole,
            // What precedes a second recovery point was right, so its leading pictures are.
            (Self::From(_), Some(0)) => Self::Whole,
            (Self::From(_), _) => self,
            (Self::Awaiting | Self::Recovering(_), Some(0)) => Self::From(time),
            (Self::Awaiting, Some(left)) => Self::Recovering(left),
            (Self::Awaiting, None) => self,
            (Self::Recovering(left), _) if left <= counts => Self::From(time),
            // The reference picture behind it has the same number.
            (Self::Recovering(_), _) if !picture.slice.reference => self,
            (Self::Recovering(left), _) => Self::Recovering(left - counts),
        }
    }
}

/// Finds lost reference pictures by the numbers of those that come: ITU-T H.264 7.4.3, `frame_num`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sequel {
    /// `PrevRefFrameNum`.
    last: Option<u32>,
}

impl Sequel {
    /// By how much a picture counts on from the last reference picture; 0 where there is none.
    pub(super) fn counts(self, slice: &Slice) -> u32 {
        self.last.map_or(0, |last| slice.frame_num.ahead_of(last))
    }

    /// Whether the picture follows on what came before, without a reference picture between that is missing.
    pub(super) fn follows(self, slice: &Slice) -> bool {
        self.last.is_none() || slice.gaps_allowed || self.counts(slice) == 1
    }

    /// Notes a picture that was decoded.
    pub(super) fn note(&mut self, slice: &Slice) {
        if slice.reference {
            self.last = Some(if slice.resets { 0 } else { slice.frame_num.value });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::slice::Counter;
    use super::*;

    fn slice(frame_num: u32, reference: bool) -> Slice {
        let frame_num = Counter { value: frame_num, bits: 4 };
        Slice {
            first_block: 0,
            luma_samples: 256,
            redundant: false,
            ids: (0, None),
            order_deltas: [0, 0],
            frame_num,
            order: None,
            reference,
            resets: false,
            gaps_allowed: false,
        }
    }

    #[test]
    fn a_lost_reference_picture_is_noticed_and_a_lost_other_is_not() {
        let mut sequel = Sequel::default();
        for (frame_num, reference, follows) in [
            (14, true, true),
            (15, false, true),
            (15, false, true),
            (15, true, true),
            (0, true, true),
            (2, false, false),
        ] {
            let slice = slice(frame_num, reference);
            assert_eq!(sequel.follows(&slice), follows, "{frame_num}");
            sequel.note(&slice);
        }
    }

    #[test]
    fn the_message_is_found_among_others() {
        // Pic timing of one byte, then a recovery point of ue(2), exact, no broken link.
        let nal = [6, 1, 1, 0x80, 6, 1, 0b0111_0001, 0x80];
        assert_eq!(recovery_point(Nal::new(&nal).unwrap()), Some(2));
        assert_eq!(recovery_point(Nal::new(&nal[..4]).unwrap()), None);
    }

    #[test]
    fn an_intra_refresh_is_shown_when_it_has_gone_round() {
        let time = Time::from_millis;
        let coded = |recovery, reference| Coded { idr: false, recovery, slice: slice(0, reference) };
        let mut progress = Progress::Awaiting.advance(time(0), &coded(None, true), 1);
        assert_eq!(progress, Progress::Awaiting);
        progress = progress.advance(time(40), &coded(Some(3), true), 0);
        for (millis, reference, shown) in [
            (80, true, false),
            (120, false, false),
            (130, true, false),
            (160, true, true),
            (150, false, false),
            (200, true, true),
        ] {
            progress = progress.advance(time(millis), &coded(None, reference), 1);
            assert_eq!(progress.shows(time(millis)), shown, "{millis}");
        }
        assert_eq!(progress.advance(time(240), &coded(Some(0), true), 1), Progress::Whole);
    }
}
