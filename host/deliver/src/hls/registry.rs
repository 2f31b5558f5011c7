//! The playlists of every track of every broadcast.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millrace_media::broadcast::State;
use millrace_media::track::{Kind, Listing, Provenance, Track};
use millrace_media::{Access, Broadcast, BroadcastName, Bus, Time, TrackName};
use millrace_supervise as supervise;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Settings;
use super::cors::Cors;
use super::feed::{Feed, Running};
use super::meters::Meters;
use super::playlist::{MediaPlaylist, Report, Surroundings};
use super::ranges::Ranges;
use super::sessions::Sessions;
use crate::renditions;

/// HLS of everything on a bus. When it is dropped, its tasks end.
pub struct Hls {
    shared: Arc<Shared>,
    watcher: JoinHandle<()>,
}

struct Shared {
    bus: Bus,
    settings: Settings,
    broadcasts: Mutex<BTreeMap<BroadcastName, Arc<Entry>>>,
    blocked: AtomicUsize,
    meters: Meters,
    cors: Cors,
    /// None where everybody may play.
    sessions: Option<Sessions>,
}

/// The playlists of one broadcast.
pub(super) struct Entry {
    pub(super) broadcast: Broadcast,
    tracks: Mutex<Tracks>,
    ranges: Arc<Ranges>,
    /// Counts what changes the multivariant playlist.
    pub(super) renditions: watch::Sender<u64>,
}

#[derive(Default)]
struct Tracks {
    running: BTreeMap<TrackName, Running>,
    /// How many tracks of a name there have been.
    generations: BTreeMap<TrackName, u32>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hls {
    /// Follows everything on `bus`, for everybody to play. Must be called within a Tokio runtime.
    pub fn new(bus: Bus, settings: Settings) -> Arc<Self> {
        Self::with_access(bus, settings, Access::default())
    }

    /// Follows everything on `bus`, for those to play whom `access` allows. Must be called within a Tokio runtime.
    pub fn with_access(bus: Bus, settings: Settings, access: Access) -> Arc<Self> {
        let sessions = (!access.is_open()).then(|| Sessions::new(access));
        let broadcasts = Mutex::default();
        let cors = Cors::new(&settings.cors_origins);
        let shared = Arc::new(Shared {
            cors,
            bus,
            settings,
            broadcasts,
            blocked: AtomicUsize::new(0),
            meters: Meters::new(),
            sessions,
        });
        let watched = shared.clone();
        let watcher = tokio::spawn(supervise::restart("the playlists", move || watch(watched.clone())));
        Arc::new(Self { shared, watcher })
    }

    /// What it was made with.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// True where every track of the broadcast that can be played has parts, as far as is known.
    pub fn low_latency(&self, broadcast: &BroadcastName) -> bool {
        let Some(entry) = self.entry(broadcast) else { return false };
        let feeds = entry.live();
        let ready = feeds.iter().filter(|feed| feed.with(MediaPlaylist::is_ready));
        let mut parts = ready.map(|feed| feed.with(|playlist| playlist.part_target().is_some())).peekable();
        parts.peek().is_some() && parts.all(|has| has)
    }

    /// What an operator should know of a broadcast: which tracks have no parts and why, and what breaks a rule.
    pub fn notes(&self, broadcast: &BroadcastName) -> Vec<String> {
        let Some(entry) = self.entry(broadcast) else { return Vec::new() };
        let mut notes = Vec::new();
        for feed in entry.live() {
            let name = feed.track.name();
            feed.with(|playlist| {
                if let Some(reason) = playlist.why_no_parts() {
                    notes.push(format!("{name} has no low-latency parts: {reason}"));
                }
                let broken = playlist.broken_rules();
                if broken > 0 {
                    notes.push(format!(
                        "{name} has {broken} parts that are too long or too short: its cadence has changed"
                    ));
                }
            });
        }
        let cuts = entry.broadcast.forced_cuts();
        if cuts > 0 {
            notes.push(format!("{cuts} segments begin without a keyframe: the source sends them too seldom"));
        }
        notes
    }

    /// The playlists of a broadcast there is.
    pub(super) fn entry(&self, name: &BroadcastName) -> Option<Arc<Entry>> {
        let broadcast = self.shared.bus.broadcast(name)?;
        Some(self.shared.entry(&broadcast))
    }

    /// The playlist of a track of a broadcast, with what it belongs to.
    pub(super) fn feed(&self, broadcast: &str, track: &str) -> Option<(Arc<Entry>, Arc<Feed>)> {
        let entry = self.entry(&BroadcastName::new(broadcast).ok()?)?;
        let track = TrackName::new(track).ok()?;
        let feed = entry.feed(&track).or_else(|| {
            // It may have come a moment ago.
            entry.follow(&self.shared);
            entry.feed(&track)
        })?;
        Some((entry, feed))
    }

    /// The longest segment there can be.
    pub(super) fn longest_segment(&self) -> Duration {
        self.shared.bus.settings().calendar.max_segment
    }

    /// Viewers' sessions, where not everybody may play.
    pub(super) fn sessions(&self) -> Option<&Sessions> {
        self.shared.sessions.as_ref()
    }

    /// Which origins' pages may play.
    pub(super) fn cors(&self) -> &Cors {
        &self.shared.cors
    }

    /// What is counted of requests.
    pub(super) fn meters(&self) -> &Meters {
        &self.shared.meters
    }

    /// How many requests wait.
    pub(super) fn blocked(&self) -> &AtomicUsize {
        &self.shared.blocked
    }

    /// How many broadcasts and playlists are held.
    #[cfg(test)]
    pub(super) fn held(&self) -> (usize, usize) {
        let broadcasts = lock(&self.shared.broadcasts);
        (broadcasts.len(), broadcasts.values().map(|entry| lock(&entry.tracks).running.len()).sum())
    }
}

impl Drop for Hls {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

impl fmt::Debug for Hls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let blocked = self.shared.blocked.load(Ordering::Relaxed);
        f.debug_struct("Hls")
            .field("broadcasts", &lock(&self.shared.broadcasts).len())
            .field("blocked", &blocked)
            .finish()
    }
}

