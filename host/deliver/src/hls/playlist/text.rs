//! A media playlist as text.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use millrace_media::{Time, TrackName};

use super::MediaPlaylist;
use crate::hls::date::DateTime;
use crate::hls::ranges::DateRanges;
use crate::hls::segment::{Header, Segment};

/// Segments this many target durations from the end are replaced by a skip tag in a delta update (rfc8216bis, 4.4.3.8).
const SKIP_TARGETS: i64 = 6;
/// Hold-back and parts reach this many target durations back (rfc8216bis, 4.4.3.8 and 6.2.2).
const EDGE_TARGETS: i64 = 3;
/// Parts are listed of at most this many complete segments: enough for every hold-back, and what strict parsers take for three target
/// durations where segments are shorter than one.
const COMPLETE_WITH_PARTS: usize = 2;

/// The newest that a playlist contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The media sequence number of the newest segment that is complete or has a part.
    pub segment: u64,
    /// The index of its newest part, where the track has parts.
    pub part: Option<u64>,
}

/// Where another rendition of the broadcast is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The rendition's track.
    pub track: TrackName,
    /// The newest it has.
    pub position: Position,
}

/// What a playlist says about the rest of its broadcast.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The largest part target of any track of the broadcast.
    pub part_target: Option<Time>,
    /// The other renditions.
    pub reports: Vec<Report>,
    /// The broadcast's date ranges.
    pub ranges: Arc<DateRanges>,
}

/// Seconds with six decimals, rounded to the nearest.
struct Seconds(Time);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let micros = self.0.micros().max(0);
        write!(f, "{}.{:06}", micros / 1_000_000, micros % 1_000_000)
    }
}

/// The next whole microsecond: no part, rounded to the nearest, is longer than its target.
fn ceiling(time: Time) -> Time {
    let micros = Time::from_micros(time.micros());
    if micros < time { Time::from_micros(micros.ticks() + 1) } else { micros }
}

fn times(time: Time, n: i64) -> Time {
    Time::new(time.ticks().saturating_mul(n), time.scale())
}

/// A segment's distance from the playlist's end.
struct Placed<'a> {
    segment: &'a Segment,
    /// From its beginning.
    from_start: Time,
    /// From its end, and from that of the last complete segment.
    from_complete_end: Time,
}

impl MediaPlaylist {
    /// The newest it contains, once it is ready.
    pub fn position(&self) -> Option<Position> {
        let last = self.segments.back().filter(|_| self.is_ready())?;
        let has_parts = self.division().is_some();
        if last.complete || (has_parts && !last.parts.is_empty()) {
            let part = has_parts.then(|| (last.parts.len() as u64).saturating_sub(1));
            return Some(Position { segment: last.number(), part });
        }
        let before = self.find(last.number().checked_sub(1)?)?;
        Some(Position {
            segment: before.number(),
            part: has_parts.then(|| (before.parts.len() as u64).saturating_sub(1)),
        })
    }

    /// The playlist, or with `skip` a delta update where one saves anything. None until it is ready.
    pub fn text(&self, surroundings: &Surroundings, skip: bool) -> Option<String> {
        let target = i64::from(self.target_duration.filter(|_| self.is_ready())?);
        let placed = self.placed();
        let mut text = String::with_capacity(4_096);
        self.write_head(&mut text, target, surroundings, &placed).ok()?;
        let boundary = Time::from_millis(target * SKIP_TARGETS * 1_000);
        let can_skip = skip && !self.ended && self.can_skip(target);
        let skipped = placed.iter().take_while(|segment| can_skip && segment.from_complete_end > boundary).count();
        if skipped > 0 {
            writeln!(text, "#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}").ok()?;
        }
        // Of the same time in every track, where they are cut at the same.
        let first = placed.first().map_or(Duration::MAX, |first| first.segment.info.program_date_time);
        surroundings.ranges.write(&mut text, first).ok()?;
        let edge = Time::from_millis(target * EDGE_TARGETS * 1_000);
        let mut header = skipped.checked_sub(1).map(|last| &placed[last].segment.header);
        let complete = placed.iter().filter(|entry| entry.segment.complete).count();
        for (index, entry) in placed.iter().enumerate().skip(skipped) {
            let with_parts = entry.from_start < edge && index + COMPLETE_WITH_PARTS >= complete;
            self.write_segment(&mut text, entry.segment, header, with_parts).ok()?;
            header = Some(&entry.segment.header);
        }
        self.write_tail(&mut text, surroundings).ok()?;
        Some(text)
    }

