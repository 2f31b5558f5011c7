//! The calendar of a broadcast: epochs, groups, segments and programme time.
//!
//! It is computed once, from the source, and every track and every protocol indexes it, so that all of them cut in the same places
//! and number them alike. A *group* begins at each random access point of the source's video; where there is no video, the first
//! track to arrive begins one each segment target. A *segment* is a run of groups within the target duration. An *epoch* is one run of
//! the publisher; the next begins when a publisher returns, and numbers go on rising across it.
//!
//! The calendar is a plain value: times are arguments.

mod entry;
mod offset;
mod segments;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

pub use entry::{Epoch, EpochInfo, Group, Segment, SegmentInfo};
use entry::{EpochEntry, GroupEntry};
use segments::Segments;

use crate::fragment::Place;
use crate::time::Time;
use crate::track::Kind;

/// Two tracks' access points this close are the same one: less than a frame at 60 frames a second, more than any rounding of
/// timescales.
const SAME_INSTANT: Time = Time::from_millis(8);
/// How far apart the first sound and the first picture may lie and still begin the same group.
const START_SKEW: Time = Time::from_millis(2_000);
/// The most groups remembered, whatever their length: hostile keyframes cannot grow the calendar without end.
const MAX_GROUPS: usize = 8_192;
/// The most epochs remembered: far more returns of a publisher than a window holds.
const MAX_EPOCHS: usize = 1_024;

/// What a calendar is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a segment should be. The target duration announced is this, or the length of the source's groups where they are
    /// longer.
    pub segment_target: Duration,
    /// The longest segment: a source without random access points for so long is cut elsewhere.
    pub max_segment: Duration,
    /// How long groups and segments are remembered.
    pub history: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            segment_target: Duration::from_secs(2),
            max_segment: Duration::from_secs(10),
            history: Duration::from_secs(120),
        }
    }
}

/// What the calendar needs to know of a fragment of the source.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Of the sample presented first.
    pub presentation_time: Time,
    /// From there to its end.
    pub duration: Time,
    /// It can be decoded from its beginning.
    pub keyframe: bool,
}

/// Why a fragment has no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    /// Video before the first keyframe of its epoch, or so long after its last one that the calendar has forgotten the group.
    #[error("no keyframe has come yet, or none for too long")]
    BeforeKeyframe,
    /// A group that the calendar has not seen, or no longer remembers.
    #[error("group {} is not in the calendar", .0.0)]
    UnknownGroup(Group),
    /// The group lies before one the track has already reached.
    #[error("group {} comes after group {}", .given.0, .reached.0)]
    GroupWentBack {
        /// The one given.
        given: Group,
        /// The one the track has reached.
        reached: Group,
    },
}

/// How far one track has come in the calendar. Belongs to the track's writer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cursor {
    last: Option<Place>,
}

impl Cursor {
    /// The place of the last fragment.
    pub fn last(&self) -> Option<Place> {
        self.last
    }

    fn advance(&mut self, epoch: Epoch, group: Group, segment: Segment) -> Place {
        let place = match self.last {
            None => Place { sequence: 0, epoch, group, object: 0, segment },
            Some(last) => Place {
                sequence: last.sequence + 1,
                epoch,
                group,
                object: if last.group == group { last.object + 1 } else { 0 },
                segment: segment.max(last.segment),
            },
        };
        self.last = Some(place);
        place
    }
}

/// The group that a fragment belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    /// One that has begun.
    Known(Group),
    /// The newest, which begins where the fragment does.
    Moved(Group),
    /// One that begins with it.
    Next,
}

/// See the [module](self).
#[derive(Debug)]
pub struct Calendar {
    settings: Settings,
    epochs: VecDeque<EpochEntry>,
    groups: VecDeque<GroupEntry>,
    next_group: u64,
    segments: Segments,
    /// The end of the source's media so far, over all epochs.
    end: Option<Time>,
}

impl Calendar {
    /// An empty calendar. `first_group` is above any that readers of an earlier broadcast of this name may have seen.
    pub fn new(settings: Settings, first_group: Group) -> Self {
        Self {
            settings,
            epochs: VecDeque::new(),
            groups: VecDeque::new(),
            next_group: first_group.0,
            segments: Segments::new(settings),
            end: None,
        }
    }

    /// Begins an epoch at `unix` since the Unix epoch, when the publisher comes or returns.
    pub fn begin_epoch(&mut self, unix: Duration) -> Epoch {
        let number = Epoch(self.epochs.back().map_or(0, |last| last.info.number.0 + 1));
        let id = u64::try_from(unix.as_millis()).unwrap_or(u64::MAX);
        // Two epochs within a millisecond, or a clock that was set back, must not share a URL.
        let id = self.epochs.back().map_or(id, |last| id.max(last.info.id + 1));
        // A publisher may return again and again without media, by whose groups epochs are forgotten otherwise.
        if self.epochs.len() == MAX_EPOCHS {
            self.epochs.pop_front();
        }
        self.epochs.push_back(EpochEntry {
            info: EpochInfo { number, id },
            offset: None,
            anchor: None,
            has_video: false,
        });
        number
    }

