//! One track on the chain's side of the queue.

use std::sync::Arc;

use super::{Missing, Outcome, Report};
use crate::calendar::Epoch;
use crate::track::{Info, Kind, Producer, Track};

/// A track that the chain knows.
pub(super) struct Lane {
    /// As the chain knows it.
    pub(super) id: u32,
    pub(super) track: Track,
    pub(super) info: Arc<Info>,
    pub(super) epoch: Option<Epoch>,
    /// Who writes it now.
    pub(super) writer: Option<Attached>,
    /// Something is missing, for this reason: nothing more until a keyframe.
    pub(super) dropping: Option<Missing>,
}

/// The writer of a track.
pub(super) struct Attached {
    pub(super) id: u32,
    pub(super) producer: Producer,
    pub(super) report: Option<Arc<dyn Report>>,
}

impl Lane {
    pub(super) fn is_video(&self) -> bool {
        self.info.kind() == Kind::Video
    }

    pub(super) fn is_written_by(&self, writer: u32) -> bool {
        self.writer.as_ref().is_some_and(|attached| attached.id == writer)
    }

    /// What follows in the group is discarded too, for this reason.
    pub(super) fn drop_group(&mut self, why: Missing) {
        if self.is_video() {
            self.dropping = Some(why);
        }
    }

    pub(super) fn report(&self, bytes: u64, outcome: Outcome<'_>) {
        if let Some(report) = self.writer.as_ref().and_then(|attached| attached.report.as_ref()) {
            report.settled(bytes, outcome);
        }
    }
}
