//! Encoding AV1 with each library that is built in: what comes out is muxed as a rung is, and decoded by ffmpeg with dav1d.

mod common;

use std::process::Command;

use common::{pan, pictures, psnr, split};
use millrace_cmaf::CodecConfig;
use millrace_cmaf::write::{ChunkWriter, InitSettings, Packet as Coded};
use millrace_codec::{
    Colour, EncodeError, EncoderLibrary, Invariant, Packet, Picture, Quality, Size, Speed, VideoCodec, VideoEncoder,
    VideoSettings, open_video_encoder,
};
use millrace_media::fragment::Marks;
use millrace_media::time::{Time, Timescale};
use millrace_media::track::Format;

const LIBRARIES: &[EncoderLibrary] =
    if cfg!(feature = "svt-av1") { &[EncoderLibrary::Rav1e, EncoderLibrary::SvtAv1] } else { &[EncoderLibrary::Rav1e] };

fn settings(library: EncoderLibrary, width: u32, height: u32, bitrate: Option<u32>) -> VideoSettings {
    VideoSettings { library, bitrate, speed: Speed::Draft, ..VideoSettings::new(VideoCodec::Av1, width, height) }
}

fn size(settings: &VideoSettings) -> Size {
    Size::new(settings.width, settings.height).unwrap()
}

/// Moving pictures at 30 a second, of the size of the settings.
fn moving(settings: &VideoSettings, count: usize) -> Vec<Picture> {
    pictures(&pan(settings.width, settings.height, "30"), size(settings), 30, count)
}

/// Every packet of the pictures, with keyframes where `forced` says.
fn encode(encoder: &mut dyn VideoEncoder, pictures: &[Picture], forced: impl Fn(usize) -> bool) -> Vec<Packet> {
    let mut out = Vec::new();
    for (i, picture) in pictures.iter().enumerate() {
        encoder.encode(picture, picture.time(), forced(i), &mut out).unwrap();
        assert!(out.len() + encoder.delay() > i, "picture {i} is in, and {} packets are out", out.len());
    }
    encoder.flush(&mut out).unwrap();
    assert_eq!(out.len(), pictures.len());
    out
}

fn bits_per_second(packets: &[Packet], rate: f64) -> f64 {
    packets.iter().map(|packet| packet.data.len() as f64 * 8.0).sum::<f64>() * rate / packets.len() as f64
}

fn keyframes(packets: &[Packet]) -> Vec<usize> {
    (0..packets.len()).filter(|&i| packets[i].keyframe).collect()
}

/// A CMAF track of the packets, as a rung's is written. The first has to be presented at zero or later.
fn muxed(encoder: &dyn VideoEncoder, packets: &[Packet]) -> (String, Vec<u8>) {
    let config = encoder.config().unwrap();
    let timescale = packets[0].time.scale();
    let format = Format::Video { width: config.size.width(), height: config.size.height(), frame_rate: None };
    let config = CodecConfig::Av1(config.record.clone());
    let init = InitSettings { track_id: 1, timescale, format, config, language: None, bitrate: None };
    let info = init.info().unwrap();
    let mut file = info.init.to_vec();
    let mut writer = ChunkWriter::new(1);
    for (i, packet) in packets.iter().enumerate() {
        let next = packets.get(i + 1).map_or(packet.time + Time::new(1, timescale), |next| next.time);
        let marks = Marks { keyframe: packet.keyframe, independent: packet.keyframe, discardable: false };
        let duration = (next - packet.time).ticks() as u32;
        let coded = Coded { data: packet.data.clone(), duration, composition_offset: 0, marks };
        let media = writer.chunk(packet.time, [coded], None).unwrap();
        file.extend_from_slice(&media.head);
        file.extend_from_slice(&packet.data);
    }
    (info.codec, file)
}

