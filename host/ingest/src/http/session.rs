//! A broadcast that is being published, by however many connections.
//!
//! Everything here is done under the session's lock, in no more time than it takes to write a fragment.

mod course;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millrace_cmaf::{Chunk, Header};
use millrace_media::track::Kind;
use millrace_media::{BroadcastName, Bus, Publisher, Time, TrackName};
use tokio::sync::watch;

use self::course::Course;
use super::manifest::{Mpd, Playlist};
use super::naming;
use super::path::{Class, Target};
use super::refusal::Refusal;
use super::source::{Peer, Source, UploadId};
use super::{PROTOCOL, Settings};
use crate::lane::{self, JUMP};
use crate::names::Names;
use crate::pieces::Lengths;

/// A request that would write.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    pub(super) upload: UploadId,
    pub(super) target: Target,
    pub(super) peer: Peer,
}

/// How a header was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Declared {
    /// Its tracks are those of this source.
    Source(u64),
    /// The publisher has come back: the session is to be given up and a new one begun.
    Return,
    /// The session is over.
    Over,
}

/// What became of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It was written, or there was nothing to be done about it.
    Done,
    /// Another request is still writing what comes before it.
    Wait,
}

/// How a publisher sends. The two do not mix under one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    /// Streams under names of their own.
    Streams,
    /// Segments that a manifest describes.
    Pieces,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Session {
    pub(super) name: BroadcastName,
    bus: Bus,
    idle: Duration,
    lengths: Lengths,
    state: Mutex<State>,
    /// Counts what those who wait want to know of.
    changed: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    /// None once the session is over.
    publisher: Option<Publisher>,
    sources: Vec<Source>,
    names: Names,
    next_source: u64,
    heard: Duration,
    /// `availabilityStartTime` of the publisher's MPD, and the connection that brought it.
    run: Option<(String, Option<SocketAddr>)>,
    /// Somebody else has tried: what could be from either is not believed.
    contested: bool,
    /// Where the publisher's time was set anew, on its own timeline, and when.
    begun: Option<(Time, Duration)>,
}

