//! What is read out of real streams.

use std::ops::Range;

use bytes::Bytes;
use millrace_cmaf::{Chunk, CodecConfig, Header, Item, Limits, Note, ReadError, Reader, Track, describe, display_size};
use millrace_hostile::Numbers;
use millrace_media::track::{Format, Kind};
use millrace_media::{Media, Time};

use crate::ffmpeg::{decoded, picture, probe, read, read_pieces, seen, served, stream, streams};
use crate::handmade::{DEFAULT_BASE_IS_MOOF, TRACK, boxed, full, header, moof_at};

fn letter(kind: Kind) -> char {
    if kind == Kind::Video { 'v' } else { 'a' }
}

/// The chunks of a track on a timeline on which the source's begins at `seconds`.
fn placed(header: &Header, chunks: &[Chunk], track_id: u32, seconds: i64) -> Vec<Media> {
    let scale = header.known().find(|track| track.track_id == track_id).unwrap().info.timescale;
    let of_track = chunks.iter().filter(|chunk| chunk.track_id() == track_id);
    of_track.map(|chunk| chunk.place(Time::from_secs(seconds, scale)).unwrap()).collect()
}

#[test]
fn samples_are_where_ffprobe_sees_them() {
    for stream in streams() {
        let (header, chunks) = read(&stream.bytes).unwrap();
        for track in header.known() {
            let kind = letter(track.info.kind());
            let mut expected = probe(&stream.bytes, kind, false);
            let shift = track.timeline_shift.ticks() + 10 * i64::from(track.info.timescale.get());
            expected.iter_mut().for_each(|packet| {
                packet.pts += shift;
                packet.dts += shift;
            });
            assert!(expected.len() >= 30, "{}", stream.name);
            let media = placed(&header, &chunks, track.track_id, 10);
            assert_eq!(seen(&media), expected, "{} {kind}", stream.name);

            let served = served(&track.info.init, &media);
            assert_eq!(probe(&served, kind, true), expected, "{} {kind}, served", stream.name);
            assert_eq!(decoded(&served, kind), decoded(&stream.bytes, kind), "{} {kind}", stream.name);
        }
    }
}

#[test]
fn a_track_is_described_again_from_its_own_header() {
    for stream in streams() {
        let (header, _) = read(&stream.bytes).unwrap();
        for track in header.known() {
            let again = describe(&track.info.init).unwrap();
            assert_eq!((&again.info, &again.config), (&track.info, &track.config), "{}", stream.name);
            // There is no edit list in it, so that only the pre-skip of Opus is left.
            let kept = if matches!(track.config, CodecConfig::Opus(_)) { -312 } else { 0 };
            assert_eq!(again.timeline_shift.ticks(), kept);
        }
    }
}

#[test]
fn edit_lists_are_applied_as_ffmpeg_applies_them() {
    let (header, chunks) = read(&stream("dash, aac").bytes).unwrap();
    let track = header.known().next().unwrap();
    assert_eq!(track.timeline_shift.ticks(), -1024);
    assert_eq!(chunks[0].decode_time().ticks(), -1024);
    assert!(chunks[0].place(Time::zero(track.info.timescale)).is_err_and(|error| error.ticks == -1024));

    for name in ["dash, h264", "dash, aac", "hls"] {
        let stream = stream(name);
        let (header, chunks) = read(&stream.bytes).unwrap();
        for track in header.known() {
            let edited = probe(&stream.bytes, letter(track.info.kind()), true);
            let expected: Vec<(i64, i64)> = edited.iter().map(|packet| (packet.dts, packet.pts)).collect();
            let ten = 10 * i64::from(track.info.timescale.get());
            let media = seen(&placed(&header, &chunks, track.track_id, 10));
            let found: Vec<(i64, i64)> = media.iter().map(|packet| (packet.dts - ten, packet.pts - ten)).collect();
            assert_eq!(found, expected, "{name}");
        }
    }
    let (header, _) = read(&stream("hls").bytes).unwrap();
    assert!(header.known().any(|track| track.timeline_shift.ticks() > 0), "ffmpeg is to have written empty edits");
}

