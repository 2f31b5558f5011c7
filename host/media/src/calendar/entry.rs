//! What the calendar remembers.

use std::time::Duration;

use crate::time::Time;

/// The number of an epoch in its broadcast, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(pub u32);

/// A group's number. Rises by one a group, across epochs and across broadcasts of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Group(pub u64);

/// A segment's number, from 0 in each broadcast: the media sequence number of HLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Segment(pub u64);

/// One run of the publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochInfo {
    /// Its number.
    pub number: Epoch,
    /// Distinguishes it from every other epoch of a broadcast of this name, for URLs: the milliseconds since the Unix epoch at which
    /// it began.
    pub id: u64,
}

/// One segment of the broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its number.
    pub number: Segment,
    /// The epoch it belongs to.
    pub epoch: Epoch,
    /// Where it begins.
    pub start: Time,
    /// The first of an epoch that follows another.
    pub discontinuity: bool,
    /// How many segments of the broadcast, up to and including this one, began such an epoch: its discontinuity sequence number
    /// (RFC 8216, 4.3.3.3).
    pub discontinuities: u64,
    /// It begins with a group.
    pub independent: bool,
    /// When its beginning was captured, since the Unix epoch.
    pub program_date_time: Duration,
}

#[derive(Debug)]
pub(super) struct EpochEntry {
    pub(super) info: EpochInfo,
    /// Whole seconds from the publisher's timeline to the broadcast's.
    pub(super) offset: Option<i64>,
    /// A time of the broadcast and when it was captured.
    pub(super) anchor: Option<(Time, Duration)>,
    pub(super) has_video: bool,
}

#[derive(Debug)]
pub(super) struct GroupEntry {
    pub(super) number: Group,
    pub(super) epoch: Epoch,
    pub(super) start: Time,
    pub(super) segment: Segment,
}
