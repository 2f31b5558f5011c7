//! The queue of one broadcast, from its publisher to its chain.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Notify;

use super::Report;
use crate::calendar::Epoch;
use crate::fragment::Media;
use crate::track::Producer;

/// For how long the publisher waits for its queue; past it, what is left is decided without calling anybody, for which it waits as long
/// again. An instance that stalls holds the queue no longer than its chain allows, so that this is seldom reached.
pub(super) const SETTLE: Duration = Duration::from_millis(250);
/// The most entries: some seconds of a few tracks. A burst of a whole GOP fits.
pub(super) const ENTRIES: usize = 1024;
/// The most memory of media, in bytes.
pub(super) const BYTES: u64 = 64 << 20;
/// The longest that an entry waits.
pub(super) const AGE: Duration = Duration::from_secs(1);

/// How many fragments and bytes wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Fragments, and ends of groups and tracks.
    pub entries: usize,
    /// Bytes of media.
    pub bytes: u64,
}

/// What a publisher does, in its order. The number tells its writers apart.
pub(super) enum Entry {
    /// A writer comes.
    Open(u32, Box<Opened>),
    /// It wants to know what becomes of its fragments.
    Report(u32, Arc<dyn Report>),
    Fragment(u32, Box<Media>),
    /// The source lost so many fragments.
    Lost(u32, u64),
    EndGroup(u32),
    EndTrack(u32),
    /// A writer goes.
    Close(u32),
    /// Tracks may have been ended from elsewhere.
    Sweep,
}

pub(super) struct Opened {
    pub(super) producer: Producer,
    pub(super) epoch: Option<Epoch>,
}

/// An entry that is to be handled.
pub(super) struct Taken {
    pub(super) entry: Entry,
    /// Nobody is to be called.
    pub(super) hurried: bool,
}

/// See the [module](self).
#[derive(Default)]
pub(crate) struct Gate {
    queue: Mutex<Queue>,
    /// The queue has become empty.
    settled: Condvar,
    /// Wakes the task: an entry came, or the end.
    arrived: Notify,
    /// Wakes the task where it waits for its chain.
    hurry: Notify,
}

#[derive(Default)]
struct Queue {
    entries: VecDeque<(Entry, Instant)>,
    bytes: u64,
    /// How many entries have been taken out.
    taken: u64,
    /// The entries up to this number, counted from the first, are decided without calling anybody.
    hurried: u64,
    /// An entry is being handled.
    busy: bool,
    /// The broadcast has ended: no entry is added.
    closed: bool,
    /// Nobody takes anything out any more.
    dead: bool,
    next_writer: u32,
}

impl Queue {
    fn is_settled(&self) -> bool {
        self.dead || (self.entries.is_empty() && !self.busy)
    }

    fn hurry(&mut self) {
        self.hurried = self.taken + self.entries.len() as u64;
    }
}

fn bytes_of(entry: &Entry) -> u64 {
    match entry {
        Entry::Fragment(_, media) => media.pinned(),
        _ => 0,
    }
}

impl Gate {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What waits now.
    pub(crate) fn load(&self) -> Load {
        let queue = self.queue();
        Load { entries: queue.entries.len(), bytes: queue.bytes }
    }

    pub(super) fn next_writer(&self) -> u32 {
        let mut queue = self.queue();
        queue.next_writer += 1;
        queue.next_writer
    }

    /// Adds an entry. Never waits.
    ///
    /// # Errors
    /// Where the broadcast has ended; where far too much waits, of what can be lost.
    pub(super) fn push(&self, entry: Entry) -> Result<(), Full> {
        let mut queue = self.queue();
        if queue.closed {
            return Err(Full::Closed);
        }
        // The others are few, and somebody counts on them.
        let can_go = matches!(entry, Entry::Fragment(..) | Entry::EndGroup(_) | Entry::Lost(..));
        let too_much = |by: usize| queue.entries.len() >= by * ENTRIES || queue.bytes >= by as u64 * BYTES;
        if can_go && too_much(2) {
            return Err(Full::TooMuch);
        }
        let now = Instant::now();
        let too_old = queue.entries.front().is_some_and(|(_, since)| now.saturating_duration_since(*since) > AGE);
        let hurries = too_old || too_much(1);
        queue.bytes += bytes_of(&entry);
        queue.entries.push_back((entry, now));
        if hurries {
            queue.hurry();
        }
        drop(queue);
        if hurries {
            self.hurry.notify_one();
        }
        self.arrived.notify_one();
        Ok(())
    }

    /// Waits until everything before has been handled: see [`SETTLE`].
    pub(crate) fn settle(&self) {
        if self.queue().is_settled() {
            return;
        }
        let wait = || {
            let queue = self.queue();
            let unsettled = |queue: &mut Queue| !queue.is_settled();
            let waited = self.settled.wait_timeout_while(queue, SETTLE, unsettled);
            let (mut queue, waited) = waited.unwrap_or_else(PoisonError::into_inner);
            if waited.timed_out() {
                queue.hurry();
                self.hurry.notify_one();
                drop(self.settled.wait_timeout_while(queue, SETTLE, unsettled));
            }
        };
        match Handle::try_current().map(|handle| handle.runtime_flavor()) {
            Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(wait),
            _ => wait(),
        }
    }

    /// Tracks have been ended from elsewhere.
    pub(crate) fn sweep(&self) {
        let _ = self.push(Entry::Sweep);
    }

    /// The broadcast has ended.
    pub(crate) fn close(&self) {
        self.queue().closed = true;
        self.arrived.notify_one();
    }

    /// The next entry; none once the broadcast has ended and nothing is left.
    pub(super) async fn next(&self) -> Option<Taken> {
        loop {
            {
                let mut queue = self.queue();
                if let Some((entry, _)) = queue.entries.pop_front() {
                    queue.bytes -= bytes_of(&entry);
                    queue.taken += 1;
                    queue.busy = true;
                    return Some(Taken { entry, hurried: queue.taken <= queue.hurried });
                }
                if queue.closed {
                    return None;
                }
            }
            self.arrived.notified().await;
        }
    }

    /// True where an entry waits, or the end.
    pub(super) fn is_waiting(&self) -> bool {
        let queue = self.queue();
        !queue.entries.is_empty() || queue.closed
    }

    /// Waits until the entry that is being handled is to be decided without calling anybody.
    pub(super) async fn hurried(&self) {
        loop {
            {
                let queue = self.queue();
                if queue.taken <= queue.hurried {
                    return;
                }
            }
            self.hurry.notified().await;
        }
    }

    /// The entry has been handled.
    pub(super) fn handled(&self) {
        let mut queue = self.queue();
        queue.busy = false;
        let settled = queue.is_settled();
        drop(queue);
        if settled {
            self.settled.notify_all();
        }
    }

    /// Nothing is taken out any more: what waits is lost.
    pub(super) fn die(&self) {
        let lost = {
            let mut queue = self.queue();
            (queue.closed, queue.dead, queue.busy, queue.bytes) = (true, true, false, 0);
            std::mem::take(&mut queue.entries)
        };
        // Producers may be in it.
        drop(lost);
        self.settled.notify_all();
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("load", &self.load()).finish_non_exhaustive()
    }
}

/// Why an entry was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// The broadcast has ended.
    Closed,
    /// Too much waits.
    TooMuch,
}
