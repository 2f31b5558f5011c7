//! The state of one track's media playlist: a plain value, without I/O and without a clock.

mod absent;
mod blocking;
mod files;
mod measure;
mod text;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use millrace_media::calendar::{Epoch, Segment as SegmentNumber, SegmentInfo};
use millrace_media::track::Kind;
use millrace_media::{Broadcast, Fragment, Time};

use super::Settings;
use super::cadence::{Division, Parts, Watch};
use super::segment::{Header, Segment};

pub use blocking::{Answer, Wanted};
pub use files::Stored;
pub use measure::Measured;
pub use text::{Position, Report, Surroundings};

/// A playlist is never shorter than this many target durations for want of room (rfc8216bis, 6.2.2).
const LEAST_WINDOW: u32 = 3;

#[derive(Debug)]
enum Cadence {
    Watched(Watch),
    Known(Parts),
}

/// A CMAF header that segments need.
#[derive(Debug)]
struct Init {
    header: Header,
    epoch: Epoch,
    bytes: Bytes,
}

/// See [`MediaPlaylist::edge`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edge {
    pub(super) is_ready: bool,
    pub(super) is_ended: bool,
    listed_from: u64,
    segment: Option<u64>,
    parts: usize,
}

/// One track's media playlist, and the fragments its segments and parts are made of.
#[derive(Debug)]
pub struct MediaPlaylist {
    window: Duration,
    /// How long the bus keeps a track's media.
    kept: Duration,
    /// Distinguishes the directories of tracks of one name that followed each other within an epoch.
    generation: u32,
    cadence: Cadence,
    target_duration: Option<u32>,
    /// Without a hole in their numbers. All but the last are complete.
    segments: VecDeque<Segment>,
    /// The number of the first segment in the list; those before it can still be fetched.
    listed_from: u64,
    inits: Vec<Init>,
    /// The fragments before the next one are missing.
    gap: bool,
    /// Segments were passed over because nothing came.
    silent: bool,
    /// The bus let go of a segment that was listed: it keeps less than it was made to.
    squeezed: bool,
    /// What flowed when there was enough to tell.
    known: Option<Measured>,
    ended: bool,
    broken_rules: u64,
}

impl MediaPlaylist {
    /// An empty playlist of a track of which the bus keeps `kept`. `generation` counts the tracks of its name in the broadcast.
    pub fn new(settings: &Settings, kept: Duration, generation: u32) -> Self {
        let cadence = if settings.low_latency {
            Cadence::Watched(Watch::new(settings.part_target))
        } else {
            Cadence::Known(Parts::None("low latency is switched off".into()))
        };
        Self {
            window: settings.playlist_window,
            kept,
            generation,
            cadence,
            target_duration: None,
            segments: VecDeque::new(),
            listed_from: 0,
            inits: Vec::new(),
            gap: false,
            silent: false,
            squeezed: false,
            known: None,
            ended: false,
            broken_rules: 0,
        }
    }

    /// Takes the track's next fragment.
    pub fn push(&mut self, fragment: Fragment, broadcast: &Broadcast) {
        if self.ended {
            return;
        }
        if self.target_duration.is_none() {
            self.target_duration = broadcast.target_duration();
        }
        self.watch(&fragment);
        let segment = segment_of(&fragment, broadcast);
        if self.is_late(segment) {
            return;
        }
        if self.segments.back().is_none_or(|open| open.number() < segment.0) {
            let Some(info) = broadcast.segment(segment) else { return };
            self.complete_open(Some(broadcast));
            self.list_absent(segment.0, broadcast);
            self.begin(info, &fragment, broadcast);
            self.resume(&fragment);
            self.shorten();
        }
        let header = self.header(&fragment, broadcast);
        let Some(open) = self.segments.back_mut() else { return };
        open.lost |= std::mem::take(&mut self.gap);
        if open.header != header {
            // One header applies to a whole segment (RFC 8216, 4.3.2.5).
            open.lost = true;
            return;
        }
        let parts = if let Cadence::Known(parts) = &self.cadence { Some(parts) } else { None };
        if !open.add(fragment, parts) {
            self.broken_rules += 1;
        }
    }