/// What a tool prints of a file, which must be nothing but that.
fn quiet(tool: &str, file: &[u8], args: &[&str]) -> Vec<u8> {
    let path = tempfile::Builder::new().suffix(".mp4").tempfile().unwrap();
    std::fs::write(path.path(), file).unwrap();
    let args: Vec<&str> =
        args.iter().map(|&arg| if arg == "FILE" { path.path().to_str().unwrap() } else { arg }).collect();
    let output = Command::new(tool).args(&args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{tool} {args:?}: {said}");
    output.stdout
}

fn decoded(file: &[u8], size: Size) -> Vec<Picture> {
    let args = "-nostdin -loglevel warning -xerror -err_detect explode -c:v libdav1d -i FILE -fps_mode passthrough -f rawvideo -";
    split(&quiet("ffmpeg", file, &args.split(' ').collect::<Vec<_>>()), size).collect()
}

#[test]
fn ffmpeg_decodes_what_a_rung_is_made_of_to_pictures_like_the_source() {
    for &library in LIBRARIES {
        for (width, height, threads) in [(160, 90, 1), (426, 240, 2)] {
            let settings = VideoSettings { threads, ..settings(library, width, height, Some(400_000)) };
            let source = moving(&settings, 24);
            let mut encoder = open_video_encoder(&settings).unwrap();
            assert_eq!(encoder.config(), None);
            let packets = encode(&mut *encoder, &source, |i| i == 12);
            let (codec, file) = muxed(&*encoder, &packets);
            assert_eq!(codec, "av01.0.00M.08");
            let pictures = decoded(&file, size(&settings));
            assert_eq!(pictures.len(), source.len());
            let quality = psnr(pictures.iter().zip(&source));
            assert!(quality > 30.0, "{library:?} {width}x{height}: {quality:.1} dB");
        }
    }
}

#[test]
fn keyframes_stand_where_they_are_asked_for_and_nowhere_else() {
    for &library in LIBRARIES {
        for bitrate in [Some(300_000), None] {
            let settings = settings(library, 128, 72, bitrate);
            // Hard cuts tempt an encoder to keyframes of its own: each ten pictures another scene.
            let other = pictures("testsrc2=size=128x72:rate=30", size(&settings), 30, 10);
            let scenes = [moving(&settings, 10), other];
            let scale = Timescale::new(90_000).unwrap();
            let source: Vec<Picture> =
                (0..60).map(|i| scenes[i / 10 % 2][i % 10].clone().at(Time::new(i as i64 * 3000, scale))).collect();
            let asked = [17, 18, 40, 59];
            let mut encoder = open_video_encoder(&settings).unwrap();
            let packets = encode(&mut *encoder, &source, |i| asked.contains(&i));
            assert_eq!(keyframes(&packets), [0, 17, 18, 40, 59], "{library:?}");
            // Decoding can start at each of them, as a player that joins there does.
            let joined = &packets[40..];
            let pictures = decoded(&muxed(&*encoder, joined).1, size(&settings));
            assert_eq!(pictures.len(), 20);
            assert!(psnr(pictures.iter().zip(&source[40..])) > 25.0);
            for packet in &packets {
                assert_eq!(
                    packet.data[0] & 0xf8,
                    if packet.keyframe { 0x08 } else { 0x30 },
                    "a sequence header, or a frame"
                );
            }
        }
    }
}

#[test]
fn times_come_out_tick_for_tick() {
    for &library in LIBRARIES {
        let settings = settings(library, 64, 64, Some(100_000));
        let scale = Timescale::new(24_000).unwrap();
        // From below zero, with a gap, at a rate that varies, in a timescale that milliseconds cannot hold.
        let ticks = [-2002, -1001, 0, 1001, 1002, 500_001, 501_002, 502_003, 503_004, 9_000_000_000];
        let source: Vec<_> =
            moving(&settings, 10).into_iter().zip(ticks).map(|(p, ticks)| p.at(Time::new(ticks, scale))).collect();
        let mut encoder = open_video_encoder(&settings).unwrap();
        let packets = encode(&mut *encoder, &source, |i| i == 6);
        assert_eq!(packets.iter().map(|packet| packet.time.ticks()).collect::<Vec<_>>(), ticks);
        assert!(packets.iter().all(|packet| packet.time.scale() == scale));

        let (_, file) = muxed(&*encoder, &packets[2..9]);
        let probe = "-v error -show_entries packet=pts -of csv=p=0 FILE";
        let read = String::from_utf8(quiet("ffprobe", &file, &probe.split(' ').collect::<Vec<_>>())).unwrap();
        let read: Vec<i64> = read.lines().map(|line| line.trim_matches(',').parse().unwrap()).collect();
        assert_eq!(read, ticks[2..9]);
    }
}

#[test]
fn bitrate_holds_over_groups_of_a_second_and_the_picture_holds_its_floor() {
    for &library in LIBRARIES {
        let at = |bitrate| settings(library, 256, 144, Some(bitrate));
        let source = moving(&at(1), 240);
        let mut last = 0.0;
        for (bitrate, floor) in [(150_000, 26.0), (400_000, 29.0)] {
            let mut encoder = open_video_encoder(&at(bitrate)).unwrap();
            let packets = encode(&mut *encoder, &source, |i| i % 30 == 0);
            let quality = psnr(decoded(&muxed(&*encoder, &packets).1, size(&at(1))).iter().zip(&source));
            let ratio = bits_per_second(&packets, 30.0) / f64::from(bitrate);
            assert!((0.8..=1.2).contains(&ratio), "{library:?}: {ratio:.2} of {bitrate} bit/s");
            assert!(quality > floor && quality > last, "{library:?} {bitrate}: {quality:.1} dB");
            last = quality;
        }
    }
}

#[test]
fn a_bitrate_set_later_holds_from_the_next_keyframe_with_the_same_headers() {
    for &library in LIBRARIES {
        let settings = settings(library, 256, 144, Some(150_000));
        let source = moving(&settings, 180);
        let mut encoder = open_video_encoder(&settings).unwrap();
        let mut packets = Vec::new();
        for (i, picture) in source.iter().enumerate() {
            if i == 80 {
                encoder.set_bitrate(450_000).unwrap();
            }
            encoder.encode(picture, picture.time(), i % 30 == 0, &mut packets).unwrap();
        }
        encoder.flush(&mut packets).unwrap();
        assert_eq!(keyframes(&packets), [0, 30, 60, 90, 120, 150]);
        let (before, after) = packets.split_at(90);
        let (before, after) = (bits_per_second(before, 30.0), bits_per_second(after, 30.0));
        assert!(before < 150_000.0 * 1.35 && after > 450_000.0 * 0.7, "{library:?}: {before:.0}, then {after:.0}");
        let pictures = decoded(&muxed(&*encoder, &packets).1, size(&settings));
        assert_eq!(pictures.len(), source.len());
    }
}

#[test]
fn bitrate_follows_the_times_of_the_pictures_where_the_hint_is_wrong() {
    for &library in LIBRARIES {
        let settings = settings(library, 256, 144, Some(250_000));
        let scale = Timescale::new(10).unwrap();
        let source = moving(&settings, 100);
        let source: Vec<_> = source.into_iter().enumerate().map(|(i, p)| p.at(Time::new(i as i64, scale))).collect();
        let mut encoder = open_video_encoder(&settings).unwrap();
        let packets = encode(&mut *encoder, &source, |i| i % 20 == 0);
        let ratio = bits_per_second(&packets[40..], 10.0) / 250_000.0;
        assert!((0.7..=1.3).contains(&ratio), "{library:?}: {ratio:.2} at ten pictures a second");
    }
}

#[test]
fn qualities_are_in_order() {
    for &library in LIBRARIES {
        let mut last = (f64::INFINITY, f64::INFINITY);
        for quality in [Quality::VisuallyLossless, Quality::High, Quality::Standard, Quality::Low] {
            let settings = VideoSettings { quality, ..settings(library, 160, 90, None) };
            let source = moving(&settings, 12);
            let mut encoder = open_video_encoder(&settings).unwrap();
            let packets = encode(&mut *encoder, &source, |_| false);
            let pictures = decoded(&muxed(&*encoder, &packets).1, size(&settings));
            let now = (psnr(pictures.iter().zip(&source)), bits_per_second(&packets, 30.0));
            assert!(
                now.0 < last.0 && now.1 < last.1 && now.0 > 27.0,
                "{library:?} {quality:?}: {now:?} after {last:?}"
            );
            last = now;
            assert_eq!(encoder.set_bitrate(500_000), Err(EncodeError::ConstantQuality));
        }
    }
}

#[test]
fn colour_is_in_the_headers_and_in_the_codec_string() {
    for &library in LIBRARIES {
        let colour = Colour { primaries: 9, transfer: 18, matrix: 9, full_range: true };
        let settings = VideoSettings { colour: Some(colour), ..settings(library, 64, 64, Some(100_000)) };
        let mut encoder = open_video_encoder(&settings).unwrap();
        let packets = encode(&mut *encoder, &moving(&settings, 3), |_| false);
        let (codec, file) = muxed(&*encoder, &packets);
        assert_eq!(codec, "av01.0.00M.08.0.110.09.18.09.1");
        let entries = "stream=color_range,color_space,color_transfer,color_primaries";
        let probe = format!("-v error -show_entries {entries} -of csv=p=0 FILE");
        let read = String::from_utf8(quiet("ffprobe", &file, &probe.split(' ').collect::<Vec<_>>())).unwrap();
        assert_eq!(read.trim(), "pc,bt2020nc,arib-std-b67,bt2020", "{library:?}");

        let identity = Colour { matrix: 0, ..colour };
        let refused = open_video_encoder(&VideoSettings { colour: Some(identity), ..settings }).err().unwrap();
        assert!(refused.to_string().starts_with("cannot encode AV1 with matrix coefficients 0"), "{refused}");
    }
}

#[test]
fn more_pictures_may_follow_a_flush() {
    for &library in LIBRARIES {
        let settings = settings(library, 64, 64, Some(100_000));
        let source = moving(&settings, 12);
        let mut encoder = open_video_encoder(&settings).unwrap();
        let mut out = Vec::new();
        encoder.flush(&mut out).unwrap();
        assert_eq!(out, []);
        out.extend(encode(&mut *encoder, &source[..5], |_| false));
        out.extend(encode(&mut *encoder, &source[5..], |_| false));
        assert_eq!(keyframes(&out), [0, 5]);
        assert_eq!(decoded(&muxed(&*encoder, &out).1, size(&settings)).len(), 12);
    }
}

#[test]
fn an_encoder_restarted_in_mid_stream_agrees_with_the_one_before() {
    for &library in LIBRARIES {
        let settings = settings(library, 128, 72, Some(200_000));
        let source = moving(&settings, 3);
        let invariant = |settings: &VideoSettings| {
            let mut encoder = open_video_encoder(settings).unwrap();
            encode(&mut *encoder, &source, |_| false);
            Invariant::of(encoder.config().unwrap()).unwrap()
        };
        let first = invariant(&settings);
        let again = VideoSettings { bitrate: Some(900_000), speed: Speed::Standard, ..settings.clone() };
        assert_eq!(first.disagreement(&invariant(&again)), None, "{library:?}");
        let faster = VideoSettings { frame_rate: 120.0, bitrate: Some(4_000_000), ..settings };
        let said = first.disagreement(&invariant(&faster)).unwrap().to_string();
        assert_eq!(said, "level 4 (expected 0)", "{library:?}");
    }
}

#[test]
fn the_libraries_of_one_codec_agree() {
    let invariant = |library| {
        let settings = settings(library, 128, 72, Some(200_000));
        let mut encoder = open_video_encoder(&settings).unwrap();
        encode(&mut *encoder, &moving(&settings, 3), |_| false);
        Invariant::of(encoder.config().unwrap()).unwrap()
    };
    let first = invariant(LIBRARIES[0]);
    for &library in LIBRARIES {
        assert_eq!(first.disagreement(&invariant(library)), None);
    }
}

#[test]
fn what_cannot_be_encoded_is_refused_with_a_sentence() {
    for &library in LIBRARIES {
        let message = |settings: &VideoSettings| open_video_encoder(settings).err().unwrap().to_string();
        let good = settings(library, 64, 64, Some(100_000));
        assert_eq!(
            message(&VideoSettings { bitrate: Some(0), ..good.clone() }),
            "invalid bitrate 0 bit/s (expected >= 10000, <= 240000000)"
        );
        for (width, height, said) in [
            (1, 1, "invalid width 1"),
            (16_384, 64, "invalid width 16384"),
            (65, 64, "invalid width 65"),
            (64, 33, "height 33"),
        ] {
            let refused = message(&VideoSettings { width, height, ..good.clone() });
            assert!(refused.contains(said) && refused.contains("expected an even number"), "{refused}");
        }
        let mut encoder = open_video_encoder(&good).unwrap();
        let small = Size::new(32, 32).unwrap();
        let picture = Picture::from_i420(small, Time::from_millis(0), vec![0; small.bytes()]).unwrap();
        let refused = encoder.encode(&picture, picture.time(), false, &mut Vec::new());
        assert_eq!(refused, Err(EncodeError::Size { expected: size(&good), actual: small }));
        assert!(matches!(encoder.set_bitrate(u32::MAX), Err(EncodeError::Settings(_))));
    }
}

#[test]
fn the_least_sizes_are_done_by_what_does_them() {
    // Where SVT-AV1 is the choice for others, it is not for these.
    let settings = settings(EncoderLibrary::Auto, 16, 16, Some(50_000));
    let source = pictures("testsrc2=size=16x16:rate=30", size(&settings), 30, 6);
    let mut encoder = open_video_encoder(&settings).unwrap();
    let packets = encode(&mut *encoder, &source, |_| false);
    assert_eq!(decoded(&muxed(&*encoder, &packets).1, size(&settings)).len(), 6);

    let named = VideoSettings { library: EncoderLibrary::SvtAv1, ..settings };
    let refused = open_video_encoder(&named).err().unwrap().to_string();
    let expected = if cfg!(feature = "svt-av1") { "SVT-AV1 encodes from 64x64 up" } else { "libsvtav1enc-dev" };
    assert!(refused.contains(expected), "{refused}");
}
