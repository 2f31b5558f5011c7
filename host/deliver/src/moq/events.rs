//! A broadcast's events as a track of their own: an MSF event timeline (draft-ietf-moq-msf-01, "Event Timeline track").
//!
//! Each edition is a group of one object, a JSON array of the events that are still in the window of the source's tracks, oldest first.
//! Subscribers to the media find the same events as `emsg` before its fragments; this track is for those who want no media.

use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use millrace_cmaf::carries_events;
use millrace_cmaf::write::Event;
use millrace_media::track::{Consumer, Event as Heard, Next, Start, Track};
use millrace_media::{Broadcast, Fragment, Time, Timescale};
use serde_json::{Value, json};

/// What the `data` of a record is: `scheme`, `value`, `id`, `duration` in milliseconds where it is known, and `message` in base64.
pub(super) const EVENT_TYPE: &str = "io.github.millrace.emsg";
/// A timeline without events.
pub(super) const NONE: Bytes = Bytes::from_static(b"[]");
/// The most events of a timeline, and the most bytes of messages; beyond, the oldest go.
const MOST: usize = 64;
const MOST_BYTES: usize = 64 << 10;
/// The longest message that is listed.
const LONGEST: usize = 16 << 10;

/// The events of a broadcast's source, read as its fragments come.
pub(super) struct Timeline {
    broadcast: Broadcast,
    tracks: Vec<(Track, Consumer)>,
    events: VecDeque<Event>,
    /// How long an event stays after its time.
    kept: Time,
    newest: Option<Time>,
    text: Bytes,
}

impl Timeline {
    /// Of a broadcast whose events are listed for so long after their time.
    pub(super) fn new(broadcast: Broadcast, kept: Time) -> Self {
        Self { broadcast, tracks: Vec::new(), events: VecDeque::new(), kept, newest: None, text: NONE }
    }

    /// As it is sent.
    pub(super) fn text(&self) -> &Bytes {
        &self.text
    }

    /// Reads what has come. True where the text is another.
    pub(super) fn catch_up(&mut self) -> bool {
        self.follow();
        let mut came = Vec::new();
        for (track, consumer) in &mut self.tracks {
            let in_samples = track.info().is_some_and(|info| info.codec == millrace_cmaf::EVENT_MESSAGES);
            while let Next::Ready(heard) = consumer.try_next() {
                let Heard::Fragment(fragment) = heard else { continue };
                self.newest = self.newest.max(Some(fragment.presentation_time));
                read(&fragment, in_samples, &mut came);
            }
        }
        let before = self.events.len();
        let mut changed = false;
        for event in came {
            let known =
                |other: &Event| (&other.scheme, &other.value, other.id) == (&event.scheme, &event.value, event.id);
            if !self.events.iter().any(|other| known(other) && other.data == event.data) {
                self.events.push_back(event);
                changed = true;
            }
        }
        if let Some(newest) = self.newest {
            let end = |event: &Event| event.presentation_time + event.duration.unwrap_or(Time::zero(Timescale::MILLIS));
            self.events.retain(|event| end(event) + self.kept >= newest);
        }
        let size = |event: &Event| event.data.len() + event.scheme.len() + event.value.len();
        while self.events.len() > MOST || self.events.iter().map(size).sum::<usize>() > MOST_BYTES {
            self.events.pop_front();
        }
        // What has left alone is worth no edition of its own.
        if changed || (before > 0 && self.events.is_empty()) {
            let records: Vec<Value> = self.events.iter().map(record).collect();
            self.text = serde_json::to_vec(&records).map_or(NONE, Bytes::from);
            return true;
        }
        false
    }

    /// Follows the source's tracks that there are now.
    fn follow(&mut self) {
        let live = self.broadcast.tracks();
        self.tracks.retain(|(track, _)| live.iter().any(|other| other.is_same(track)));
        for track in live.into_iter().filter(|track| track.provenance().is_source()) {
            if !self.tracks.iter().any(|(known, _)| known.is_same(&track)) {
                let consumer = track.subscribe(Start::OldestGroup);
                self.tracks.push((track, consumer));
            }
        }
    }
}

fn read(fragment: &Fragment, in_samples: bool, events: &mut Vec<Event>) {
    let mut found = if carries_events(fragment) { millrace_cmaf::events(fragment) } else { Vec::new() };
    if in_samples {
        found.extend(millrace_cmaf::sample_events(fragment));
    }
    found.retain(|event| event.data.len() <= LONGEST);
    // A slice of a head would keep all of it.
    found.iter_mut().for_each(|event| event.data = Bytes::copy_from_slice(&event.data));
    events.append(&mut found);
    // A fragment that is full of them cannot take more than the timeline does.
    events.drain(..events.len().saturating_sub(MOST));
}

fn record(event: &Event) -> Value {
    let millis = |time: Time| time.rescale(Timescale::MILLIS).ticks();
    let mut data = json!({
        "scheme": event.scheme,
        "value": event.value,
        "id": event.id,
        "message": STANDARD.encode(&event.data),
    });
    if let Some(duration) = event.duration {
        data["duration"] = millis(duration).into();
    }
    json!({ "m": millis(event.presentation_time), "data": data })
}