    /// The epoch now, where one has begun.
    pub fn epoch(&self) -> Option<EpochInfo> {
        self.epochs.back().map(|epoch| epoch.info)
    }

    /// An epoch that is remembered.
    pub fn epoch_info(&self, epoch: Epoch) -> Option<EpochInfo> {
        self.epochs.iter().rev().find(|e| e.info.number == epoch).map(|e| e.info)
    }

    /// Whole seconds to be added to every time of the publisher so that they lie on the broadcast's timeline. The first caller in an
    /// epoch decides, with the earliest time it knows; all tracks of the epoch share the answer.
    pub fn offset(&mut self, first: Time) -> i64 {
        let end = self.end;
        let mut newest = self.epochs.iter_mut().rev();
        let Some(epoch) = newest.next() else { return 0 };
        let begun = Duration::from_millis(epoch.info.id);
        let previous = newest.next().and_then(|previous| {
            let now = previous.anchor.map(|(at, unix)| at + Time::from(begun.saturating_sub(unix)));
            Some(offset::Previous { offset: previous.offset?, now })
        });
        *epoch.offset.get_or_insert_with(|| offset::choose(first, previous, end))
    }

    /// Places a fragment of the source that arrived at `unix` since the Unix epoch.
    ///
    /// # Errors
    /// Video before its first keyframe in this epoch.
    pub fn place_source(
        &mut self,
        cursor: &mut Cursor,
        kind: Kind,
        timing: Timing,
        unix: Duration,
    ) -> Result<Place, NoPlace> {
        let Some(epoch) = self.epochs.back().map(|e| e.info.number) else { return Err(NoPlace::BeforeKeyframe) };
        let in_epoch = cursor.last.filter(|last| last.epoch == epoch);
        let start = timing.presentation_time;
        let group = match self.target(epoch, in_epoch, kind, timing)? {
            Target::Known(group) => group,
            Target::Moved(group) => self.move_start(group, start),
            Target::Next => self.open(epoch, start),
        };
        if kind == Kind::Video && timing.keyframe {
            self.epochs.back_mut().expect("an epoch has begun").has_video = true;
        }
        let group = in_epoch.map_or(group, |last| group.max(last.group));
        let end = start + timing.duration;
        self.end = Some(self.end.map_or(end, |known| known.max(end)));
        let entry = self.epochs.back_mut().expect("an epoch has begun");
        // A whole fragment has arrived by now: its first picture was taken at least its own length ago.
        entry.anchor.get_or_insert((start, unix.saturating_sub(timing.duration.to_duration())));
        if kind == Kind::Video || !entry.has_video {
            self.segments.cut_if_too_long(epoch, start, end);
        }
        let starts_group = in_epoch.is_none_or(|last| last.group != group);
        let segment = self.segment_of(group, starts_group && kind == Kind::Video, start);
        Ok(cursor.advance(epoch, group, segment))
    }

    /// Places a fragment that was derived from `group` of the source and begins at `start`.
    ///
    /// # Errors
    /// Where the calendar does not know the group, or the track has reached a later one.
    pub fn place_derived(&self, cursor: &mut Cursor, group: Group, start: Time) -> Result<Place, NoPlace> {
        if let Some(last) = cursor.last.filter(|last| last.group > group) {
            return Err(NoPlace::GroupWentBack { given: group, reached: last.group });
        }
        let entry = self.find(group).ok_or(NoPlace::UnknownGroup(group))?;
        let starts_group = cursor.last.is_none_or(|last| last.group != group);
        let segment = self.segment_of(group, starts_group, start);
        Ok(cursor.advance(entry.epoch, group, segment))
    }

    /// A segment that is remembered.
    pub fn segment(&self, segment: Segment) -> Option<SegmentInfo> {
        let entry = self.segments.get(segment)?;
        Some(SegmentInfo { program_date_time: self.wall_clock(entry.epoch, entry.start)?, ..*entry })
    }

    /// When `time` of `epoch` was captured, since the Unix epoch, as well as is known.
    pub fn wall_clock(&self, epoch: Epoch, time: Time) -> Option<Duration> {
        let (anchor, unix) = self.epochs.iter().rev().find(|e| e.info.number == epoch)?.anchor?;
        let since = time - anchor;
        Some(if since.is_negative() { unix.saturating_sub((-since).to_duration()) } else { unix + since.to_duration() })
    }

    /// The target duration in whole seconds (RFC 8216, 4.3.3.1): fixed once it is known, which is when the source's first group is
    /// complete.
    pub fn target_duration(&self) -> Option<u32> {
        self.segments.target()
    }

    /// How many segments were begun where decoding cannot, for want of a random access point.
    pub fn forced_cuts(&self) -> u64 {
        self.segments.forced_cuts()
    }

    /// The newest group, where one has begun.
    pub fn newest_group(&self) -> Option<Group> {
        self.groups.back().map(|group| group.number)
    }

    /// True where `time` lies so far after a group's beginning that an access point there begins another one.
    pub(crate) fn is_past(&self, group: Group, time: Time) -> bool {
        self.find(group).is_some_and(|group| time > group.start + SAME_INSTANT)
    }

