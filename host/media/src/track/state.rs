//! A track's window and who waits on it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::blocks::ALLOCATION;
use super::consumer::{Consumer, Start};
use super::info::{Info, Provenance};
use super::listing::Listing;
use super::share::{Share, Total};
use super::viewers::{Viewer, Viewers};
use crate::calendar::{Calendar, Cursor, Epoch};
use crate::clock::Clock;
use crate::fragment::Fragment;
use crate::name::TrackName;
use crate::time::Time;

/// How much of a track is kept for those who read it later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// At least this much of the newest media, by its own time, in whole groups.
    pub duration: Duration,
    /// Never more memory than this, in bytes: the oldest groups go first, then the oldest fragments of the newest group.
    pub bytes: u64,
}

impl Default for Window {
    fn default() -> Self {
        Self { duration: Duration::from_secs(60), bytes: 256 << 20 }
    }
}

/// What has happened to a track so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Fragments written.
    pub fragments: u64,
    /// Bytes written: heads and payloads.
    pub bytes: u64,
    /// Fragments that consumers were told they had missed.
    pub skipped: u64,
    /// The memory that the track holds now, in bytes: its fragments, with their heads, sample tables and the buffers they keep, and
    /// its CMAF header.
    pub pinned: u64,
    /// Fragments in the window now.
    pub held: u64,
    /// Their bytes on the wire: heads and payloads.
    pub media: u64,
    /// Fragments that left the window early, because all tracks together held too much.
    pub given_up: u64,
}

/// A track that can be read. Cheap to clone.
#[derive(Clone)]
pub struct Track(pub(super) Arc<Shared>);

pub(crate) struct Shared {
    pub(super) name: TrackName,
    pub(super) provenance: Provenance,
    pub(super) window: Window,
    pub(super) calendar: Arc<Mutex<Calendar>>,
    pub(super) clock: Arc<Clock>,
    opened: Duration,
    pub(super) state: Mutex<State>,
    /// Wakes the consumers: a fragment came, the end of a group, or the end.
    pub(super) wake: Notify,
    pub(super) skipped: AtomicU64,
    pub(super) viewers: Viewers,
    pub(super) share: Share,
    /// Counts the fragments that were given up early.
    given_up: watch::Sender<u64>,
    /// The broadcast's count of changes.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) entries: VecDeque<Fragment>,
    pub(super) cursor: Cursor,
    pub(super) info: Option<Arc<Info>>,
    /// The description has changed within an epoch, because the source's has, and no fragment has followed.
    pub(super) source_changed: bool,
    pub(super) listing: Arc<Listing>,
    /// The epoch in which the source last declared it.
    pub(super) declared: Option<Epoch>,
    pub(super) has_writer: bool,
    pub(super) ended: bool,
    /// The sequence number of the last fragment of a group that is known to be complete.
    pub(super) group_end: Option<u64>,
    pub(super) fragments: u64,
    pub(super) bytes: u64,
    /// What the entries hold, in bytes.
    charged: u64,
    /// What the track was before, as long as a fragment keeps it: the sequence number of the last, and the bytes.
    infos: VecDeque<(u64, u64)>,
    /// Heads and payloads of the entries, in bytes.
    media: u64,
    /// The bytes of the newest block that no fragment stands in yet.
    pub(super) unwritten: u64,
}

impl State {
    /// The sequence number of the first fragment in the window.
    pub(super) fn first(&self) -> u64 {
        self.next() - self.entries.len() as u64
    }

    /// The sequence number of the fragment to come.
    pub(super) fn next(&self) -> u64 {
        self.cursor.last().map_or(0, |last| last.sequence + 1)
    }

    /// The memory that the track holds, in bytes.
    pub(super) fn pinned(&self) -> u64 {
        // What stood before the first fragment in its block is freed with it.
        let gone = self.entries.front().map_or(0, |first| first.charge().begins.into());
        let info = self.info.as_ref().map_or(0, |info| size_of_info(info));
        self.charged + self.unwritten + gone + info
    }

    /// What the track is from the next fragment on.
    pub(super) fn set_info(&mut self, info: Arc<Info>) {
        // The fragments written under the old one keep it.
        if let (Some(old), Some(last)) = (self.info.replace(info), self.entries.back())
            && Arc::ptr_eq(&old, last.info())
        {
            let bytes = size_of_info(&old);
            self.infos.push_back((last.place().sequence, bytes));
            self.charged += bytes;
        }
    }

    pub(super) fn push(&mut self, fragment: Fragment, window: Window) {
        self.fragments += 1;
        self.bytes += fragment.size();
        self.media += fragment.size();
        self.charged += u64::from(fragment.charge().bytes);
        let end = fragment.presentation_time + fragment.duration;
        self.entries.push_back(fragment);
        let oldest = end - Time::from(window.duration);
        while self.second_group().is_some_and(|next| self.entries[next].presentation_time <= oldest) {
            self.drop_first_group();
        }
        while self.pinned() > window.bytes && self.entries.len() > 1 {
            if self.second_group().is_some() {
                self.drop_first_group();
            } else {
                self.drop_first();
            }
        }
    }

    /// The index of the first fragment of the second group in the window.
    fn second_group(&self) -> Option<usize> {
        let first = self.entries.front()?.place().group;
        // Groups are short beside the window, so that this looks at few entries; the last tells whether there is one at all.
        if self.entries.back()?.place().group == first {
            return None;
        }
        self.entries.iter().position(|entry| entry.place().group != first)
    }

