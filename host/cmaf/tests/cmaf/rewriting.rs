//! Splitting, and events.

use bytes::Bytes;
use millrace_cmaf::write::{Event, emsg};
use millrace_cmaf::{split, with_event};
use millrace_media::track::Kind;
use millrace_media::{Media, Time};

use crate::ffmpeg::{probe, read, seen, served, stream, tracks};

#[test]
fn pieces_say_the_same_as_the_whole() {
    for (name, track, media) in tracks() {
        let kind = if track.info.kind() == Kind::Video { 'v' } else { 'a' };
        let bytes = |media: &[Media]| -> Vec<u8> {
            let slices = media.iter().flat_map(|media| media.payload.slices());
            slices.flat_map(|slice| slice.to_vec()).collect()
        };
        let expected = seen(&media);
        for millis in [0, 200] {
            let longest = Time::from_millis(millis);
            let pieces: Vec<Media> = media.iter().flat_map(|media| split(media, longest).unwrap()).collect();
            assert_eq!(seen(&pieces), expected, "{name} {kind}");
            for piece in &pieces {
                assert!(piece.samples.len() == 1 || piece.duration <= longest, "{name} {piece:?}");
                assert_eq!(piece.marks.keyframe, piece.samples[0].marks.keyframe);
            }
            if millis == 0 {
                let split = served(&track.info.init, &pieces);
                assert_eq!(probe(&split, kind, true), expected, "{name} {kind}");
            }
            assert_eq!(bytes(&pieces), bytes(&media), "{name} {kind}");
        }
    }
}

#[test]
fn capture_goes_on_through_the_pieces() {
    let (_, track, media) = tracks().into_iter().find(|(name, ..)| name.ends_with("a fragment a GOP")).unwrap();
    let captured = std::time::Duration::from_secs(1_790_000_000);
    let whole = media.into_iter().max_by_key(|media| media.samples.len()).unwrap();
    let whole = Media { captured_at: Some(captured), ..whole };
    let pieces = split(&whole, Time::from_millis(0)).unwrap();
    assert!(pieces.len() > 10);
    assert_eq!(pieces[0].captured_at, Some(captured));
    for piece in pieces {
        let since = (piece.decode_time - whole.decode_time).to_duration();
        assert_eq!(piece.captured_at, Some(captured + since), "{}", track.info.codec);
    }
}

#[test]
fn every_keyframe_begins_a_piece() {
    // A segment of two groups, as a sender of whole segments makes it.
    let args = "-f lavfi -i testsrc2=s=320x180:r=25:d=2 -c:v libx264 -bf 2 -g 10 -keyint_min 10 -sc_threshold 0 \
                -movflags +cmaf -frag_duration 10000000 -f mp4 -";
    let bytes: Bytes = crate::ffmpeg::run("ffmpeg", &std::env::temp_dir(), args).into();
    let (header, chunks) = read(&bytes).unwrap();
    let track = header.known().next().unwrap();
    let whole: Vec<Media> = chunks.iter().map(|chunk| chunk.place(Time::zero(track.info.timescale)).unwrap()).collect();
    assert!(whole.iter().any(|media| media.samples.iter().filter(|sample| sample.marks.keyframe).count() > 1));
    let pieces: Vec<Media> = whole.iter().flat_map(|media| split(media, Time::from_millis(10_000)).unwrap()).collect();
    assert_eq!(pieces.len(), 5);
    assert!(pieces.iter().all(|piece| piece.marks.keyframe && piece.samples.len() == 10));
    assert_eq!(probe(&served(&track.info.init, &pieces), 'v', true), seen(&whole));
}

#[test]
fn splitting_shares_the_payload_and_keeps_what_is_short() {
    for (name, _, media) in tracks() {
        for media in media {
            let slices = media.payload.slices();
            for piece in split(&media, Time::from_millis(0)).unwrap() {
                let shared = |slice: &Bytes| slices.iter().any(|whole| whole.as_ptr_range().contains(&slice.as_ptr()));
                assert!(piece.payload.slices().iter().all(shared), "{name}");
            }
            if media.samples.iter().skip(1).all(|sample| !sample.marks.keyframe) {
                let kept = split(&media, media.duration).unwrap();
                assert_eq!(kept.len(), 1);
                assert_eq!(kept[0].head.as_ptr(), media.head.as_ptr());
            }
        }
    }
}

#[test]
fn an_event_goes_before_a_fragment_and_moves_with_it() {
    let stream = stream("h264, picture alone");
    let (header, chunks) = read(&stream.bytes).unwrap();
    let track = header.known().next().unwrap();
    let event = Event {
        scheme: "urn:example:mark".to_owned(),
        value: "1".to_owned(),
        presentation_time: Time::from_millis(40),
        duration: None,
        id: 7,
        data: Bytes::from_static(b"message"),
    };
    let plain = chunks[1].place(Time::zero(track.info.timescale)).unwrap();
    let marked = with_event(&plain, &event).unwrap();
    assert_eq!(marked.payload.slices()[0].as_ptr(), plain.payload.slices()[0].as_ptr());
    assert_eq!(marked.head.len(), plain.head.len() + emsg(&event).unwrap().len());

    let first = chunks[0].place(Time::zero(track.info.timescale)).unwrap();
    let marked = served(&track.info.init, [&first, &marked]);
    assert_eq!(probe(&marked, 'v', true).len(), 2);
    // Read again and put ten seconds later, the event is ten seconds later too.
    let (_, again) = read(&marked).unwrap();
    let later = again[1].place(Time::from_secs(10, track.info.timescale)).unwrap();
    let moved = Event { presentation_time: Time::from_millis(10_040), ..event };
    assert!(later.head.starts_with(&emsg(&moved).unwrap()));
    assert_eq!(split(&later, Time::from_millis(0)).unwrap()[0].head, later.head);
}
