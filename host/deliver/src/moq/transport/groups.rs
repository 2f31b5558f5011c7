//! Groups of a subscription of `moq-transport`.
//!
//! Writing never waits: what a subscriber has not taken stands in memory. Most of it stands in the bus's window as well, so that the
//! window is the bound: a group whose beginning the bus has let go while it is still being written ends there, and a subscriber who
//! has not taken a finished one by then is too far behind to be served.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use millrace_media::Fragment;
use millrace_media::track::Track;
use moq_transport::message::PublishDoneCode;
use moq_transport::serve::{ServeError, Subgroup, SubgroupWriter, SubgroupsWriter};

use crate::moq::pump::{Closed, Refused, Sink};

/// See the [module](self).
pub(super) struct Groups {
    subgroups: SubgroupsWriter,
    track: Track,
    priority: u8,
    /// The groups that are still held for the subscriber, oldest first.
    held: Vec<Held>,
}

/// A group that is written.
pub(super) struct Open {
    subgroup: SubgroupWriter,
    /// The sequence number of its first object in the track.
    first: u64,
}

/// A group that is held for the subscriber as long as there is somebody to upgrade to.
struct Held {
    first: u64,
    taken: Weak<()>,
}

/// The head of a group's first object, and the knowledge that the group is held.
struct Head {
    bytes: Bytes,
    _held: Arc<()>,
}

impl AsRef<[u8]> for Head {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Groups {
    pub(super) fn new(subgroups: SubgroupsWriter, track: Track, priority: u8) -> Self {
        Self { subgroups, track, priority, held: Vec::new() }
    }

    /// The subscriber may have no more.
    pub(super) fn deny(self) {
        // One that was closed from the other side needs no end.
        let _ = self.subgroups.close(ServeError::Closed(PublishDoneCode::Unauthorized.into()));
    }

    /// The sequence number of the oldest fragment that the bus still has.
    fn window_begins(&self) -> u64 {
        let stats = self.track.stats();
        stats.fragments - stats.held
    }
}

impl Sink for Groups {
    type Group = Open;

    fn begin(&mut self, first: &Fragment) -> Result<Open, Closed> {
        self.held.retain(|group| group.taken.strong_count() > 0);
        let window = self.window_begins();
        if self.held.first().is_some_and(|oldest| oldest.first < window) {
            tracing::debug!(track = %self.track.name(), "a subscriber is farther behind than the bus remembers");
            return Err(Closed);
        }
        let place = first.place();
        let subgroup = Subgroup { group_id: place.group.0, subgroup_id: 0, priority: self.priority };
        let subgroup = self.subgroups.create(subgroup).map_err(|_| Closed)?;
        Ok(Open { subgroup, first: place.sequence })
    }

    fn write(&mut self, group: &mut Open, object: &Fragment) -> Result<(), Refused> {
        if group.first < self.window_begins() {
            return Err(Refused::Full);
        }
        let head = if group.subgroup.is_empty() {
            let held = Arc::new(());
            self.held.push(Held { first: group.first, taken: Arc::downgrade(&held) });
            Bytes::from_owner(Head { bytes: object.head.clone(), _held: held })
        } else {
            object.head.clone()
        };
        write(&mut group.subgroup, head, object).map_err(|_| Refused::Closed)
    }

    fn finish(&mut self, group: Open) {
        // One that was closed from the other side needs no end.
        let _ = group.subgroup.finish();
    }

    fn cut(&mut self, group: Open) {
        // One that was closed from the other side needs no end.
        let _ = group.subgroup.close(ServeError::Closed(PublishDoneCode::TooFarBehind.into()));
    }
}

fn write(subgroup: &mut SubgroupWriter, head: Bytes, object: &Fragment) -> Result<(), ServeError> {
    let size = usize::try_from(object.size()).map_err(|_| ServeError::Size)?;
    let mut writer = subgroup.create(size, None)?;
    writer.write(head)?;
    object.payload.slices().iter().try_for_each(|slice| writer.write(slice.clone()))
}
