//! What is written out of coded packets.

use std::time::Duration;

use bytes::Bytes;
use millrace_cmaf::write::{ChunkWriter, Event, InitSettings, Packet, WriteError, emsg, prft, styp};
use millrace_cmaf::{CodecConfig, FourCC, Header, Item, Limits, Reader, Track, describe};
use millrace_media::fragment::Marks;
use millrace_media::track::{Format, Kind};
use millrace_media::{Media, Time, Timescale};

use crate::ffmpeg::{decoded, picture, probe, read, seen, served, streams};

/// A track's packets as an encoder would give them.
fn packets(media: &Media) -> Vec<Packet> {
    let bytes = |sample: &millrace_media::Sample| media.payload.contiguous(sample.offset, sample.size).unwrap();
    let packet = |sample: &millrace_media::Sample| Packet {
        data: bytes(sample),
        duration: sample.duration,
        composition_offset: sample.composition_offset,
        marks: sample.marks,
    };
    media.samples.iter().map(packet).collect()
}

#[test]
fn tracks_written_anew_play_the_same() {
    for stream in streams() {
        let (header, chunks) = read(&stream.bytes).unwrap();
        for track in header.known() {
            let kind = if matches!(track.info.format, Format::Video { .. }) { 'v' } else { 'a' };
            let settings = InitSettings {
                track_id: 1,
                timescale: track.info.timescale,
                format: track.info.format,
                config: track.config.clone(),
                language: Some("de-CH".to_owned()),
                bitrate: Some(123_456),
            };
            let written = settings.track().unwrap();
            assert_eq!(written.info.codec, track.info.codec);
            assert_eq!(written.info.format, track.info.format);
            assert_eq!(written.config, track.config);
            assert_eq!(written.info.bitrate, Some(123_456));
            assert_eq!(written.info.language.as_deref(), Some("de-CH"));
            assert_eq!(describe(&written.info.init).unwrap().info.language.as_deref(), Some("de"));

            let mut writer = ChunkWriter::new(1);
            let of_track = chunks.iter().filter(|chunk| chunk.track_id() == track.track_id);
            let captured = Duration::from_secs(1_700_000_000);
            let media: Vec<Media> = of_track
                .map(|chunk| {
                    let media = chunk.place(Time::from_secs(10, track.info.timescale)).unwrap();
                    let written = writer.chunk(media.decode_time, packets(&media), Some(captured)).unwrap();
                    assert_eq!(written.presentation_time, media.presentation_time);
                    assert_eq!((written.duration, written.marks), (media.duration, media.marks));
                    written
                })
                .collect();
            let file = served(&written.info.init, &media);
            assert_eq!(probe(&file, kind, true), seen(&media), "{} {kind}", stream.name);
            let (_, again) = read(&file).unwrap();
            assert!(again.iter().all(|chunk| chunk.captured_at() == Some(captured)), "{} {kind}", stream.name);
            if stream.name.ends_with("a fragment a frame") {
                assert_eq!(decoded(&file, kind), decoded(&stream.bytes, kind), "{} {kind}", stream.name);
            }
        }
    }
}

#[test]
fn headers_of_hevc_and_av1_are_written() {
    let hevc = "libx265 -preset ultrafast -x265-params log-level=none -tag:v hvc1";
    let av1 = "libaom-av1 -cpu-used 8 -usage realtime -movflags +cmaf+frag_keyframe+delay_moov";
    for codec in [hevc, av1] {
        let bytes = picture(codec);
        let (header, chunks) = read(&bytes).unwrap();
        let track = header.known().next().unwrap();
        let settings = InitSettings {
            track_id: track.track_id,
            timescale: track.info.timescale,
            format: track.info.format,
            config: track.config.clone(),
            language: None,
            bitrate: None,
        };
        let info = settings.info().unwrap();
        let media = chunks.iter().map(|chunk| chunk.place(Time::zero(info.timescale)).unwrap()).collect::<Vec<_>>();
        assert_eq!(decoded(&served(&info.init, &media), 'v'), decoded(&bytes, 'v'));
    }
}