impl Session {
    /// A session of this publisher's, who may come back to `bus` for another epoch.
    pub(super) fn new(bus: Bus, publisher: Publisher, names: Names, settings: &Settings, now: Duration) -> Self {
        let name = publisher.broadcast().name().clone();
        let Settings { idle_timeout: idle, lengths, .. } = *settings;
        let state = State {
            publisher: Some(publisher),
            sources: Vec::new(),
            names,
            next_source: 0,
            heard: now,
            run: None,
            contested: false,
            begun: None,
        };
        Self { name, bus, idle, lengths, state: Mutex::new(state), changed: watch::Sender::new(0) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes whenever a request begins or ends to write, and at the end.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn change(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    fn taken(&self, why: &'static str) -> Refusal {
        Refusal::Taken { name: self.name.clone(), why, idle: self.idle }
    }

    /// The header that a segment of this name belongs to, and whether that is sure.
    pub(super) fn header_of(&self, resource: &str) -> Option<(u64, Header, bool)> {
        let state = self.state();
        let fit = naming::header_of(resource, state.sources.iter().map(|source| source.resource.as_str()))?;
        let source = state.sources.get(fit.index)?;
        Some((source.id, source.header.clone(), fit.sure))
    }

    /// Takes a header.
    pub(super) fn declare(&self, claim: &Claim, header: &Header, now: Duration) -> Result<Declared, Refusal> {
        let mut state = self.state();
        if state.publisher.is_none() {
            return Ok(Declared::Over);
        }
        let family = if claim.target.class == Class::Piece { Family::Pieces } else { Family::Streams };
        if state.family().is_some_and(|known| known != family) {
            state.contested = true;
            return Err(self.taken("it is being sent in another form"));
        }
        let others_write = state.sources.iter().any(|source| source.writer.is_some_and(|w| w != claim.upload));
        if let Some(at) = state.sources.iter().position(|source| source.resource == claim.target.resource) {
            let source = &state.sources[at];
            let same_header = source.header == *header;
            let silent = now.saturating_sub(source.heard) >= self.idle;
            let mine = source.writer == Some(claim.upload);
            // Segments have requests of their own, so that only their connection says for sure that they are the same publisher's.
            let between = source.writer.is_none() && family == Family::Pieces;
            let known = source.peer.may_be(&claim.peer) && family == Family::Streams
                || between && claim.peer.is_connection(source.peer.address);
            if !mine && source.writer.is_some() {
                state.contested = true;
                return Err(self.taken("another request is sending it"));
            } else if !mine && source.written && (source.broken || silent) && !others_write {
                return Ok(Declared::Return);
            } else if (mine || source.written && known) && same_header {
                return Ok(Declared::Source(source.id));
            } else if mine || source.written && known && between {
                tracing::info!(broadcast = %self.name, resource = source.resource, "the publisher has sent another header");
                state.sources.remove(at).flush();
                self.begin_anew(&mut state)?;
                let source = state.add(claim, header, self.lengths, now)?;
                drop(state);
                self.change();
                return Ok(Declared::Source(source));
            } else if source.written {
                state.contested = true;
                return Err(self.taken("its media still comes"));
            }
            state.sources.remove(at).flush();
        }
        let source = state.add(claim, header, self.lengths, now)?;
        drop(state);
        self.change();
        Ok(Declared::Source(source))
    }

    /// Takes a chunk. `stream` is true of a request that brought its own header.
    pub(super) fn write(
        &self,
        claim: &Claim,
        source: u64,
        stream: bool,
        chunk: &Chunk,
        now: Duration,
    ) -> Result<Step, Refusal> {
        let mut state = self.state();
        match state.course(claim, source, stream, chunk, now) {
            Course::Write => {}
            Course::Drop(reason) => {
                lane::dropped(PROTOCOL, reason);
                return Ok(Step::Done);
            }
            Course::Wait => return Ok(Step::Wait),
            Course::BeginAnew => {
                tracing::info!(broadcast = %self.name, at = %chunk.decode_time(), "the publisher's time was set anew");
                self.begin_anew(&mut state)?;
                state.begun = Some((chunk.decode_time(), now));
            }
            Course::TimeWentBack { track_id, last, given } => {
                return Err(Refusal::TimeWentBack { name: self.name.clone(), track_id, last, given });
            }
            Course::Taken(why) => {
                state.contested = true;
                return Err(self.taken(why));
            }
            Course::Over => return Err(self.over()),
        }
        let State { publisher: Some(publisher), sources, heard, .. } = &mut *state else { return Err(self.over()) };
        let source = sources.iter_mut().find(|known| known.id == source).ok_or_else(|| self.over())?;
        let Some(lane) = source.lane(chunk) else { return Ok(Step::Done) };
        lane.write(publisher, chunk)?;
        source.writer = Some(claim.upload);
        source.peer.clone_from(&claim.peer);
        (source.written, source.broken, source.heard) = (true, false, now);
        *heard = now;
        Ok(Step::Done)
    }

    /// Begins an epoch, with all the sources there are and whoever writes them.
    fn begin_anew(&self, state: &mut State) -> Result<(), Refusal> {
        state.sources.iter_mut().for_each(Source::flush);
        // Until somebody publishes again the broadcast waits for its publisher's return.
        drop(state.publisher.take());
        let publisher = self.bus.publish(&self.name)?;
        for source in &mut state.sources {
            source.begin_anew(&publisher, self.lengths)?;
        }
        state.begun = None;
        state.publisher = Some(publisher);
        Ok(())
    }

    fn over(&self) -> Refusal {
        Refusal::Over(self.name.clone())
    }

    /// When media of a source came last.
    pub(super) fn heard(&self, source: u64) -> Option<Duration> {
        self.state().sources.iter().find(|known| known.id == source).map(|source| source.heard)
    }

    /// A request has waited long enough for the one that writes: takes its place if that one has been silent since `since`.
    pub(super) fn take_over(&self, source: u64, since: Duration) -> Result<(), Refusal> {
        let mut state = self.state();
        let State { sources, contested, .. } = &mut *state;
        match sources.iter_mut().find(|known| known.id == source) {
            Some(source) if source.heard <= since => source.writer = None,
            Some(_) => {
                *contested = true;
                return Err(self.taken("another request is sending it"));
            }
            None => return Err(Refusal::Over(self.name.clone())),
        }
        Ok(())
    }

    /// A request has ended. `stream` is true of one that was a whole stream. True where the session has nothing left to wait for.
    pub(super) fn leave(&self, upload: UploadId, broken: bool, stream: bool) -> bool {
        let mut state = self.state();
        let mut ended = Vec::new();
        for source in state.sources.iter_mut().filter(|source| source.writer == Some(upload)) {
            source.writer = None;
            source.broken = broken;
            if stream {
                source.flush();
                ended.push(source.id);
            }
        }
        if stream {
            state.sources.retain(|source| !ended.contains(&source.id));
        }
        let nothing_left = state.sources.is_empty();
        drop(state);
        self.change();
        nothing_left
    }

    /// The publisher has said that nothing more comes of a source. True where nothing more comes at all.
    pub(super) fn end_source(&self, ended: impl Fn(u64, &str) -> bool) -> bool {
        let mut state = self.state();
        for source in &mut state.sources {
            source.ended |= ended(source.id, &source.resource);
        }
        !state.sources.is_empty() && state.sources.iter().all(|source| source.ended)
    }

    /// Takes an MPD. True where it ends the broadcast.
    pub(super) fn mpd(&self, mpd: Mpd, peer: &Peer) -> Result<bool, Refusal> {
        let mut state = self.state();
        let of_streams = |source: &Source| source.resource.contains("Streams(");
        if state.family() == Some(Family::Streams) && !state.sources.iter().any(of_streams) {
            state.contested = true;
            return Err(self.taken("it is being sent in another form"));
        }
        let known = state.run.as_ref();
        if let (Some(given), Some((known, _))) = (&mpd.availability_start, known)
            && given != known
        {
            state.contested = true;
            return Err(self.taken("its manifest has another availabilityStartTime"));
        }
        let connection = known.and_then(|(_, connection)| *connection);
        if mpd.is_static && state.contested && !peer.is_connection(connection) {
            return Err(self.taken("somebody else has tried to publish it, so that it ends only by silence or DELETE"));
        }
        if let Some(given) = mpd.availability_start {
            state.run = Some((given, peer.address));
        }
        Ok(mpd.is_static)
    }

    /// Takes a playlist. True where it ends the broadcast.
    pub(super) fn playlist(&self, playlist: &Playlist, target: &Target, peer: &Peer) -> Result<bool, Refusal> {
        let folder = naming::split(&target.resource).0;
        let described = playlist.map.as_deref().map(|map| join(folder, map));
        let is_described = |resource: &str| match &described {
            Some(map) => resource == map,
            None => naming::split(resource).0 == folder,
        };
        {
            let mut state = self.state();
            if state.family() == Some(Family::Streams) {
                state.contested = true;
                return Err(self.taken("it is being sent in another form"));
            }
            let mut sources = state.sources.iter().filter(|source| is_described(&source.resource));
            if playlist.ended && state.contested && !sources.any(|source| peer.is_connection(source.peer.address)) {
                return Err(
                    self.taken("somebody else has tried to publish it, so that it ends only by silence or DELETE")
                );
            }
        }
        Ok(playlist.ended && self.end_source(|_, resource| is_described(resource)))
    }

    /// True where nobody writes and nothing has come for the idle time.
    pub(super) fn is_silent(&self, now: Duration) -> bool {
        let state = self.state();
        now.saturating_sub(state.heard) >= self.idle && state.sources.iter().all(|source| source.writer.is_none())
    }

    /// Ends the session: the broadcast ends too if `finished`, else it waits for its publisher's return. Gives the tracks' names to
    /// those who come after.
    pub(super) fn close(&self, finished: bool) -> Names {
        let mut state = self.state();
        let mut sources = std::mem::take(&mut state.sources);
        sources.iter_mut().for_each(Source::flush);
        drop(sources);
        match state.publisher.take() {
            Some(publisher) if finished => publisher.finish(),
            // Dropping it lets the broadcast wait.
            _ => {}
        }
        let names = std::mem::take(&mut state.names);
        drop(state);
        self.change();
        names
    }

    /// True of two handles to one session.
    pub(super) fn is(self: &Arc<Self>, other: &Arc<Self>) -> bool {
        Arc::ptr_eq(self, other)
    }
}

impl State {
    fn family(&self) -> Option<Family> {
        let of = |resource: &str| match Class::of(resource) {
            Class::Piece => Family::Pieces,
            _ => Family::Streams,
        };
        self.sources.first().map(|source| of(&source.resource))
    }

    fn add(&mut self, claim: &Claim, header: &Header, lengths: Lengths, now: Duration) -> Result<u64, Refusal> {
        let Some(publisher) = &self.publisher else { return Err(Refusal::Over(claim.target.broadcast.clone())) };
        let id = self.next_source;
        let resource = &claim.target.resource;
        let mut used: Vec<TrackName> =
            self.sources.iter().flat_map(|s| &s.lanes).map(|(_, lane)| lane.name().clone()).collect();
        let names = &mut self.names;
        let choose = |track_id: u32, kind: Kind| {
            let name = names.choose((resource.clone(), track_id), kind, &used);
            used.push(name.clone());
            name
        };
        let mut source = Source::new(id, resource, header.clone(), publisher, lengths, choose)?;
        (source.heard, source.peer) = (now, claim.peer.clone());
        self.next_source += 1;
        self.heard = now;
        self.sources.push(source);
        Ok(id)
    }
}

fn join(folder: &str, file: &str) -> String {
    if folder.is_empty() { file.to_owned() } else { format!("{folder}/{file}") }
}
