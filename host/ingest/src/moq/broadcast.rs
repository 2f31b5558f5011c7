//! One broadcast of the other side: its catalog is followed, and the tracks that stand in it are read.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use millrace_cmaf::Header;
use millrace_media::access::Denied;
use tokio::sync::oneshot;
use tokio::task::{Id, JoinError, JoinSet};

use super::Settings;
use super::catalog::{self, Catalog, Described, Format, Init};
use super::container::{Container, Damage};
use super::order::{Start, Step};
use super::refusal::WriteRefusal;
use super::remote::{Bounds, End, Reading, Remote};
use super::source::Source;

/// How long a track that is not there yet, or has ended, is let be before it is asked for again.
const AGAIN: Duration = Duration::from_millis(500);
/// How often a broadcast is looked at for silence, at the least.
const LOOK: Duration = Duration::from_millis(500);
/// How long another catalog is waited for once there is one of the older format.
const FULLER: Duration = Duration::from_secs(1);
/// How long the header of a track may take that is a track of its own.
const HEADER: Duration = Duration::from_secs(10);

/// Why a broadcast is given up while its publisher is still there.
#[derive(Debug, thiserror::Error)]
pub(super) enum GivenUp {
    /// Nothing says what is in it.
    #[error("no catalog can be read: {0}")]
    NoCatalog(String),
    /// Its name is somebody else's by now, or it was ended here.
    #[error("{0}")]
    Refused(#[from] WriteRefusal),
    /// Its publisher may no longer publish it.
    #[error("{0}")]
    Denied(Denied),
    /// The publisher does not stop sending what it was asked to stop.
    #[error("the publisher sends more and more of a track though it was asked to stop: {0}")]
    Unstoppable(String),
}

/// Why a track is given up while its publisher is still there.
#[derive(Debug, thiserror::Error)]
enum TrackGivenUp {
    #[error(transparent)]
    Damage(#[from] Damage),
    #[error("{0}")]
    Bounds(End),
    #[error(transparent)]
    Refused(#[from] WriteRefusal),
    /// Of the publisher, which does not stop; and why it was to.
    #[error("{0}")]
    Unstoppable(String),
}

/// A broadcast that is being read. Dropping it ends its tasks.
struct Follower {
    remote: Remote,
    source: Arc<Source>,
    settings: Settings,
    tracks: BTreeMap<String, Followed>,
    readers: JoinSet<Ended>,
    /// The names of the tracks that are being read.
    reading: HashMap<Id, String>,
    /// Tracks that are no longer wanted, of which something may still come. True where it has ended.
    leaving: JoinSet<bool>,
    /// Headers that are tracks of their own, by their tracks' names.
    headers: BTreeMap<String, Header>,
}

struct Followed {
    described: Described,
    /// Dropping it stops the reader.
    _stop: oneshot::Sender<()>,
}

/// How the reader of a track ended.
enum Ended {
    /// Nothing more of the track can be taken.
    GivenUp(TrackGivenUp),
    /// It was stopped, and this is where it was.
    Stopped(Option<Box<Reading>>),
}

/// Reads a broadcast until nothing more of it can be taken.
pub(super) async fn follow(remote: Remote, source: Arc<Source>, settings: Settings) -> GivenUp {
    let rests = {
        let source = source.clone();
        let idle = settings.idle_timeout;
        async move {
            loop {
                tokio::time::sleep(LOOK.min(idle / 4)).await;
                source.rest(idle);
            }
        }
    };
    let (tracks, headers, reading) = (BTreeMap::new(), BTreeMap::new(), HashMap::new());
    let (readers, leaving) = (JoinSet::new(), JoinSet::new());
    let follower = Follower { remote, source, settings, tracks, readers, reading, leaving, headers };
    tokio::select! {
        given_up = follower.run() => given_up,
        () = rests => unreachable!("it looks for ever"),
    }
}

impl Follower {
    async fn run(mut self) -> GivenUp {
        let limit = self.settings.max_catalog;
        let (mut source, mut next) = match first_catalog(&self.remote, limit).await {
            Ok(found) => found,
            Err(why) => return GivenUp::NoCatalog(why),
        };
        tracing::info!(broadcast = %self.source.name, track = source.format.track(), "the catalog is read");
        loop {
            if let Err(given_up) = self.apply(next).await {
                return given_up;
            }
            next = loop {
                tokio::select! {
                    catalog = source.next() => break catalog,
                    Some(ended) = self.readers.join_next_with_id(), if !self.readers.is_empty() => {
                        if let Err(given_up) = self.ended(ended) {
                            return given_up;
                        }
                    }
                    Some(left) = self.leaving.join_next(), if !self.leaving.is_empty() => {
                        if let Err(given_up) = has_left(left) {
                            return given_up;
                        }
                    }
                }
            };
        }
    }

    /// A reader has ended. Gives what it was reading where it was stopped, with the track's name.
    fn ended(&mut self, ended: Result<(Id, Ended), JoinError>) -> Result<Option<(String, Box<Reading>)>, GivenUp> {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let Some(track) = self.reading.remove(&id) else { return Ok(None) };
        match ended {
            Ok((_, Ended::Stopped(reading))) => return Ok(reading.map(|reading| (track, reading))),
            Ok((_, Ended::GivenUp(TrackGivenUp::Refused(refusal)))) if refusal.is_of_the_broadcast() => {
                return Err(refusal.into());
            }
            Ok((_, Ended::GivenUp(TrackGivenUp::Unstoppable(why)))) => return Err(GivenUp::Unstoppable(why)),
            Ok((_, Ended::GivenUp(error))) => {
                tracing::warn!(broadcast = %self.source.name, track, %error, "a track is given up");
                self.source.end(&track);
            }
            Err(error) => tracing::error!(broadcast = %self.source.name, track, %error, "a track's reader has failed"),
        }
        Ok(None)
    }

    /// Stops the readers of tracks, and waits until they have ended. Gives what they were reading.
    async fn stop(&mut self, names: &BTreeSet<String>) -> Result<BTreeMap<String, Box<Reading>>, GivenUp> {
        self.tracks.retain(|name, _| !names.contains(name));
        let mut stopped = BTreeMap::new();
        while self.reading.values().any(|name| names.contains(name)) {
            match self.readers.join_next_with_id().await {
                Some(ended) => stopped.extend(self.ended(ended)?),
                None => break,
            }
        }
        Ok(stopped)
    }

    /// Lets a track end that is no longer wanted.
    fn leave(&mut self, reading: Reading) -> Result<(), GivenUp> {
        while let Some(left) = self.leaving.try_join_next() {
            has_left(left)?;
        }
        if self.leaving.len() >= self.settings.limits.max_tracks {
            return Err(GivenUp::Unstoppable("it goes on with more tracks than a catalog may have".to_owned()));
        }
        self.leaving.spawn(reading.leave());
        Ok(())
    }

    /// Takes up the tracks that are new in a catalog, and ends those that are gone. One that is described anew is begun anew.
    async fn apply(&mut self, catalog: Catalog) -> Result<(), GivenUp> {
        for (track, why) in &catalog.left_out {
            tracing::info!(broadcast = %self.source.name, track, why, "a track is left out");
        }
        let most = self.settings.limits.max_tracks;
        if catalog.tracks.len() > most {
            tracing::warn!(broadcast = %self.source.name, tracks = catalog.tracks.len(), most, "only so many tracks are taken");
        }
        let wanted: Vec<Described> = catalog.tracks.into_iter().take(most).collect();
        let names: BTreeSet<&str> = wanted.iter().map(|track| track.name.as_str()).collect();
        let known = self.tracks.iter().filter(|(_, known)| !wanted.contains(&known.described));
        let ends: BTreeSet<String> = known.map(|(name, _)| name.clone()).collect();
        let mut stopped = self.stop(&ends).await?;
        for name in ends.iter().filter(|name| !names.contains(name.as_str())) {
            self.source.end(name);
            tracing::info!(broadcast = %self.source.name, track = name, "a track is gone");
            if let Some(reading) = stopped.remove(name) {
                self.leave(*reading)?;
            }
        }
        for described in &wanted {
            if !self.tracks.contains_key(&described.name) {
                let reading = stopped.remove(&described.name);
                self.begin(described.clone(), reading).await?;
            }
        }
        Ok(())
    }

    /// Begins a track, with what comes of it where that is being read.
    async fn begin(&mut self, described: Described, reading: Option<Box<Reading>>) -> Result<(), GivenUp> {
        let limits = self.settings.limits;
        let header = match &described.container {
            catalog::Container::Cmaf(init) => self.header(init).await,
            catalog::Container::Frames(..) => Ok(None),
        };
        let container = header.and_then(|header| Container::new(&described, header, limits).map_err(|e| e.to_string()));
        let name = described.name.clone();
        let container = match container {
            Ok(container) => container,
            Err(error) => {
                tracing::warn!(broadcast = %self.source.name, track = name, error, "a track is not taken");
                self.source.end(&name);
                return reading.map_or(Ok(()), |reading| self.leave(*reading));
            }
        };
        tracing::info!(broadcast = %self.source.name, track = name, "a track is taken up");
        let (remote, source, bounds) = (self.remote.clone(), self.source.clone(), self.bounds());
        let (stop, mut stopped) = oneshot::channel();
        let reader = async move { read(&remote, &source, &name, container, bounds, reading, &mut stopped).await };
        self.reading.insert(self.readers.spawn(reader).id(), described.name.clone());
        self.tracks.insert(described.name.clone(), Followed { described, _stop: stop });
        Ok(())
    }

    fn bounds(&self) -> Bounds {
        let object = self.settings.limits.max_mdat;
        Bounds { object, open: u64::from(object) }
    }

    /// The header of a CMAF track; none where it comes with the media.
    async fn header(&mut self, init: &Init) -> Result<Option<Header>, String> {
        let limits = self.settings.limits;
        let read = |bytes: &[u8]| Header::read(bytes, &limits).map_err(|error| error.to_string());
        match init {
            Init::InBand => Ok(None),
            Init::Inline(bytes) => read(bytes).map(Some),
            Init::Track(track) => {
                if let Some(known) = self.headers.get(track) {
                    return Ok(Some(known.clone()));
                }
                let object = u32::try_from(limits.max_moov).unwrap_or(u32::MAX);
                let bounds = Bounds { object, open: limits.max_moov };
                let first = tokio::time::timeout(HEADER, first_object(&self.remote, track, bounds)).await;
                let bytes = first.map_err(|_| format!("its header does not come in the track {track}"))??;
                let header = read(&bytes)?;
                self.headers.insert(track.clone(), header.clone());
                Ok(Some(header))
            }
        }
    }
}

/// The first object of a track.
async fn first_object(remote: &Remote, track: &str, bounds: Bounds) -> Result<Vec<u8>, String> {
    let mut reading = remote.open(track, Start::Group, bounds).await?;
    loop {
        match reading.next().await.map_err(|error| format!("its header in the track {track}: {error}"))? {
            Step::Object { payload, .. } => return Ok(payload.slices().concat()),
            Step::Cut | Step::End => {}
        }
    }
}

/// A track that is no longer wanted has ended, or sends more than may be kept.
fn has_left(left: Result<bool, JoinError>) -> Result<(), GivenUp> {
    match left {
        Ok(false) => Err(GivenUp::Unstoppable("it is no longer in the catalog".to_owned())),
        _ => Ok(()),
    }
}

/// Reads a track for as long as it can be, or until it is `stopped`. Where it ends, it is asked for again: the catalog still has it.
async fn read(
    remote: &Remote,
    source: &Source,
    name: &str,
    mut container: Container,
    bounds: Bounds,
    mut reading: Option<Box<Reading>>,
    stopped: &mut oneshot::Receiver<()>,
) -> Ended {
    loop {
        let opened = match reading.take() {
            Some(reading) => Ok(reading),
            None => tokio::select! {
                opened = remote.open(name, Start::Anywhere, bounds) => opened.map(Box::new),
                _ = &mut *stopped => return Ended::Stopped(None),
            },
        };
        match opened {
            Ok(mut reading) => {
                let ended = tokio::select! {
                    ended = pass_on(&mut reading, source, name, &mut container) => ended,
                    _ = &mut *stopped => return Ended::Stopped(Some(reading)),
                };
                if !reading.stop().await {
                    return Ended::GivenUp(TrackGivenUp::Unstoppable(ended.to_string()));
                }
                match ended {
                    TrackGivenUp::Bounds(End::Over) => {}
                    // What the stack kept of it is given back with the subscription, and it goes on with another.
                    TrackGivenUp::Bounds(End::Endless(most)) => {
                        tracing::warn!(broadcast = %source.name, track = name, most, "a group does not end: the track is begun anew");
                    }
                    given_up => return Ended::GivenUp(given_up),
                }
                let kept = container.cut().map_or(Ok(()), |piece| source.write(name, piece));
                if let Err(refusal) = kept {
                    return Ended::GivenUp(refusal.into());
                }
                source.lost(name);
            }
            Err(error) => {
                tracing::debug!(broadcast = %source.name, track = name, error, "a track is not there");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            _ = &mut *stopped => return Ended::Stopped(None),
        }
    }
}

/// Writes what comes of a track to the bus.
async fn pass_on(reading: &mut Reading, source: &Source, name: &str, container: &mut Container) -> TrackGivenUp {
    loop {
        let written = match reading.next().await {
            Ok(Step::Object { first, payload }) => match container.push(payload) {
                Ok(pieces) => {
                    if first && !container.keeps_back() && Container::begins_in_the_middle(&pieces) {
                        reading.distrust_ends();
                    }
                    pieces.into_iter().try_for_each(|piece| source.write(name, piece))
                }
                Err(damage) => return damage.into(),
            },
            Ok(Step::Cut) => {
                let kept = container.cut().map_or(Ok(()), |piece| source.write(name, piece));
                source.lost(name);
                kept
            }
            Ok(Step::End) => {
                if !container.keeps_back() {
                    source.end_group(name);
                }
                Ok(())
            }
            Err(end) => return TrackGivenUp::Bounds(end),
        };
        if let Err(refusal) = written {
            return refusal.into();
        }
    }
}

/// The track that the catalog comes in.
struct CatalogTrack {
    remote: Remote,
    format: Format,
    bounds: Bounds,
    reader: catalog::Reader,
    reading: Option<Reading>,
}

impl CatalogTrack {
    fn new(remote: Remote, format: Format, limit: usize) -> Self {
        let object = u32::try_from(limit).unwrap_or(u32::MAX);
        // Groups of catalogs go on for as long as nothing but changes comes.
        let bounds = Bounds { object, open: u64::from(object).saturating_mul(16) };
        Self { remote, format, bounds, reader: catalog::Reader::new(format, limit), reading: None }
    }

    /// What comes next: a catalog, or why an object is none.
    async fn read(&mut self) -> Result<Catalog, String> {
        loop {
            let reading = match &mut self.reading {
                Some(reading) => reading,
                None => match self.remote.open(self.format.track(), Start::Group, self.bounds).await {
                    Ok(reading) => self.reading.insert(reading),
                    Err(error) => {
                        tracing::trace!(track = self.format.track(), error, "there is no catalog");
                        tokio::time::sleep(AGAIN).await;
                        continue;
                    }
                },
            };
            match reading.next().await {
                Ok(Step::Object { first, payload }) => {
                    return self.reader.read(first, &payload).map_err(|error| error.to_string());
                }
                Ok(Step::Cut) => self.reader.lost(),
                Ok(Step::End) => {}
                Err(End::TooLarge(error)) => {
                    self.reader.lost();
                    return Err(error.to_string());
                }
                Err(End::Over | End::Endless(_)) => {
                    self.reading = None;
                    self.reader.lost();
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    /// The next catalog. Objects that are none are passed over: what held goes on to hold.
    async fn next(&mut self) -> Catalog {
        loop {
            match self.read().await {
                Ok(catalog) => return catalog,
                Err(error) => {
                    tracing::warn!(track = self.format.track(), error, "a change of the catalog is not taken")
                }
            }
        }
    }
}

/// Looks for a catalog in all formats at once. The first that comes counts, but that the older format may leave out what others have:
/// those are waited for a little longer. A format whose first object is none is given up.
async fn first_catalog(remote: &Remote, limit: usize) -> Result<(CatalogTrack, Catalog), String> {
    let look = |format| async move {
        let mut track = CatalogTrack::new(remote.clone(), format, limit);
        match track.read().await {
            Ok(catalog) => Ok((track, catalog)),
            Err(error) => Err(format!("{}: {error}", format.track())),
        }
    };
    let mut looking: FuturesUnordered<_> = Format::ALL.into_iter().map(look).collect();
    let (mut reasons, mut older) = (Vec::new(), None);
    loop {
        let patience = if older.is_some() { FULLER } else { Duration::MAX };
        match tokio::time::timeout(patience, looking.next()).await {
            Ok(Some(Ok((track, catalog)))) if track.format == Format::Older => older = Some((track, catalog)),
            Ok(Some(Ok(found))) => return Ok(found),
            Ok(Some(Err(reason))) => {
                tracing::warn!(reason, "a catalog cannot be read");
                reasons.push(reason);
            }
            Ok(None) | Err(_) => return older.ok_or_else(|| reasons.join("; ")),
        }
    }
}
