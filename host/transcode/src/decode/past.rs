//! Notes of what is not decoded, for as long as somebody may ask for them.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millrace_media::{Broadcast, BroadcastName, TrackName};

use super::Source;

/// So many are kept: a broadcast whose transcoders have ended is listed for a while, with the reason why.
const KEPT: usize = 64;

/// The notes of broadcasts by name and start. The broadcasts themselves are not kept: they hold media.
#[derive(Default)]
pub(super) struct Past(Mutex<VecDeque<Note>>);

struct Note {
    broadcast: BroadcastName,
    started: Duration,
    /// Of a note that holds until the track can be decoded.
    refused: Option<TrackName>,
    text: String,
}

impl Note {
    fn is_of(&self, broadcast: &Broadcast) -> bool {
        self.broadcast == *broadcast.name() && self.started == broadcast.started().unix
    }
}

impl Past {
    fn kept(&self) -> MutexGuard<'_, VecDeque<Note>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the notes of a decoder that ends.
    pub(super) fn keep(&self, broadcast: &Broadcast, notes: Vec<String>) {
        notes.into_iter().for_each(|text| self.add(broadcast, None, text));
    }

    /// The reason why nothing here decodes a track, or none where something does.
    pub(super) fn refuse(&self, source: &Source, reason: Option<String>) {
        let (broadcast, track) = (&source.broadcast, source.track.name());
        self.kept().retain(|note| !(note.is_of(broadcast) && note.refused.as_ref() == Some(track)));
        if let Some(reason) = reason {
            self.add(broadcast, Some(track.clone()), format!("{track} is not transcoded: {reason}"));
        }
    }

    fn add(&self, broadcast: &Broadcast, refused: Option<TrackName>, text: String) {
        let mut kept = self.kept();
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(Note { broadcast: broadcast.name().clone(), started: broadcast.started().unix, refused, text });
    }

    /// What is kept of a broadcast.
    pub(super) fn of(&self, broadcast: &Broadcast) -> Vec<String> {
        self.kept().iter().filter(|note| note.is_of(broadcast)).map(|note| note.text.clone()).collect()
    }
}
