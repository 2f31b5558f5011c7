//! Decoding HEVC of x265: every picture, as ffmpeg decodes it, at its own time; and what happens when it is broken.

mod common;

use std::sync::LazyLock;

use common::{Clip, Noise, Sample, assert_same, decode_all, open, pan};
use millrace_codec::{Colour, DecodeError, Picture, Size, Unlimited};

fn size() -> Size {
    Size::new(320, 180).unwrap()
}

fn coded(frames: usize, params: &str, args: &[&str]) -> Clip {
    let params = format!("log-level=error:pools=1:frame-threads=1:{params}");
    let args = [&["-preset", "ultrafast", "-tag:v", "hvc1", "-x265-params", &params], args].concat();
    Clip::coded("libx265", &pan(320, 180, "25"), size(), frames, &args)
}

/// Open groups with B-frames, one each 16 pictures, that begin with CRA pictures.
fn open_groups() -> &'static Clip {
    static CLIP: LazyLock<Clip> =
        LazyLock::new(|| coded(60, "open-gop=1:keyint=16:min-keyint=16:bframes=3:b-adapt=0:scenecut=0", &[]));
    &CLIP
}

fn groups(clip: &Clip) -> Vec<usize> {
    (0..clip.samples.len()).filter(|&i| clip.samples[i].keyframe).collect()
}

#[test]
fn every_picture_comes_out_in_order_at_its_time_as_ffmpeg_decodes_it() {
    for (what, params) in [
        ("B-frames, closed", "open-gop=0:keyint=16:bframes=3:b-adapt=0:b-pyramid=1"),
        ("no B-frames, slices", "bframes=0:slices=3:keyint=20"),
        ("tools", "bframes=4:ref=4:sao=1:amp=1:rect=1:weightp=1:weightb=1:ctu=64:limit-tu=0:tskip=1:radl=2:keyint=20"),
        ("intra refresh", "intra-refresh=1:keyint=10:bframes=0"),
    ] {
        let clip = coded(40, params, &["-color_range", "tv"]);
        let mut decoder = open("hvc1.1.6.L60.90", &clip.config).unwrap();
        assert_eq!(decoder.size(), size());
        let (pictures, errors) = decode_all(&mut *decoder, &clip.samples);
        assert_eq!(errors, [], "{what}");
        assert_same(&pictures, &clip.pictures, what);
    }
    let clip = open_groups();
    let mut decoder = open("hvc1", &clip.config).unwrap();
    for round in 0..2 {
        let (pictures, errors) = decode_all(&mut *decoder, &clip.samples);
        assert_eq!(errors, [], "round {round}");
        assert_same(&pictures, &clip.pictures, "open groups");
    }
}

#[test]
fn pictures_do_not_wait_longer_than_the_stream_reorders() {
    let clip = coded(40, "bframes=0:keyint=20", &[]);
    let mut decoder = open("hvc1", &clip.config).unwrap();
    let mut out = Vec::new();
    for (given, sample) in clip.samples.iter().enumerate() {
        decoder.decode(&sample.data, sample.time, &mut Unlimited, &mut out).unwrap();
        assert_eq!(out.len(), given + 1, "without B-frames each picture comes with its sample");
    }
}

#[test]
fn an_open_group_is_joined_at_its_first_picture_without_its_leading_pictures() {
    let clip = open_groups();
    for &group in &groups(clip)[1..] {
        let first = clip.samples[group].time;
        let mut decoder = open("hvc1", &clip.config).unwrap();
        let (pictures, errors) = decode_all(&mut *decoder, &clip.samples[group - 1..]);
        assert!(errors.iter().all(|error| matches!(error, DecodeError::AwaitingKeyframe { .. })), "{errors:?}");
        assert!(errors.len() > 1, "leading pictures are passed over");
        let expected: Vec<Picture> = clip.pictures.iter().filter(|p| p.time() >= first).cloned().collect();
        assert_same(&pictures, &expected, "joined");
    }
}

/// The leading pictures of an IDR picture refer to nothing before it (RADL): they are shown.
#[test]
fn decodable_leading_pictures_are_kept() {
    let clip = coded(40, "open-gop=0:radl=2:keyint=16:min-keyint=16:bframes=3:b-adapt=0:scenecut=0", &[]);
    let group = groups(&clip)[1];
    let (pictures, errors) = decode_all(&mut *open("hvc1", &clip.config).unwrap(), &clip.samples[group..]);
    assert_eq!(errors, []);
    let first = pictures[0].time();
    assert!(first < clip.samples[group].time, "no leading pictures");
    let expected: Vec<Picture> = clip.pictures.iter().filter(|p| p.time() >= first).cloned().collect();
    assert_same(&pictures, &expected, "with leading pictures");
}