    /// The listed segments, with the open one where it has parts.
    fn placed(&self) -> Vec<Placed<'_>> {
        let has_parts = self.division().is_some();
        let shown = self.listed().filter(|segment| segment.complete || (has_parts && !segment.parts.is_empty()));
        let mut from_start = Time::from_micros(0);
        let mut from_complete_end = Time::from_micros(0);
        let mut placed: Vec<_> = shown
            .rev()
            .map(|segment| {
                let length = if segment.complete { segment.duration } else { segment.parted() };
                from_start = from_start + length;
                let entry = Placed { segment, from_start, from_complete_end };
                if segment.complete {
                    from_complete_end = from_complete_end + length;
                }
                entry
            })
            .collect();
        placed.reverse();
        placed
    }

    /// Where the list is so short that it never reaches the skip boundary, there are no delta updates. This must not change.
    fn can_skip(&self, target: i64) -> bool {
        self.usual_window() >= Time::from_millis((target * (SKIP_TARGETS + 1)) * 1_000)
    }

    fn write_head(
        &self,
        text: &mut String,
        target: i64,
        surroundings: &Surroundings,
        placed: &[Placed<'_>],
    ) -> std::fmt::Result {
        writeln!(text, "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:{target}")?;
        write!(text, "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES")?;
        if self.can_skip(target) {
            write!(text, ",CAN-SKIP-UNTIL={}.0", target * SKIP_TARGETS)?;
        }
        write!(text, ",HOLD-BACK={}.0", target * EDGE_TARGETS)?;
        // All renditions of a broadcast have the same server control (rfc8216bis, 6.2.4).
        let own = self.part_target();
        if let Some(largest) = surroundings.part_target.into_iter().chain(own).max() {
            write!(text, ",PART-HOLD-BACK={}", Seconds(times(ceiling(largest), 3)))?;
        }
        text.push('\n');
        if let Some(own) = own {
            writeln!(text, "#EXT-X-PART-INF:PART-TARGET={}", Seconds(ceiling(own)))?;
        }
        let first = placed.first().map(|first| first.segment);
        let number = first.map_or(self.listed_from, Segment::number);
        // The tag of the first segment itself counts when it leaves the list.
        let left = first.map_or(0, |first| first.info.discontinuities - u64::from(first.info.discontinuity));
        writeln!(text, "#EXT-X-MEDIA-SEQUENCE:{number}\n#EXT-X-DISCONTINUITY-SEQUENCE:{left}")?;
        let begins_at_keyframe = |segment: &Segment| {
            let first = segment.parts.first().and_then(|part| part.fragments.first()).or(segment.rest.first());
            first.is_none_or(|first| first.marks.keyframe)
        };
        if placed.iter().all(|entry| begins_at_keyframe(entry.segment)) {
            writeln!(text, "#EXT-X-INDEPENDENT-SEGMENTS")?;
        }
        Ok(())
    }

    fn write_segment(
        &self,
        text: &mut String,
        segment: &Segment,
        before: Option<&Header>,
        with_parts: bool,
    ) -> std::fmt::Result {
        let (number, directory) = (segment.number(), &segment.header.directory);
        if segment.info.discontinuity {
            writeln!(text, "#EXT-X-DISCONTINUITY")?;
        }
        if before != Some(&segment.header) {
            writeln!(text, "#EXT-X-MAP:URI=\"{directory}/init-{}.mp4\"", segment.header.number)?;
        }
        writeln!(text, "#EXT-X-PROGRAM-DATE-TIME:{}", DateTime(segment.date_time))?;
        let mut gap = segment.complete && segment.lost;
        if with_parts && self.division().is_some() {
            for (index, part) in segment.parts.iter().enumerate() {
                write!(
                    text,
                    "#EXT-X-PART:DURATION={},URI=\"{directory}/{number}.{index}.m4s\"",
                    Seconds(part.duration)
                )?;
                if part.independent {
                    write!(text, ",INDEPENDENT=YES")?;
                }
                if part.is_lost() {
                    write!(text, ",GAP=YES")?;
                    // The tag follows the first part that is missing.
                    if std::mem::take(&mut gap) {
                        write!(text, "\n#EXT-X-GAP")?;
                    }
                }
                text.push('\n');
            }
        }
        if gap {
            writeln!(text, "#EXT-X-GAP")?;
        }
        if segment.complete {
            writeln!(text, "#EXTINF:{},\n{directory}/{number}.m4s", Seconds(segment.duration))?;
        }
        Ok(())
    }

    fn write_tail(&self, text: &mut String, surroundings: &Surroundings) -> std::fmt::Result {
        if self.ended {
            return writeln!(text, "#EXT-X-ENDLIST");
        }
        if let Some((directory, number, part)) = self.hint() {
            writeln!(text, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{directory}/{number}.{part}.m4s\"")?;
        }
        for Report { track, position } in &surroundings.reports {
            write!(text, "#EXT-X-RENDITION-REPORT:URI=\"../{track}/playlist.m3u8\",LAST-MSN={}", position.segment)?;
            if let Some(part) = position.part {
                write!(text, ",LAST-PART={part}")?;
            }
            text.push('\n');
        }
        Ok(())
    }

    /// The part that comes next: of the segment after the open one where that is as long as the one before it was.
    fn hint(&self) -> Option<(&str, u64, usize)> {
        let division = self.division()?;
        let open = self.segments.back().filter(|open| !open.complete)?;
        let before = open.number().checked_sub(1).and_then(|number| self.find(number));
        let usual = before.filter(|before| !before.lost && before.info.epoch == open.info.epoch);
        let nearly_over =
            |usual: &Segment| times(open.parted() + division.fragment - usual.duration, 2) > division.fragment;
        let directory = &*open.header.directory;
        if open.rest.is_empty() && !open.parts.is_empty() && usual.is_some_and(nearly_over) {
            return Some((directory, open.number() + 1, 0));
        }
        Some((directory, open.number(), open.parts.len()))
    }
}
