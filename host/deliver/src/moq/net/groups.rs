//! Groups of a track of `moq-net`.

use std::time::Duration;

use bytes::Bytes;
use millrace_media::track::Info;
use millrace_media::{Fragment, Time};
use moq_net::group::{self, MAX_CACHE_BYTES, MAX_GROUP_FRAMES};
use moq_net::{Error, Timescale, Timestamp, frame, track};

use crate::moq::priority;
use crate::moq::pump::{Closed, Refused, Sink};

/// How much `moq-net` keeps besides the newest group: what readers that are a little late still want. The bus keeps the rest.
const KEPT: Duration = Duration::from_secs(3);

/// What a track is, to `moq-net`.
pub(super) fn info(info: &Info) -> track::Info {
    let scale = Timescale::new(u64::from(info.timescale.get())).unwrap_or_default();
    track::Info::default().with_timescale(scale).with_max_age(KEPT).with_priority(priority::of(info.kind()))
}

/// A track that groups are written to.
pub(super) struct Groups(track::Producer);

/// A group that is written, and how many bytes it has.
pub(super) struct Open {
    group: group::Producer,
    bytes: u64,
}

impl Open {
    pub(super) fn new(group: group::Producer) -> Self {
        Self { group, bytes: 0 }
    }

    /// Adds an object; `moq-net` ends a group that grows beyond its limits, so that what would make it do so is not taken.
    pub(super) fn write(&mut self, object: &Fragment) -> Result<(), Refused> {
        let size = object.size();
        if self.group.frame_count() >= MAX_GROUP_FRAMES || self.bytes + size > MAX_CACHE_BYTES {
            return Err(Refused::Full);
        }
        self.bytes += size;
        write(&mut self.group, object).map_err(|_| Refused::Closed)
    }

    /// The group is complete.
    pub(super) fn finish(self) {
        // One that was closed from the other side needs no end.
        let _ = self.group.finish();
    }

    /// The group ends here, though it is not complete.
    pub(super) fn cut(self) {
        // One that was closed from the other side needs no end.
        let _ = self.group.abort(Error::Lagged);
    }
}

impl Groups {
    pub(super) fn new(track: track::Producer) -> Self {
        Self(track)
    }

    /// The track has ended.
    pub(super) fn finish(self) {
        finish(&self.0);
    }
}

impl Sink for Groups {
    type Group = Open;

    fn begin(&mut self, first: &Fragment) -> Result<Open, Closed> {
        let info = group::Info { sequence: first.place().group.0 };
        self.0.create_group(info).map(Open::new).map_err(|_| Closed)
    }

    fn write(&mut self, group: &mut Open, object: &Fragment) -> Result<(), Refused> {
        group.write(object)
    }

    fn finish(&mut self, group: Open) {
        group.finish();
    }

    fn cut(&mut self, group: Open) {
        group.cut();
    }
}

fn write(group: &mut group::Producer, object: &Fragment) -> Result<(), Error> {
    let timestamp = timestamp(object.presentation_time)?;
    let mut frame = group.create_frame(frame::Info { size: object.size(), timestamp })?;
    frame.write(object.head.clone())?;
    for slice in object.payload.slices() {
        frame.write(slice.clone())?;
    }
    frame.finish()
}

/// `moq-net` has no times before zero.
fn timestamp(time: Time) -> Result<Timestamp, Error> {
    let ticks = u64::try_from(time.ticks()).unwrap_or(0);
    let scale = Timescale::new(u64::from(time.scale().get())).map_err(|_| Error::TimestampMismatch)?;
    Timestamp::new(ticks, scale).map_err(|_| Error::TimestampMismatch)
}

/// Writes a group of one object, at once.
pub(super) fn write_whole(track: &track::Producer, number: u64, object: Bytes) -> Result<(), Error> {
    let mut group = track.create_group(group::Info { sequence: number })?;
    group.write_frame(Timestamp::now(), object)?;
    group.finish()
}

/// The track has ended.
pub(super) fn finish(track: &track::Producer) {
    // One that was closed from the other side needs no end.
    let _ = track.finish();
}