#[test]
fn sound_and_picture_begin_together() {
    // What a listener hears first is after the pre-skip: with it taken back, the sound begins where the picture does.
    let (header, chunks) = read(&stream("h264+opus").bytes).unwrap();
    let first = |kind| {
        let track = header.known().find(|track| track.info.kind() == kind).unwrap();
        let chunk = chunks.iter().find(|chunk| chunk.track_id() == track.track_id).unwrap();
        chunk.presentation_time()
    };
    assert_eq!(first(Kind::Video).ticks(), 0);
    assert_eq!(first(Kind::Audio).ticks(), -312);
}

#[test]
fn pieces_of_any_size_give_the_same() {
    for (i, stream) in streams().iter().enumerate() {
        let (header, chunks) = read(&stream.bytes).unwrap();
        let expected: Vec<Media> = chunks
            .iter()
            .map(|chunk| placed(&header, std::slice::from_ref(chunk), chunk.track_id(), 9).remove(0))
            .collect();
        for longest in [1, 1500, 32 << 10] {
            let mut numbers = Numbers(i as u64);
            let mut rest = stream.bytes.clone();
            let pieces = std::iter::from_fn(|| {
                let len = (1 + numbers.below(longest)).min(rest.len());
                (len > 0).then(|| rest.split_to(len))
            });
            let (again, chunks) = read_pieces(pieces).unwrap();
            assert_eq!(again, header);
            assert_eq!(chunks.len(), expected.len());
            for (chunk, expected) in chunks.iter().zip(&expected) {
                let media = placed(&header, std::slice::from_ref(chunk), chunk.track_id(), 9).remove(0);
                assert_eq!(media.head, expected.head);
                assert_eq!(media.samples, expected.samples);
                assert_eq!(media.payload.slices().concat(), expected.payload.slices().concat());
            }
        }
    }
}

#[test]
fn what_need_not_change_is_passed_on_byte_for_byte() {
    let stream = stream("h264, picture alone");
    let (header, chunks) = read(&stream.bytes).unwrap();
    let track = header.known().next().unwrap();
    assert_eq!(track.timeline_shift.ticks(), 0);
    let media = placed(&header, &chunks, track.track_id, 0);
    let served = served(&track.info.init, &media);
    let end = stream.bytes.windows(4).rposition(|name| name == b"mfra").unwrap() - 4;
    assert_eq!(served, stream.bytes[..end]);
}

#[test]
fn media_bytes_are_not_copied() {
    let within = |range: &Range<*const u8>, slice: &Bytes| range.contains(&slice.as_ptr());
    for stream in streams() {
        let buffer = stream.bytes.as_ptr_range();
        let (header, chunks) = read(&stream.bytes).unwrap();
        for chunk in &chunks {
            let media = placed(&header, std::slice::from_ref(chunk), chunk.track_id(), 10).remove(0);
            assert!(media.payload.slices().iter().all(|slice| within(&buffer, slice)), "{}", stream.name);
        }
    }
}

#[test]
fn several_tracks_of_one_moof_share_nothing_but_buffers() {
    let (header, chunks) = read(&stream("h264+aac, a fragment a GOP").bytes).unwrap();
    assert_eq!(header.tracks().len(), 2);
    let together = chunks.windows(2).filter(|pair| pair[0].sequence_number() == pair[1].sequence_number()).count();
    assert!(together > 0, "ffmpeg is to have put sound and picture in one moof");
    for chunk in &chunks {
        let total: u32 = chunk.samples().iter().map(|sample| sample.size).sum();
        assert_eq!(total, chunk.payload().len());
    }
}

