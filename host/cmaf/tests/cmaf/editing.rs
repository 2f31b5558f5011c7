//! Edited fragments, read back with the reader; and chunks that are to be one.

use std::time::Duration;

use bytes::Bytes;
use millrace_cmaf::write::{ChunkWriter, Event, Packet, WriteError, emsg, prft, styp};
use millrace_cmaf::{
    Limits, ReadError, TrackHeader, chunk_of, events, insert, with_event, with_samples, without_events, without_samples,
};
use millrace_hostile::{Numbers, most_held, mutate, seeds};
use millrace_media::fragment::Marks;
use millrace_media::{Media, Time, Timescale};

use crate::ffmpeg::{decoded, picture, probe, read, seen, served, tracks};
use crate::handmade::{boxed, full};

/// Video with a fragment a GOP and B-frames, on a timeline that begins ten seconds in.
fn groups() -> (TrackHeader, Vec<Media>) {
    let bytes = picture("libx264 -preset ultrafast -bf 2 -g 5 -sc_threshold 0");
    let (header, chunks) = read(&bytes).unwrap();
    let track = header.known().next().unwrap().clone();
    let ten = Time::from_secs(10, track.info.timescale);
    let media: Vec<_> = chunks.iter().map(|chunk| chunk.place(ten).unwrap()).collect();
    assert!(media.len() == 2 && media.iter().all(|media| media.samples.len() == 5), "{media:?}");
    (track, media)
}

fn whole(media: &Media) -> Bytes {
    served(&Bytes::new(), [media])
}

/// The media as the reader finds it in its own bytes.
fn reread(track: &TrackHeader, media: &Media) -> Media {
    chunk_of(whole(media), track, &Limits::default()).unwrap()
}

/// Checks that the bytes of a fragment say what it says itself.
fn agrees(track: &TrackHeader, media: &Media) {
    let read = reread(track, media);
    assert_eq!(read.samples, media.samples);
    assert_eq!(read.payload.slices().concat(), media.payload.slices().concat());
    assert_eq!((read.decode_time, read.presentation_time), (media.decode_time, media.presentation_time));
    assert_eq!((read.duration, read.marks), (media.duration, media.marks));
    assert_eq!(events(&read), events(media));
}

fn sample_bytes(media: &Media) -> Vec<Bytes> {
    media.samples.iter().map(|sample| media.payload.contiguous(sample.offset, sample.size).unwrap()).collect()
}

/// True of a slice of the media's own buffers.
fn is_of(slice: &Bytes, media: &Media) -> bool {
    media.payload.slices().iter().any(|whole| whole.as_ptr_range().contains(&slice.as_ptr()))
}

fn event(scheme: &str, millis: i64) -> Event {
    Event {
        scheme: scheme.to_owned(),
        value: "1".to_owned(),
        presentation_time: Time::from_millis(millis),
        duration: Some(Time::from_millis(40)),
        id: 7,
        data: Bytes::from_static(b"message"),
    }
}

/// `emsg` of version 0, which counts from the media's presentation time.
fn relative(scheme: &str, scale: u32, after: u32, duration: u32) -> Vec<u8> {
    let fields = [scale, after, duration, 3].map(u32::to_be_bytes).concat();
    boxed(b"emsg", &[&full(0, 0, &[])[..], scheme.as_bytes(), b"\0value\0", &fields, b"old"].concat())
}

fn with_head(media: &Media, before: &[u8]) -> Media {
    Media { head: [before, &media.head].concat().into(), ..media.clone() }
}