    fn drop_first_group(&mut self) {
        let Some(group) = self.entries.front().map(|entry| entry.place().group) else { return };
        while self.entries.front().is_some_and(|entry| entry.place().group == group) {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        drop(self.take_first());
    }

    fn take_first(&mut self) -> Option<Fragment> {
        let entry = self.entries.pop_front()?;
        self.charged -= u64::from(entry.charge().bytes);
        self.media -= entry.size();
        if let Some((_, bytes)) = self.infos.pop_front_if(|(last, _)| *last == entry.place().sequence) {
            self.charged -= bytes;
        }
        Some(entry)
    }
}

/// What a track's description takes, in bytes.
fn size_of_info(info: &Info) -> u64 {
    (info.init.len() + info.codec.len() + size_of::<Info>()) as u64 + ALLOCATION
}

impl Track {
    pub(crate) fn new(
        name: TrackName,
        provenance: Provenance,
        window: Window,
        calendar: Arc<Mutex<Calendar>>,
        clock: Arc<Clock>,
        changes: watch::Sender<u64>,
        total: &Arc<Total>,
    ) -> Self {
        let track = Self(Arc::new(Shared {
            name,
            provenance,
            window,
            calendar,
            opened: clock.now().monotonic,
            clock,
            state: Mutex::default(),
            wake: Notify::new(),
            skipped: AtomicU64::new(0),
            viewers: Viewers::default(),
            share: Share::new(total.clone()),
            given_up: watch::Sender::new(0),
            changes,
        }));
        total.add(&track);
        track
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its name, unique in its broadcast.
    pub fn name(&self) -> &TrackName {
        &self.0.name
    }

    /// Who makes it.
    pub fn provenance(&self) -> &Provenance {
        &self.0.provenance
    }

    /// When it was added to its broadcast, on the bus's monotonic clock.
    pub fn opened(&self) -> Duration {
        self.0.opened
    }

    /// How players are told of it.
    pub fn listing(&self) -> Arc<Listing> {
        self.state().listing.clone()
    }

    /// What it is now. None of an encoder's track until its first picture is encoded.
    pub fn info(&self) -> Option<Arc<Info>> {
        self.state().info.clone()
    }

    /// A reader of its own. It sees every fragment written from now on, after those that `start` asks for.
    pub fn subscribe(&self, start: Start) -> Consumer {
        Consumer::new(self.clone(), start)
    }

    /// The fragments in the window, oldest first.
    pub fn held(&self) -> Vec<Fragment> {
        self.state().entries.iter().cloned().collect()
    }

    /// The newest fragment.
    pub fn newest(&self) -> Option<Fragment> {
        self.state().entries.back().cloned()
    }

    /// Somebody plays it for as long as what is returned lives.
    pub fn view(&self) -> Viewer {
        Viewer::new(self.clone())
    }

    /// Somebody has just asked for a piece of it, as players over HTTP do every few seconds.
    pub fn viewed(&self) {
        self.0.viewers.seen(self.0.clock.now().monotonic);
    }

    /// True where somebody plays it, or has within this time.
    pub fn is_viewed(&self, within: Duration) -> bool {
        self.0.viewers.any(self.0.clock.now().monotonic, within)
    }

    /// True once nothing more will come.
    pub fn is_ended(&self) -> bool {
        self.state().ended
    }

    /// What has happened to it so far.
    pub fn stats(&self) -> Stats {
        let state = self.state();
        Stats {
            fragments: state.fragments,
            bytes: state.bytes,
            skipped: self.0.skipped.load(Ordering::Relaxed),
            pinned: state.pinned(),
            held: state.entries.len() as u64,
            media: state.media,
            given_up: *self.0.given_up.borrow(),
        }
    }

    /// Changes whenever fragments leave the window early, because all tracks together hold too much.
    pub fn given_up(&self) -> watch::Receiver<u64> {
        self.0.given_up.subscribe()
    }

    /// Lets go of the oldest group, unless it is the only one. Gives how many fragments that were.
    pub(super) fn give_up_group(&self) -> u64 {
        self.give_up(|state| {
            let first = state.entries.front()?.place().group;
            state.second_group()?;
            Some(state.entries.iter().take_while(|entry| entry.place().group == first).count())
        })
    }

    /// Lets go of the older half of the fragments, but never of the last one. Gives how many fragments that were.
    pub(super) fn give_up_beginning(&self) -> u64 {
        self.give_up(|state| Some(state.entries.len() / 2))
    }

    fn give_up(&self, how_many: impl FnOnce(&State) -> Option<usize>) -> u64 {
        let mut state = self.state();
        let count = how_many(&state).unwrap_or(0);
        let gone: Vec<_> = (0..count).filter_map(|_| state.take_first()).collect();
        self.0.share.set(state.pinned());
        drop(state);
        let given_up = gone.len() as u64;
        if given_up > 0 {
            self.0.given_up.send_modify(|count| *count += given_up);
        }
        given_up
    }

    /// True of two handles to one track.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) fn end(&self) {
        self.state().ended = true;
        self.0.wake.notify_waiters();
        self.changed();
    }

    pub(super) fn changed(&self) {
        self.0.changes.send_modify(|count| *count += 1);
    }

    pub(crate) fn declared(&self) -> Option<Epoch> {
        self.state().declared
    }
}

impl fmt::Debug for Track {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Track")
            .field("name", &self.0.name)
            .field("provenance", &self.0.provenance)
            .finish_non_exhaustive()
    }
}
