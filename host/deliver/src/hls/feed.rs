//! One track's playlist, fed from the bus and waited for by requests.

use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use millrace_media::Broadcast;
use millrace_media::track::{Consumer, Event, Kind, Next, Start, Track};
use millrace_supervise as supervise;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::hold::{self, Held, Reach};
use super::playlist::{MediaPlaylist, Surroundings};
use super::ranges::Ranges;
use super::silence::{self, Silence};

/// Why waiting for a playlist was in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vain {
    /// It took too long.
    Late,
    /// The track has been forgotten.
    Gone,
}

/// A playlist as it is sent.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub(super) plain: Bytes,
    gzip: Option<Bytes>,
    /// Which version of the broadcast's date ranges it lists.
    ranges: u64,
}

impl Text {
    pub(super) fn new(text: String) -> Self {
        Self { plain: text.into(), gzip: None, ranges: 0 }
    }

    /// Compressed (RFC 1952); once for all who ask.
    pub(super) fn gzip(&mut self) -> Bytes {
        let compressed = self.gzip.get_or_insert_with(|| {
            let mut encoder = GzEncoder::new(Vec::with_capacity(self.plain.len() / 4), Compression::fast());
            let written = encoder.write_all(&self.plain).and_then(|()| encoder.finish());
            written.expect("writing to memory does not fail").into()
        });
        compressed.clone()
    }
}

/// See the [module](self). Requests hold it; its [`Running`] feeds it.
pub(super) struct Feed {
    pub(super) track: Track,
    /// When it was first seen.
    pub(super) since: Instant,
    state: Mutex<State>,
    version: watch::Sender<u64>,
    /// The broadcast's count of what changes its multivariant playlist.
    renditions: watch::Sender<u64>,
}

struct State {
    playlist: MediaPlaylist,
    /// Of this version: the whole playlist, and its delta update.
    texts: [Option<Text>; 2],
    gone: bool,
}

impl Feed {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the playlist.
    pub(super) fn with<T>(&self, read: impl FnOnce(&MediaPlaylist) -> T) -> T {
        read(&self.state().playlist)
    }

    /// The playlist's text, compressed if that is asked for. None until it is ready.
    pub(super) fn text(&self, surroundings: &Surroundings, skip: bool, gzip: bool) -> Option<Bytes> {
        let mut state = self.state();
        let State { playlist, texts, .. } = &mut *state;
        let kept = &mut texts[usize::from(skip)];
        let ranges = surroundings.ranges.revision();
        if kept.as_ref().is_none_or(|kept| kept.ranges < ranges) {
            *kept = Some(Text { ranges, ..Text::new(playlist.text(surroundings, skip)?) });
        }
        let text = kept.as_mut()?;
        Some(if gzip { text.gzip() } else { text.plain.clone() })
    }

    /// Waits until `look` finds something, `limit` at the longest. `waits` is called before the first wait; what it returns is held
    /// until the end of it.
    pub(super) async fn wait<T, W, E: From<Vain>>(
        &self,
        limit: Duration,
        waits: impl FnOnce() -> Result<W, E>,
        mut look: impl FnMut(&MediaPlaylist) -> Option<T>,
    ) -> Result<T, E> {
        let mut changes = self.version.subscribe();
        let deadline = Instant::now() + limit;
        let (mut waits, mut waiting) = (Some(waits), None);
        loop {
            {
                let state = self.state();
                if let Some(found) = look(&state.playlist) {
                    return Ok(found);
                }
                if state.gone {
                    return Err(Vain::Gone.into());
                }
            }
            if let Some(waits) = waits.take() {
                waiting = Some(waits()?);
            }
            let changed = tokio::time::timeout_at(deadline, changes.changed()).await;
            if !matches!(changed, Ok(Ok(()))) {
                drop(waiting);
                return Err(Vain::Late.into());
            }
        }
    }

    fn update(&self, change: impl FnOnce(&mut MediaPlaylist)) {
        let mut state = self.state();
        let before = state.playlist.edge();
        change(&mut state.playlist);
        let after = state.playlist.edge();
        if before == after {
            return;
        }
        state.texts = [None, None];
        drop(state);
        self.version.send_modify(|version| *version += 1);
        if before.is_ready != after.is_ready || before.is_ended != after.is_ended {
            self.renditions.send_modify(|count| *count += 1);
        }
    }
}

/// A feed with the task that feeds it. When it is dropped, the task ends and who waits is told.
pub(super) struct Running {
    pub(super) feed: Arc<Feed>,
    task: JoinHandle<()>,
}

impl Running {
    /// Begins to feed `playlist` from `track`; sound waits for pictures that are at most `longest` late. Must be called within a
    /// runtime.
    pub(super) fn start(
        broadcast: Broadcast,
        track: Track,
        playlist: MediaPlaylist,
        renditions: watch::Sender<u64>,
        ranges: Arc<Ranges>,
        longest: Duration,
    ) -> Self {
        let consumer = track.subscribe(Start::OldestGroup);
        let feed = Arc::new(Feed {
            track,
            since: Instant::now(),
            state: Mutex::new(State { playlist, texts: [None, None], gone: false }),
            version: watch::Sender::new(0),
            renditions,
        });
        let (fed, mut first) = (feed.clone(), Some(consumer));
        let name = format!("the playlist of {} of {}", feed.track.name(), broadcast.name());
        let task = tokio::spawn(supervise::restart(name, move || {
            // What made it panic is left out.
            let consumer = first.take().unwrap_or_else(|| {
                fed.update(MediaPlaylist::skip);
                fed.track.subscribe(Start::NextGroup)
            });
            follow(fed.clone(), broadcast.clone(), consumer, ranges.clone(), longest)
        }));
        Self { feed, task }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
        self.feed.state().gone = true;
        self.feed.version.send_modify(|version| *version += 1);
        self.feed.renditions.send_modify(|count| *count += 1);
    }
}

