//! A broadcast that is being published, on the side of the bus: its publisher's place and its tracks.
//!
//! Everything here is done under a lock, in no more time than it takes to write a fragment.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millrace_cmaf::TrackHeader;
use millrace_media::bus::PublishError;
use millrace_media::track::Kind;
use millrace_media::{BroadcastName, Bus, Publisher, Time, TrackName};

use super::PROTOCOL;
use super::container::Piece;
use super::refusal::WriteRefusal;
use crate::lane::{self, Incoming, Lane};
use crate::names::{Key, Names};
use crate::pieces::Lengths;

/// Time that goes back by more than this has been set anew; by less, a frame has come twice or with a wrong timestamp.
const SLIP: Time = Time::from_millis(1_000);
/// For how long after a publisher began anew what is left over from before is told from what comes after.
const LEFT_OVER: Duration = Duration::from_secs(10);

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Source {
    pub(super) name: BroadcastName,
    bus: Bus,
    lengths: Lengths,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// None while the publisher is silent.
    publisher: Option<Publisher>,
    tracks: BTreeMap<Key, Track>,
    names: Names,
    /// When media came last.
    heard: Duration,
    /// Where the publisher's time was set anew, on its own timeline, and when.
    begun: Option<(Time, Duration)>,
    /// Nothing more is taken.
    over: bool,
}

#[derive(Debug)]
struct Track {
    header: Arc<TrackHeader>,
    lane: Lane,
}

