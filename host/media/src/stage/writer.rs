//! What a publisher writes a track with.

use std::fmt;
use std::sync::Arc;

use super::gate::{Entry, Full, Gate, Opened};
use super::{Outcome, Report};
use crate::calendar::Epoch;
use crate::fragment::{Fragment, Media};
use crate::track::{Kind, Producer, Track, WriteError};

/// The one writer of a track of the source: straight to the track, or through the broadcast's chain. When it is dropped the track stays
/// open for its publisher's return.
pub struct Writer {
    track: Track,
    path: Path,
}

enum Path {
    Straight(Producer),
    Queued(Queued),
}

struct Queued {
    gate: Arc<Gate>,
    id: u32,
    kind: Option<Kind>,
    /// Video that could not be queued: nothing more until a keyframe.
    dropping: bool,
    /// Fragments that could not be queued since the last one was.
    unqueued: u64,
    report: Option<Arc<dyn Report>>,
}

impl Writer {
    pub(crate) fn straight(producer: Producer) -> Self {
        Self { track: producer.track().clone(), path: Path::Straight(producer) }
    }

    pub(crate) fn queued(gate: Arc<Gate>, producer: Producer, epoch: Option<Epoch>) -> Self {
        let track = producer.track().clone();
        let (id, kind) = (gate.next_writer(), track.info().map(|info| info.kind()));
        // Where the broadcast has ended, so have the track and all that is written to it.
        let _ = gate.push(Entry::Open(id, Box::new(Opened { producer, epoch })));
        Self { track, path: Path::Queued(Queued { gate, id, kind, dropping: false, unqueued: 0, report: None }) }
    }

    /// The track, to be read.
    pub fn track(&self) -> &Track {
        &self.track
    }

    /// Has `report` told of what becomes of the fragments that are queued.
    #[must_use]
    pub fn with_report(mut self, report: Arc<dyn Report>) -> Self {
        if let Path::Queued(queued) = &mut self.path {
            let _ = queued.gate.push(Entry::Report(queued.id, report.clone()));
            queued.report = Some(report);
        }
        self
    }

    /// Writes a fragment. Never waits. None where it was queued for the chain: its place is not known yet, and
    /// [what becomes of it](Self::with_report) is reported.
    ///
    /// # Errors
    /// As [`Producer::write`]; of what is queued, only that the track has ended.
    pub fn write(&mut self, media: Media) -> Result<Option<Fragment>, WriteError> {
        match &mut self.path {
            Path::Straight(producer) => producer.write(media).map(Some),
            Path::Queued(queued) => queued.write(media).map(|()| None),
        }
    }

    /// The source has lost so many fragments that should have been written here.
    pub fn lost(&mut self, fragments: u64) {
        if let Path::Queued(Queued { gate, id, .. }) = &self.path {
            let _ = gate.push(Entry::Lost(*id, fragments));
        }
    }

    /// See [`Producer::end_group`].
    pub fn end_group(&mut self) {
        match &mut self.path {
            Path::Straight(producer) => producer.end_group(),
            Path::Queued(Queued { gate, id, .. }) => drop(gate.push(Entry::EndGroup(*id))),
        }
    }

    /// Ends the track: its consumers read what is left, then the end. Nothing can be written after.
    pub fn end(&mut self) {
        match &mut self.path {
            Path::Straight(producer) => producer.end(),
            Path::Queued(Queued { gate, id, .. }) => drop(gate.push(Entry::EndTrack(*id))),
        }
    }
}

impl Queued {
    fn write(&mut self, media: Media) -> Result<(), WriteError> {
        let size = media.size();
        if self.dropping && !media.marks.keyframe {
            self.discarded(size);
            return Ok(());
        }
        self.dropping = false;
        let unqueued = std::mem::take(&mut self.unqueued);
        if unqueued > 0 {
            let _ = self.gate.push(Entry::Lost(self.id, unqueued));
        }
        match self.gate.push(Entry::Fragment(self.id, Box::new(media))) {
            Ok(()) => Ok(()),
            Err(Full::Closed) => Err(WriteError::Ended),
            Err(Full::TooMuch) => {
                self.unqueued = unqueued;
                self.dropping = self.kind == Some(Kind::Video);
                self.discarded(size);
                Ok(())
            }
        }
    }

    fn discarded(&mut self, size: u64) {
        self.unqueued += 1;
        if let Some(report) = &self.report {
            report.settled(size, Outcome::Discarded);
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Path::Queued(Queued { gate, id, .. }) = &self.path {
            let _ = gate.push(Entry::Close(*id));
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Writer").field(&self.track).finish()
    }
}