#[test]
fn events_are_read_as_they_were_written() {
    let (track, media) = groups();
    let media = &media[1];
    assert_eq!(events(media), []);
    let (first, second) = (event("urn:a", 12_345), Event { duration: None, data: Bytes::new(), ..event("urn:b", 0) });
    let marked = with_event(&with_event(media, &first).unwrap(), &second).unwrap();
    assert_eq!(events(&marked), [first.clone(), second], "in the order in which they were added");
    agrees(&track, &marked);
    let segment = with_head(media, &styp(&[]));
    let expected = [&styp(&[])[..], &emsg(&first).unwrap(), &media.head].concat();
    assert_eq!(with_event(&segment, &first).unwrap().head, expected, "right before the moof");

    let old = with_head(media, &relative("urn:old", 1_000, 1_500, u32::MAX));
    let at = media.presentation_time.rescale(Timescale::MILLIS) + Time::from_millis(1_500);
    let expected = Event {
        scheme: "urn:old".to_owned(),
        value: "value".to_owned(),
        presentation_time: at,
        duration: None,
        id: 3,
        data: Bytes::from_static(b"old"),
    };
    assert_eq!(events(&old), [expected]);
}

#[test]
fn broken_events_are_passed_over() {
    let (_, media) = groups();
    let good = emsg(&event("urn:a", 1)).unwrap();
    let timeless = relative("urn:old", 0, 1, 1);
    let unfinished = boxed(b"emsg", &full(0, 0, &[u32::from_be_bytes(*b"urn:")]));
    let not_text = boxed(b"emsg", &[&full(0, 0, &[])[..], b"\xff\xff\0\0", &[0; 16]].concat());
    let too_late = [&full(1, 0, &[1_000, u32::MAX, 0, 0, 0])[..], b"urn:late\0\0"].concat();
    let odd =
        [timeless, unfinished, not_text, boxed(b"emsg", &too_late), boxed(b"emsg", b""), boxed(b"emsg", &[9; 40])];
    for odd in odd {
        let media = with_head(&media[0], &[&odd[..], &good].concat());
        assert_eq!(events(&media), [event("urn:a", 1)], "{odd:?}");
        assert_eq!(
            without_events(&media, "urn:a").unwrap().head,
            [&odd[..], &with_head(&media, b"").head[odd.len() + good.len()..]].concat()
        );
    }
}

#[test]
fn events_of_a_scheme_are_taken_away_and_the_rest_stays() {
    let (track, media) = groups();
    let media = &media[0];
    let captured = Duration::from_secs(1_790_000_000);
    let stamp = prft(track.track_id, captured, media.decode_time).unwrap();
    let (keep, go) = (emsg(&event("urn:keep", 10_000)).unwrap(), emsg(&event("urn:go", 10_000)).unwrap());
    let old = relative("urn:go", 1_000, 0, 0);
    let before = [&go[..], &stamp, &old, &keep, &go].concat();
    let marked = Media { captured_at: Some(captured), ..with_head(media, &before) };
    let cleared = without_events(&marked, "urn:go").unwrap();
    assert_eq!(cleared.head, [&stamp[..], &keep, &media.head].concat());
    assert_eq!(cleared.captured_at, Some(captured));
    assert_eq!(cleared.payload.slices()[0].as_ptr(), media.payload.slices()[0].as_ptr());
    assert_eq!(reread(&track, &cleared).captured_at, Some(captured));
    agrees(&track, &cleared);
    let same = without_events(&marked, "urn:g").unwrap();
    assert_eq!(same.head.as_ptr(), marked.head.as_ptr(), "nothing to take away copies nothing");
    let headless = Media { head: Bytes::from_static(b"\0\0\0\x08free"), ..marked };
    assert!(matches!(without_events(&headless, "urn:go"), Err(WriteError::Uneditable(_))));
}

