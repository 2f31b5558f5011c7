//! The boxes that stand before a `moof` and say times of their own: `prft` and `emsg`.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use millrace_media::{Media, Time, Timescale};
use mp4_atom::{Emib, Emsg, EmsgTimestamp, Prft, ReferenceTime};

use super::ReadError;
use crate::boxes::{BoxRef, Boxes, u32_at, u64_at};
use crate::fourcc::{self, FourCC};
use crate::ntp;
use crate::write::Event;

/// A box that goes before a `moof`.
#[derive(Clone, Debug)]
pub(super) struct Before {
    bytes: Bytes,
    /// The track it speaks of, where it names one.
    pub(super) track_id: Option<u32>,
    /// The time in it that moves with the media, where there is one.
    time: Option<MediaTime>,
    /// When the media was captured, since the Unix epoch, where it says so.
    pub(super) captured_at: Option<Duration>,
}

/// Where a time that moves with the media stands in a box.
#[derive(Clone, Copy, Debug)]
struct MediaTime {
    at: usize,
    wide: bool,
    line: Line,
}

/// On which timeline a time is.
#[derive(Clone, Copy, Debug)]
enum Line {
    /// That of the fragments' decode times.
    Media,
    /// The presentation timeline, to which edit lists lead, counted in a timescale of its own.
    Presentation(Timescale),
}

impl Before {
    /// Reads a `prft` (ISO/IEC 14496-12, 8.16.5) or an `emsg` (ISO/IEC 23009-1, 5.10.3.3).
    pub(super) fn read(bytes: Bytes) -> Result<Self, ReadError> {
        let found = BoxRef::whole(&bytes)?;
        let version = found.body().first().copied().unwrap_or(0);
        let (mut track_id, mut time, mut captured_at) = (None, None, None);
        if found.kind == fourcc::PRFT {
            let prft: Prft = found.decode()?;
            track_id = Some(prft.reference_track_id);
            time = Some(MediaTime { at: found.header + 16, wide: version != 0, line: Line::Media });
            // The other semantics are those of the moment when a fragment is finished, sent, or anything else but captured. ffmpeg
            // writes RealTime (24) at the flush, which is as late as the fragment is long.
            captured_at = matches!(prft.utc_time_semantics, ReferenceTime::Input | ReferenceTime::Output)
                .then(|| ntp::to_unix(prft.ntp_timestamp));
        } else if found.kind == fourcc::EMSG && version == 1 {
            // Version 0 counts from the beginning of its segment, which moves along.
            let scale = u32_at(found.body(), 4).and_then(Timescale::new);
            if let Some(scale) = scale
                && u64_at(found.body(), 8).is_some()
            {
                time = Some(MediaTime { at: found.header + 8, wide: true, line: Line::Presentation(scale) });
            }
        }
        Ok(Self { bytes, track_id, time, captured_at })
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The box with its time moved, by `media_shift` on the media timeline or by `offset` on the presentation timeline: itself where
    /// nothing changes, none where the new time cannot be written.
    pub(super) fn moved(&self, media_shift: Time, offset: Time) -> Option<Bytes> {
        let Some(time) = self.time else { return Some(self.bytes.clone()) };
        let by = match time.line {
            Line::Media => media_shift.ticks(),
            Line::Presentation(scale) => offset.rescale(scale).ticks(),
        };
        if by == 0 {
            return Some(self.bytes.clone());
        }
        let mut bytes = BytesMut::from(&self.bytes[..]);
        if time.wide {
            let moved = u64_at(&bytes, time.at)?.checked_add_signed(by)?;
            bytes.get_mut(time.at..time.at + 8)?.copy_from_slice(&moved.to_be_bytes());
        } else {
            let moved = u64::from(u32_at(&bytes, time.at)?).checked_add_signed(by)?;
            bytes.get_mut(time.at..time.at + 4)?.copy_from_slice(&u32::try_from(moved).ok()?.to_be_bytes());
        }
        Some(bytes.freeze())
    }
}

/// The events before media, in their order, on the broadcast's timeline. The time of an `emsg` of version 0 counts from the presentation
/// time of the media. An event that does not decode, or has no time, is passed over. Messages share the head's buffer, so that the whole
/// takes little more memory than the head.
pub fn events(media: &Media) -> Vec<Event> {
    Boxes::new(&media.head, 0, FourCC::new(b"file"))
        .map_while(Result::ok)
        .take_while(|found| found.kind != fourcc::MOOF)
        .filter(|found| found.kind == fourcc::EMSG)
        .filter_map(|found| read_event(media, &found))
        .collect()
}

pub(crate) fn read_event(media: &Media, found: &BoxRef<'_>) -> Option<Event> {
    let emsg: Emsg = found.decode().ok()?;
    let scale = Timescale::new(emsg.timescale)?;
    let presentation_time = match emsg.presentation_time {
        EmsgTimestamp::Absolute(ticks) => Time::new(i64::try_from(ticks).ok()?, scale),
        EmsgTimestamp::Relative(ticks) => media.presentation_time.rescale(scale) + Time::new(ticks.into(), scale),
    };
    let end = found.start + found.whole.len();
    Some(Event {
        scheme: emsg.scheme_id_uri,
        value: emsg.value,
        presentation_time,
        // All ones where it is not known.
        duration: (emsg.event_duration != u32::MAX).then(|| Time::new(emsg.event_duration.into(), scale)),
        id: emsg.id,
        data: media.head.slice(end.checked_sub(emsg.message_data.len())?..end),
    })
}

/// The largest sample of an event message track that is read.
const MAX_SAMPLE: u32 = 64 << 10;

/// The events in the samples of an event message track (ISO/IEC 23001-18, 6), whose codec is [`EVENT_MESSAGES`](crate::EVENT_MESSAGES):
/// `emib` boxes, on the broadcast's timeline. Samples that are not of such boxes have none. An event whose time lies outside what can be
/// counted is passed over.
pub fn sample_events(media: &Media) -> Vec<Event> {
    let mut events = Vec::new();
    for sample in media.timed_samples() {
        let (offset, size) = (sample.sample.offset, sample.sample.size);
        if size > MAX_SAMPLE {
            continue;
        }
        let Some(data) = media.payload.contiguous(offset, size) else { continue };
        let boxes = Boxes::new(&data, 0, FourCC::new(b"evte")).map_while(Result::ok);
        for found in boxes.filter(|found| found.kind == fourcc::EMIB) {
            let Ok(emib) = found.decode::<Emib>() else { continue };
            let scale = sample.presentation_time.scale();
            let Some(ticks) = sample.presentation_time.ticks().checked_add(emib.presentation_time_delta) else {
                continue;
            };
            events.push(Event {
                scheme: emib.scheme_id_uri,
                value: emib.value,
                presentation_time: Time::new(ticks, scale),
                duration: (emib.event_duration != u32::MAX).then(|| Time::new(emib.event_duration.into(), scale)),
                id: emib.id,
                data: emib.message_data.into(),
            });
        }
    }
    events
}

/// The scheme of an `emsg`, out of its body: the first text in version 0, the one behind the fixed fields in version 1.
pub(crate) fn scheme(body: &[u8]) -> Option<&[u8]> {
    const FIXED: usize = 20;
    let at = match body.first()? {
        0 => 4,
        1 => 4 + FIXED,
        _ => return None,
    };
    let rest = body.get(at..)?;
    rest.iter().position(|byte| *byte == 0).map(|end| &rest[..end])
}
