//! Streams that are broken, or made to break the reader.

use bytes::Bytes;
use millrace_cmaf::{Item, Limits, ReadError, Reader, split};
use millrace_hostile::{Numbers, most_held, mutate, seeds};
use millrace_media::Time;

use crate::ffmpeg::{smooth, stream, streams};
use crate::handmade::{DEFAULT_BASE_IS_MOOF, TRACK, boxed, full, header, moof};

/// Reads to the end or to the first error, doing with each chunk what a server does.
fn consume(bytes: Bytes, limits: Limits) -> Result<usize, ReadError> {
    let mut reader = Reader::new(limits);
    reader.push(bytes);
    let mut chunks = 0;
    while let Some(item) = reader.next()? {
        if let Item::Chunk(chunk) = item {
            chunks += 1;
            if let Ok(media) = chunk.place(Time::from_millis(10_000)) {
                let _ = split(&media, Time::from_millis(200));
            }
        }
    }
    reader.finish().map(|()| chunks)
}

fn error(bytes: &[u8]) -> ReadError {
    consume(Bytes::copy_from_slice(bytes), Limits::default()).unwrap_err()
}

#[test]
fn what_is_not_mp4_is_refused_at_once() {
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\x1a\x45\xdf\xa3\x01\0\0\0\0\0\0\x1f",
        b"<?xml version=\"1.0\"?>",
        &[0xff; 64],
    ] {
        assert!(matches!(error(bytes), ReadError::NotMp4 { .. }), "{}", error(bytes));
    }
    assert!(matches!(error(&[0; 64]), ReadError::SizeToEnd { .. }));
    assert!(error(b"GET / HTTP/1.1\r\n\r\n").to_string().starts_with("this is not MP4"));
}

#[test]
fn a_box_longer_than_the_limit_is_refused_from_its_header() {
    for (kind, limit) in
        [(b"moov", 4u64 << 20), (b"moof", 1 << 20), (b"styp", 1 << 20), (b"emsg", 1 << 20), (b"ftyp", 1 << 20)]
    {
        let size = u32::try_from(limit + 1).unwrap().to_be_bytes();
        let bytes = [&header()[..], &size, kind].concat();
        let error = error(&bytes);
        assert!(matches!(error, ReadError::TooLarge { limit: found, .. } if found == limit), "{error}");
    }
    let large = [
        &header()[..],
        &moof(&full(0, DEFAULT_BASE_IS_MOOF, &[TRACK]), &full(0, 0, &[0])),
        &[0, 0, 0, 1],
        b"mdat",
        &[0xff; 8],
    ]
    .concat();
    assert!(matches!(error(&large), ReadError::TooLarge { size: u64::MAX, .. }));
    assert!(matches!(error(b"\0\0\0\x07ftyp"), ReadError::SizeTooSmall { size: 7, .. }));
    assert!(matches!(error(b"\0\0\0\x01ftyp\0\0\0\0\0\0\0\x0f"), ReadError::SizeTooSmall { size: 15, .. }));
    assert!(matches!(error(b"\0\0\0\0ftyp"), ReadError::SizeToEnd { .. }));
}

#[test]
fn a_count_of_all_ones_is_refused_before_it_is_counted() {
    let tfhd = full(0, DEFAULT_BASE_IS_MOOF | 0x18, &[TRACK, 512, 0]);
    for flags in [0, 0x001, 0x701] {
        let bytes = [header(), moof(&tfhd, &full(0, flags, &[u32::MAX, 8]))].concat();
        let error = error(&bytes);
        assert!(matches!(error, ReadError::TooMany { what: "samples", .. }), "{error}");
    }
    // Many runs that are each within the limit are not.
    let trun = boxed(b"trun", &full(0, 0, &[10_000]));
    let traf = boxed(b"traf", &[boxed(b"tfhd", &tfhd), trun.repeat(2)].concat());
    let bytes = [header(), boxed(b"moof", &[boxed(b"mfhd", &full(0, 0, &[1])), traf].concat())].concat();
    assert!(matches!(error(&bytes), ReadError::TooMany { count: 20_000, .. }));
}

/// A header of a track of sound whose `esds` and `udta` are these.
fn sound(esds: &[u8], udta: &[u8], tracks: u32) -> Vec<u8> {
    let entry =
        [&[0; 6][..], &[0, 1], &[0; 8], &[0, 2, 0, 16], &[0; 4], &[0xbb, 0x80, 0, 0], &boxed(b"esds", esds)].concat();
    let stsd = boxed(b"stsd", &[full(0, 0, &[1]), boxed(b"mp4a", &entry)].concat());
    let mdhd = boxed(b"mdhd", &full(0, 0, &[0, 0, 48_000, 0, 0]));
    let mdia = boxed(b"mdia", &[mdhd, boxed(b"minf", &boxed(b"stbl", &stsd))].concat());
    let trak = |id| {
        let tkhd = [full(0, 3, &[0, 0, id, 0, 0]), vec![0; 60]].concat();
        boxed(b"trak", &[boxed(b"tkhd", &tkhd), mdia.clone()].concat())
    };
    let traks: Vec<u8> = (1..=tracks).flat_map(trak).collect();
    let mvhd = boxed(b"mvhd", &[full(0, 0, &[0, 0, 1000, 0]), vec![0; 80]].concat());
    boxed(b"moov", &[mvhd, boxed(b"mvex", &[]), traks, boxed(b"udta", udta)].concat())
}