    /// Fragments before the next one are missing.
    pub fn skip(&mut self) {
        self.gap = true;
        if let Some(open) = self.segments.back_mut() {
            open.lost = true;
        }
    }

    /// Lets go of segments that begin before fragment `first`: the bus no longer keeps them. Where it has let go of a listed one, the
    /// list is made so short that those which leave it next can still be fetched for a while.
    pub fn forget_before(&mut self, first: u64) {
        let mut lost_listed = false;
        while self.segments.len() > 1 && self.segments[0].first.is_none_or(|held| held < first) {
            // A segment without media counts as held while it is listed.
            if self.segments[0].first.is_none() && self.segments[0].number() >= self.listed_from {
                break;
            }
            lost_listed |= self.segments.pop_front().is_some_and(|gone| gone.number() >= self.listed_from);
        }
        if let Some(front) = self.segments.front() {
            self.listed_from = self.listed_from.max(front.number());
        }
        if lost_listed && !self.ended {
            self.squeezed = true;
            self.shorten();
        }
        self.forget_headers();
    }

    /// Lets go of headers that no segment needs.
    fn forget_headers(&mut self) {
        let Some(oldest) = self.segments.front().map(|front| &front.header) else { return };
        if let Some(used) = self.inits.iter().position(|init| init.header == *oldest) {
            self.inits.drain(..used);
        }
    }

    /// The track has ended.
    pub fn end(&mut self) {
        if self.ended {
            return;
        }
        self.settle();
        self.complete_open(None);
        self.ended = true;
        // A broadcast may end before its first group does.
        let longest = self.segments.iter().map(|segment| segment.duration.as_secs_f64().round() as u32).max();
        self.target_duration.get_or_insert(longest.unwrap_or(1).max(1));
    }

    /// True once there is something to be listed and everything that never changes is known.
    pub fn is_ready(&self) -> bool {
        self.target_duration.is_some() && matches!(self.cadence, Cadence::Known(_)) && !self.segments.is_empty()
    }

    /// True once nothing more comes.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// In seconds, once it is known.
    pub fn target_duration(&self) -> Option<u32> {
        self.target_duration
    }

    /// The part target, of a track that has parts.
    pub fn part_target(&self) -> Option<Time> {
        self.division().map(|division| division.target)
    }

    /// Why the track has no parts, where it has none.
    pub fn why_no_parts(&self) -> Option<&str> {
        match &self.cadence {
            Cadence::Known(Parts::None(reason)) => Some(reason),
            _ => None,
        }
    }

    /// How many parts were longer or shorter than the rules allow, because the track's fragments ceased to be what they had been.
    pub fn broken_rules(&self) -> u64 {
        self.broken_rules
    }

    /// What the ends of the list look like: it is worth a new text when this changes.
    pub(super) fn edge(&self) -> Edge {
        let open = self.segments.back();
        Edge {
            is_ready: self.is_ready(),
            is_ended: self.ended,
            listed_from: self.listed_from,
            segment: open.map(Segment::number),
            parts: self.division().and(open).map_or(0, |open| open.parts.len()),
        }
    }

    fn division(&self) -> Option<&Division> {
        match &self.cadence {
            Cadence::Known(Parts::Divided(division)) => Some(division),
            _ => None,
        }
    }

    fn watch(&mut self, fragment: &Fragment) {
        if let Cadence::Watched(watch) = &mut self.cadence
            && let Some(parts) = watch.look(fragment)
        {
            self.decide(parts);
        }
    }

    /// Decides about parts by what has come so far.
    fn settle(&mut self) {
        if let Cadence::Watched(watch) = &mut self.cadence {
            let parts = watch.finish();
            self.decide(parts);
        }
    }

    fn decide(&mut self, parts: Parts) {
        if let Parts::Divided(_) = parts {
            self.segments.iter_mut().for_each(|segment| segment.divide(&parts));
        }
        self.cadence = Cadence::Known(parts);
    }

    /// Completes the last segment. Where media of it is missing, the calendar of `broadcast` knows how long it is.
    fn complete_open(&mut self, broadcast: Option<&Broadcast>) {
        let Some(open) = self.segments.back_mut().filter(|open| !open.complete) else { return };
        let next = broadcast.and_then(|broadcast| broadcast.segment(SegmentNumber(open.number() + 1)));
        let length = next.filter(|next| next.epoch == open.info.epoch).map(|next| next.start - open.info.start);
        let parts = if let Cadence::Known(parts) = &self.cadence { Some(parts) } else { None };
        open.complete(length, parts);
    }

