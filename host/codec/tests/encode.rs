//! Encoding real pictures: bitrate, keyframes, quality, times and headers, as a player or a packager would see them.

mod common;

use std::sync::LazyLock;

use common::{Sample, decode_all, ffmpeg, open, pan, pictures, psnr, split};
use millrace_codec::{
    Colour, EncodeError, Packet, Picture, Quality, Size, Speed, VideoCodec, VideoEncoder, VideoSettings,
    open_video_encoder,
};
use millrace_media::time::{Time, Timescale};

/// Ten seconds of real pictures at 30 a second.
fn moving() -> &'static [Picture] {
    static MOVING: LazyLock<Vec<Picture>> = LazyLock::new(|| pictures(&pan(640, 360, "30"), size(), 30, 300));
    &MOVING
}

fn size() -> Size {
    Size::new(640, 360).unwrap()
}

fn settings(bitrate: u32) -> VideoSettings {
    VideoSettings { bitrate: Some(bitrate), ..VideoSettings::new(VideoCodec::H264, 640, 360) }
}

fn encode(encoder: &mut dyn VideoEncoder, pictures: &[Picture]) -> Vec<Packet> {
    let mut out = Vec::new();
    for picture in pictures {
        encoder.encode(picture, picture.time(), false, &mut out).unwrap();
    }
    encoder.flush(&mut out).unwrap();
    out
}

fn bits_per_second(packets: &[Packet], rate: f64) -> f64 {
    packets.iter().map(|packet| packet.data.len() as f64 * 8.0).sum::<f64>() * rate / packets.len() as f64
}

fn assert_within_15_percent(actual: f64, target: u32, what: &str) {
    let ratio = actual / f64::from(target);
    assert!((0.85..=1.15).contains(&ratio), "{what}: {actual:.0} bit/s for {target}, {ratio:.2} of it");
}

fn decoded(encoder: &dyn VideoEncoder, packets: &[Packet]) -> Vec<Picture> {
    let samples: Vec<Sample> =
        packets.iter().map(|it| Sample { data: it.data.to_vec(), time: it.time, keyframe: it.keyframe }).collect();
    let mut decoder = open("avc1", &encoder.config().unwrap().record).unwrap();
    let (pictures, errors) = decode_all(&mut *decoder, &samples);
    assert_eq!(errors, []);
    pictures
}

#[test]
fn bitrate_over_five_seconds_is_within_15_percent_and_the_picture_holds_its_floor() {
    let source = &moving()[..150];
    for (bitrate, floor) in [(800_000, 38.0), (2_400_000, 43.0)] {
        for speed in [Speed::Archive, Speed::Standard, Speed::Draft] {
            let mut encoder = open_video_encoder(&VideoSettings { speed, ..settings(bitrate) }).unwrap();
            let packets = encode(&mut *encoder, source);
            assert_within_15_percent(bits_per_second(&packets, 30.0), bitrate, &format!("{speed:?}"));
            let quality = psnr(decoded(&*encoder, &packets).iter().zip(source));
            assert!(quality >= floor, "{bitrate} {speed:?}: {quality:.1} dB (expected >= {floor})");
        }
    }
}

#[test]
fn a_bitrate_too_low_for_the_pictures_coarsens_them_without_collapse() {
    let source = &moving()[..150];
    let mut encoder = open_video_encoder(&settings(100_000)).unwrap();
    let packets = encode(&mut *encoder, source);
    let quality = psnr(decoded(&*encoder, &packets).iter().zip(source));
    assert!(quality > 27.0, "{quality:.1} dB");
    assert!(bits_per_second(&packets[30..], 30.0) < 350_000.0);
}

#[test]
fn bitrate_holds_with_a_keyframe_each_second() {
    let source = &moving()[..150];
    let mut encoder = open_video_encoder(&settings(800_000)).unwrap();
    let mut packets = Vec::new();
    for (i, picture) in source.iter().enumerate() {
        encoder.encode(picture, picture.time(), i % 30 == 0, &mut packets).unwrap();
    }
    assert_within_15_percent(bits_per_second(&packets, 30.0), 800_000, "keyframes");
}

#[test]
fn a_bitrate_change_takes_effect_in_mid_stream_without_a_keyframe() {
    let source = &moving()[..300];
    for (before, after) in [(800_000, 2_400_000), (2_400_000, 800_000)] {
        let mut encoder = open_video_encoder(&settings(before)).unwrap();
        let first = encode(&mut *encoder, &source[..150]);
        let config = encoder.config().unwrap().clone();
        encoder.set_bitrate(after).unwrap();
        let second = encode(&mut *encoder, &source[150..]);
        assert_within_15_percent(bits_per_second(&first, 30.0), before, "before");
        assert_within_15_percent(bits_per_second(&second, 30.0), after, "after");
        assert!(second.iter().all(|packet| !packet.keyframe));
        assert_eq!(encoder.config(), Some(&config));
    }
}

