//! Reading a track.

use std::fmt;
use std::pin::pin;
use std::sync::atomic::Ordering;

use super::state::{State, Track};
use crate::calendar::Group;
use crate::fragment::Fragment;

/// Where a new consumer begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the beginning of the newest group, so that decoding can begin at once.
    NewestGroup,
    /// At the beginning of the oldest group that is still whole.
    OldestGroup,
    /// At the beginning of the first group from this one on.
    Group(Group),
    /// With what comes next, at the beginning of a group.
    NextGroup,
}

/// What a consumer reads.
#[derive(Clone, Debug)]
pub enum Event {
    /// The next fragment.
    Fragment(Fragment),
    /// The consumer was too slow: the window has moved past it. The next event is the first fragment of group `next`.
    Gap {
        /// How many fragments it has missed.
        skipped: u64,
        /// Where it goes on.
        next: Group,
    },
    /// Nothing more comes of the group that the last fragment is in. Not every group's end is known before the next one begins.
    GroupEnd,
}

/// What [`Consumer::try_next`] finds.
#[derive(Clone, Debug)]
pub enum Next {
    /// There it is.
    Ready(Event),
    /// Nothing yet.
    Pending,
    /// Nothing any more.
    Ended,
}

/// A reader of a track with a cursor of its own.
pub struct Consumer {
    track: Track,
    /// The sequence number of the fragment to be read next.
    position: u64,
    /// What comes before the beginning of a group is passed over.
    wants_group_start: bool,
    /// It has been told that the group ends with this sequence number.
    told_end: Option<u64>,
}

impl Consumer {
    pub(super) fn new(track: Track, start: Start) -> Self {
        let state = track.state();
        let mut begins = state.entries.iter().filter(|entry| entry.starts_group());
        let found = match start {
            Start::NewestGroup => begins.next_back(),
            Start::OldestGroup => begins.next(),
            Start::Group(group) => begins.find(|entry| entry.place().group >= group),
            Start::NextGroup => None,
        };
        let position = found.map_or(state.next(), |entry| entry.place().sequence);
        drop(state);
        Self { track, position, wants_group_start: true, told_end: None }
    }

    /// The track it reads.
    pub fn track(&self) -> &Track {
        &self.track
    }

    /// Waits for the next event; none after the end. Losing the future loses nothing.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            let track = self.track.clone();
            let mut woken = pin!(track.0.wake.notified());
            woken.as_mut().enable();
            match self.try_next() {
                Next::Ready(event) => return Some(event),
                Next::Ended => return None,
                Next::Pending => woken.await,
            }
        }
    }

    /// The next event, if it is there.
    pub fn try_next(&mut self) -> Next {
        let state = self.track.state();
        let first = state.first();
        if self.position < first {
            return match group_start(&state, first) {
                Some((sequence, next)) => {
                    let skipped = sequence - self.position;
                    drop(state);
                    self.track.0.skipped.fetch_add(skipped, Ordering::Relaxed);
                    self.position = sequence;
                    Next::Ready(Event::Gap { skipped, next })
                }
                None => Self::nothing(&state),
            };
        }
        if self.wants_group_start {
            match group_start(&state, self.position) {
                Some((sequence, _)) => self.position = sequence,
                None => return Self::nothing(&state),
            }
        }
        match state.entries.get((self.position - first) as usize) {
            Some(fragment) => {
                self.position += 1;
                self.wants_group_start = false;
                Next::Ready(Event::Fragment(fragment.clone()))
            }
            None if state.group_end.is_some_and(|last| last + 1 == self.position)
                && self.told_end != state.group_end =>
            {
                self.told_end = state.group_end;
                Next::Ready(Event::GroupEnd)
            }
            None => Self::nothing(&state),
        }
    }

    /// How many fragments of the window it has not read yet.
    pub fn behind(&self) -> u64 {
        self.track.state().next().saturating_sub(self.position)
    }

    fn nothing(state: &State) -> Next {
        if state.ended { Next::Ended } else { Next::Pending }
    }
}

/// The sequence number and the group of the first fragment from `from` on that begins a group.
fn group_start(state: &State, from: u64) -> Option<(u64, Group)> {
    let skip = usize::try_from(from - state.first()).ok()?;
    let found = state.entries.iter().skip(skip).find(|entry| entry.starts_group())?;
    Some((found.place().sequence, found.place().group))
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("track", &self.track).field("position", &self.position).finish()
    }
}
