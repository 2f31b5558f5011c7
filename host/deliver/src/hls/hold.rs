//! Sound waits for the pictures it belongs to.
//!
//! Where segments begin is known from the source's pictures. Sound that arrives before them cannot be told its segment yet, and is of
//! no use to a viewer before they are there: it is held until the pictures have come as far.

use std::collections::VecDeque;
use std::time::Duration;

use millrace_media::calendar::Epoch;
use millrace_media::track::{Kind, Track};
use millrace_media::{Broadcast, Fragment, Time};

/// How far the source's pictures have come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Reach {
    epoch: Epoch,
    /// The end of the newest, in decode order: every picture to come begins later.
    end: Time,
}

/// The source's pictures that sound of `broadcast` waits for.
pub(super) fn pictures(broadcast: &Broadcast) -> Option<Track> {
    let is_source = |track: &Track| track.provenance().is_source() && !track.is_ended();
    let is_video = |track: &Track| track.info().is_some_and(|info| info.kind() == Kind::Video);
    broadcast.tracks().into_iter().find(|track| is_source(track) && is_video(track))
}

/// How far they have come.
pub(super) fn reach(pictures: &Track) -> Option<Reach> {
    let newest = pictures.newest()?;
    Some(Reach { epoch: newest.place().epoch, end: newest.decode_time + newest.duration })
}

/// Fragments that wait.
#[derive(Debug)]
pub(super) struct Held {
    fragments: VecDeque<Fragment>,
    longest: Time,
}

impl Held {
    /// At most `longest` of media is held: pictures that are so late may never come.
    pub(super) fn new(longest: Duration) -> Self {
        Self { fragments: VecDeque::new(), longest: Time::from(longest) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fragments.is_empty()
    }

    pub(super) fn push(&mut self, fragment: Fragment) {
        self.fragments.push_back(fragment);
    }

    /// The next fragment that need not wait any longer, where the pictures have come as far as `reach`; without any, all go.
    pub(super) fn release(&mut self, reach: Option<Reach>) -> Option<Fragment> {
        let (first, last) = (self.fragments.front()?, self.fragments.back()?);
        let has_come = |reach: Reach| reach.epoch != first.place().epoch || first.presentation_time <= reach.end;
        let is_late = last.presentation_time - first.presentation_time > self.longest;
        if reach.is_none_or(has_come) || is_late { self.fragments.pop_front() } else { None }
    }
}