/// A descriptor (ISO/IEC 14496-1, 7.2.2.2) around a body.
fn descriptor(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = [21, 14, 7, 0].map(|shift| (body.len() >> shift) as u8 & 0x7f | if shift > 0 { 0x80 } else { 0 });
    [&[tag][..], &length, body].concat()
}

fn esds() -> Vec<u8> {
    let decoder = [&[0x40, 0x15][..], &[0; 11], &descriptor(5, &[0x11, 0x90])].concat();
    let stream = [&[0, 1, 0][..], &descriptor(4, &decoder), &descriptor(6, &[2])].concat();
    [full(0, 0, &[]), descriptor(3, &stream)].concat()
}

#[test]
fn descriptors_within_descriptors_do_not_end_the_process() {
    assert_eq!(consume(sound(&esds(), &[], 1).into(), Limits::default()).unwrap(), 0);
    for depth in [30, 60, 100_000] {
        // Each holds the next; only lengths of the right size are needed to be followed.
        let mut nested = full(0, 0, &[]);
        for level in 0..depth {
            let left = 8 * (depth - level) - 5;
            let length = [21, 14, 7, 0].map(|shift| (left >> shift) as u8 & 0x7f | if shift > 0 { 0x80 } else { 0 });
            nested.extend([&[3][..], &length, &[0, 1, 0]].concat());
        }
        let refused = error(&sound(&nested, &[], 1));
        assert!(matches!(refused, ReadError::Malformed { .. } | ReadError::TooLarge { .. }), "{refused}");
    }
}

#[test]
fn a_header_is_not_multiplied_by_its_tracks() {
    assert!(matches!(error(&sound(&esds(), &[], 33)), ReadError::TooMany { what: "tracks", .. }));
    let header = Bytes::from(sound(&esds(), &vec![0; 3 << 20], 30));
    let held = most_held(|| {
        let refused = consume(header, Limits::default()).unwrap_err();
        assert!(matches!(refused, ReadError::TooLarge { .. }), "{refused}");
    });
    assert!(held < 24 << 20, "{held} bytes held");
}

#[test]
fn fragments_before_a_header_are_told_apart() {
    let error = error(&moof(&full(0, 0, &[TRACK]), &full(0, 0, &[0])));
    assert!(matches!(error, ReadError::BeforeInit { .. }));
    assert!(error.to_string().contains("send the header first"));
}

#[test]
fn samples_outside_the_mdat_are_refused() {
    let mdat = boxed(b"mdat", b"0123456789");
    let with = |flags, tfhd: &[u32], trun: &[u8]| [header(), moof(&full(0, flags, tfhd), trun), mdat.clone()].concat();
    let length = moof(&full(0, DEFAULT_BASE_IS_MOOF, &[TRACK]), &full(0, 0x201, &[1, 0, 10])).len() as u32;
    let run = |offset: i64, size: u32| full(0, 0x201, &[1, (i64::from(length) + offset) as u32, size]);
    let fits = with(DEFAULT_BASE_IS_MOOF, &[TRACK], &run(8, 10));
    assert_eq!(consume(fits.into(), Limits::default()).unwrap(), 1);
    for (offset, size) in [(9, 10), (8, 11), (7, 1), (8, u32::MAX), (-1_000_000, 1), (1_000_000, 1)] {
        let error = error(&with(DEFAULT_BASE_IS_MOOF, &[TRACK], &run(offset, size)));
        assert!(matches!(error, ReadError::OutsideMdat { track_id: TRACK }), "{error}");
    }
    // A position in a file, beyond all files.
    let error = error(&with(1, &[TRACK, u32::MAX, u32::MAX], &full(0, 0x200, &[2, 5, 5])));
    assert!(matches!(error, ReadError::OutsideMdat { .. }));
    // The same bytes many times over.
    let twice = [boxed(b"trun", &run(36 + 8, 10)), boxed(b"trun", &run(36 + 8, 10))].concat();
    let tfhd = boxed(b"tfhd", &full(0, DEFAULT_BASE_IS_MOOF, &[TRACK]));
    let traf = boxed(b"traf", &[tfhd, boxed(b"tfdt", &full(1, 0, &[0, 0])), twice].concat());
    let moof = boxed(b"moof", &[boxed(b"mfhd", &full(0, 0, &[1])), traf].concat());
    let bytes = [header(), moof, mdat.clone()].concat();
    assert!(matches!(consume(bytes.into(), Limits::default()), Err(ReadError::OutsideMdat { .. })));
}