#[test]
fn codecs_are_named_from_their_configurations() {
    let (header, _) = read(&stream("h264+aac, a fragment a frame").bytes).unwrap();
    let tracks: Vec<_> = header.known().collect();
    assert_eq!(tracks[0].info.codec, "avc1.42c00d");
    assert_eq!(tracks[0].info.format, Format::Video { width: 320, height: 180, frame_rate: None });
    assert_eq!(tracks[0].info.bitrate, Some(300_000));
    assert_eq!(tracks[1].info.codec, "mp4a.40.2");
    assert_eq!(tracks[1].info.format, Format::Audio { sample_rate: 48_000, channels: 1 });
    assert!(matches!(&tracks[1].config, CodecConfig::Aac(record) if record[..2] == [0x11, 0x88]));
    assert_eq!(tracks[1].info.language, None);

    let (header, _) = read(&picture("libx265 -preset ultrafast -x265-params log-level=none -tag:v hvc1")).unwrap();
    let track = header.known().next().unwrap();
    assert_eq!(track.info.codec, "hvc1.1.6.L60.90");
    assert!(matches!(track.config, CodecConfig::Hevc(_)));

    let (header, chunks) = read(&picture("libaom-av1 -cpu-used 8 -usage realtime")).unwrap();
    let track = header.known().next().unwrap();
    assert!(matches!(track.config, CodecConfig::Av1(_)) && !chunks.is_empty());
    // ffmpeg writes an empty configuration where it does not wait for the first packet.
    assert_eq!((track.info.codec.as_str(), &track.notes[..]), ("av01", &[Note::Av1WithoutSequenceHeader][..]));
    let (header, _) =
        read(&picture("libaom-av1 -cpu-used 8 -usage realtime -movflags +cmaf+frag_keyframe+delay_moov")).unwrap();
    let track = header.known().next().unwrap();
    assert_eq!((track.info.codec.as_str(), &track.notes[..]), ("av01.0.00M.08", &[][..]));
}

#[test]
fn ten_bits_are_named() {
    let hevc = "libx265 -preset ultrafast -x265-params log-level=none -tag:v hvc1 -pix_fmt yuv420p10le";
    let av1 = "libaom-av1 -cpu-used 8 -usage realtime -pix_fmt yuv420p10le -movflags +cmaf+frag_keyframe+delay_moov";
    // Main 10, compatible with itself alone; and the main profile of AV1, which has ten bits too.
    for (encoder, codec) in [(hevc, "hvc1.2.4.L60.90"), (av1, "av01.0.00M.10")] {
        let (header, _) = read(&picture(encoder)).unwrap();
        let named = &header.known().next().unwrap().info.codec;
        assert!(named.starts_with(codec), "{named}");
    }
}

#[test]
fn an_unknown_codec_is_named_and_its_fragments_passed_over() {
    let (header, chunks) = read(&picture("libvpx-vp9 -deadline realtime")).unwrap();
    let Track::Unsupported { codec, reason, .. } = &header.tracks()[0] else { panic!("{header:?}") };
    assert_eq!(codec.as_ref(), b"vp09");
    assert!(reason.starts_with("vp09 is not supported; H.264"), "{reason}");
    assert!(chunks.is_empty());
}

#[test]
fn segments_are_read_with_a_header_that_came_before() {
    let stream = stream("dash, h264");
    let (header, chunks) = read(&stream.bytes).unwrap();
    let styp = stream.bytes.windows(4).position(|name| name == b"styp").unwrap() - 4;
    let mut reader = Reader::with_header(Limits::default(), header);
    reader.push(stream.bytes.slice(styp..));
    let (mut count, mut segments) = (0, 0);
    while let Some(item) = reader.next().unwrap() {
        count += usize::from(matches!(item, Item::Chunk(_)));
        if let Item::SegmentType(styp) = item {
            segments += 1;
            assert!(styp.has(b"msdh") && !styp.has(b"lmsg"), "{styp:?}");
        }
    }
    assert_eq!(count, chunks.len());
    assert!(segments >= 2);

    let mut reader = Reader::new(Limits::default());
    reader.push(stream.bytes.slice(styp..));
    assert!(matches!(reader.next(), Ok(Some(Item::SegmentType(_)))));
    let error = std::iter::from_fn(|| reader.next().map(|_| ()).err()).next().unwrap();
    assert!(matches!(error, ReadError::BeforeInit { .. }), "{error}");
}

#[test]
fn a_flush_is_not_taken_for_a_capture() {
    let args = "-f lavfi -i testsrc2=s=320x180:r=25:d=0.4 -c:v libx264 -write_prft wallclock -movflags +cmaf+frag_every_frame -f mp4 -";
    let bytes: Bytes = crate::ffmpeg::run("ffmpeg", &std::env::temp_dir(), args).into();
    assert!(bytes.windows(4).any(|name| name == b"prft"));
    let (header, chunks) = read(&bytes).unwrap();
    assert!(chunks.iter().all(|chunk| chunk.captured_at().is_none()));
    // It is passed on, its media time moved with the fragment's.
    let before = placed(&header, &chunks, 1, 0);
    let after = placed(&header, &chunks, 1, 10);
    let media_time = |media: &Media| {
        assert_eq!(&media.head[4..8], b"prft");
        if media.head[8] == 0 {
            u32::from_be_bytes(media.head[24..28].try_into().unwrap()).into()
        } else {
            u64::from_be_bytes(media.head[24..32].try_into().unwrap())
        }
    };
    let ten = 10 * u64::from(header.known().next().unwrap().info.timescale.get());
    assert!(before.iter().zip(&after).all(|(before, after)| media_time(after) == media_time(before) + ten));
}

