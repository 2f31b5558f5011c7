//! Movie fragments: from `moof` to a table of samples for each track (ISO/IEC 14496-12, 8.8).

use millrace_media::{Sample, Samples, Time, Timescale};
use mp4_atom::{Mfhd, Tfdt, Tfhd, Trun};

use super::{Limits, ReadError, smooth};
use crate::boxes::{BoxRef, u32_at};
use crate::fourcc;
use crate::header::{Defaults, Header, Track};
use crate::marks;

/// What one `traf` says. Positions count from the first byte of the stream.
#[derive(Debug)]
pub(super) struct TrackRun {
    pub(super) track_id: u32,
    pub(super) timescale: Timescale,
    pub(super) timeline_shift: Time,
    pub(super) decode_time: i64,
    pub(super) samples: Vec<Located>,
    /// Where the body of `tfdt` begins in `moof`, where the source's own `moof` can be moved in place and time: it has a `tfdt`, and
    /// positions count from it.
    pub(super) tfdt_at: Option<usize>,
}

/// A sample and where it lies in the stream.
#[derive(Debug)]
pub(super) struct Located {
    pub(super) position: u64,
    /// Its offset is not known yet.
    pub(super) sample: Sample,
}

/// What a `moof` says.
#[derive(Debug)]
pub(super) struct Fragment {
    pub(super) sequence: u32,
    pub(super) runs: Vec<TrackRun>,
    /// How many `traf` there are, those of tracks that are not understood among them.
    pub(super) trafs: usize,
}

/// Reads the `moof` that begins `start` bytes into the stream.
pub(super) fn read(moof: &[u8], start: u64, header: &Header, limits: &Limits) -> Result<Fragment, ReadError> {
    let moof = BoxRef::whole(moof)?;
    let sequence = moof.require(fourcc::MFHD)?.decode::<Mfhd>()?.sequence_number;
    let mut fragment = Fragment { sequence, runs: Vec::new(), trafs: 0 };
    let mut samples_left = limits.max_samples;
    let mut end_of_previous = start;
    for child in moof.children(0) {
        let child = child?;
        if child.kind != fourcc::TRAF {
            continue;
        }
        fragment.trafs += 1;
        if fragment.trafs > limits.max_tracks {
            let count = fragment.trafs as u64;
            return Err(ReadError::TooMany { what: "track fragments", count, limit: limits.max_tracks });
        }
        let run = read_traf(&child, start, &mut end_of_previous, header, &mut samples_left, limits)?;
        fragment.runs.extend(run);
    }
    Ok(fragment)
}