    /// Where a fragment of the source would stand if it were placed now. Its segment may become a later one.
    ///
    /// # Errors
    /// As [`Calendar::place_source`].
    pub(crate) fn preview_source(&self, cursor: &Cursor, kind: Kind, timing: Timing) -> Result<Place, NoPlace> {
        let Some(epoch) = self.epochs.back().map(|e| e.info.number) else { return Err(NoPlace::BeforeKeyframe) };
        let in_epoch = cursor.last.filter(|last| last.epoch == epoch);
        let group = match self.target(epoch, in_epoch, kind, timing)? {
            Target::Known(group) | Target::Moved(group) => group,
            Target::Next => Group(self.next_group),
        };
        let group = in_epoch.map_or(group, |last| group.max(last.group));
        let segment = self.find(group).or(self.groups.back()).map_or(Segment(0), |group| group.segment);
        let mut cursor = *cursor;
        Ok(cursor.advance(epoch, group, segment))
    }

    /// The group that a fragment of the source belongs to.
    fn target(&self, epoch: Epoch, in_epoch: Option<Place>, kind: Kind, timing: Timing) -> Result<Target, NoPlace> {
        let start = timing.presentation_time;
        Ok(match kind {
            Kind::Video if timing.keyframe => self.access_point(epoch, start),
            // Another track may have begun so many groups that this one's is forgotten.
            Kind::Video => {
                let known = in_epoch.filter(|last| self.find(last.group).is_some());
                Target::Known(known.ok_or(NoPlace::BeforeKeyframe)?.group)
            }
            Kind::Audio | Kind::Text | Kind::Image | Kind::Data => self.follow(epoch, start),
        })
    }

    /// The group that an access point of the source's video at `start` begins, or joins where another track has begun it.
    fn access_point(&self, epoch: Epoch, start: Time) -> Target {
        let near = |group: &GroupEntry, by: Time| group.start - start <= by && start - group.start <= by;
        if let Some(last) = self.groups.back().filter(|group| group.epoch == epoch) {
            if !self.has_video() && near(last, START_SKEW) {
                return Target::Moved(last.number);
            }
            if start <= last.start + SAME_INSTANT {
                let known = self.groups.iter().rev().find(|group| group.epoch == epoch && near(group, SAME_INSTANT));
                return Target::Known(known.unwrap_or(last).number);
            }
        }
        Target::Next
    }

    /// The group that sound or data at `start` belongs to. Without video it begins one each segment target.
    fn follow(&self, epoch: Epoch, start: Time) -> Target {
        let Some(last) = self.groups.back().filter(|group| group.epoch == epoch) else {
            return Target::Next;
        };
        if !self.has_video() && start - last.start >= self.segments.cut_after() {
            return Target::Next;
        }
        let known = self.groups.iter().rev().take_while(|group| group.epoch == epoch);
        let found = known.clone().find(|group| group.start <= start).or(known.last());
        Target::Known(found.expect("there is a last group").number)
    }

    /// Whether the epoch has a keyframe.
    fn has_video(&self) -> bool {
        self.epochs.back().is_some_and(|epoch| epoch.has_video)
    }

    /// The newest group begins at `start`, where the first frame of the epoch is.
    fn move_start(&mut self, group: Group, start: Time) -> Group {
        if let Some(last) = self.groups.back_mut() {
            last.start = start;
            self.segments.move_start(last.segment, start);
        }
        group
    }

    fn open(&mut self, epoch: Epoch, start: Time) -> Group {
        let before = self.groups.back().filter(|group| group.epoch == epoch).map(|group| group.start);
        let segment = self.segments.group_begins(epoch, start, before);
        let number = Group(self.next_group);
        self.next_group += 1;
        self.groups.push_back(GroupEntry { number, epoch, start, segment });
        self.forget(start);
        number
    }

    fn forget(&mut self, now: Time) {
        let oldest = now - Time::from(self.settings.history);
        // Times of an earlier epoch lie before this one's, so one comparison serves all.
        while self.groups.len() > MAX_GROUPS || (self.groups.len() > 2 && self.groups[1].start < oldest) {
            self.groups.pop_front();
        }
        let Some(first) = self.groups.front() else { return };
        self.segments.forget_before(first.segment);
        while self.epochs.len() > 2 && self.epochs[0].info.number < first.epoch {
            self.epochs.pop_front();
        }
    }

    fn find(&self, group: Group) -> Option<&GroupEntry> {
        let first = self.groups.front()?.number.0;
        self.groups.get(usize::try_from(group.0.checked_sub(first)?).ok()?)
    }

    fn segment_of(&self, group: Group, at_its_start: bool, start: Time) -> Segment {
        let entry = self.find(group).expect("the group was just looked up or opened");
        if at_its_start {
            return entry.segment;
        }
        let next = self.find(Group(group.0 + 1)).filter(|next| next.epoch == entry.epoch);
        self.segments.at(entry.epoch, start, entry.segment, next.map(|next| next.segment))
    }
}
