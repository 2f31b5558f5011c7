//! Smooth Streaming, as ffmpeg sends it: no decode times but in boxes of its own.

use bytes::Bytes;
use millrace_cmaf::describe;
use millrace_media::track::Kind;
use millrace_media::{Media, Time};

use crate::ffmpeg::{decoded, probe, read, seen, served, smooth};
use crate::handmade::{DEFAULT_BASE_IS_MOOF, TRACK, boxed, full, header};

fn has(bytes: &[u8], name: &[u8; 4]) -> bool {
    bytes.windows(4).any(|found| found == name)
}

#[test]
fn fragments_follow_each_other_and_sound_begins_before_zero() {
    let (header, chunks) = read(smooth()).unwrap();
    assert_eq!(header.known().count(), 2);
    for track in header.known() {
        assert_eq!(track.info.timescale.get(), 10_000_000);
        let of_track: Vec<_> = chunks.iter().filter(|chunk| chunk.track_id() == track.track_id).collect();
        assert!(of_track.len() >= 3);
        for pair in of_track.windows(2) {
            assert_eq!(pair[1].decode_time(), pair[0].decode_time() + pair[0].duration());
        }
        let first = of_track[0].presentation_time().ticks();
        let late = of_track.iter().filter(|chunk| chunk.samples()[0].composition_offset != 0).count();
        if track.info.kind() == Kind::Video {
            assert_eq!(first, 0);
            assert!(late > 0, "ffmpeg is to have begun fragments with pictures that others are shown before");
        } else {
            // AAC's priming of 1024 samples at 48 kHz.
            assert_eq!(first, -213_333);
        }
    }
}

#[test]
fn pictures_that_are_decoded_too_late_can_be_decoded_earlier() {
    let (header, chunks) = read(smooth()).unwrap();
    let video = header.known().find(|track| track.info.kind() == Kind::Video).unwrap();
    let chunk = chunks.iter().find(|chunk| chunk.track_id() == video.track_id).unwrap();
    let lead = chunk.lateness();
    assert!(lead.ticks() > 0, "ffmpeg is to have written negative offsets");
    let earlier = chunk.decoded_earlier(lead);
    assert_eq!(earlier.lateness().ticks(), 0);
    assert_eq!(earlier.decode_time() + lead, chunk.decode_time());
    let offset = Time::from_secs(10, video.info.timescale);
    let presented = |media: Media| -> Vec<_> { media.timed_samples().map(|sample| sample.presentation_time).collect() };
    assert_eq!(presented(earlier.place(offset).unwrap()), presented(chunk.place(offset).unwrap()));
}

#[test]
fn what_is_passed_on_is_cmaf() {
    let (header, chunks) = read(smooth()).unwrap();
    for track in header.known() {
        let kind = if track.info.kind() == Kind::Video { 'v' } else { 'a' };
        let scale = track.info.timescale;
        let of_track = chunks.iter().filter(|chunk| chunk.track_id() == track.track_id);
        let media: Vec<Media> = of_track.map(|chunk| chunk.place(Time::from_secs(10, scale)).unwrap()).collect();
        for media in &media {
            assert!(has(&media.head, b"tfdt") && !has(&media.head, b"uuid"));
        }
        assert_eq!(&track.info.init[4..12], b"ftypcmfc");
        assert!(!track.info.init.windows(8).any(|bytes| bytes == [0xff; 8]), "a duration is left unknown");
        assert_eq!(describe(&track.info.init).unwrap().info, track.info);
        let served = served(&track.info.init, &media);
        assert_eq!(probe(&served, kind, true), seen(&media), "{kind}");
        assert_eq!(decoded(&served, kind), decoded(smooth(), kind), "{kind}");
    }
}

#[test]
fn a_tfdt_goes_before_a_tfxd_and_a_time_beyond_counting_is_refused() {
    let tfxd = |time: i64| {
        let uuid = b"\x6d\x1d\x9b\x05\x42\xd5\x44\xe6\x80\xe2\x14\x1d\xaf\xf7\x57\xb2";
        boxed(b"uuid", &[&uuid[..], &[1, 0, 0, 0], &time.to_be_bytes(), &[0; 8]].concat())
    };
    let stream = |boxes: &[Vec<u8>]| -> Bytes {
        let tfhd = boxed(b"tfhd", &full(0, DEFAULT_BASE_IS_MOOF, &[TRACK]));
        // One sample of five bytes, shown two ticks after it is decoded; its place is put in when the length is known.
        let moof = |offset: u32| {
            let trun = boxed(b"trun", &full(0, 0xa01, &[1, offset, 5, 2]));
            let traf = boxed(b"traf", &[tfhd.clone(), trun, boxes.concat()].concat());
            boxed(b"moof", &[boxed(b"mfhd", &full(0, 0, &[1])), traf].concat())
        };
        let moof = moof(moof(0).len() as u32 + 8);
        [header(), moof, boxed(b"mdat", b"12345")].concat().into()
    };
    let tfdt = boxed(b"tfdt", &full(1, 0, &[0, 7]));
    let time = |boxes: &[Vec<u8>]| read(&stream(boxes)).map(|(_, chunks)| chunks[0].decode_time().ticks());
    assert_eq!(time(&[tfxd(100)]).unwrap(), 98);
    assert_eq!(time(&[tfxd(100), tfdt]).unwrap(), 7);
    for far in [i64::MIN, i64::MAX, (1 << 62) + 2, 2 - (1 << 62)] {
        let refused = time(&[tfxd(far)]).unwrap_err();
        assert!(refused.to_string().contains("beyond the limit"), "{refused}");
    }
}
