//! The one place where a movie fragment is written, whoever asks.

use bytes::{Bytes, BytesMut};
use millrace_media::Sample;
use mp4_atom::{Encode, Mfhd, Moof, Tfdt, Tfhd, Traf, Trun, TrunEntry, TrunSamples};

use crate::marks;

/// A fragment of one track, whose samples lie one after the other from the beginning of `mdat`.
pub(crate) struct Draft<'a> {
    pub(crate) sequence: u32,
    pub(crate) track_id: u32,
    /// In ticks, from the beginning of the timeline.
    pub(crate) decode_time: u64,
    pub(crate) samples: &'a [Sample],
    /// The length of `mdat`'s body, in bytes.
    pub(crate) payload_len: u32,
}

/// The head of a chunk: the boxes of `prefix`, then `moof`, then the header of `mdat`.
///
/// The data offset counts from the first byte of `moof` (default-base-is-moof), as CMAF asks (ISO/IEC 23000-19, 7.5.16).
///
/// # Errors
/// Where the boxes would be longer than their size fields can say.
pub(crate) fn head<'p>(prefix: impl IntoIterator<Item = &'p Bytes>, draft: &Draft<'_>) -> mp4_atom::Result<Bytes> {
    let mut moof = moof(draft);
    let mut scratch = Vec::new();
    moof.encode(&mut scratch)?;
    // The box is as long whatever the offset says.
    let body = i32::try_from(scratch.len() + 8).map_err(|_| mp4_atom::Error::InvalidSize)?;
    for trun in moof.traf.iter_mut().flat_map(|traf| &mut traf.trun) {
        trun.data_offset = Some(body);
    }

    let mut head = BytesMut::with_capacity(scratch.len() + 16);
    for part in prefix {
        head.extend_from_slice(part);
    }
    moof.encode(&mut head)?;
    match draft.payload_len.checked_add(8) {
        Some(size) => {
            size.encode(&mut head)?;
            crate::fourcc::MDAT.encode(&mut head)?;
        }
        None => return Err(mp4_atom::Error::TooLarge(crate::fourcc::MDAT)),
    }
    Ok(head.freeze())
}

/// What every sample says alike stands once in `tfhd`; what only the first says otherwise stands once in `trun`.
fn moof(draft: &Draft<'_>) -> Moof {
    let samples = draft.samples;
    let duration = alike(samples.iter().map(|s| s.duration));
    let size = alike(samples.iter().map(|s| s.size));
    let flags: Vec<u32> = samples.iter().map(|s| marks::to_flags(s.marks)).collect();
    let rest_alike = alike(flags.iter().skip(1).copied());
    let (default_flags, first_flags) = match alike(flags.iter().copied()) {
        Some(all) => (Some(all), None),
        None => (rest_alike, rest_alike.and(flags.first().copied())),
    };
    let offsets = samples.iter().any(|s| s.composition_offset != 0);

    let table = if duration.is_some() && size.is_some() && default_flags.is_some() && !offsets {
        TrunSamples::Inherited { count: u32::try_from(samples.len()).unwrap_or(u32::MAX), first_flags }
    } else {
        let entry = |(i, sample): (usize, &Sample)| TrunEntry {
            duration: duration.is_none().then_some(sample.duration),
            size: size.is_none().then_some(sample.size),
            flags: match default_flags {
                None => Some(flags[i]),
                Some(_) if i == 0 => first_flags,
                Some(_) => None,
            },
            cts: offsets.then_some(i64::from(sample.composition_offset)),
        };
        TrunSamples::Explicit(samples.iter().enumerate().map(entry).collect())
    };

    Moof {
        mfhd: Mfhd { sequence_number: draft.sequence },
        traf: vec![Traf {
            tfhd: Tfhd {
                track_id: draft.track_id,
                default_sample_duration: duration,
                default_sample_size: size,
                default_sample_flags: default_flags,
                default_base_is_moof: true,
                ..Tfhd::default()
            },
            tfdt: Some(Tfdt { base_media_decode_time: draft.decode_time }),
            trun: vec![Trun { data_offset: Some(0), samples: table }],
            ..Traf::default()
        }],
    }
}

/// The value that all of them have, where they have one.
fn alike(mut values: impl Iterator<Item = u32>) -> Option<u32> {
    let first = values.next()?;
    values.all(|v| v == first).then_some(first)
}