#[test]
fn what_a_fragment_needs_is_asked_for() {
    let traf = |parts: &[Vec<u8>]| {
        let traf = boxed(b"traf", &parts.concat());
        [header(), boxed(b"moof", &[boxed(b"mfhd", &full(0, 0, &[1])), traf].concat())].concat()
    };
    let trun = boxed(b"trun", &full(0, 0x200, &[1, 1]));
    let tfhd = |id| boxed(b"tfhd", &full(0, DEFAULT_BASE_IS_MOOF, &[id]));
    let error_of = |parts: &[Vec<u8>]| error(&traf(parts));
    assert!(matches!(error_of(&[tfhd(TRACK), trun.clone()]), ReadError::NoDecodeTime { track_id: TRACK }));
    assert!(matches!(error_of(&[tfhd(77), trun.clone()]), ReadError::UnknownTrack { track_id: 77 }));
    assert!(matches!(error_of(std::slice::from_ref(&trun)), ReadError::Missing { .. }));
    let late = boxed(b"tfdt", &full(1, 0, &[u32::MAX, 0]));
    assert!(matches!(error_of(&[tfhd(TRACK), late, trun]), ReadError::TimeTooLarge { .. }));
    assert!(matches!(error(&[header(), boxed(b"mdat", b"x")].concat()), ReadError::OutOfOrder { .. }));
    let plain = [boxed(b"ftyp", b"isom\0\0\0\0"), boxed(b"moov", &boxed(b"mvhd", &[0; 100]))].concat();
    assert!(matches!(error(&plain), ReadError::NotFragmented));
}

#[test]
fn a_stream_cut_anywhere_says_so_or_is_whole() {
    let stream = stream("h264+opus, a fragment a frame");
    let bytes = stream.bytes.slice(..stream.bytes.len().min(8_000));
    let mut ends = vec![0];
    while let Some(size) = bytes.get(ends[ends.len() - 1]..).and_then(|rest| rest.first_chunk::<4>()) {
        ends.push(ends[ends.len() - 1] + u32::from_be_bytes(*size) as usize);
    }
    let after_moof =
        |at: usize| at >= 4 && ends.windows(2).any(|pair| pair[1] == at && &bytes[pair[0] + 4..pair[0] + 8] == b"moof");
    for len in 0..=bytes.len() {
        let whole = ends.contains(&len) && !after_moof(len);
        match consume(bytes.slice(..len), Limits::default()) {
            Ok(_) => assert!(whole, "{len}"),
            Err(ReadError::Cut { .. }) => assert!(!whole, "{len}"),
            Err(other) => panic!("{len}: {other}"),
        }
    }
}

#[test]
fn after_an_error_nothing_follows() {
    let mut reader = Reader::new(Limits::default());
    reader.push(Bytes::from_static(b"not an MP4 file at all"));
    assert!(matches!(reader.next(), Err(ReadError::NotMp4 { .. })));
    reader.push(stream("h264, picture alone").bytes.clone());
    assert!(matches!(reader.next(), Err(ReadError::Over)));
    assert!(matches!(reader.finish(), Err(ReadError::Over)));
}

#[test]
fn mutations_of_real_streams_never_panic_nor_take_more_than_the_limits() {
    let limits =
        Limits { max_moov: 64 << 10, max_box: 64 << 10, max_mdat: 1 << 20, max_samples: 1000, ..Limits::default() };
    let streams: Vec<_> =
        streams().iter().map(|stream| (stream.name, &stream.bytes)).chain([("smooth", smooth())]).collect();
    for (name, bytes) in streams {
        let bytes = bytes.slice(..bytes.len().min(40_000));
        // Where the boxes' own bytes are: media that is changed changes nothing.
        let boxes: Vec<usize> =
            ["ftyp", "moov", "moof", "trun", "tfhd", "stsd", "elst", "mdat", "emsg", "prft", "esds", "dOps", "uuid"]
                .iter()
                .flat_map(|name| {
                    bytes.windows(4).enumerate().filter(|(_, at)| *at == name.as_bytes()).map(|(at, _)| at)
                })
                .collect();
        for seed in seeds(600) {
            let mutated = Bytes::from(mutate(&bytes, &boxes, &mut Numbers(seed)));
            let held = most_held(|| drop(consume(mutated, limits)));
            assert!(held < 2 << 20, "{held} bytes held for {name}, seed {seed}");
        }
    }
}

#[test]
fn crumbs_cost_little_more_than_a_loaf() {
    let tfhd = full(0, DEFAULT_BASE_IS_MOOF, &[TRACK]);
    let length = moof(&tfhd, &full(0, 0x201, &[1, 0, 0])).len() as u32;
    let loaf = vec![7u8; 400_000];
    let moof = moof(&tfhd, &full(0, 0x201, &[1, length + 8, loaf.len() as u32]));
    let bytes = Bytes::from([header(), moof, boxed(b"mdat", &loaf)].concat());
    let mut chunks = 0;
    let held = most_held(|| {
        let mut reader = Reader::new(Limits::default());
        for at in 0..bytes.len() {
            reader.push(bytes.slice(at..=at));
            while let Some(item) = reader.next().unwrap() {
                if let Item::Chunk(chunk) = item {
                    chunks += 1;
                    assert_eq!(chunk.payload().slices().concat(), loaf);
                }
            }
        }
    });
    assert_eq!(chunks, 1);
    assert!(held < 4 * loaf.len(), "{held} bytes held");
}
