//! Fragments: one CMAF chunk each (ISO/IEC 23000-19, 7.3.2.3), the unit that flows through the server.
//!
//! [`Media`] is what an ingest module or an encoder makes: a small head and slices of payload, with the sample table and the times
//! read out of the head. Writing it to a track gives it its place and makes it a [`Fragment`], which is shared from then on.

mod samples;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use samples::Samples;

use crate::calendar::{Epoch, Group, Segment};
use crate::payload::Payload;
use crate::time::Time;
use crate::track::{Charge, Info};

/// One coded picture, or one audio frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Where it begins in the fragment's payload, in bytes.
    pub offset: u32,
    /// Its length in bytes.
    pub size: u32,
    /// How long it lasts, in ticks of the track's timescale.
    pub duration: u32,
    /// Presentation time less decode time, in ticks.
    pub composition_offset: i32,
    /// What depends on it, and what it depends on.
    pub marks: Marks,
}

/// How a sample, or a whole fragment, stands to its neighbours (ISO/IEC 14496-12, 8.8.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Decoding can begin here: a stream access point of type 1 or 2.
    pub keyframe: bool,
    /// Depends on nothing before it.
    pub independent: bool,
    /// Nothing depends on it.
    pub discardable: bool,
}

/// A CMAF chunk with what was read out of it, not yet in a track. Times are on the broadcast's timeline.
#[derive(Clone, Debug)]
pub struct Media {
    /// `moof` and the header of `mdat`, with the `prft` and `emsg` that stand before them.
    pub head: Bytes,
    /// The body of `mdat`.
    pub payload: Payload,
    /// In decode order; they lie within the payload.
    pub samples: Samples,
    /// Of the first sample.
    pub decode_time: Time,
    /// Of the sample that is presented first.
    pub presentation_time: Time,
    /// The samples' durations added up.
    pub duration: Time,
    /// The first sample's keyframe mark; independent if no sample depends on another fragment; discardable if every sample is.
    pub marks: Marks,
    /// When it was captured, since the Unix epoch, where the source says so.
    pub captured_at: Option<Duration>,
}

impl Media {
    /// The memory this fragment takes, in bytes: head, payload, sample table and itself.
    pub fn pinned(&self) -> u64 {
        self.size() + self.samples.list_size() + Fragment::SIZE as u64
    }

    /// Bytes on the wire: head and payload.
    pub fn size(&self) -> u64 {
        self.head.len() as u64 + u64::from(self.payload.len())
    }

    /// The samples with their times, in decode order.
    pub fn timed_samples(&self) -> impl Iterator<Item = TimedSample> + '_ {
        let scale = self.decode_time.scale();
        let mut next = self.decode_time.ticks();
        self.samples.iter().map(move |sample| {
            let decode_time = next;
            next = next.saturating_add(i64::from(sample.duration));
            TimedSample {
                sample: *sample,
                decode_time: Time::new(decode_time, scale),
                presentation_time: Time::new(decode_time.saturating_add(i64::from(sample.composition_offset)), scale),
            }
        })
    }
}

/// A sample and when it is decoded and shown.
#[derive(Clone, Copy, Debug)]
pub struct TimedSample {
    /// The sample.
    pub sample: Sample,
    /// On the broadcast's timeline.
    pub decode_time: Time,
    /// On the broadcast's timeline.
    pub presentation_time: Time,
}

/// Where a fragment stands in its track and in the broadcast's calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Counts the track's fragments from 0, without a hole.
    pub sequence: u64,
    /// Which run of the publisher it belongs to.
    pub epoch: Epoch,
    /// Its group.
    pub group: Group,
    /// Its index in the group, from 0.
    pub object: u64,
    /// The segment it belongs to.
    pub segment: Segment,
}

/// A bus keeps many of these, so that everything is kept as short as it can be.
#[derive(Debug)]
struct Placed {
    media: Media,
    sequence: u64,
    group: Group,
    segment: Segment,
    epoch: Epoch,
    /// Groups are far shorter than this: see [`Fragment::new`].
    object: u32,
    info: Arc<Info>,
    /// In nanoseconds on the bus's monotonic clock.
    arrived: u64,
    charge: Charge,
}

/// A fragment of a track: media that has its place. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Fragment(Arc<Placed>);

impl Fragment {
    /// What it takes beside its media's buffers and sample table, in bytes: itself, and its two reference counts.
    pub(crate) const SIZE: usize = size_of::<Placed>() + 2 * size_of::<usize>();

    pub(crate) fn new(media: Media, place: Place, info: Arc<Info>, arrived: Duration, charge: Charge) -> Self {
        let Place { sequence, epoch, group, object, segment } = place;
        // At a thousand fragments a second, a group of so many lasts seven weeks.
        let object = u32::try_from(object).unwrap_or(u32::MAX);
        let arrived = u64::try_from(arrived.as_nanos()).unwrap_or(u64::MAX);
        Self(Arc::new(Placed { media, sequence, group, segment, epoch, object, info, arrived, charge }))
    }

    /// Where it stands.
    pub fn place(&self) -> Place {
        let Placed { sequence, epoch, group, object, segment, .. } = *self.0;
        Place { sequence, epoch, group, object: object.into(), segment }
    }

    /// What its track was when it was written: the CMAF header that decodes it among others.
    pub fn info(&self) -> &Arc<Info> {
        &self.0.info
    }

    /// When it was written, on the bus's monotonic clock.
    pub fn arrived(&self) -> Duration {
        Duration::from_nanos(self.0.arrived)
    }

    /// The memory that its track holds for it.
    pub(crate) fn charge(&self) -> Charge {
        self.0.charge
    }

    /// True of the first fragment of a group in its track.
    pub fn starts_group(&self) -> bool {
        self.0.object == 0
    }

    /// The media, taken out where nobody else has the fragment.
    pub fn into_media(self) -> Media {
        Arc::try_unwrap(self.0).map_or_else(|shared| shared.media.clone(), |placed| placed.media)
    }

    /// As this one, with other media: a fragment that has its place before it is written.
    pub fn replaced(&self, media: Media) -> Self {
        let placed = &self.0;
        Self::new(media, self.place(), placed.info.clone(), self.arrived(), placed.charge)
    }

    /// The media, to be written to another track. Copies no media bytes.
    pub fn media(&self) -> &Media {
        &self.0.media
    }
}

impl Deref for Fragment {
    type Target = Media;
    fn deref(&self) -> &Media {
        &self.0.media
    }
}