impl Source {
    /// Takes the publisher's place. `names` are those that the tracks had when the publisher was there before.
    ///
    /// # Errors
    /// Where it is taken.
    pub(super) fn new(bus: Bus, name: BroadcastName, lengths: Lengths, names: Names) -> Result<Self, PublishError> {
        let publisher = bus.publish(&name)?;
        let heard = bus.clock().now().monotonic;
        let state =
            State { publisher: Some(publisher), tracks: BTreeMap::new(), names, heard, begun: None, over: false };
        Ok(Self { name, bus, lengths, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.bus.clock().now().monotonic
    }

    /// Writes what came of the publisher's track `name`.
    ///
    /// # Errors
    /// Where it is not taken.
    pub(super) fn write(&self, name: &str, piece: Piece) -> Result<(), WriteRefusal> {
        let now = self.now();
        let mut state = self.state();
        if state.over {
            return Err(WriteRefusal::Ended);
        }
        if state.publisher.is_none() {
            tracing::info!(broadcast = %self.name, "the publisher is heard again");
            state.publisher = Some(self.bus.publish(&self.name).inspect_err(|_| state.over = true)?);
        }
        state.heard = now;
        let Piece { header, media } = piece;
        let key = (name.to_owned(), header.track_id);
        let known = state.tracks.get(&key).map(|track| track.header == header);
        if known == Some(false) {
            tracing::info!(broadcast = %self.name, track = name, "the publisher has sent another header");
            self.begin_anew(&mut state, Some((&key, &header)))?;
            state.begun = Some((media.decode_time(), now));
        } else if known.is_none() {
            let lane = state.lane(key.clone(), &header, self.lengths, None)?;
            state.tracks.insert(key.clone(), Track { header, lane });
        }
        let begun = state.begun.filter(|(_, since)| now.saturating_sub(*since) < LEFT_OVER).map(|(at, _)| at);
        let Some(Track { lane, header }) = state.tracks.get_mut(&key) else { return Ok(()) };
        if begun.is_some_and(|begun| lane.is_left_over(&media, begun)) {
            lane::dropped(PROTOCOL, "left-over");
            return Ok(());
        }
        let (given, back) = (media.decode_time(), lane.has_seen(&media));
        if back && lane.last().is_some_and(|last| last - given <= SLIP) {
            lane::dropped(PROTOCOL, "seen-before");
            if header.info.kind() == Kind::Video {
                lane.lost();
            }
            return Ok(());
        }
        if back || lane.jumps(&media) {
            tracing::info!(broadcast = %self.name, track = name, at = %given, "the publisher's time was set anew");
            self.begin_anew(&mut state, None)?;
            state.begun = Some((given, now));
        }
        let State { publisher: Some(publisher), tracks, .. } = &mut *state else { return Err(WriteRefusal::Ended) };
        match tracks.get_mut(&key) {
            Some(track) => Ok(track.lane.write(publisher, media)?),
            None => Ok(()),
        }
    }

    /// Begins an epoch with all the tracks there are, one of them with another header.
    fn begin_anew(&self, state: &mut State, changed: Option<(&Key, &Arc<TrackHeader>)>) -> Result<(), WriteRefusal> {
        state.tracks.values_mut().for_each(|track| track.lane.flush());
        // Until somebody publishes again the broadcast waits for its publisher's return.
        drop(state.publisher.take());
        state.publisher = Some(self.bus.publish(&self.name).inspect_err(|_| state.over = true)?);
        for (key, Track { header, lane }) in std::mem::take(&mut state.tracks) {
            let header = changed.filter(|(changed, _)| **changed == key).map_or(header, |(_, header)| header.clone());
            let end = lane.end();
            // A track has one writer at a time.
            drop(lane);
            let lane = state.lane(key.clone(), &header, self.lengths, end)?;
            state.tracks.insert(key, Track { header, lane });
        }
        state.begun = None;
        Ok(())
    }

    /// Something of a track is missing: what comes next does not follow from what came before.
    pub(super) fn lost(&self, name: &str) {
        self.state().tracks_of(name).for_each(|track| track.lane.lost());
    }

    /// Nothing more comes of the group of a track that is being written.
    pub(super) fn end_group(&self, name: &str) {
        self.state().tracks_of(name).for_each(|track| track.lane.end_group());
    }

    /// Nothing more comes of a track.
    pub(super) fn end(&self, name: &str) {
        let mut state = self.state();
        let of_it = |key: &Key| key.0 == name;
        let (gone, left) = std::mem::take(&mut state.tracks).into_iter().partition(|(key, _)| of_it(key));
        state.tracks = left;
        let gone: BTreeMap<Key, Track> = gone;
        gone.into_values().for_each(|track| track.lane.finish());
        if let Some(publisher) = &state.publisher {
            publisher.broadcast().changed();
        }
    }

    /// Gives the publisher's place up where it has been silent for so long, until it is heard again.
    pub(super) fn rest(&self, idle: Duration) {
        let now = self.now();
        let mut state = self.state();
        if now.saturating_sub(state.heard) < idle || state.publisher.is_none() {
            return;
        }
        tracing::info!(broadcast = %self.name, "the publisher is silent");
        state.leave(false);
    }

    /// Takes nothing more: the broadcast ends if `finished`, else it waits for its publisher's return. Gives the tracks' names to
    /// those who come after.
    pub(super) fn close(&self, finished: bool) -> Names {
        let mut state = self.state();
        state.over = true;
        state.leave(finished);
        state.names.clone()
    }
}

impl State {
    fn tracks_of(&mut self, name: &str) -> impl Iterator<Item = &mut Track> {
        self.tracks.iter_mut().filter(move |(key, _)| key.0 == name).map(|(_, track)| track)
    }

    fn lane(
        &mut self,
        key: Key,
        header: &TrackHeader,
        lengths: Lengths,
        before: Option<Time>,
    ) -> Result<Lane, WriteRefusal> {
        let Some(publisher) = &self.publisher else { return Err(WriteRefusal::Ended) };
        let used: Vec<TrackName> = self.tracks.values().map(|track| track.lane.name().clone()).collect();
        let name = self.names.choose(key, header.info.kind(), &used);
        let writer = publisher.write_track(name, header.info.clone())?;
        Ok(Lane::new(PROTOCOL, header.info.kind(), writer, lengths, before))
    }

    fn leave(&mut self, finished: bool) {
        let mut tracks = std::mem::take(&mut self.tracks);
        tracks.values_mut().for_each(|track| track.lane.flush());
        drop(tracks);
        match self.publisher.take() {
            Some(publisher) if finished => publisher.finish(),
            // Dropping it lets the broadcast wait.
            _ => {}
        }
    }
}