/// None of a track that is not understood, and of a run of no samples.
fn read_traf(
    traf: &BoxRef<'_>,
    moof_start: u64,
    end_of_previous: &mut u64,
    header: &Header,
    samples_left: &mut usize,
    limits: &Limits,
) -> Result<Option<TrackRun>, ReadError> {
    let tfhd: Tfhd = traf.require(fourcc::TFHD)?.decode()?;
    let track_id = tfhd.track_id;
    let track = header.track(track_id).ok_or(ReadError::UnknownTrack { track_id })?;
    let trex = match track {
        Track::Known(known) => known.defaults,
        Track::Unsupported { .. } => Defaults::default(),
    };
    let defaults = Defaults {
        duration: tfhd.default_sample_duration.unwrap_or(trex.duration),
        size: tfhd.default_sample_size.unwrap_or(trex.size),
        flags: tfhd.default_sample_flags.unwrap_or(trex.flags),
    };
    // Where offsets count from (8.8.7.1): a position in the file, the beginning of `moof`, or the end of the data before.
    let base = match (tfhd.base_data_offset, tfhd.default_base_is_moof) {
        (Some(position), _) => position,
        (None, true) => moof_start,
        (None, false) => *end_of_previous,
    };

    let mut samples = Vec::new();
    let mut position = base;
    for child in traf.children(0) {
        let child = child?;
        if child.kind != fourcc::TRUN {
            continue;
        }
        let trun = read_trun(&child, samples_left, limits)?;
        let outside = ReadError::OutsideMdat { track_id };
        if let Some(offset) = trun.data_offset {
            position = match base.checked_add_signed(offset.into()) {
                Some(position) => position,
                None => return Err(outside),
            };
        }
        for entry in trun.samples.iter() {
            let size = entry.size.unwrap_or(defaults.size);
            let composition_offset = match entry.cts.map_or(Ok(0), i32::try_from) {
                Ok(offset) => offset,
                // An offset of more than 2^31 ticks comes of a writer that put a negative one in a table of version 0.
                Err(_) => entry.cts.unwrap_or_default() as u32 as i32,
            };
            let sample = Sample {
                offset: 0,
                size,
                duration: entry.duration.unwrap_or(defaults.duration),
                composition_offset,
                marks: marks::from_flags(entry.flags.unwrap_or(defaults.flags)),
            };
            samples.push(Located { position, sample });
            position = match position.checked_add(size.into()) {
                Some(position) => position,
                None => return Err(outside),
            };
        }
    }
    *end_of_previous = position;

    let Track::Known(track) = track else { return Ok(None) };
    let Some(first) = samples.first() else { return Ok(None) };
    let first_offset = i64::from(first.sample.composition_offset);
    let tfdt = traf.child(fourcc::TFDT)?;
    let from_moof = tfhd.default_base_is_moof && tfhd.base_data_offset.is_none();
    Ok(Some(TrackRun {
        track_id,
        timescale: track.info.timescale,
        timeline_shift: track.timeline_shift,
        decode_time: decode_time(traf, tfdt.as_ref(), track_id, first_offset)?,
        samples,
        tfdt_at: tfdt.filter(|_| from_moof).map(|tfdt| tfdt.start + tfdt.header),
    }))
}

/// When the first sample, which is presented `first_offset` ticks later, is decoded: as `tfdt` has it, else as Smooth Streaming says.
fn decode_time(
    traf: &BoxRef<'_>,
    tfdt: Option<&BoxRef<'_>>,
    track_id: u32,
    first_offset: i64,
) -> Result<i64, ReadError> {
    const LIMIT: u64 = 1 << 62;
    if let Some(tfdt) = tfdt {
        let time = tfdt.decode::<Tfdt>()?.base_media_decode_time;
        let decode_time = i64::try_from(time).ok().filter(|_| time < LIMIT);
        return decode_time.ok_or(ReadError::TimeTooLarge { track_id, time: time.into() });
    }
    let time = smooth::fragment_time(traf)?.ok_or(ReadError::NoDecodeTime { track_id })?;
    let decode_time = time.checked_sub(first_offset).filter(|time| time.unsigned_abs() < LIMIT);
    decode_time.ok_or(ReadError::TimeTooLarge { track_id, time: time.into() })
}

/// Decodes a `trun`, whose count is checked first: samples that say nothing of their own take no bytes, so that the size of the box
/// does not bound their number.
fn read_trun(found: &BoxRef<'_>, samples_left: &mut usize, limits: &Limits) -> Result<Trun, ReadError> {
    let declared = u32_at(found.body(), 4).unwrap_or(0);
    let count = usize::try_from(declared).unwrap_or(usize::MAX);
    *samples_left = samples_left.checked_sub(count).ok_or_else(|| {
        let before = (limits.max_samples - *samples_left) as u64;
        ReadError::TooMany { what: "samples", count: before + u64::from(declared), limit: limits.max_samples }
    })?;
    found.decode()
}

/// Finds where each sample lies in an `mdat` whose body begins `start` bytes into the stream.
pub(super) fn locate(run: &TrackRun, start: u64, len: u32) -> Result<Samples, ReadError> {
    let outside = || ReadError::OutsideMdat { track_id: run.track_id };
    let mut total = 0u64;
    run.samples
        .iter()
        .map(|located| {
            let offset = located.position.checked_sub(start).ok_or_else(outside)?;
            let size = u64::from(located.sample.size);
            total += size;
            // Samples that share bytes could make more of an mdat than it is.
            if offset + size > u64::from(len) || total > u64::from(len) {
                return Err(outside());
            }
            Ok(Sample { offset: u32::try_from(offset).map_err(|_| outside())?, ..located.sample })
        })
        .collect()
}
