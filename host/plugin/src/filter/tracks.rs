//! What a filter knows of a track.

use millrace_media::Fragment;
use millrace_transcode::factory::{Cause, Gap, SourceTrack};

/// Whether the instance works on a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// It is asked before the next fragment.
    Due,
    Accepted,
    Declined,
}

/// A track that a filter is offered.
pub(super) struct FilteredTrack {
    pub(super) source: SourceTrack,
    pub(super) offer: Offer,
    /// The policy decides its fragments until a group begins.
    pub(super) waits: bool,
    /// An instance has been given a fragment of it.
    begun: bool,
    /// Fragments that were not given to the instance since the last one was.
    missed: Option<(u64, Cause)>,
}

impl FilteredTrack {
    pub(super) fn new(source: SourceTrack) -> Self {
        Self { source, offer: Offer::Due, waits: false, begun: false, missed: None }
    }

    /// The instance is not given so many fragments. What is missing before the first fragment is no gap.
    pub(super) fn miss(&mut self, fragments: u64, cause: Cause) {
        if self.begun {
            let before = self.missed.map_or(0, |(missed, _)| missed);
            self.missed = Some((before.saturating_add(fragments), cause));
        }
    }

    /// The policy has decided a fragment of it: the instance gets none before the next group.
    pub(super) fn skip(&mut self, cause: Cause) {
        self.begun = true;
        // What it waits for began with this cause.
        let cause = self.missed.filter(|_| self.waits).map_or(cause, |(_, cause)| cause);
        self.waits = true;
        self.miss(1, cause);
    }

    /// The instance is given the next fragment. What it has to be told before.
    pub(super) fn give(&mut self, fragment: &Fragment) -> Option<Gap> {
        self.begun = true;
        self.waits = false;
        let (skipped, cause) = self.missed.take()?;
        Some(Gap { track: self.source.id, skipped, next: fragment.place().group, cause })
    }

    /// The instance is gone.
    pub(super) fn forget(&mut self) {
        self.offer = Offer::Due;
        self.waits = true;
    }

    pub(super) fn is(&self, id: u32) -> bool {
        self.source.id == id
    }
}