/// What a playlist's task has heard.
enum Heard {
    /// Of its own track.
    Own(Option<Event>),
    /// Of the source's pictures.
    Pictures(Option<Event>),
    /// The track has given up media early.
    GivenUp,
}

/// The next event of the pictures; none comes where there are none, or no more.
async fn next_of(pictures: &mut Option<Consumer>, are_over: bool) -> Option<Event> {
    match pictures {
        Some(pictures) if !are_over => pictures.next().await,
        _ => std::future::pending().await,
    }
}

async fn follow(feed: Arc<Feed>, broadcast: Broadcast, mut consumer: Consumer, ranges: Arc<Ranges>, longest: Duration) {
    let mut held = Held::new(longest);
    let mut silence = Silence::default();
    let (mut pictures, mut are_over): (Option<Consumer>, bool) = (None, false);
    let mut given_up = feed.track.given_up();
    loop {
        let heard = tokio::select! {
            event = consumer.next() => Heard::Own(event),
            picture = next_of(&mut pictures, are_over) => Heard::Pictures(picture),
            // The feed holds the track, which holds the sender.
            _ = given_up.changed() => Heard::GivenUp,
        };
        let event = match heard {
            Heard::Own(event) => event,
            Heard::Pictures(picture) => {
                are_over = picture.is_none();
                let of = pictures.as_ref().map(Consumer::track).filter(|_| !are_over);
                let reach = of.and_then(hold::reach);
                if !held.is_empty() {
                    feed.update(|playlist| release(playlist, &mut held, reach, &broadcast));
                }
                if let Some(Event::Fragment(picture)) = picture {
                    // A publisher may send its sound long after its pictures: only what is made here can rest.
                    let is_derived = !feed.track.provenance().is_source();
                    let target_duration = feed.with(MediaPlaylist::target_duration);
                    let patience = silence::patience(is_sound(&feed.track), target_duration, longest);
                    if is_derived && silence.lasts(&picture, patience) {
                        feed.update(|playlist| playlist.pass(picture.place().segment, &broadcast));
                    }
                }
                continue;
            }
            Heard::GivenUp => {
                feed.update(|playlist| forget(playlist, &feed.track));
                continue;
            }
        };
        let Some(event) = event else { break };
        silence.broken();
        let is_sound = is_sound(&feed.track);
        let is_derived = !feed.track.provenance().is_source();
        let awaited = if is_sound || is_derived { hold::pictures(&broadcast) } else { None };
        if !same_track(awaited.as_ref(), pictures.as_ref()) {
            pictures = awaited.map(|track| track.subscribe(Start::NewestGroup));
            are_over = false;
        }
        let reach = pictures.as_ref().filter(|_| is_sound).and_then(|pictures| hold::reach(pictures.track()));
        // What comes ahead of its time is told ahead of it, also where sound has to wait.
        let read = |event: &Event| {
            if let Event::Fragment(fragment) = event
                && !is_derived
            {
                ranges.read(fragment, &broadcast);
            }
        };
        feed.update(|playlist| {
            read(&event);
            take(playlist, &mut held, event, reach, &broadcast);
            while let Next::Ready(event) = consumer.try_next() {
                read(&event);
                take(playlist, &mut held, event, reach, &broadcast);
            }
            forget(playlist, consumer.track());
        });
    }
    feed.update(|playlist| {
        release(playlist, &mut held, None, &broadcast);
        playlist.end();
    });
}

/// Lets go of what the bus no longer keeps.
fn forget(playlist: &mut MediaPlaylist, track: &Track) {
    let stats = track.stats();
    playlist.forget_before(stats.fragments - stats.held);
}

fn is_sound(track: &Track) -> bool {
    track.info().is_some_and(|info| info.kind() != Kind::Video)
}

fn same_track(awaited: Option<&Track>, followed: Option<&Consumer>) -> bool {
    match (awaited, followed) {
        (None, None) => true,
        (Some(awaited), Some(followed)) => awaited.is_same(followed.track()),
        _ => false,
    }
}

fn take(playlist: &mut MediaPlaylist, held: &mut Held, event: Event, reach: Option<Reach>, broadcast: &Broadcast) {
    match event {
        Event::Fragment(fragment) => {
            held.push(fragment);
            release(playlist, held, reach, broadcast);
        }
        Event::Gap { skipped, .. } => {
            tracing::warn!(broadcast = %broadcast.name(), skipped, "the playlist has missed fragments");
            release(playlist, held, None, broadcast);
            playlist.skip();
        }
        // A segment may have several groups.
        Event::GroupEnd => {}
    }
}

fn release(playlist: &mut MediaPlaylist, held: &mut Held, reach: Option<Reach>, broadcast: &Broadcast) {
    while let Some(fragment) = held.release(reach) {
        playlist.push(fragment, broadcast);
    }
}
