//! Decoding AV1 of SVT-AV1 and libaom: every picture, as ffmpeg decodes it, at its own time; and what happens when it is broken.

mod common;

use std::sync::LazyLock;

use common::{Clip, Noise, Sample, assert_same, decode_all, open, pan};
use millrace_codec::{Colour, DecodeError, Picture, Size, Unlimited};

fn size() -> Size {
    Size::new(320, 180).unwrap()
}

fn svt(frames: usize, params: &str, args: &[&str]) -> Clip {
    let args = [&["-preset", "12", "-svtav1-params", params], args].concat();
    Clip::coded("libsvtav1", &pan(320, 180, "25"), size(), frames, &args)
}

fn aom(frames: usize, args: &[&str]) -> Clip {
    let speed = ["-cpu-used", "8", "-usage", "realtime", "-b:v", "500k"];
    Clip::coded("libaom-av1", &pan(320, 180, "25"), size(), frames, &[&speed, args].concat())
}

/// A key frame each 16 pictures, with hidden frames between.
fn clip() -> &'static Clip {
    static CLIP: LazyLock<Clip> = LazyLock::new(|| svt(50, "keyint=15:scd=0:irefresh-type=2", &[]));
    &CLIP
}

fn groups(clip: &Clip) -> Vec<usize> {
    (0..clip.samples.len()).filter(|&i| clip.samples[i].keyframe).collect()
}

#[test]
fn every_picture_comes_out_with_its_sample_as_ffmpeg_decodes_it() {
    let grain = svt(20, "film-grain=30", &[]);
    let realtime = aom(20, &["-tiles", "2x1"]);
    for (what, clip) in [("hidden frames", clip()), ("film grain", &grain), ("real time, tiles", &realtime)] {
        let mut decoder = open("av01.0.00M.08", &clip.config).unwrap();
        assert_eq!(decoder.size(), size());
        for round in 0..2 {
            let mut out = Vec::new();
            for (given, sample) in clip.samples.iter().enumerate() {
                decoder.decode(&sample.data, sample.time, &mut Unlimited, &mut out).unwrap();
                assert_eq!(out.len(), given + 1, "{what}, round {round}");
            }
            decoder.flush(&mut out).unwrap();
            assert_same(&out, &clip.pictures, what);
        }
    }
}

#[test]
fn a_large_picture_is_the_same_by_several_threads() {
    let size = Size::new(2560, 1440).unwrap();
    let clip = Clip::coded("libsvtav1", "testsrc2=size=2560x1440", size, 3, &["-preset", "12"]);
    let (pictures, errors) = decode_all(&mut *open("av01", &clip.config).unwrap(), &clip.samples);
    assert_eq!(errors, []);
    assert_same(&pictures, &clip.pictures, "large");
}

#[test]
fn joining_in_the_middle_of_a_group_waits_for_a_key_frame() {
    let clip = clip();
    let group = groups(clip)[1];
    let (pictures, errors) = decode_all(&mut *open("av01", &clip.config).unwrap(), &clip.samples[5..]);
    assert_eq!(errors.len(), group - 5);
    assert!(errors.iter().all(|error| matches!(error, DecodeError::AwaitingKeyframe { .. })), "{errors:?}");
    assert_same(&pictures, &clip.pictures[group..], "joined late");
}

#[test]
fn what_cannot_be_decoded_is_refused_with_a_sentence() {
    let deep = svt(2, "", &["-pix_fmt", "yuv420p10le"]);
    let wide = aom(1, &["-pix_fmt", "yuv444p"]);
    let grey = aom(1, &["-pix_fmt", "gray"]);
    for (clip, expected) in
        [(&deep, "AV1 with 10 bits a sample"), (&wide, "AV1 with chroma 4:4:4"), (&grey, "monochrome AV1")]
    {
        let error = open("av01", &clip.config).err().expect(expected);
        assert!(matches!(error, DecodeError::Unsupported { .. }), "{error:?}");
        assert!(error.to_string().contains(expected), "{error}");
        // A record that says otherwise deceives nobody.
        let mut lying = clip.config.clone();
        lying[2] = 0x0c;
        let error = open("av01", &lying).err().expect(expected);
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn the_colour_description_is_that_of_the_stream() {
    let args = ["-color_primaries", "bt709", "-color_trc", "bt709", "-colorspace", "smpte170m", "-color_range", "pc"];
    let clip = aom(1, &args);
    let colour = open("av01", &clip.config).unwrap().colour();
    assert_eq!(colour, Some(Colour { primaries: 1, transfer: 1, matrix: 6, full_range: true }));
}

#[test]
fn a_change_in_mid_stream_is_reported_and_the_first_stream_decodes_on() {
    let clip = clip();
    let larger = Clip::coded("libsvtav1", "testsrc2=size=640x360", Size::new(640, 360).unwrap(), 1, &["-preset", "12"]);
    let deeper = svt(1, "", &["-pix_fmt", "yuv420p10le"]);
    for (other, expected) in [(&larger, "from 320x180 to 640x360"), (&deeper, "10 bits a sample")] {
        let mut decoder = open("av01", &clip.config).unwrap();
        let mut out = Vec::new();
        let group = groups(clip)[1];
        for sample in &clip.samples[..group] {
            decoder.decode(&sample.data, sample.time, &mut Unlimited, &mut out).unwrap();
        }
        let error =
            decoder.decode(&other.samples[0].data, clip.samples[group].time, &mut Unlimited, &mut out).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        for sample in &clip.samples[group..] {
            decoder.decode(&sample.data, sample.time, &mut Unlimited, &mut out).unwrap();
        }
        assert_same(&out, &clip.pictures, "around a change");
    }
}

#[test]
fn damage_costs_its_group_and_no_time_slips() {
    let clip = clip();
    let groups = groups(clip);
    let check = |damaged: &[Sample], what: &str| {
        let (pictures, errors) = decode_all(&mut *open("av01", &clip.config).unwrap(), damaged);
        assert!(matches!(errors.first(), Some(DecodeError::Damaged { .. })), "{what}: {errors:?}");
        let kept: Vec<Picture> = [&clip.pictures[..groups[1] + 4], &clip.pictures[groups[2]..]].concat();
        assert_same(&pictures, &kept, what);
    };
    let victim = groups[1] + 4;
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut samples = clip.samples.clone();
        change(&mut samples[victim].data);
        samples
    };
    check(&changed(&|data| data.truncate(data.len() / 2)), "cut short");
    check(&changed(&|data| data.clear()), "empty");
    check(&changed(&|data| data.fill(0xff)), "gone");
}

#[test]
fn hostile_bytes_never_bring_the_decoder_down() {
    let clip = clip();
    for length in 0..clip.config.len() {
        assert!(open("av01", &clip.config[..length]).is_err(), "{length} bytes");
    }
    let mut noise = Noise(7);
    for _ in 0..500 {
        let mut config = clip.config.clone();
        for _ in 0..=noise.below(4) {
            let at = noise.below(config.len());
            config[at] = noise.below(256) as u8;
        }
        let _either_answer_will_do = open("av01", &config);
    }
    let mut decoder = open("av01", &clip.config).unwrap();
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