#[test]
fn a_broken_configuration_is_refused() {
    let settings = InitSettings {
        track_id: 1,
        timescale: Timescale::MILLIS,
        format: Format::Video { width: 16, height: 16, frame_rate: Some(25.0) },
        config: CodecConfig::Avc(Bytes::from_static(&[1, 2])),
        language: None,
        bitrate: None,
    };
    assert!(matches!(settings.track(), Err(WriteError::Refused(_))));
    let large = InitSettings { format: Format::Video { width: 65_536, height: 16, frame_rate: None }, ..settings };
    assert!(matches!(large.track(), Err(WriteError::PictureSize { width: 65_536, .. })));
}

#[test]
fn chunks_that_cannot_be_are_refused() {
    let mut writer = ChunkWriter::new(1);
    let packet = Packet { data: Bytes::from_static(b"x"), duration: 1, composition_offset: 0, marks: Marks::default() };
    assert!(matches!(writer.chunk(Time::from_millis(0), [], None), Err(WriteError::Empty)));
    assert!(matches!(writer.chunk(Time::from_millis(-1), [packet], None), Err(WriteError::BeforeZero(_))));
}

#[test]
fn segments_begin_with_their_type_and_say_when_they_were_captured() {
    let settings = InitSettings {
        track_id: 1,
        timescale: Timescale::new(48_000).unwrap(),
        format: Format::Audio { sample_rate: 48_000, channels: 2 },
        config: CodecConfig::Opus(Bytes::from_static(&[0, 2, 0x01, 0x38, 0, 0, 0xbb, 0x80, 0, 0, 0])),
        language: None,
        bitrate: None,
    };
    let track = settings.track().unwrap();
    assert_eq!(track.timeline_shift.ticks(), -312);
    let captured = Duration::new(1_790_000_000, 5_000_000);
    let decode_time = Time::new(96_000, track.info.timescale);
    let marks = Marks { keyframe: true, independent: true, discardable: false };
    let packet = Packet { data: Bytes::from_static(b"frame"), duration: 960, composition_offset: 0, marks };
    let media = ChunkWriter::new(1).chunk(decode_time, [packet], None).unwrap();
    let event = Event {
        scheme: "urn:example".to_owned(),
        value: String::new(),
        presentation_time: decode_time,
        duration: Some(Time::from_millis(20)),
        id: 1,
        data: Bytes::new(),
    };
    let mut reader = Reader::new(Limits::default());
    for part in [
        track.info.init.clone(),
        styp(&[b"msdh", b"lmsg"]),
        prft(1, captured, decode_time).unwrap(),
        prft(2, captured * 2, decode_time).unwrap(),
        emsg(&event).unwrap(),
        served(&Bytes::new(), [&media]),
    ] {
        reader.push(part);
    }
    assert!(matches!(reader.next().unwrap(), Some(Item::Header(_))));
    assert!(matches!(reader.next().unwrap(), Some(Item::SegmentType(styp)) if styp.has(b"lmsg")));
    let Some(Item::Chunk(chunk)) = reader.next().unwrap() else { panic!("a chunk is to follow") };
    assert_eq!(chunk.captured_at(), Some(captured));
    let offset = -track.timeline_shift;
    let placed = chunk.place(offset).unwrap();
    // The fragment's times are as they were: the prft of its own track and the fragment come byte for byte. The event is on the
    // presentation timeline, which begins later now.
    let moved = Event { presentation_time: decode_time + offset, ..event };
    let parts = [prft(1, captured, decode_time).unwrap(), emsg(&moved).unwrap(), media.head];
    assert_eq!(placed.head, parts.concat());
    assert_eq!(placed.captured_at, Some(captured));
}