#[test]
fn a_unit_is_inserted_before_a_byte_of_a_sample() {
    // An SEI unit with a message that nobody knows (ISO/IEC 14496-10, D.1.6), its length before it.
    let sei: Bytes = [&[0, 0, 0, 20, 6, 5, 16][..], &[0x55; 16], &[0x80]].concat().into();
    for (name, track, media) in tracks() {
        let is_h264 = track.info.codec.starts_with("avc1");
        let edited: Vec<Media> = media
            .iter()
            .map(|media| {
                let last = media.samples.len() as u32 - 1;
                let edited = insert(media, last, 0, sei.clone()).unwrap();
                let mut expected = sample_bytes(media);
                expected[last as usize] = [&sei[..], &expected[last as usize]].concat().into();
                assert_eq!(sample_bytes(&edited), expected, "{name}");
                assert_eq!(edited.captured_at, media.captured_at);
                agrees(&track, &edited);
                edited
            })
            .collect();
        let mut kept = edited[0].payload.slices().iter().filter(|slice| slice.as_ptr() != sei.as_ptr());
        assert!(kept.all(|slice| is_of(slice, &media[0])), "{name}");
        if is_h264 && name.starts_with("h264, picture alone") {
            let init = &track.info.init;
            assert_eq!(decoded(&served(init, &edited), 'v'), decoded(&served(init, &media), 'v'), "{name}");
        }
    }
}

#[test]
fn what_cannot_be_inserted_is_refused() {
    let (_, media) = groups();
    let media = media.iter().max_by_key(|media| media.samples.len()).unwrap();
    let (count, size) = (media.samples.len(), media.samples[1].size);
    let bytes = Bytes::from_static(b"bytes");
    assert_eq!(sample_bytes(&insert(media, 1, size, bytes.clone()).unwrap())[1].len() as u32, size + 5, "at the end");
    let error = insert(media, 1, size + 1, bytes.clone()).unwrap_err();
    assert!(matches!(error, WriteError::NoOffset { sample: 1, offset, size: of } if offset == size + 1 && of == size));
    assert_eq!(error.to_string(), format!("offset {} lies past sample 1, which has {size} bytes", size + 1));
    for sample in [count as u32, u32::MAX] {
        let error = insert(media, sample, 0, bytes.clone()).unwrap_err();
        assert_eq!(error.to_string(), format!("there is no sample {sample}: the fragment has {count}, counted from 0"));
    }
    assert_eq!(insert(media, 0, 0, Bytes::new()).unwrap().head.as_ptr(), media.head.as_ptr());
}

#[test]
fn a_payload_of_more_than_its_size_can_say_is_refused() {
    // Zeros that nobody writes to take no memory.
    let large = Bytes::from(vec![0; (1 << 31) - 100]);
    let packet =
        |data: &Bytes| Packet { data: data.clone(), duration: 1, composition_offset: 0, marks: Marks::default() };
    let two = ChunkWriter::new(1).chunk(Time::from_millis(0), [packet(&large), packet(&large)], None).unwrap();
    for (add, fits) in [(190, true), (191, true), (192, false), (199, false), (200, false), (1 << 20, false)] {
        let edited = insert(&two, 0, 5, large.slice(..add));
        match edited {
            Ok(edited) => assert!(fits && edited.samples[1].offset as usize == large.len() + add, "{add}"),
            Err(WriteError::PayloadSize { size }) => {
                assert!(!fits && size == 2 * large.len() as u64 + add as u64, "{add}");
            }
            Err(other) => panic!("{add}: {other}"),
        }
    }
    let error = with_samples(&two, vec![large.clone(), Bytes::from(vec![0; 1 << 31])]).map(drop);
    assert!(error.is_ok(), "2^32 less 100 bytes fit");
    let three = ChunkWriter::new(1).chunk(Time::from_millis(0), [1, 2, 3].map(|_| packet(&large.slice(..9))), None);
    let error = with_samples(&three.unwrap(), vec![large.clone(), large.clone(), large]).unwrap_err();
    assert!(matches!(error, WriteError::PayloadSize { size } if size == 3 * ((1 << 31) - 100)), "{error}");
}