#[test]
fn bitrate_follows_the_times_of_the_pictures_where_the_hint_is_wrong() {
    let source = &moving()[..210];
    for (rate, bitrate) in [(12, 500_000), (60, 1_800_000)] {
        let mut encoder = open_video_encoder(&settings(bitrate)).unwrap();
        let scale = Timescale::new(rate).unwrap();
        let source: Vec<_> = source.iter().enumerate().map(|(i, p)| p.clone().at(Time::new(i as i64, scale))).collect();
        let packets = encode(&mut *encoder, &source);
        // The first second is spent on finding out.
        let settled = &packets[rate as usize..];
        assert_within_15_percent(bits_per_second(settled, f64::from(rate)), bitrate, &format!("{rate} Hz"));
    }
}

#[test]
fn keyframes_stand_where_they_are_asked_for_and_nowhere_else() {
    // Hard cuts tempt an encoder to keyframes of its own: each 20 pictures another scene.
    let others = ["testsrc2=size=640x360:rate=30", "rgbtestsrc=size=640x360:rate=30,format=yuv420p"];
    let others = others.map(|scene| pictures(scene, size(), 30, 20));
    let scenes = [&moving()[..20], &others[0], &others[1]];
    let asked = [37, 38, 100, 299];
    for bitrate in [Some(500_000), None] {
        let mut encoder = open_video_encoder(&VideoSettings { bitrate, ..settings(1) }).unwrap();
        let mut packets = Vec::new();
        for i in 0..320 {
            let picture = &scenes[i / 20 % 3][i % 20];
            encoder.encode(picture, Time::from_millis(i as i64 * 33), asked.contains(&i), &mut packets).unwrap();
        }
        assert_eq!(packets.len(), 320, "no picture is skipped");
        let keyframes: Vec<usize> = (0..320).filter(|&i| packets[i].keyframe).collect();
        assert_eq!(keyframes, [0, 37, 38, 100, 299]);
        for packet in &packets {
            // The units of a sample are slices alone, and IDR slices make the keyframe.
            let kinds = unit_types(&packet.data);
            assert!(kinds.iter().all(|&kind| kind == if packet.keyframe { 5 } else { 1 }), "{kinds:?}");
        }
    }
}

/// The `nal_unit_type`s of a sample; its lengths must add up.
fn unit_types(mut sample: &[u8]) -> Vec<u8> {
    let mut types = Vec::new();
    while !sample.is_empty() {
        let length = u32::from_be_bytes(sample[..4].try_into().unwrap()) as usize;
        types.push(sample[4] & 0x1f);
        sample = &sample[4 + length..];
    }
    types
}

#[test]
fn ffmpeg_decodes_what_the_configuration_describes_to_the_same_pictures() {
    let source = &moving()[..40];
    let colour = Colour { primaries: 1, transfer: 1, matrix: 1, full_range: false };
    for threads in [1, 2] {
        let wanted = VideoSettings { threads, colour: Some(colour), ..settings(800_000) };
        let mut encoder = open_video_encoder(&wanted).unwrap();
        assert_eq!(encoder.config(), None);
        let packets = encode(&mut *encoder, source);
        let config = encoder.config().unwrap();
        assert_eq!((config.codec, config.size), (VideoCodec::H264, size()));
        assert_eq!(config.record[1], 100, "high profile");

        let decoder = open("avc1", &config.record).unwrap();
        assert_eq!(decoder.colour(), Some(colour));
        let file = tempfile::Builder::new().suffix(".h264").tempfile().unwrap();
        std::fs::write(file.path(), annex_b(&config.record, &packets)).unwrap();
        let raw =
            ffmpeg(&["-xerror", "-err_detect", "explode", "-i", file.path().to_str().unwrap(), "-f", "rawvideo", "-"]);
        let theirs: Vec<Picture> = split(&raw, size()).collect();
        let ours = decoded(&*encoder, &packets);
        assert_eq!(ours.len(), theirs.len());
        assert!(ours.iter().zip(&theirs).all(|(ours, theirs)| ours.as_i420() == theirs.as_i420()));
    }
}