#[test]
fn what_cannot_be_decoded_is_refused_with_a_sentence() {
    for (args, expected) in [
        (&["-pix_fmt", "yuv420p10le"][..], "HEVC with 10 bits a sample"),
        (&["-pix_fmt", "yuv422p"], "HEVC with chroma 4:2:2"),
        (&["-pix_fmt", "yuv444p"], "HEVC with chroma 4:4:4"),
        (&["-pix_fmt", "gray"], "monochrome HEVC"),
    ] {
        let clip = coded(2, "keyint=20", args);
        let error = open("hvc1", &clip.config).err().expect(expected);
        assert!(matches!(error, DecodeError::Unsupported { .. }), "{error:?}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    for (params, expected) in
        [("keyint=20:interlace=tff", "interlaced HEVC"), ("keyint=1", "HEVC profile 4 (expected Main)")]
    {
        let clip = coded(2, params, &[]);
        let error = open("hvc1", &clip.config).err().expect(expected);
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn the_colour_description_is_that_of_the_stream() {
    let args = ["-color_primaries", "bt709", "-color_trc", "bt709", "-colorspace", "smpte170m", "-color_range", "pc"];
    let clip = coded(1, "keyint=20", &args);
    let colour = open("hvc1", &clip.config).unwrap().colour();
    assert_eq!(colour, Some(Colour { primaries: 1, transfer: 1, matrix: 6, full_range: true }));
    assert_eq!(open("hvc1", &open_groups().config).unwrap().colour(), None);
}

/// The parameter sets of a record, as units of a sample.
fn sets(config: &[u8]) -> Vec<u8> {
    let (mut at, mut out) = (23, Vec::new());
    for _ in 0..config[22] {
        let count = u16::from_be_bytes([config[at + 1], config[at + 2]]);
        at += 3;
        for _ in 0..count {
            let length = usize::from(u16::from_be_bytes([config[at], config[at + 1]]));
            out.extend([0, 0]);
            out.extend(&config[at..at + 2 + length]);
            at += 2 + length;
        }
    }
    out
}

#[test]
fn a_change_in_mid_stream_is_reported_and_the_first_stream_decodes_on() {
    let clip = open_groups();
    let large = Size::new(640, 360).unwrap();
    let larger = Clip::coded("libx265", "testsrc2=size=640x360", large, 1, &["-x265-params", "log-level=error"]);
    let deeper = coded(1, "keyint=20", &["-pix_fmt", "yuv420p10le"]);
    for (other, expected) in [(&larger, "from 320x180 to 640x360"), (&deeper, "10 bits a sample")] {
        let mut decoder = open("hev1", &clip.config).unwrap();
        let mut out = Vec::new();
        let group = groups(clip)[1];
        for sample in &clip.samples[..group] {
            decoder.decode(&sample.data, sample.time, &mut Unlimited, &mut out).unwrap();
        }
        let sample = [sets(&other.config), other.samples[0].data.clone()].concat();
        let error = decoder.decode(&sample, clip.samples[group].time, &mut Unlimited, &mut out).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        out.clear();
        for sample in &clip.samples[group..] {
            let _leading_pictures_are_lost = decoder.decode(&sample.data, sample.time, &mut Unlimited, &mut out);
        }
        decoder.flush(&mut out).unwrap();
        let first = clip.samples[group].time;
        let expected: Vec<Picture> = clip.pictures.iter().filter(|p| p.time() >= first).cloned().collect();
        out.retain(|picture| picture.time() >= first);
        assert_same(&out, &expected, "after a change");
    }
}

#[test]
fn damage_costs_its_group_and_no_time_slips() {
    let clip = open_groups();
    let groups = groups(clip);
    let healed = clip.samples[groups[2]].time;
    let check = |damaged: &[Sample], what: &str| {
        let (pictures, errors) = decode_all(&mut *open("hvc1", &clip.config).unwrap(), damaged);
        assert!(matches!(errors.first(), Some(DecodeError::Damaged { .. })), "{what}: {errors:?}");
        let expected: Vec<Picture> =
            clip.pictures.iter().filter(|p| pictures.iter().any(|d| d.time() == p.time())).cloned().collect();
        assert_same(&pictures, &expected, what);
        let after = |pictures: &[Picture]| pictures.iter().filter(|p| p.time() >= healed).count();
        assert_eq!(after(&pictures), after(&clip.pictures), "{what}");
        assert!(pictures.iter().filter(|p| p.time() < clip.samples[groups[1]].time).count() >= 12, "{what}");
    };
    let victim = groups[1] + 4;
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut samples = clip.samples.clone();
        change(&mut samples[victim].data);
        samples
    };
    check(&changed(&|data| data.truncate(data.len() / 2)), "cut short");
    check(&changed(&|data| data.clear()), "empty");
    check(&changed(&|data| data[6..12].fill(0xff)), "slice header gone");
    let mut lossy = clip.samples.clone();
    lossy.remove(victim);
    check(&lossy, "missing reference");
}

#[test]
fn hostile_bytes_never_bring_the_decoder_down() {
    let clip = open_groups();
    for length in 0..clip.config.len() {
        assert!(open("hvc1", &clip.config[..length]).is_err(), "{length} bytes");
    }
    let mut noise = Noise(7);
    let mut refused = 0;
    for _ in 0..2000 {
        let mut config = clip.config.clone();
        for _ in 0..=noise.below(4) {
            let at = noise.below(config.len());
            config[at] = noise.below(256) as u8;
        }
        refused += usize::from(open("hvc1", &config).is_err());
    }
    assert!(refused > 50, "{refused}");

    let mut decoder = open("hvc1", &clip.config).unwrap();
    let mut errors = 0;
    for _ in 0..12 {
        let mut samples = clip.samples.clone();
        for sample in &mut samples {
            for _ in 0..noise.below(4) {
                let at = noise.below(sample.data.len());
                sample.data[at] = noise.below(256) as u8;
            }
        }
        errors += decode_all(&mut *decoder, &samples).1.len();
    }
    assert!(errors > 100, "{errors}");
    let (pictures, errors) = decode_all(&mut *decoder, &clip.samples);
    assert_eq!(errors, []);
    assert_same(&pictures, &clip.pictures, "after the storm");
}
