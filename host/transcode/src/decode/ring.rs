//! The ring of decoded pictures and its readers: a plain value, with the locks and the waiting around it elsewhere.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millrace_codec::Size;
use millrace_media::{Fragment, Time};

use super::{AHEAD, Decoded, QUEUE, QUEUE_FRAGMENTS};

/// The most memory the pictures of one source may take, in all the sizes that are made of them.
const RING_BYTES: usize = 256 << 20;
/// The most and the fewest pictures in the ring: half a second at 60 frames a second, and enough for reordering.
const RING_PICTURES: std::ops::RangeInclusive<usize> = 8..=32;
/// How many pictures are kept for readers that rest: one that wakes for a group asks for it a moment after the others have.
const KEPT_FOR_RESTING: usize = 8;
/// How many submitted fragments are remembered for a reader. Pictures come out of the decoder at most 16 behind.
const WANTED: usize = 512;

/// What the decoder is to do next.
#[derive(Debug)]
pub(super) enum Job {
    Fragment(Fragment),
    /// Fragments were lost, or nobody wanted them, or the source has ended: what follows, if anything, starts a group. What is held back
    /// comes out because of something that happened then, on the bus's monotonic clock.
    Gap(Option<Duration>),
}

/// One encoder's place at the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReaderId(u64);

/// What a reader finds.
#[derive(Debug)]
pub(crate) enum Taken {
    /// The next picture of a fragment it wants.
    Picture {
        decoded: Arc<Decoded>,
        /// How many that it has asked for are behind this one.
        waiting: usize,
    },
    /// It was too slow: this many pictures have gone by.
    Lost(u64),
    /// This many were not decoded, for the source may not ask for so much.
    Limited(u64),
    /// It has all that it asked for before it was told to rest.
    Resting,
    /// Nothing more will come.
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It wants pictures.
    Reading,
    /// It takes what it has asked for, and then rests.
    Tiring,
    /// It wants nothing for now: the ring does not wait for it.
    Resting,
    /// It takes what it has asked for, and then its end.
    Closing,
}

#[derive(Debug)]
struct Reader {
    id: ReaderId,
    /// The size it scales pictures to.
    size: Size,
    /// The number of the picture it reads next.
    cursor: u64,
    wanted: BTreeSet<u64>,
    /// The last fragment it has asked for.
    reached: Option<u64>,
    phase: Phase,
    /// It held the ring up for too long, and is not waited for again until it asks for another group.
    left_behind: bool,
    /// Pictures that were not decoded, of which it has not been told.
    limited: u64,
}

impl Reader {
    fn has_passed(&self, decoded: &Decoded) -> bool {
        self.reached.is_some_and(|reached| decoded.fragment <= reached)
    }
}

/// Why the decoder gives nothing, until its track is described anew.
#[derive(Debug)]
struct Failure {
    init: Bytes,
    reason: String,
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
    stopped: bool,
    /// Nothing is decoded from this time on, on the bus's monotonic clock.
    deadline: Option<Duration>,
    failure: Option<Failure>,
}

impl State {
    pub(super) fn add_reader(&mut self, size: Size) -> ReaderId {
        let id = ReaderId(self.next_reader);
        self.next_reader += 1;
        self.readers.push(Reader {
            id,
            size,
            cursor: self.base,
            wanted: BTreeSet::new(),
            reached: None,
            phase: Phase::Reading,
            left_behind: false,
            limited: 0,
        });
        id
    }

    fn reader(&mut self, id: ReaderId) -> Option<&mut Reader> {
        self.readers.iter_mut().find(|reader| reader.id == id)
    }

    /// From now on the reader scales to another size.
    pub(super) fn set_size(&mut self, id: ReaderId, size: Size) {
        if let Some(reader) = self.reader(id) {
            reader.size = size;
        }
    }

    pub(super) fn close_reader(&mut self, id: ReaderId) {
        if let Some(reader) = self.reader(id) {
            reader.phase = Phase::Closing;
        }
    }

    /// The reader wants nothing more for now. True where no other wants anything either.
    pub(super) fn rest(&mut self, id: ReaderId) -> bool {
        if let Some(reader) = self.reader(id)
            && reader.phase == Phase::Reading
        {
            reader.phase = Phase::Tiring;
        }
        self.readers.iter().all(|reader| reader.phase != Phase::Reading)
    }

    pub(super) fn remove_reader(&mut self, id: ReaderId) {
        self.readers.retain(|reader| reader.id != id);
        self.forget();
    }

    /// True where another reader than this one wants pictures.
    pub(super) fn is_read_beside(&self, id: ReaderId) -> bool {
        self.readers.iter().any(|reader| reader.id != id && reader.phase == Phase::Reading)
    }

    pub(super) fn stop(&mut self) {
        self.stopped = true;
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped
    }

    pub(super) fn stop_by(&mut self, deadline: Duration) {
        self.deadline = Some(deadline);
    }

    /// True while frames may be decoded, at all or further.
    pub(super) fn may_decode(&self, now: Duration) -> bool {
        !self.stopped && self.deadline.is_none_or(|deadline| now < deadline)
    }

    /// A picture is not decoded, for the source may not ask for so much: those who want pictures are told.
    pub(super) fn limit(&mut self) {
        self.readers.iter_mut().filter(|reader| reader.phase != Phase::Resting).for_each(|reader| reader.limited += 1);
    }

    /// Nothing comes of fragments with this header.
    pub(super) fn fail(&mut self, init: Bytes, reason: String) {
        self.failure = Some(Failure { init, reason });
    }

    pub(super) fn recover(&mut self) {
        self.failure = None;
    }

