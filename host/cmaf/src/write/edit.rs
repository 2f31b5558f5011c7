//! Editing a chunk: its events, and the bytes and number of its samples.
//!
//! Every edit makes a chunk of its own and leaves the one it was given as it is. What is not edited is shared: events change the head
//! alone, and slices of payload stay where they are. What stands before `moof`, the sequence number, the decode time and the time of capture
//! are those of the chunk that was given.

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use millrace_media::{Media, Payload, Sample, Samples};

use super::{WriteError, emsg};
use crate::boxes::Boxes;
use crate::fourcc::{self, FourCC};
use crate::gather::gather;
use crate::join::assemble;
use crate::reader::{ReadError, event};
use crate::split::Head;

pub use crate::reader::event::events;

/// The media without its events of `scheme`. The payload is shared; other events and `prft` stay as they are.
///
/// # Errors
/// Where the head is not that of a chunk.
pub fn without_events(media: &Media, scheme: &str) -> Result<Media, WriteError> {
    let mut kept = BytesMut::with_capacity(media.head.len());
    let mut moof = None;
    for found in Boxes::new(&media.head, 0, FourCC::new(b"file")) {
        let found = found.map_err(WriteError::Uneditable)?;
        if found.kind == fourcc::MOOF {
            moof = Some(found.start);
            break;
        }
        if found.kind != fourcc::EMSG || event::scheme(found.body()) != Some(scheme.as_bytes()) {
            kept.extend_from_slice(found.whole);
        }
    }
    let inside = FourCC::new(b"file");
    let moof = moof.ok_or(WriteError::Uneditable(ReadError::Missing { kind: fourcc::MOOF, inside }))?;
    if kept.len() == moof {
        return Ok(media.clone());
    }
    // Offsets in `moof` count from its own beginning.
    kept.extend_from_slice(&media.head[moof..]);
    Ok(Media { head: kept.freeze(), ..media.clone() })
}

/// The media with `bytes` inserted before byte `offset` of sample `sample`; an offset of the sample's size appends. The rest of the payload
/// is shared.
///
/// # Errors
/// Where there is no such sample or offset, or the payload would be too long.
pub fn insert(media: &Media, sample: u32, offset: u32, bytes: Bytes) -> Result<Media, WriteError> {
    let index = index(media, sample)?;
    let size = media.samples[index].size;
    if offset > size {
        return Err(WriteError::NoOffset { sample, offset, size });
    }
    if bytes.is_empty() {
        return Ok(media.clone());
    }
    let head = read_head(media)?;
    let (payload, samples) = gather(&media.payload, &media.samples).ok_or_else(|| outside(&head))?;
    let at = samples[index].offset + offset;
    let too_long = WriteError::PayloadSize { size: u64::from(payload.len()) + bytes.len() as u64 };
    let parts = payload.range(0, at).zip(payload.range(at, payload.len() - at));
    let (mut edited, rest) = parts.ok_or_else(|| outside(&head))?;
    let added = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let pushed = std::iter::once(bytes).chain(rest.slices().iter().cloned()).all(|slice| edited.push(slice));
    if !pushed {
        return Err(too_long);
    }
    // Nothing overflows: the payload as a whole did not.
    let samples = samples.iter().enumerate().map(|(i, sample)| match i.cmp(&index) {
        std::cmp::Ordering::Less => *sample,
        std::cmp::Ordering::Equal => Sample { size: sample.size + added, ..*sample },
        std::cmp::Ordering::Greater => Sample { offset: sample.offset + added, ..*sample },
    });
    edit(head, media, edited, samples.collect())
}

/// The media without some of its samples, by index; one that is named twice is left out once. The duration of each is added to that of the
/// sample before it, so that the others are decoded and presented when they were. The payload is shared.
///
/// # Errors
/// Where there is no such sample, the first is among them, or a duration would be too long.
pub fn without_samples(media: &Media, samples: &[u32]) -> Result<Media, WriteError> {
    let mut left_out = BTreeSet::new();
    for sample in samples {
        left_out.insert(index(media, *sample)?);
    }
    if left_out.contains(&0) {
        return Err(WriteError::FirstSample);
    }
    if left_out.is_empty() {
        return Ok(media.clone());
    }
    let mut kept: Vec<Sample> = Vec::with_capacity(media.samples.len() - left_out.len());
    for (i, sample) in media.samples.iter().enumerate() {
        match kept.last_mut().filter(|_| left_out.contains(&i)) {
            Some(before) => {
                let duration = u64::from(before.duration) + u64::from(sample.duration);
                before.duration = u32::try_from(duration).map_err(|_| WriteError::Duration { ticks: duration })?;
            }
            None => kept.push(*sample),
        }
    }
    let head = read_head(media)?;
    let (payload, samples) = gather(&media.payload, &kept).ok_or_else(|| outside(&head))?;
    edit(head, media, payload, samples)
}

/// The media with other bytes in its samples: one for each, in order.
///
/// # Errors
/// Where there are more or fewer than samples, or they are too long together.
pub fn with_samples(media: &Media, data: Vec<Bytes>) -> Result<Media, WriteError> {
    if data.len() != media.samples.len() {
        return Err(WriteError::SampleCount { given: data.len(), expected: media.samples.len() });
    }
    let total: u64 = data.iter().map(|bytes| bytes.len() as u64).sum();
    let mut payload = Payload::default();
    let mut samples = Vec::with_capacity(data.len());
    for (sample, bytes) in media.samples.iter().zip(data) {
        let (offset, size) = (payload.len(), u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        if !payload.push(bytes) {
            return Err(WriteError::PayloadSize { size: total });
        }
        samples.push(Sample { offset, size, ..*sample });
    }
    edit(read_head(media)?, media, payload, samples.into())
}

/// The chunk with other samples, which lie one after the other in `payload`.
fn edit(head: Head, media: &Media, payload: Payload, samples: Samples) -> Result<Media, WriteError> {
    // `mdat` has a size of 32 bits, its header included.
    if payload.len().checked_add(8).is_none() {
        return Err(WriteError::PayloadSize { size: payload.len().into() });
    }
    let edited = assemble(&head, media, payload, samples)?;
    if edited.presentation_time == media.presentation_time {
        return Ok(edited);
    }
    // What counted from it would move along.
    let head = Head { before: with_absolute_events(media, &head.before), ..head };
    assemble(&head, media, edited.payload, edited.samples)
}

/// The boxes before `moof`, each event whose time counts from the media's (version 0) written with one that does not.
fn with_absolute_events(media: &Media, before: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(before.len());
    for found in Boxes::new(before, 0, FourCC::new(b"file")).map_while(Result::ok) {
        let is_relative = found.kind == fourcc::EMSG && found.body().first() == Some(&0);
        let event = if is_relative { event::read_event(media, &found) } else { None };
        match event.and_then(|event| emsg(&event).ok()) {
            Some(absolute) => out.extend_from_slice(&absolute),
            None => out.extend_from_slice(found.whole),
        }
    }
    out.freeze()
}

fn read_head(media: &Media) -> Result<Head, WriteError> {
    Head::read(&media.head).map_err(WriteError::Uneditable)
}

fn outside(head: &Head) -> WriteError {
    WriteError::Uneditable(ReadError::OutsideMdat { track_id: head.track_id })
}

fn index(media: &Media, sample: u32) -> Result<usize, WriteError> {
    let count = media.samples.len();
    usize::try_from(sample).ok().filter(|index| *index < count).ok_or(WriteError::NoSample { sample, count })
}
