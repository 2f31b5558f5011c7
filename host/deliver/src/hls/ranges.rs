//! Date ranges: the source's events in media playlists (rfc8216bis, 4.4.5.1).
//!
//! Events come as `emsg` before the fragments of any track of the source, or as the samples of an event message track. They are read
//! when the fragment arrives, which for an event with pre-roll is before its time. The ranges belong to the broadcast: every media
//! playlist of it, rungs and audio included, lists the same.
//!
//! | scheme of the event | date range |
//! | --- | --- |
//! | `urn:scte:scte35:2013:bin`, `urn:scte:scte35:2014:xml+bin` | `SCTE35-OUT`, `SCTE35-IN`, `SCTE35-CMD`: see [`splice`] |
//! | [`DATE_RANGE_SCHEME`] | the attributes that the message lists: see [`attributes`] |
//! | any other | none: players that know it read it from the segments, as they do ID3 |
//!
//! A range keeps its `ID` and every attribute it has been listed with. It can get further ones, such as `DURATION` when its end is known.
//! Delta updates list all ranges: `CAN-SKIP-DATERANGES` is not offered.

mod attributes;
mod range;
pub(in crate::hls) mod splice;

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millrace_cmaf::carries_events;
use millrace_cmaf::write::Event;
use millrace_media::{Broadcast, Fragment, Time};

use range::Range;

/// Events of this scheme carry the attribute list of a date range, as a plugin or a publisher writes it. `ID` and `START-DATE` come from the
/// event, and so does `DURATION` where the event says one.
pub const DATE_RANGE_SCHEME: &str = "urn:millrace:hls:daterange";
const SCTE35: &str = "urn:scte:scte35:2013:bin";
const SCTE35_XML: &str = "urn:scte:scte35:2014:xml+bin";

/// An event farther ahead of its fragment is ignored: nothing is announced a day before.
const MOST_AHEAD: Time = Time::from_millis(24 * 3_600 * 1_000);
/// A range without an end is listed for so long.
const LONGEST_OPEN: Duration = Duration::from_secs(24 * 3_600);
/// Events read of one fragment; more are ignored.
const MOST_EVENTS: usize = 16;
/// Ranges that a broadcast has at a time, and the bytes they take in a playlist. Beyond, those that begin first go.
const MOST_RANGES: usize = 64;
const MOST_BYTES: usize = 64 << 10;

/// The date ranges of a broadcast at one moment.
#[derive(Clone, Debug, Default)]
pub struct DateRanges {
    /// Rises with every change.
    revision: u64,
    /// In the order of their starts.
    listed: Vec<Listed>,
}

#[derive(Clone, Debug)]
struct Listed {
    start: Duration,
    until: Duration,
    tag: String,
}

impl DateRanges {
    /// Which version of the broadcast's ranges these are.
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// Writes the tags of a playlist whose first segment begins at `first`, since the Unix epoch: ranges that overlap no segment any more
    /// are left out.
    pub(super) fn write(&self, text: &mut String, first: Duration) -> std::fmt::Result {
        let shown = self.listed.iter().filter(|range| range.start >= first || range.until > first);
        shown.into_iter().try_for_each(|range| writeln!(text, "{}", range.tag))
    }
}

/// Reads the events of a broadcast's source. Shared by the feeds of its tracks.
pub(super) struct Ranges {
    /// How long a range is kept after its end: as long as any playlist may list a segment of its time.
    kept: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ranges: Vec<Range>,
    now: Arc<DateRanges>,
}

/// When an event happens, and the time of the fragment it came with, both since the Unix epoch.
#[derive(Clone, Copy, Debug)]
struct Times {
    start: Duration,
    now: Duration,
}

impl Ranges {
    /// Of a broadcast whose media is kept for so long.
    pub(super) fn new(kept: Duration) -> Self {
        Self { kept, state: Mutex::default() }
    }

    /// The ranges as they are now.
    pub(super) fn now(&self) -> Arc<DateRanges> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).now.clone()
    }

    /// Reads the events that come with a fragment of the source. Most fragments have none, and cost a look at their first box.
    pub(super) fn read(&self, fragment: &Fragment, broadcast: &Broadcast) {
        let in_head = carries_events(fragment);
        let in_samples = fragment.info().codec == millrace_cmaf::EVENT_MESSAGES;
        if !in_head && !in_samples {
            return;
        }
        let mut events = if in_head { millrace_cmaf::events(fragment) } else { Vec::new() };
        if in_samples {
            events.extend(millrace_cmaf::sample_events(fragment));
        }
        let epoch = fragment.place().epoch;
        let Some(now) = broadcast.wall_clock(epoch, fragment.presentation_time) else { return };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = false;
        for event in events.iter().take(MOST_EVENTS) {
            if event.presentation_time - fragment.presentation_time > MOST_AHEAD {
                continue;
            }
            let Some(start) = broadcast.wall_clock(epoch, event.presentation_time) else { continue };
            changed |= state.take(event, Times { start, now });
        }
        if changed {
            state.publish(now.saturating_sub(self.kept));
        }
    }
}

impl State {
    /// Takes an event. False where it says nothing new.
    fn take(&mut self, event: &Event, times: Times) -> bool {
        match event.scheme.as_str() {
            SCTE35 => splice::take(&mut self.ranges, &event.data, times),
            SCTE35_XML => {
                splice::from_xml(&event.data).is_some_and(|section| splice::take(&mut self.ranges, &section, times))
            }
            DATE_RANGE_SCHEME => attributes::take(&mut self.ranges, event, times),
            _ => false,
        }
    }

    /// Lets go of what ended before `oldest`, and of what is too much, and makes the tags of the rest.
    fn publish(&mut self, oldest: Duration) {
        self.ranges.retain(|range| range.until() >= oldest);
        self.ranges.sort_by_key(Range::start);
        let mut listed: Vec<_> = self
            .ranges
            .iter()
            .map(|range| Listed { start: range.start(), until: range.until(), tag: range.tag() })
            .collect();
        let mut bytes: usize = listed.iter().map(|range| range.tag.len()).sum();
        let mut surplus = 0;
        while listed.len() - surplus > MOST_RANGES || bytes > MOST_BYTES {
            bytes -= listed[surplus].tag.len();
            surplus += 1;
        }
        listed.drain(..surplus);
        self.ranges.drain(..surplus);
        self.now = Arc::new(DateRanges { revision: self.now.revision + 1, listed });
    }
}