/// The byte stream of a track: parameter sets of the record (one of each), then the samples.
fn annex_b(record: &[u8], packets: &[Packet]) -> Vec<u8> {
    let mut stream = Vec::new();
    let mut unit = |bytes: &[u8]| {
        stream.extend([0, 0, 0, 1]);
        stream.extend(bytes);
    };
    let sequence = usize::from(u16::from_be_bytes([record[6], record[7]]));
    unit(&record[8..8 + sequence]);
    let at = 8 + sequence + 1;
    let picture = usize::from(u16::from_be_bytes([record[at], record[at + 1]]));
    unit(&record[at + 2..at + 2 + picture]);
    for packet in packets {
        let mut sample = &packet.data[..];
        while !sample.is_empty() {
            let length = u32::from_be_bytes(sample[..4].try_into().unwrap()) as usize;
            unit(&sample[4..4 + length]);
            sample = &sample[4 + length..];
        }
    }
    stream
}

#[test]
fn times_come_out_tick_for_tick() {
    let source = &moving()[..10];
    let mut encoder = open_video_encoder(&settings(800_000)).unwrap();
    let scale = Timescale::new(24_000).unwrap();
    // From below zero, with a gap, in a timescale that milliseconds cannot hold.
    let ticks = [-2002, -1001, 0, 1001, 2002, 500_001, 501_002, 502_003, 503_004, 9_000_000_000];
    let mut packets = Vec::new();
    for (picture, ticks) in source.iter().zip(ticks) {
        encoder.encode(picture, Time::new(ticks, scale), false, &mut packets).unwrap();
    }
    assert_eq!(packets.iter().map(|packet| packet.time.ticks()).collect::<Vec<_>>(), ticks);
    assert!(packets.iter().all(|packet| packet.time.scale() == scale));
}

#[test]
fn qualities_are_in_order_and_hold_their_floors() {
    let source = &moving()[..30];
    let mut last = (f64::INFINITY, f64::INFINITY);
    for (quality, floor) in
        [(Quality::VisuallyLossless, 42.0), (Quality::High, 37.5), (Quality::Standard, 34.0), (Quality::Low, 30.0)]
    {
        let mut encoder = open_video_encoder(&VideoSettings { bitrate: None, quality, ..settings(1) }).unwrap();
        let packets = encode(&mut *encoder, source);
        let now = (psnr(decoded(&*encoder, &packets).iter().zip(source)), bits_per_second(&packets, 30.0));
        assert!(now.0 >= floor, "{quality:?}: {:.1} dB (expected >= {floor})", now.0);
        assert!(now.0 < last.0 && now.1 < last.1, "{quality:?}: {now:?} after {last:?}");
        last = now;
        assert_eq!(encoder.set_bitrate(500_000), Err(EncodeError::ConstantQuality));
    }
}

#[test]
fn what_cannot_be_encoded_is_refused_with_a_sentence() {
    let message = |settings: &VideoSettings| open_video_encoder(settings).err().unwrap().to_string();
    assert_eq!(message(&settings(0)), "invalid bitrate 0 bit/s (expected >= 10000, <= 240000000)");
    assert_eq!(
        message(&VideoSettings { width: 7680, height: 4320, ..settings(800_000) }),
        "cannot encode H.264 of 7680x4320; there is an encoder for H.264 up to 3840x2160 or 2160x3840 (openh264)"
    );
    let mut encoder = open_video_encoder(&settings(800_000)).unwrap();
    let small = Size::new(320, 180).unwrap();
    let picture = Picture::from_i420(small, Time::from_millis(0), vec![0; small.bytes()]).unwrap();
    let refused = encoder.encode(&picture, picture.time(), false, &mut Vec::new());
    assert_eq!(refused, Err(EncodeError::Size { expected: size(), actual: small }));
    assert!(matches!(encoder.set_bitrate(u32::MAX), Err(EncodeError::Settings(_))));
}

#[test]
fn the_least_and_odd_sizes_encode_and_decode() {
    for (width, height) in [(16, 16), (18, 34), (426, 240), (240, 426)] {
        let size = Size::new(width, height).unwrap();
        let source = pictures(&format!("testsrc2=size={width}x{height}:rate=30"), size, 30, 5);
        let mut encoder = open_video_encoder(&VideoSettings { width, height, ..settings(500_000) }).unwrap();
        let packets = encode(&mut *encoder, &source);
        let decoded = decoded(&*encoder, &packets);
        assert_eq!(decoded.len(), 5);
        let quality = psnr(decoded.iter().zip(&source));
        assert!(quality > 20.0, "{size}: {quality:.1} dB");
    }
}
