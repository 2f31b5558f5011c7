//! Several tracks of CMAF, each of its own, as one fragmented MP4.
//!
//! Tracks come with whatever `track_ID` they were given, often the same. In one file each needs its own: they are counted from 1, and so are
//! the fragments. Their times may be moved. Nothing else is changed, and media is not touched.

use bytes::Bytes;

/// Why tracks cannot be put together.
#[derive(Debug, thiserror::Error)]
pub(super) enum MuxError {
    /// A box says that it is longer than what it lies in, or shorter than its own header.
    #[error("the box {kind} of {size} bytes does not fit in the {left} that there are")]
    Box {
        /// Its type.
        kind: String,
        /// What it says, bytes.
        size: u64,
        /// What there is, bytes.
        left: usize,
    },
    /// A box is not there.
    #[error("there is no {0} box, expected a CMAF header or fragment")]
    Missing(&'static str),
    /// A time does not fit into its box.
    #[error("the decode time {time} moved by {shift} does not fit into its box")]
    Time {
        /// As it stands there.
        time: u64,
        /// What is added.
        shift: u64,
    },
}

/// A box: its type, all of it, and where its body begins in it.
struct Found<'a> {
    kind: [u8; 4],
    whole: &'a [u8],
    header: usize,
}

impl<'a> Found<'a> {
    fn body(&self) -> &'a [u8] {
        &self.whole[self.header..]
    }

    fn is(&self, kind: &[u8; 4]) -> bool {
        self.kind == *kind
    }
}

/// The boxes that follow each other in `bytes` (ISO/IEC 14496-12, 4.2).
fn boxes(mut bytes: &[u8]) -> Result<Vec<Found<'_>>, MuxError> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let left = bytes.len();
        let short = |size| MuxError::Box { kind: "head".into(), size, left };
        let start: &[u8; 8] = bytes.first_chunk().ok_or(short(8))?;
        let [a, b, c, d, kind @ ..] = *start;
        let (size, header) = match u32::from_be_bytes([a, b, c, d]) {
            // To the end.
            0 => (left as u64, 8),
            1 => {
                let wide: &[u8; 16] = bytes.first_chunk().ok_or(short(16))?;
                let (_, size) = wide.split_last_chunk::<8>().expect("sixteen bytes are more than eight");
                (u64::from_be_bytes(*size), 16)
            }
            size => (u64::from(size), 8),
        };
        let misfit = || MuxError::Box { kind: String::from_utf8_lossy(&kind).into_owned(), size, left };
        let whole = usize::try_from(size).ok().filter(|size| *size >= header).and_then(|size| bytes.get(..size));
        let whole = whole.ok_or_else(misfit)?;
        found.push(Found { kind, whole, header });
        bytes = &bytes[whole.len()..];
    }
    Ok(found)
}

/// One header (`ftyp` and `moov`) of several of one track each: the n-th of them has `track_ID` n, from 1.
///
/// # Errors
/// Where one is not a CMAF header.
pub(super) fn header(inits: &[Bytes]) -> Result<Vec<u8>, MuxError> {
    let mut out = Vec::new();
    let (mut before, mut traks, mut trexes, mut after) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (track_id, init) in (1u32..).zip(inits) {
        let top = boxes(init)?;
        let moov = top.iter().find(|found| found.is(b"moov")).ok_or(MuxError::Missing("moov"))?;
        let is_first = track_id == 1;
        if is_first && let Some(ftyp) = top.iter().find(|found| found.is(b"ftyp")) {
            out.extend_from_slice(ftyp.whole);
        }
        for child in boxes(moov.body())? {
            match &child.kind {
                b"trak" => trak(&mut traks, &child, track_id)?,
                b"mvex" => {
                    for inner in boxes(child.body())?.iter().filter(|inner| inner.is(b"trex")) {
                        patched(&mut trexes, inner, 4, track_id)?;
                    }
                }
                b"mvhd" if is_first => before.extend_from_slice(child.whole),
                _ if is_first => after.extend_from_slice(child.whole),
                _ => {}
            }
        }
    }
    if before.is_empty() {
        return Err(MuxError::Missing("mvhd"));
    }
    // `next_track_ID` stands last in it (8.2.2).
    let end = before.len() - 4;
    let next = u32::try_from(inits.len()).unwrap_or(u32::MAX).saturating_add(1);
    before[end..].copy_from_slice(&next.to_be_bytes());
    let mut mvex = Vec::new();
    nest(&mut mvex, b"mvex", &[&trexes]);
    nest(&mut out, b"moov", &[&before, &traks, &mvex, &after]);
    Ok(out)
}