#[test]
fn samples_are_left_out_and_the_others_stay_where_they_were() {
    let (track, media) = groups();
    let media = media.iter().max_by_key(|media| media.samples.len()).unwrap();
    let captured = Some(Duration::from_secs(1_790_000_000));
    let media = &Media { captured_at: captured, ..media.clone() };
    let left_out = [1, 2, 1, media.samples.len() as u32 - 1];
    let edited = without_samples(media, &left_out).unwrap();
    assert!(edited.payload.slices().iter().all(|slice| is_of(slice, media)));
    let times = |media: &Media| -> Vec<_> {
        media.timed_samples().map(|s| (s.decode_time, s.presentation_time, s.sample.size, s.sample.marks)).collect()
    };
    let kept = |i: &usize| !left_out.contains(&(*i as u32));
    let expected: Vec<_> =
        times(media).into_iter().enumerate().filter(|(i, _)| kept(i)).map(|(_, time)| time).collect();
    assert_eq!(times(&edited), expected);
    let bytes: Vec<_> = sample_bytes(media).into_iter().enumerate().filter(|(i, _)| kept(i)).map(|(_, b)| b).collect();
    assert_eq!(sample_bytes(&edited), bytes);
    assert_eq!((edited.decode_time, edited.duration), (media.decode_time, media.duration));
    assert_eq!((edited.marks.keyframe, edited.captured_at), (media.marks.keyframe, captured));
    assert_eq!(
        u64::from(edited.payload.len()),
        edited.samples.iter().map(|sample| u64::from(sample.size)).sum::<u64>()
    );
    agrees(&track, &edited);
    assert_eq!(probe(&served(&track.info.init, [&edited]), 'v', true), seen(&[edited]));
    assert_eq!(without_samples(media, &[]).unwrap().head.as_ptr(), media.head.as_ptr());
}

#[test]
fn samples_that_cannot_be_left_out_are_refused() {
    let marks = Marks { keyframe: true, independent: true, discardable: false };
    let packet = |duration| Packet { data: Bytes::from_static(b"x"), duration, composition_offset: 0, marks };
    let chunk =
        |durations: [u32; 3]| ChunkWriter::new(1).chunk(Time::from_millis(0), durations.map(packet), None).unwrap();
    let media = chunk([1 << 31, (1 << 31) - 1, 1]);
    let all = without_samples(&media, &[0, 1, 2]).unwrap_err();
    assert!(matches!(all, WriteError::FirstSample), "{all}");
    assert!(matches!(without_samples(&media, &[1, 3]), Err(WriteError::NoSample { sample: 3, count: 3 })));
    assert!(matches!(without_samples(&media, &[u32::MAX]), Err(WriteError::NoSample { sample: u32::MAX, count: 3 })));
    assert_eq!(without_samples(&media, &[1]).unwrap().samples[0].duration, u32::MAX);
    let error = without_samples(&media, &[1, 2]).unwrap_err();
    assert_eq!(error.to_string(), "a sample of 4294967296 ticks is too long: at most 4294967295");
}

#[test]
fn an_event_that_counts_from_the_first_frame_shown_stays_at_its_time() {
    // The second sample is shown first.
    let packet = |offset| Packet {
        data: Bytes::from_static(b"x"),
        duration: 10,
        composition_offset: offset,
        marks: Marks::default(),
    };
    let media = ChunkWriter::new(1).chunk(Time::from_millis(1_000), [30, 0, 10].map(packet), None).unwrap();
    let media = with_head(&media, &relative("urn:old", 1_000, 500, 40));
    assert_eq!((media.presentation_time.ticks(), events(&media)[0].presentation_time.ticks()), (1_010, 1_510));
    let edited = without_samples(&media, &[1, 2]).unwrap();
    assert_eq!(edited.presentation_time.ticks(), 1_030);
    assert_eq!(events(&edited), events(&media));
    let unmoved = without_samples(&media, &[2]).unwrap();
    assert!(unmoved.head.starts_with(&relative("urn:old", 1_000, 500, 40)));
}