/// A stream of one fragment whose samples are two and three bytes long.
fn by_hand(tfhd_flags: u32, tfdt: &[u8], mdat: &[u8]) -> Bytes {
    let tfhd = full(0, tfhd_flags, &[TRACK]);
    let length = moof_at(&tfhd, tfdt, &full(0, 0x201, &[2, 0, 2, 3])).len() as u32;
    let body = length + (mdat.len() as u32 - 5);
    [header(), moof_at(&tfhd, tfdt, &full(0, 0x201, &[2, body, 2, 3])), mdat.to_vec()].concat().into()
}

#[test]
fn a_time_that_does_not_fit_is_written_anew() {
    let late = u32::MAX - 5;
    let bytes = by_hand(DEFAULT_BASE_IS_MOOF, &full(0, 0, &[late]), &boxed(b"mdat", b"12345"));
    let (header, chunks) = read(&bytes).unwrap();
    let scale = header.known().next().unwrap().info.timescale;
    let near = chunks[0].place(Time::new(5, scale)).unwrap();
    let as_it_was = chunks[0].place(Time::zero(scale)).unwrap();
    assert_eq!(near.head.len(), as_it_was.head.len());
    let far = chunks[0].place(Time::new(6, scale)).unwrap();
    assert!(far.head.len() > near.head.len());
    for (media, ticks) in
        [(near, u32::MAX), (as_it_was, late)].map(|(m, t)| (m, i64::from(t))).into_iter().chain([(far, 1 << 32)])
    {
        let (_, again) = read(&served(&header.known().next().unwrap().info.init, [&media])).unwrap();
        assert_eq!(again[0].decode_time().ticks(), ticks);
        assert_eq!(again[0].payload().slices().concat(), b"12345");
        assert_eq!(again[0].samples(), chunks[0].samples());
    }
}

#[test]
fn a_64_bit_size_is_passed_on_as_it_is() {
    let mdat = [&[0, 0, 0, 1][..], b"mdat", &21u64.to_be_bytes(), b"12345"].concat();
    let bytes = by_hand(DEFAULT_BASE_IS_MOOF, &full(1, 0, &[0, 0]), &mdat);
    let (header, chunks) = read(&bytes).unwrap();
    let track = header.known().next().unwrap();
    let media = chunks[0].place(Time::zero(track.info.timescale)).unwrap();
    assert_eq!(served(&track.info.init, [&media]), bytes);
}

#[test]
fn what_stands_between_moof_and_mdat_keeps_its_place() {
    let mdat = [boxed(b"free", b"padding"), boxed(b"mdat", b"12345")].concat();
    let bytes = by_hand(DEFAULT_BASE_IS_MOOF, &full(1, 0, &[0, 0]), &mdat);
    let (header, chunks) = read(&bytes).unwrap();
    let track = header.known().next().unwrap();
    let media = chunks[0].place(Time::zero(track.info.timescale)).unwrap();
    assert_eq!(served(&track.info.init, [&media]), bytes);
}

#[test]
fn video_is_shown_as_wide_as_ffmpeg_means_it() {
    for (size, shape, shown) in [
        ("720:576", "64/45", (1024, 576)),
        ("720:480", "8/9", (640, 480)),
        ("720:480", "32/27", (853, 480)),
        ("320:180", "1/1", (320, 180)),
    ] {
        let bytes = picture(&format!("libx264 -vf scale={size},setsar={shape}"));
        let (header, _) = read(&bytes).unwrap();
        let init = &header.known().next().unwrap().info.init;
        assert_eq!(display_size(init), Some(shown), "{size} with pixels of {shape}");
    }
}