async fn watch(shared: Arc<Shared>) {
    let mut changes = shared.bus.changes();
    loop {
        changes.mark_unchanged();
        shared.follow();
        if changes.changed().await.is_err() {
            return;
        }
    }
}

impl Shared {
    /// Brings the playlists up to what is on the bus.
    fn follow(&self) {
        self.bus.broadcasts().iter().for_each(|broadcast| self.entry(broadcast).follow(self));
        let is_gone = |name: &BroadcastName, entry: &mut Arc<Entry>| {
            self.bus.broadcast(name).is_none_or(|live| !live.is_same(&entry.broadcast))
        };
        // Dropped outside the lock: what they hold takes locks of its own.
        let gone: Vec<_> = lock(&self.broadcasts).extract_if(.., is_gone).collect();
        drop(gone);
    }

    fn entry(&self, broadcast: &Broadcast) -> Arc<Entry> {
        let (entry, replaced) = {
            let mut broadcasts = lock(&self.broadcasts);
            match broadcasts.get(broadcast.name()) {
                Some(known) if known.broadcast.is_same(broadcast) => return known.clone(),
                _ => {}
            }
            let entry = Arc::new(Entry {
                broadcast: broadcast.clone(),
                tracks: Mutex::default(),
                ranges: Arc::new(Ranges::new(self.bus.settings().window.duration)),
                renditions: watch::Sender::new(0),
            });
            let replaced = broadcasts.insert(broadcast.name().clone(), entry.clone());
            (entry, replaced)
        };
        drop(replaced);
        entry.follow(self);
        entry
    }
}

/// A playlist that can be played.
struct Ready {
    feed: Arc<Feed>,
    kind: Kind,
    listing: Arc<Listing>,
}

impl Ready {
    fn new(feed: Arc<Feed>) -> Option<Self> {
        let kind = feed.track.info().filter(|_| feed.with(MediaPlaylist::is_ready))?.kind();
        Some(Self { kind, listing: feed.track.listing(), feed })
    }
}

impl renditions::Rung for Ready {
    fn name(&self) -> &TrackName {
        self.feed.track.name()
    }

    fn provenance(&self) -> &Provenance {
        self.feed.track.provenance()
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn listing(&self) -> &Listing {
        &self.listing
    }

    fn opened(&self) -> Duration {
        self.feed.track.opened()
    }
}

impl Entry {
    fn follow(&self, shared: &Shared) {
        let mut tracks = lock(&self.tracks);
        // Looked up under the lock: an older list must not undo what a newer one has brought.
        let live: Vec<Track> = self.broadcast.tracks();
        let is_live = |running: &Running| live.iter().any(|track| track.is_same(&running.feed.track));
        let gone: Vec<_> = tracks.running.extract_if(.., |_, running| !is_live(running)).collect();
        let mut came = false;
        for track in live {
            if tracks.running.contains_key(track.name()) {
                continue;
            }
            let count = tracks.generations.entry(track.name().clone()).or_insert(0);
            let kept = shared.bus.settings().window.duration;
            let playlist = MediaPlaylist::new(&shared.settings, kept, *count);
            *count += 1;
            let name = track.name().clone();
            let longest = shared.bus.settings().calendar.max_segment;
            let (renditions, ranges) = (self.renditions.clone(), self.ranges.clone());
            let running = Running::start(self.broadcast.clone(), track, playlist, renditions, ranges, longest);
            tracks.running.insert(name, running);
            came = true;
        }
        drop(tracks);
        drop(gone);
        if came {
            self.renditions.send_modify(|count| *count += 1);
        }
    }

    fn feed(&self, track: &TrackName) -> Option<Arc<Feed>> {
        lock(&self.tracks).running.get(track).map(|running| running.feed.clone())
    }

    /// The source has ended.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.broadcast.state(), State::Ended { .. })
    }

    /// The playlists of pictures and sound, by name; while the source goes on, without those of tracks that have ended.
    pub(super) fn live(&self) -> Vec<Arc<Feed>> {
        let over = self.is_over();
        let feeds: Vec<_> = lock(&self.tracks).running.values().map(|running| running.feed.clone()).collect();
        let playable =
            |feed: &Arc<Feed>| feed.track.info().is_none_or(|info| matches!(info.kind(), Kind::Video | Kind::Audio));
        feeds.into_iter().filter(|feed| (over || !feed.track.is_ended()) && playable(feed)).collect()
    }

    /// What the playlist of `feed` says about the others. Only those that are listed are reported on.
    pub(super) fn surroundings(&self, feed: &Feed) -> Surroundings {
        let mut surroundings = Surroundings { ranges: self.ranges.now(), ..Surroundings::default() };
        let live = self.live();
        let targets = live.iter().filter_map(|other| other.with(MediaPlaylist::part_target));
        surroundings.part_target = targets.max_by(Time::cmp);
        let ready: Vec<_> = live.into_iter().filter_map(Ready::new).collect();
        let others = renditions::listed(&ready).into_iter().map(|place| &place.rung.feed);
        for other in others.filter(|other| !other.track.is_same(&feed.track)) {
            if let Some(position) = other.with(MediaPlaylist::position) {
                surroundings.reports.push(Report { track: other.track.name().clone(), position });
            }
        }
        surroundings
    }
}