#[test]
fn samples_are_replaced_one_by_one() {
    for (name, track, media) in tracks() {
        let media = with_event(&media[0], &event("urn:a", 10_000)).unwrap();
        let turned: Vec<Bytes> =
            sample_bytes(&media).iter().map(|bytes| bytes.iter().rev().copied().collect()).collect();
        let edited = with_samples(&media, turned.clone()).unwrap();
        assert_eq!(sample_bytes(&edited), turned, "{name}");
        assert_eq!(edited.payload.slices()[0].as_ptr(), turned[0].as_ptr(), "{name}");
        assert_eq!(events(&edited), events(&media), "{name}");
        agrees(&track, &edited);
        let back = with_samples(&edited, sample_bytes(&media)).unwrap();
        assert_eq!(seen(&[back]), seen(std::slice::from_ref(&media)), "{name}");
        let count = media.samples.len();
        for given in [0, count - 1, count + 1] {
            let error = with_samples(&media, vec![Bytes::from_static(b"x"); given]).unwrap_err().to_string();
            assert_eq!(error, format!("data for {given} samples, where the fragment has {count}"), "{name}");
        }
        let empty = with_samples(&media, vec![Bytes::new(); count]).unwrap();
        assert!(empty.payload.is_empty());
        agrees(&track, &empty);
    }
}

#[test]
fn edits_upon_edits_read_back() {
    for (name, track, media) in tracks() {
        for seed in seeds(40) {
            let mut numbers = Numbers(seed);
            let first = numbers.below(media.len());
            let mut edited = media[first].clone();
            let held = most_held(|| {
                for _ in 0..8 {
                    // Some of the numbers lie just outside.
                    let sample = numbers.below(edited.samples.len() + 1) as u32;
                    let offset = numbers.below(edited.samples[0].size as usize + 2) as u32;
                    let result = match numbers.below(5) {
                        0 => insert(&edited, sample, offset, Bytes::from(vec![seed as u8; numbers.below(300)])),
                        1 => without_samples(&edited, &[sample, sample / 2]),
                        2 => with_event(
                            &edited,
                            &event(["urn:a", "urn:b"][numbers.below(2)], numbers.below(9_999) as i64),
                        ),
                        3 => without_events(&edited, "urn:a"),
                        _ => {
                            let mut data = sample_bytes(&edited);
                            if let Some(bytes) = data.get_mut(sample as usize) {
                                *bytes = Bytes::from(vec![0; numbers.below(2_000)]);
                            }
                            with_samples(&edited, data)
                        }
                    };
                    match result {
                        Ok(media) => edited = media,
                        Err(WriteError::NoSample { .. } | WriteError::NoOffset { .. } | WriteError::FirstSample) => {}
                        Err(other) => panic!("{name}, seed {seed}: {other}"),
                    }
                }
            });
            agrees(&track, &edited);
            let limit = 6 * media[first].size() as usize + (64 << 10);
            assert!(held < limit, "{held} bytes held for {name}, seed {seed}, where {limit} are allowed");
        }
    }
}