/// A track's box, with its `tkhd` changed.
fn trak(out: &mut Vec<u8>, trak: &Found<'_>, track_id: u32) -> Result<(), MuxError> {
    let mut body = Vec::with_capacity(trak.body().len());
    for child in boxes(trak.body())? {
        if child.is(b"tkhd") {
            // Behind two times, of 32 bits or, in version 1, of 64 (8.3.2).
            let at = if child.body().first() == Some(&1) { 20 } else { 12 };
            patched(&mut body, &child, at, track_id)?;
        } else {
            body.extend_from_slice(child.whole);
        }
    }
    nest(out, b"trak", &[&body]);
    Ok(())
}

/// Ticks a second of the one track of a header (8.4.2).
///
/// # Errors
/// Where it is not a CMAF header.
pub(super) fn timescale(init: &[u8]) -> Result<u32, MuxError> {
    let mdhd = inside(init, &[b"moov", b"trak", b"mdia", b"mdhd"])?;
    // Behind two times, of 32 bits or, in version 1, of 64.
    let at = if mdhd.body().first() == Some(&1) { 20 } else { 12 };
    let scale = mdhd.body().get(at..).and_then(|rest| rest.first_chunk()).ok_or(MuxError::Missing("mdhd"))?;
    match u32::from_be_bytes(*scale) {
        0 => Err(MuxError::Missing("mdhd")),
        scale => Ok(scale),
    }
}

/// When a fragment is to be decoded, in its track's ticks (8.8.12).
///
/// # Errors
/// Where it is not a CMAF fragment.
pub(super) fn decode_time(bytes: &[u8]) -> Result<u64, MuxError> {
    time_of(&inside(bytes, &[b"moof", b"traf", b"tfdt"])?)
}

fn time_of(tfdt: &Found<'_>) -> Result<u64, MuxError> {
    let missing = MuxError::Missing("tfdt");
    let rest = tfdt.body().get(4..).ok_or(missing)?;
    let long = || rest.first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
    let short = || rest.first_chunk().map(|bytes| u64::from(u32::from_be_bytes(*bytes)));
    (if tfdt.body().first() == Some(&1) { long() } else { short() }).ok_or(MuxError::Missing("tfdt"))
}