    /// Why nothing will come of fragments with this header.
    pub(super) fn failure(&self, init: &Bytes) -> Option<&str> {
        self.failure.as_ref().filter(|failure| failure.init == *init).map(|failure| failure.reason.as_str())
    }

    /// The reader's encoder wants the pictures of a fragment. One that rested is awake again, and begins with the first picture of the
    /// fragment that the ring still has.
    pub(super) fn want(&mut self, id: ReaderId, fragment: u64, starts_group: bool) {
        let (base, end) = (self.base, self.base + self.ring.len() as u64);
        let first = self.ring.iter().position(|decoded| decoded.fragment >= fragment).map(|index| base + index as u64);
        let Some(reader) = self.reader(id) else { return };
        match reader.phase {
            Phase::Resting => {
                reader.phase = Phase::Reading;
                reader.cursor = first.unwrap_or(end);
                reader.wanted.clear();
            }
            Phase::Tiring => reader.phase = Phase::Reading,
            Phase::Reading | Phase::Closing => {}
        }
        reader.wanted.insert(fragment);
        reader.left_behind &= !starts_group;
        reader.reached = reader.reached.max(Some(fragment));
        if reader.wanted.len() > WANTED {
            reader.wanted.pop_first();
        }
    }

    /// True while this reader's encoder has not too much before it, nor, where the fragment `adds` to it, the decoder.
    pub(super) fn has_room_for(&self, id: ReaderId, adds: bool) -> bool {
        let Some(reader) = self.readers.iter().find(|reader| reader.id == id) else { return true };
        let queue_has_room = || self.queue.len() < QUEUE_FRAGMENTS && self.queued.is_none_or(|queued| queued <= QUEUE);
        self.ahead(reader) <= AHEAD && (!adds || queue_has_room())
    }

    /// The decoded pictures that this reader has asked for, or passed over, and not taken.
    fn ahead(&self, reader: &Reader) -> usize {
        if reader.phase == Phase::Resting {
            return 0;
        }
        self.ring.iter().skip(self.index(reader.cursor)).filter(|decoded| reader.has_passed(decoded)).count()
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
    pub(super) fn has_room(&mut self, size: Size, patient: bool) -> bool {
        let bytes = size.bytes() + self.scaled_bytes(size);
        let limit = (RING_BYTES / bytes.max(1)).clamp(*RING_PICTURES.start(), *RING_PICTURES.end());
        while self.ring.len() >= limit {
            let base = self.base;
            let mut holding = self
                .readers
                .iter_mut()
                .filter(|reader| reader.phase != Phase::Resting && reader.cursor == base && !reader.left_behind);
            if patient && holding.next().is_some() {
                return false;
            }
            holding.for_each(|reader| reader.left_behind = true);
            self.ring.pop_front();
            self.base += 1;
        }
        true
    }

    /// What all the sizes take that are made of a picture of size `source`.
    fn scaled_bytes(&self, source: Size) -> usize {
        let mut sizes: Vec<Size> = Vec::new();
        for reader in self.readers.iter().filter(|reader| reader.size != source) {
            if !sizes.contains(&reader.size) {
                sizes.push(reader.size);
            }
        }
        sizes.into_iter().map(Size::bytes).sum()
    }

    pub(super) fn push(&mut self, decoded: Decoded) {
        self.groups = self.groups.saturating_add(u32::from(decoded.starts_group));
        if !self.readers.is_empty() {
            self.ring.push_back(Arc::new(decoded));
        }
        self.forget();
    }

    /// How many pictures were ever pushed.
    #[cfg(test)]
    pub(super) fn pushed(&self) -> u64 {
        self.base + self.ring.len() as u64
    }

    /// What the reader takes next, or none where it must wait.
    pub(super) fn take(&mut self, id: ReaderId) -> Option<Taken> {
        let (base, busy, stopped) = (self.base, self.busy || !self.queue.is_empty(), self.stopped);
        let others_read = self.is_read_beside(id);
        let Some(reader) = self.readers.iter_mut().find(|reader| reader.id == id) else { return Some(Taken::Closed) };
        if stopped {
            return Some(Taken::Closed);
        }
        if reader.limited > 0 {
            return Some(Taken::Limited(std::mem::take(&mut reader.limited)));
        }
        if reader.phase == Phase::Resting {
            return None;
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
                taken = Some(decoded.clone());
                break;
            }
        }
        let closed = taken.is_none() && reader.phase == Phase::Closing && (beyond || !busy);
        // What the decoder holds back comes out with what others want, or once nobody wants anything.
        let rests = taken.is_none() && reader.phase == Phase::Tiring && (beyond || (!busy && !others_read));
        if rests {
            reader.phase = Phase::Resting;
        }
        self.forget();
        if rests {
            return Some(Taken::Resting);
        }
        if closed {
            return Some(Taken::Closed);
        }
        let decoded = taken?;
        let waiting = self.readers.iter().find(|reader| reader.id == id).map_or(0, |reader| self.ahead(reader));
        Some(Taken::Picture { decoded, waiting })
    }

    fn index(&self, cursor: u64) -> usize {
        usize::try_from(cursor.saturating_sub(self.base)).unwrap_or(usize::MAX)
    }

    /// Drops the pictures that every reader has taken.
    fn forget(&mut self) {
        if self.groups < 2 {
            return;
        }
        let end = self.base + self.ring.len() as u64;
        let needs = |reader: &Reader| match reader.phase {
            Phase::Resting => end.saturating_sub(KEPT_FOR_RESTING as u64),
            _ => reader.cursor,
        };
        let needed = self.readers.iter().map(needs).min().unwrap_or(u64::MAX);
        while self.base < needed && self.ring.pop_front().is_some() {
            self.base += 1;
        }
    }
}