#[test]
fn one_whole_chunk_is_read_and_nothing_else() {
    let (track, media) = groups();
    let captured = Duration::from_secs(1_790_000_000);
    let stamp = prft(track.track_id, captured, media[0].decode_time).unwrap();
    let marked = with_head(&media[0], &[&stamp[..], &emsg(&event("urn:a", 10_000)).unwrap()].concat());
    let bytes = whole(&marked);
    let limits = Limits::default();
    let read = chunk_of(bytes.clone(), &track, &limits).unwrap();
    assert_eq!(read.head, marked.head);
    assert_eq!(read.payload.slices()[0].as_ptr(), bytes[marked.head.len()..].as_ptr());
    assert_eq!((read.captured_at, events(&read)), (Some(captured), vec![event("urn:a", 10_000)]));
    assert_eq!(read.decode_time, media[0].decode_time, "an edit list of the header moves nothing");
    let mut shifted = track.clone();
    shifted.timeline_shift = Time::new(-1_000, track.info.timescale);
    assert_eq!(chunk_of(bytes.clone(), &shifted, &limits).unwrap().decode_time, media[0].decode_time);

    let refused = |parts: &[&[u8]], found: &str, expected: &str| {
        let error = chunk_of(parts.concat().into(), &track, &limits).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with(&format!("{found} where {expected} is expected: a chunk is")), "{text}");
    };
    let second = whole(&media[1]);
    refused(&[&bytes, &second], "moof", "the end");
    refused(&[&bytes, &stamp], "prft", "the end");
    refused(&[&bytes, b"\0\0\0"], "3 bytes", "the end");
    refused(&[&styp(&[]), &bytes], "styp", "moof");
    refused(&[&track.info.init, &bytes], "ftyp", "moof");
    refused(&[&marked.head[..stamp.len()]], "the end", "moof");
    refused(&[], "the end", "moof");
    refused(&[&bytes[marked.head.len() - 8..]], "mdat", "moof");
    let moof_end = marked.head.len() - 8;
    refused(&[&bytes[..moof_end]], "the end", "mdat");
    refused(&[&bytes[..moof_end], &boxed(b"free", b""), &bytes[moof_end..]], "free", "mdat");
    for len in 0..bytes.len().min(marked.head.len() + 50) {
        assert!(chunk_of(bytes.slice(..len), &track, &limits).is_err(), "{len}");
    }
    let mut other = track.clone();
    other.track_id += 1;
    assert!(matches!(chunk_of(bytes.clone(), &other, &limits), Err(ReadError::UnknownTrack { .. })));
    let small = Limits { max_mdat: 10, ..limits };
    assert!(matches!(chunk_of(bytes, &track, &small), Err(ReadError::TooLarge { limit: 10, .. })));
}

#[test]
fn mutated_chunks_are_read_or_refused_within_the_limits() {
    let (track, media) = groups();
    let marked = with_event(&media[0], &event("urn:a", 10_000)).unwrap();
    let bytes = whole(&marked);
    let limits = Limits { max_box: 64 << 10, max_mdat: 1 << 20, max_samples: 1_000, ..Limits::default() };
    let near: Vec<usize> = (0..marked.head.len()).step_by(8).collect();
    let mut read = 0;
    for seed in seeds(2_000) {
        let mutated = Bytes::from(mutate(&bytes, &near, &mut Numbers(seed)));
        let held = most_held(|| {
            let Ok(media) = chunk_of(mutated, &track, &limits) else { return };
            read += 1;
            let _ = events(&media);
            let _ = without_events(&media, "urn:a");
            let _ = insert(&media, 0, 0, Bytes::from_static(b"bytes"));
            let _ = without_samples(&media, &[1]);
            let _ = with_samples(&media, sample_bytes(&media));
        });
        assert!(held < 2 << 20, "{held} bytes held, seed {seed}");
    }
    assert!(read > 0, "some are still chunks");
}

#[test]
fn edits_of_what_is_no_chunk_are_refused() {
    let (_, media) = groups();
    for seed in seeds(500) {
        let mut numbers = Numbers(seed);
        let head = Bytes::from(mutate(&media[0].head, &[], &mut numbers));
        let media = Media { head, ..media[0].clone() };
        let held = most_held(|| {
            let _ = events(&media);
            let _ = without_events(&media, "urn:a");
            let _ = insert(&media, 0, 0, Bytes::from_static(b"bytes"));
            let _ = without_samples(&media, &[1]);
        });
        assert!(held < 1 << 20, "{held} bytes held, seed {seed}");
    }
    let none = Media { head: Bytes::new(), ..media[0].clone() };
    let error = insert(&none, 0, 0, Bytes::from_static(b"x")).unwrap_err();
    assert!(error.to_string().starts_with("the fragment cannot be edited: "), "{error}");
}