/// The first box along a path of types.
fn inside<'a>(bytes: &'a [u8], path: &[&'static [u8; 4]]) -> Result<Found<'a>, MuxError> {
    let (first, rest) = path.split_first().expect("a path has a first type");
    let missing = MuxError::Missing(std::str::from_utf8(*first).unwrap_or("inner"));
    let found = boxes(bytes)?.into_iter().find(|found| found.is(first)).ok_or(missing)?;
    if rest.is_empty() { Ok(found) } else { inside(found.body(), rest) }
}

/// What stands before the media of a fragment, with its `track_ID` and its sequence number changed and `shift` added to its decode time,
/// and the media, as it came; for each `moof` in it.
///
/// # Errors
/// Where it is not a CMAF fragment.
pub(super) fn fragment(bytes: &Bytes, track_id: u32, sequence: &mut u32, shift: u64) -> Result<Vec<Bytes>, MuxError> {
    let (mut out, mut head) = (Vec::new(), Vec::new());
    // Of the `moof` that was seen last: whether its media has come; none before the first.
    let mut is_whole = None;
    for found in boxes(bytes)? {
        match &found.kind {
            b"moof" => {
                *sequence = sequence.wrapping_add(1);
                moof(&mut head, &found, track_id, *sequence, shift)?;
                is_whole = Some(false);
            }
            b"mdat" => {
                is_whole = is_whole.map(|_| true);
                head.extend_from_slice(&found.whole[..found.header]);
                out.push(std::mem::take(&mut head).into());
                out.push(bytes.slice_ref(found.body()));
            }
            _ => head.extend_from_slice(found.whole),
        }
    }
    match is_whole {
        Some(true) => {}
        Some(false) => return Err(MuxError::Missing("mdat")),
        None => return Err(MuxError::Missing("moof")),
    }
    if !head.is_empty() {
        out.push(head.into());
    }
    Ok(out)
}

fn moof(out: &mut Vec<u8>, moof: &Found<'_>, track_id: u32, sequence: u32, shift: u64) -> Result<(), MuxError> {
    // No box in it changes its size, so that offsets to the media hold.
    let start = out.len();
    out.extend_from_slice(moof.whole);
    let mut at = start + moof.header;
    for child in boxes(moof.body())? {
        match &child.kind {
            b"mfhd" => write(out, at + child.header + 4, sequence, "mfhd")?,
            b"traf" => {
                let mut inner_at = at + child.header;
                for inner in boxes(child.body())? {
                    if inner.is(b"tfhd") {
                        write(out, inner_at + inner.header + 4, track_id, "tfhd")?;
                    } else if inner.is(b"tfdt") && shift > 0 {
                        move_time(out, inner_at + inner.header, &inner, shift)?;
                    }
                    inner_at += inner.whole.len();
                }
            }
            _ => {}
        }
        at += child.whole.len();
    }
    Ok(())
}

/// Adds to the time in a `tfdt` whose body stands at a place.
fn move_time(out: &mut [u8], at: usize, tfdt: &Found<'_>, shift: u64) -> Result<(), MuxError> {
    let time = time_of(tfdt)?;
    let misfit = MuxError::Time { time, shift };
    let moved = time.checked_add(shift).ok_or(misfit)?;
    if tfdt.body().first() == Some(&1) {
        let [high, low] = [moved >> 32, moved & u64::from(u32::MAX)].map(|half| half as u32);
        write(out, at + 4, high, "tfdt")?;
        write(out, at + 8, low, "tfdt")
    } else {
        write(out, at + 4, u32::try_from(moved).map_err(|_| MuxError::Time { time, shift })?, "tfdt")
    }
}

/// A box with 32 bits at a place of its body changed.
fn patched(out: &mut Vec<u8>, found: &Found<'_>, at: usize, value: u32) -> Result<(), MuxError> {
    let at = out.len() + found.header + at;
    out.extend_from_slice(found.whole);
    write(out, at, value, "whole")
}

fn write(out: &mut [u8], at: usize, value: u32, kind: &'static str) -> Result<(), MuxError> {
    let place = out.get_mut(at..at + 4).ok_or(MuxError::Missing(kind))?;
    place.copy_from_slice(&value.to_be_bytes());
    Ok(())
}

fn nest(out: &mut Vec<u8>, kind: &[u8; 4], parts: &[&[u8]]) {
    let size = 8 + parts.iter().map(|part| part.len()).sum::<usize>();
    // Headers came over the network, in messages that are far shorter than what 32 bits can say.
    out.extend_from_slice(&u32::try_from(size).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(kind);
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

#[cfg(test)]
pub(super) mod tests {
    use millrace_cmaf::write::{ChunkWriter, InitSettings, Packet};
    use millrace_cmaf::{CodecConfig, Item, Limits, Reader};
    use millrace_media::fragment::Marks;
    use millrace_media::track::Format;
    use millrace_media::{Time, Timescale};

    use super::*;

    /// A track of Opus in fragments of 40 ms, each of one byte that counts them.
    pub(crate) struct Film {
        pub(crate) init: Bytes,
        pub(crate) fragments: Vec<Bytes>,
    }

    pub(crate) fn film(track_id: u32, fragments: u8) -> Film {
        let scale = Timescale::new(48_000).unwrap();
        let config = CodecConfig::Opus(
            millrace_codec::audio::OpusEncoder::new(2, 64_000, Time::zero(scale))
                .map(|encoder| {
                    use millrace_codec::audio::AudioEncoder;
                    encoder.config().record()
                })
                .unwrap(),
        );
        let format = Format::Audio { sample_rate: 48_000, channels: 2 };
        let settings = InitSettings { track_id, timescale: scale, format, config, language: None, bitrate: None };
        let mut writer = ChunkWriter::new(track_id);
        let fragments = (0..fragments).map(|n| {
            let marks = Marks { keyframe: true, independent: true, discardable: false };
            let packet = Packet { data: Bytes::from(vec![n]), duration: 1920, composition_offset: 0, marks };
            let media = writer.chunk(Time::new(i64::from(n) * 1920, scale), [packet], None).unwrap();
            [&media.head[..], &media.payload.slices().concat()].concat().into()
        });
        Film { init: settings.info().unwrap().init, fragments: fragments.collect() }
    }

    #[test]
    fn tracks_of_one_number_are_told_apart_in_one_file() {
        let (one, other) = (film(7, 2), film(7, 2));
        let mut file = header(&[one.init, other.init]).unwrap();
        let mut sequence = 0;
        for (track_id, bytes) in
            [(1, &one.fragments[0]), (2, &other.fragments[0]), (1, &one.fragments[1]), (2, &other.fragments[1])]
        {
            fragment(bytes, track_id, &mut sequence, 0).unwrap().iter().for_each(|part| file.extend_from_slice(part));
        }
        let mut reader = Reader::new(Limits::default());
        reader.push(file.into());
        let Some(Item::Header(header)) = reader.next().unwrap() else { panic!("no header") };
        let known: Vec<_> = header.known().map(|track| track.track_id).collect();
        assert_eq!(known, [1, 2]);
        let mut chunks = Vec::new();
        while let Some(item) = reader.next().unwrap() {
            let Item::Chunk(chunk) = item else { panic!("{item:?}") };
            chunks.push((chunk.track_id(), chunk.sequence_number(), chunk.payload().slices().concat()));
        }
        assert_eq!(chunks, [(1, 1, vec![0]), (2, 2, vec![0]), (1, 3, vec![1]), (2, 4, vec![1])]);
        reader.finish().unwrap();
    }

    #[test]
    fn times_are_read_and_moved() {
        let film = film(1, 3);
        assert_eq!(timescale(&film.init).unwrap(), 48_000);
        assert_eq!(decode_time(&film.fragments[2]).unwrap(), 3840);
        let moved = fragment(&film.fragments[2], 1, &mut 0, 7 * 48_000).unwrap().concat();
        assert_eq!(decode_time(&moved).unwrap(), 3840 + 7 * 48_000);
        let error = fragment(&film.fragments[2], 1, &mut 0, u64::MAX).unwrap_err();
        assert!(matches!(error, MuxError::Time { time: 3840, .. }), "{error}");
    }

    #[test]
    fn media_is_not_copied() {
        let film = film(1, 1);
        let parts = fragment(&film.fragments[0], 1, &mut 0, 0).unwrap();
        let media = parts.last().unwrap();
        assert_eq!(media.as_ptr(), film.fragments[0][film.fragments[0].len() - 1..].as_ptr());
    }

    #[test]
    fn what_is_no_fragment_is_refused() {
        let film = film(1, 1);
        for cut in 0..film.fragments[0].len() {
            assert!(fragment(&film.fragments[0].slice(..cut), 1, &mut 0, 0).is_err(), "{cut} bytes were taken");
        }
        for cut in 0..film.init.len() {
            assert!(header(&[film.init.slice(..cut)]).is_err(), "{cut} bytes were taken");
        }
        let zeros = Bytes::from_static(&[0, 0, 0, 4, b'm', b'o', b'o', b'f']);
        assert!(fragment(&zeros, 1, &mut 0, 0).is_err());
        for cut in 0..film.fragments[0].len() {
            let _ = decode_time(&film.fragments[0][..cut]);
        }
        for cut in 0..film.init.len() {
            let _ = timescale(&film.init[..cut]);
        }
        assert!(decode_time(&film.init).is_err() && timescale(&film.fragments[0]).is_err());
    }
}
