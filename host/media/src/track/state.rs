//! A track's window and who waits on it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::consumer::{Consumer, Start};
use super::info::{Info, Provenance};
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
    /// Never more than this many pinned bytes: the oldest groups go first, then the oldest fragments of the newest group.
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
    /// Bytes that the window pins now.
    pub pinned: u64,
    /// Fragments in the window now.
    pub held: u64,
}

/// A track that can be read. Cheap to clone.
#[derive(Clone)]
pub struct Track(pub(super) Arc<Shared>);

pub(super) struct Shared {
    pub(super) name: TrackName,
    pub(super) provenance: Provenance,
    pub(super) window: Window,
    pub(super) calendar: Arc<Mutex<Calendar>>,
    pub(super) clock: Arc<Clock>,
    pub(super) state: Mutex<State>,
    /// Wakes the consumers: a fragment came, the end of a group, or the end.
    pub(super) wake: Notify,
    pub(super) skipped: AtomicU64,
    pub(super) viewers: Viewers,
    /// The broadcast's count of changes.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) entries: VecDeque<Fragment>,
    pub(super) cursor: Cursor,
    pub(super) info: Option<Arc<Info>>,
    /// The epoch in which the source last declared it.
    pub(super) declared: Option<Epoch>,
    pub(super) has_writer: bool,
    pub(super) ended: bool,
    /// The sequence number of the last fragment of a group that is known to be complete.
    pub(super) group_end: Option<u64>,
    pub(super) fragments: u64,
    pub(super) bytes: u64,
    pub(super) pinned: u64,
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

    pub(super) fn push(&mut self, fragment: Fragment, window: Window) {
        self.fragments += 1;
        self.bytes += fragment.size();
        self.pinned += fragment.pinned();
        let end = fragment.presentation_time + fragment.duration;
        self.entries.push_back(fragment);
        let oldest = end - Time::from(window.duration);
        while self.second_group().is_some_and(|next| self.entries[next].presentation_time <= oldest) {
            self.drop_first_group();
        }
        while self.pinned > window.bytes && self.entries.len() > 1 {
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
        if let Some(entry) = self.entries.pop_front() {
            self.pinned -= entry.pinned();
        }
    }
}

impl Track {
    pub(crate) fn new(
        name: TrackName,
        provenance: Provenance,
        window: Window,
        calendar: Arc<Mutex<Calendar>>,
        clock: Arc<Clock>,
        changes: watch::Sender<u64>,
    ) -> Self {
        Self(Arc::new(Shared {
            name,
            provenance,
            window,
            calendar,
            clock,
            state: Mutex::default(),
            wake: Notify::new(),
            skipped: AtomicU64::new(0),
            viewers: Viewers::default(),
            changes,
        }))
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
            pinned: state.pinned,
            held: state.entries.len() as u64,
        }
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
