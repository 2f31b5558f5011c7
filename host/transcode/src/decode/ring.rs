//! The ring of decoded pictures and its readers: a plain value, with the locks and the waiting around it elsewhere.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use millrace_media::{Fragment, Time};

use super::{AHEAD, Decoded, QUEUE};

/// The most memory the pictures of one source may take.
const RING_BYTES: usize = 256 << 20;
/// The most and the fewest pictures in the ring: half a second at 60 frames a second, and enough for reordering.
const RING_PICTURES: std::ops::RangeInclusive<usize> = 8..=32;
/// How many submitted fragments are remembered for a reader. Pictures come out of the decoder at most 16 behind.
const WANTED: usize = 512;

/// What the decoder is to do next.
#[derive(Debug)]
pub(super) enum Job {
    Fragment(Fragment),
    /// Fragments were lost: what follows starts a group.
    Gap,
    End,
}

/// One encoder's place at the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReaderId(u64);

/// What a reader finds.
#[derive(Debug)]
pub(crate) enum Taken {
    /// The next picture of a fragment it wants.
    Picture(Arc<Decoded>),
    /// It was too slow: this many pictures have gone by.
    Lost(u64),
    /// Nothing more will come.
    Closed,
}

#[derive(Debug)]
struct Reader {
    id: ReaderId,
    /// The number of the picture it reads next.
    cursor: u64,
    wanted: BTreeSet<u64>,
    /// The last fragment it has asked for.
    reached: Option<u64>,
    closing: bool,
    /// It held the ring up for too long, and is not waited for again until it wants something.
    left_behind: bool,
}

impl Reader {
    fn has_passed(&self, decoded: &Decoded) -> bool {
        self.reached.is_some_and(|reached| decoded.fragment <= reached)
    }
}

#[derive(Debug, Default)]
pub(super) struct State {
    queue: VecDeque<Job>,
    queued: Option<Time>,
    /// The decoder is at work on a job it has taken.
    busy: bool,
    ring: VecDeque<Arc<Decoded>>,
    /// The number of the first picture in the ring.
    base: u64,
    readers: Vec<Reader>,
    /// Nothing is forgotten before the second group begins: encoders of one source are opened one after the other, and each finds the
    /// first picture.
    groups: u32,
    next_reader: u64,
    ended: bool,
    stopped: bool,
    failure: Option<String>,
}

impl State {
    pub(super) fn add_reader(&mut self) -> ReaderId {
        let id = ReaderId(self.next_reader);
        self.next_reader += 1;
        self.readers.push(Reader {
            id,
            cursor: self.base,
            wanted: BTreeSet::new(),
            reached: None,
            closing: false,
            left_behind: false,
        });
        id
    }

    fn reader(&mut self, id: ReaderId) -> Option<&mut Reader> {
        self.readers.iter_mut().find(|reader| reader.id == id)
    }

    pub(super) fn close_reader(&mut self, id: ReaderId) {
        if let Some(reader) = self.reader(id) {
            reader.closing = true;
        }
    }

    pub(super) fn remove_reader(&mut self, id: ReaderId) {
        self.readers.retain(|reader| reader.id != id);
        self.forget();
    }

    pub(super) fn stop(&mut self) {
        self.stopped = true;
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped
    }

    pub(super) fn fail(&mut self, reason: String) {
        self.failure = Some(reason);
    }

    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// The reader's encoder wants the pictures of a fragment.
    pub(super) fn want(&mut self, id: ReaderId, fragment: u64) {
        let Some(reader) = self.reader(id) else { return };
        reader.wanted.insert(fragment);
        reader.left_behind = false;
        reader.reached = reader.reached.max(Some(fragment));
        if reader.wanted.len() > WANTED {
            reader.wanted.pop_first();
        }
    }

    /// True while this reader's encoder has not too much before it, nor, where the fragment `adds` to it, the decoder.
    pub(super) fn has_room_for(&self, id: ReaderId, adds: bool) -> bool {
        let Some(reader) = self.readers.iter().find(|reader| reader.id == id) else { return true };
        let ahead =
            self.ring.iter().skip(self.index(reader.cursor)).filter(|decoded| reader.has_passed(decoded)).count();
        ahead <= AHEAD && (!adds || self.queued.is_none_or(|queued| queued <= QUEUE))
    }

    pub(super) fn queue(&mut self, jobs: impl IntoIterator<Item = Job>) {
        for job in jobs {
            if let Job::Fragment(fragment) = &job {
                self.queued = Some(self.queued.map_or(fragment.duration, |queued| queued + fragment.duration));
            }
            self.queue.push_back(job);
        }
    }

    pub(super) fn next_job(&mut self) -> Option<Job> {
        let job = self.queue.pop_front();
        if let Some(Job::Fragment(fragment)) = &job {
            self.queued = self.queued.map(|queued| queued - fragment.duration);
        }
        if self.queue.is_empty() {
            self.queued = None;
        }
        self.busy = job.is_some();
        job
    }

    /// Whether a picture can be pushed now. A full ring waits for those who have yet to take its first picture, until patience is at an end.
    pub(super) fn has_room(&mut self, picture_bytes: usize, patient: bool) -> bool {
        let limit = (RING_BYTES / picture_bytes.max(1)).clamp(*RING_PICTURES.start(), *RING_PICTURES.end());
        while self.ring.len() >= limit {
            let base = self.base;
            let mut holding = self.readers.iter_mut().filter(|reader| reader.cursor == base && !reader.left_behind);
            if patient && holding.next().is_some() {
                return false;
            }
            holding.for_each(|reader| reader.left_behind = true);
            self.ring.pop_front();
            self.base += 1;
        }
        true
    }

    pub(super) fn push(&mut self, decoded: Decoded) {
        self.groups = self.groups.saturating_add(u32::from(decoded.starts_group));
        if !self.readers.is_empty() {
            self.ring.push_back(Arc::new(decoded));
        }
    }

    /// What the reader takes next, or none where it must wait.
    pub(super) fn take(&mut self, id: ReaderId) -> Option<Taken> {
        let (base, busy, stopped, ended) = (self.base, self.busy || !self.queue.is_empty(), self.stopped, self.ended);
        let failed = self.failure.is_some();
        let Some(reader) = self.readers.iter_mut().find(|reader| reader.id == id) else { return Some(Taken::Closed) };
        if stopped {
            return Some(Taken::Closed);
        }
        if reader.cursor < base {
            let lost = base - reader.cursor;
            reader.cursor = base;
            return Some(Taken::Lost(lost));
        }
        let (mut taken, mut beyond) = (None, false);
        while let Some(decoded) = self.ring.get((reader.cursor - base) as usize) {
            if !reader.has_passed(decoded) {
                beyond = true;
                break;
            }
            reader.cursor += 1;
            if reader.wanted.contains(&decoded.fragment) {
                taken = Some(Taken::Picture(decoded.clone()));
                break;
            }
        }
        let dry = taken.is_none() && (failed || (reader.closing && (beyond || !busy || ended)));
        self.forget();
        if dry { Some(Taken::Closed) } else { taken }
    }

    fn index(&self, cursor: u64) -> usize {
        usize::try_from(cursor.saturating_sub(self.base)).unwrap_or(usize::MAX)
    }

    /// Drops the pictures that every reader has taken.
    fn forget(&mut self) {
        if self.groups < 2 {
            return;
        }
        let needed = self.readers.iter().map(|reader| reader.cursor).min().unwrap_or(u64::MAX);
        while self.base < needed && self.ring.pop_front().is_some() {
            self.base += 1;
        }
    }
}