#[test]
fn text_and_images_have_headers_that_say_so() {
    let settings = |format, config| InitSettings {
        track_id: 1,
        timescale: Timescale::MILLIS,
        format,
        config,
        language: Some("de".to_owned()),
        bitrate: None,
    };
    let vtt = CodecConfig::WebVtt(Bytes::from_static(b"WEBVTT"));
    let ttml = CodecConfig::Ttml(Bytes::from_static(b"http://www.w3.org/ns/ttml\0\0\0"));
    for (config, codec, handler) in [(vtt.clone(), "wvtt", b"text"), (ttml, "stpp", b"subt")] {
        let track = settings(Format::Text, config.clone()).track().unwrap();
        assert_eq!(
            (track.info.codec.as_str(), track.info.format, track.info.kind()),
            (codec, Format::Text, Kind::Text)
        );
        assert_eq!((&track.config, track.info.language.as_deref()), (&config, Some("de")));
        assert!(track.info.init.windows(4).any(|window| window == handler), "{codec}");
    }
    let avc = CodecConfig::Avc(Bytes::from_static(&[1, 0x64, 0, 0x1f, 0xff, 0xe0, 0]));
    let image = Format::Image { width: 320, height: 180 };
    let track = settings(image, avc).track().unwrap();
    assert_eq!(
        (track.info.format, track.info.kind(), track.info.format.size()),
        (image, Kind::Image, Some((320, 180)))
    );

    // Metadata keeps its sample entry.
    let event = FourCC::new(b"evte");
    for (entry, record) in
        [(b"evte", &b""[..]), (b"mett", b"\0application/json\0"), (b"urim", b"\0\0\0\x10uri \0\0\0\0a:b\0")]
    {
        let config = CodecConfig::Data(FourCC::new(entry), Bytes::from_static(record));
        let track = settings(Format::Data, config.clone()).track().unwrap();
        assert_eq!((track.info.kind(), track.info.codec.as_bytes(), &track.config), (Kind::Data, &entry[..], &config));
        assert!(track.info.init.windows(4).any(|window| window == b"meta"));
        assert_eq!(track.info.codec == millrace_cmaf::EVENT_MESSAGES, FourCC::new(entry) == event);
    }

    // A broken configuration of text leaves the text out, and not the whole source.
    let init = settings(Format::Text, vtt).init_segment().unwrap();
    let at = init.windows(4).position(|window| window == b"vttC").unwrap();
    for broken in [b"vttX", b"\xff\xff\xff\xff"] {
        let mut init = init.to_vec();
        init[at - if broken[0] == 0xff { 4 } else { 0 }..][..4].copy_from_slice(broken);
        let header = Header::read(&init, &Limits::default()).unwrap();
        assert!(
            matches!(&header.tracks()[0], Track::Unsupported { reason, .. } if reason.contains("vttC")),
            "{header:?}"
        );
    }
}

#[test]
fn samples_of_an_event_message_track_are_events() {
    let config = CodecConfig::Data(FourCC::new(b"evte"), Bytes::new());
    let settings = InitSettings {
        track_id: 1,
        timescale: Timescale::MILLIS,
        format: Format::Data,
        config,
        language: None,
        bitrate: None,
    };
    assert_eq!(settings.track().unwrap().info.codec, millrace_cmaf::EVENT_MESSAGES);
    let emib = |delta, id, data: &[u8]| {
        let emib = mp4_atom::Emib {
            presentation_time_delta: delta,
            event_duration: if id == 1 { 500 } else { u32::MAX },
            id,
            scheme_id_uri: "urn:example".into(),
            value: "v".into(),
            message_data: data.to_vec(),
        };
        let mut out = Vec::new();
        mp4_atom::Encode::encode(&emib, &mut out).unwrap();
        out
    };
    let empty = [0, 0, 0, 8, b'e', b'm', b'e', b'b'].to_vec();
    let two = [emib(2_000, 1, b"one"), emib(-50, 2, b"two")].concat();
    let beyond = emib(i64::MAX, 3, b"never");
    let broken = vec![0xff; 40];
    let packets = [empty, two, beyond, broken].map(|data| Packet {
        data: data.into(),
        duration: 100,
        composition_offset: 0,
        marks: Marks { keyframe: true, independent: true, discardable: false },
    });
    let mut writer = ChunkWriter::new(1);
    let media = writer.chunk(Time::from_millis(10_000), packets, None).unwrap();
    let events = millrace_cmaf::sample_events(&media);
    let read: Vec<_> = events.iter().map(|e| (e.id, e.presentation_time.ticks(), &e.data[..])).collect();
    assert_eq!(read, [(1, 12_100, &b"one"[..]), (2, 10_050, b"two")]);
    assert_eq!((events[0].duration, events[1].duration), (Some(Time::from_millis(500)), None));
}