    fn begin(&mut self, info: SegmentInfo, fragment: &Fragment, broadcast: &Broadcast) {
        if self.segments.is_empty() {
            self.listed_from = info.number.0;
        }
        let header = self.header(fragment, broadcast);
        let date_time = broadcast.wall_clock(info.epoch, fragment.presentation_time).unwrap_or(info.program_date_time);
        self.segments.push_back(Segment::new(info, header, date_time));
    }

    /// The header that decodes `fragment`; a new one is given the next number of its epoch.
    fn header(&mut self, fragment: &Fragment, broadcast: &Broadcast) -> Header {
        let (epoch, bytes) = (fragment.place().epoch, &fragment.info().init);
        let last = self.inits.last().filter(|last| last.epoch == epoch);
        if let Some(last) = last.filter(|last| last.bytes == *bytes) {
            return last.header.clone();
        }
        let header = match last {
            Some(last) => Header { directory: last.header.directory.clone(), number: last.header.number + 1 },
            None => {
                let id = broadcast.epoch_info(epoch).map_or(u64::from(epoch.0), |info| info.id);
                let generation = self.generation;
                let directory = if generation == 0 { id.to_string() } else { format!("{id}-{generation}") };
                Header { directory: directory.into(), number: 0 }
            }
        };
        self.inits.push(Init { header: header.clone(), epoch, bytes: bytes.clone() });
        header
    }

    /// How much media the list holds now.
    fn window(&self) -> Time {
        self.window_of(if self.squeezed { self.kept.min(self.held()) } else { self.kept })
    }

    /// How much media the list holds where the bus keeps as much as it was made to.
    fn usual_window(&self) -> Time {
        self.window_of(self.kept)
    }

    fn window_of(&self, kept: Duration) -> Time {
        let target = Duration::from_secs(self.target_duration.unwrap_or(1).into());
        let fetchable = kept.saturating_sub(target) / 2;
        Time::from(self.window.min(fetchable).max(target * LEAST_WINDOW))
    }

    /// How much media can be fetched in complete segments, listed or not.
    fn held(&self) -> Duration {
        let complete = self.segments.iter().filter(|segment| segment.complete);
        complete.fold(Time::from_micros(0), |sum, segment| sum + segment.duration).to_duration()
    }

    /// Takes what is older than the window off the list.
    fn shorten(&mut self) {
        let Some(target) = self.target_duration else { return };
        self.squeezed &= self.held() + Duration::from_secs(target.into()) < self.kept;
        let window = self.window();
        let complete = self.listed().filter(|segment| segment.complete);
        let mut length = complete.fold(Time::from_micros(0), |sum, segment| sum + segment.duration);
        let mut from = self.listed_from;
        for first in self.listed().take_while(|first| first.complete) {
            length = length - first.duration;
            if length < window {
                break;
            }
            from = first.number() + 1;
        }
        self.listed_from = from;
    }

    fn listed(&self) -> impl DoubleEndedIterator<Item = &Segment> + Clone {
        let skip = self.segments.front().map_or(0, |front| self.listed_from.saturating_sub(front.number()));
        self.segments.range((skip as usize).min(self.segments.len())..)
    }

    fn find(&self, number: u64) -> Option<&Segment> {
        let first = self.segments.front()?.number();
        self.segments.get(usize::try_from(number.checked_sub(first)?).ok()?)
    }
}

/// The segment that a fragment belongs to. One of sound may have arrived before the picture that begins its segment.
fn segment_of(fragment: &Fragment, broadcast: &Broadcast) -> SegmentNumber {
    let mut number = fragment.place().segment;
    if fragment.info().kind() == Kind::Video {
        return number;
    }
    let begins_before =
        |next: &SegmentInfo| next.epoch == fragment.place().epoch && next.start <= fragment.presentation_time;
    while let Some(next) = broadcast.segment(SegmentNumber(number.0 + 1)).filter(begins_before) {
        number = next.number;
    }
    number
}
