//! A header for one track, out of a header for several.
//!
//! Boxes are kept or left out whole, and only the sizes of those around them change: what is not understood is passed on.

use bytes::Bytes;

use crate::boxes::{BoxRef, u32_at};
use crate::fourcc::{self, FourCC};
use crate::reader::ReadError;

/// What stands for a missing `ftyp`: a CMAF header file (ISO/IEC 23000-19, 7.2).
const FTYP: &[u8] = b"\0\0\0\x18ftypcmfc\0\0\0\0iso6cmfc";

/// `ftyp` and `moov` with `trak` for the only track and without edit lists; byte for byte the original where that is so already, and
/// where it is not of Smooth Streaming.
pub(super) fn init(ftyp: Option<&[u8]>, moov: &BoxRef<'_>, trak: &BoxRef<'_>) -> Result<Bytes, ReadError> {
    let ftyp = ftyp.filter(|ftyp| !is_smooth(ftyp));
    let mut out = single(ftyp, moov, trak)?;
    if ftyp.is_none() {
        let at = FTYP.len();
        clear_durations(&mut out[at..])?;
    }
    Ok(out.into())
}

/// True of a file type of Smooth Streaming, whose fragments have no decode times of the kind that CMAF asks for: what is passed on has.
fn is_smooth(ftyp: &[u8]) -> bool {
    ftyp.get(8..12).is_some_and(|brand| matches!(brand, b"isml" | b"ismv" | b"isma" | b"piff"))
}

fn single(ftyp: Option<&[u8]>, moov: &BoxRef<'_>, trak: &BoxRef<'_>) -> Result<Vec<u8>, ReadError> {
    let mut out = Vec::with_capacity(ftyp.map_or(FTYP.len(), <[u8]>::len) + moov.whole.len());
    out.extend_from_slice(ftyp.unwrap_or(FTYP));
    let mut traks = 0;
    for child in moov.children(0) {
        traks += usize::from(child?.kind == fourcc::TRAK);
    }
    if traks == 1 && trak.child(fourcc::EDTS)?.is_none() {
        out.extend_from_slice(moov.whole);
        return Ok(out);
    }
    let track_id = track_id_of_trak(trak)?;
    nest(&mut out, fourcc::MOOV, |out| {
        for child in moov.children(0) {
            let child = child?;
            match child.kind {
                fourcc::TRAK if child.start != trak.start => {}
                fourcc::TRAK => nest(out, fourcc::TRAK, |out| copy(out, &child, |inner| inner.kind != fourcc::EDTS))?,
                fourcc::MVEX => nest(out, fourcc::MVEX, |out| copy(out, &child, |inner| of_track(inner, track_id)))?,
                _ => out.extend_from_slice(child.whole),
            }
        }
        Ok(())
    })?;
    Ok(out)
}

/// Sets durations that are unknown, all ones, to 0, as CMAF asks of a header whose media is in fragments (ISO/IEC 23000-19, 7.5).
fn clear_durations(bytes: &mut [u8]) -> Result<(), ReadError> {
    let mut unknown = Vec::new();
    let moov = BoxRef::whole(bytes)?;
    let mut look = |found: &BoxRef<'_>, narrow: usize, wide: usize| {
        let (at, len) = if found.body().first() == Some(&0) { (narrow, 4) } else { (wide, 8) };
        let at = found.start + found.header + at;
        if bytes.get(at..at + len).is_some_and(|duration| duration.iter().all(|byte| *byte == 0xff)) {
            unknown.push(at..at + len);
        }
    };
    // Where the duration stands in versions 0 and 1 (ISO/IEC 14496-12, 8.2.2, 8.3.2 and 8.4.2).
    look(&moov.require(fourcc::MVHD)?, 16, 24);
    for child in moov.children(0) {
        let child = child?;
        if child.kind == fourcc::TRAK {
            look(&child.require(fourcc::TKHD)?, 20, 28);
            look(&child.require(fourcc::MDIA)?.require(fourcc::MDHD)?, 16, 24);
        }
    }
    unknown.into_iter().for_each(|range| bytes[range].fill(0));
    Ok(())
}

fn track_id_of_trak(trak: &BoxRef<'_>) -> Result<u32, ReadError> {
    Ok(trak.require(fourcc::TKHD)?.decode::<mp4_atom::Tkhd>()?.track_id)
}

/// False of a box in `mvex` that speaks of another track. `trex` and `trep` name their track first.
fn of_track(child: &BoxRef<'_>, track_id: u32) -> bool {
    !matches!(child.kind, fourcc::TREX | fourcc::TREP) || u32_at(child.body(), 4) == Some(track_id)
}

fn copy(out: &mut Vec<u8>, parent: &BoxRef<'_>, keep: impl Fn(&BoxRef<'_>) -> bool) -> Result<(), ReadError> {
    for child in parent.children(0) {
        let child = child?;
        if keep(&child) {
            out.extend_from_slice(child.whole);
        }
    }
    Ok(())
}

fn nest(
    out: &mut Vec<u8>,
    kind: FourCC,
    body: impl FnOnce(&mut Vec<u8>) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(kind.as_ref());
    body(out)?;
    let size = (out.len() - start) as u64;
    let size = u32::try_from(size).map_err(|_| ReadError::TooLarge { kind, size, limit: u64::from(u32::MAX) })?;
    out[start..start + 4].copy_from_slice(&size.to_be_bytes());
    Ok(())
}
