//! Decoding what real encoders write: every picture, as ffmpeg decodes it, at its own time; and what happens when it is broken.

mod common;

use std::sync::LazyLock;

use common::{Clip, Noise, Sample, assert_same, decode_all, open, pan};
use millrace_codec::{DecodeError, Picture, Size, Unlimited};
use millrace_media::time::Time;

fn source() -> String {
    pan(320, 180, "30000/1001")
}

fn size() -> Size {
    Size::new(320, 180).unwrap()
}

/// Two seconds or so with B-frames, a keyframe each 20 pictures.
fn clip_with_b_frames() -> &'static Clip {
    static CLIP: LazyLock<Clip> = LazyLock::new(|| {
        Clip::x264(&source(), size(), 70, &["-bf", "2", "-g", "20", "-x264-params", "scenecut=0:direct=none"])
    });
    &CLIP
}

#[test]
fn every_picture_comes_out_in_order_at_its_time_as_ffmpeg_decodes_it() {
    for (what, args) in [
        ("B-frames", &["-bf", "2", "-g", "20"][..]),
        ("one long group", &["-bf", "7", "-x264-params", "b-pyramid=normal:b-adapt=0:keyint=infinite"]),
        ("open groups", &["-bf", "3", "-x264-params", "open-gop=1:keyint=20:direct=temporal"]),
        ("spatial direct, weights", &["-bf", "3", "-x264-params", "direct=spatial:weightb=1:ref=6:partitions=all"]),
        ("high, no B-frames", &["-bf", "0", "-g", "30"]),
        ("scaling matrices, no CABAC", &["-bf", "2", "-x264-params", "cqm=jvt:cabac=0:8x8dct=1:constrained-intra=1"]),
        ("main, slices, weights", &["-profile:v", "main", "-x264-params", "bframes=0:slices=4:weightp=2:ref=4"]),
        ("baseline", &["-profile:v", "baseline"]),
        ("intra only", &["-g", "1"]),
        ("raw macroblocks", &["-qp", "1", "-x264-params", "bframes=0"]),
    ] {
        let clip = Clip::x264(&source(), size(), 70, args);
        let mut decoder = open("avc1.64000c", &clip.config).unwrap();
        assert_eq!(decoder.size(), size());
        let (pictures, errors) = decode_all(&mut *decoder, &clip.samples);
        assert_eq!(errors, [], "{what}");
        assert_same(&pictures, &clip.pictures, what);
    }
}

#[test]
fn cropped_pictures_have_the_size_of_the_stream() {
    let size = Size::new(322, 182).unwrap();
    let clip = Clip::x264("testsrc2=size=322x182:rate=25", size, 12, &[]);
    let (pictures, errors) = decode_all(&mut *open("avc1", &clip.config).unwrap(), &clip.samples);
    assert_eq!(errors, []);
    assert_same(&pictures, &clip.pictures, "cropped");
}

#[test]
fn pictures_do_not_wait_longer_than_the_stream_reorders() {
    // B-frames with a pyramid: two pictures are held back, whatever the length of the group.
    let clip = clip_with_b_frames();
    let mut decoder = open("avc1", &clip.config).unwrap();
    let mut out = Vec::new();
    for (given, sample) in clip.samples.iter().enumerate() {
        decoder.decode(&sample.data, sample.time, &mut Unlimited, &mut out).unwrap();
        assert!(out.len() + 3 > given, "{} pictures of {} samples", out.len(), given + 1);
    }
}

#[test]
fn a_decoder_goes_on_after_a_flush_and_time_may_begin_again() {
    let clip = clip_with_b_frames();
    let mut decoder = open("avc1", &clip.config).unwrap();
    for round in 0..3 {
        let (pictures, errors) = decode_all(&mut *decoder, &clip.samples);
        assert_eq!(errors, [], "round {round}");
        assert_same(&pictures, &clip.pictures, "after a flush");
    }
}

/// What is decoded of a damaged clip is right: each picture is the one ffmpeg decodes at that time, in order, and all from the
/// next keyframe on are there.
fn assert_recovered(clip: &Clip, damaged: &[Sample], hurt: Time, recovery: Time) {
    let (pictures, errors) = decode_all(&mut *open("avc1", &clip.config).unwrap(), damaged);
    assert!(!errors.is_empty());
    assert!(errors.iter().all(|e| matches!(e, DecodeError::Damaged { .. } | DecodeError::AwaitingKeyframe { .. })));
    assert!(matches!(errors[0], DecodeError::Damaged { .. }), "{:?}", errors[0]);
    let expected: Vec<Picture> =
        clip.pictures.iter().filter(|p| pictures.iter().any(|d| d.time() == p.time())).cloned().collect();
    assert_same(&pictures, &expected, "damaged");
    let after = |pictures: &[Picture]| pictures.iter().filter(|p| p.time() >= recovery).count();
    assert_eq!(after(&pictures), after(&clip.pictures));
    assert!(pictures.iter().filter(|p| p.time() < hurt).count() >= 15, "what came before the damage is kept");
}

fn keyframe_time(clip: &Clip, n: usize) -> Time {
    clip.samples.iter().filter(|sample| sample.keyframe).nth(n).unwrap().time
}

#[test]
fn a_damaged_access_unit_costs_its_group_and_no_time_slips() {
    let clip = clip_with_b_frames();
    let recovery = keyframe_time(clip, 2);
    // Bits turned over in the middle of a slice may decode to something: whatever does keeps its time, and the next keyframe heals.
    for victim in 24..32 {
        let mut damaged = clip.samples.clone();
        let middle = damaged[victim].data.len() / 2;
        damaged[victim].data[middle..].iter_mut().for_each(|byte| *byte ^= 0xa5);
        let (pictures, errors) = decode_all(&mut *open("avc1", &clip.config).unwrap(), &damaged);
        assert_eq!(pictures.len() + errors.len(), clip.pictures.len(), "each sample gives a picture or an error");
        assert!(pictures.is_sorted_by_key(Picture::time));
        let healed =
            |pictures: &[Picture]| pictures.iter().filter(|p| p.time() >= recovery).cloned().collect::<Vec<_>>();
        assert_same(&healed(&pictures), &healed(&clip.pictures), "after the next keyframe");
    }
    // Cut short in the middle: the length says more than there is.
    let mut damaged = clip.samples.clone();
    let half = damaged[25].data.len() / 2;
    damaged[25].data.truncate(half);
    assert_recovered(clip, &damaged, clip.samples[25].time, recovery);
    // The slice header is gone.
    let mut damaged = clip.samples.clone();
    let tail = damaged[25].data.len().min(40);
    damaged[25].data[5..tail].fill(0xff);
    assert_recovered(clip, &damaged, clip.samples[25].time, recovery);
}

#[test]
fn a_missing_reference_picture_is_noticed() {
    let clip = clip_with_b_frames();
    // The first picture after a keyframe in decoding order is a P-frame that the rest of the group builds on.
    let keyframe = clip.samples.iter().skip(1).position(|sample| sample.keyframe).unwrap() + 1;
    let mut lossy = clip.samples.clone();
    let lost = lossy.remove(keyframe + 1);
    assert_recovered(clip, &lossy, lost.time.min(clip.samples[keyframe].time), keyframe_time(clip, 2));
}

#[test]
fn joining_in_the_middle_of_a_group_waits_for_a_keyframe() {
    let clip = clip_with_b_frames();
    let mut decoder = open("avc1", &clip.config).unwrap();
    let (pictures, errors) = decode_all(&mut *decoder, &clip.samples[5..]);
    assert_eq!(errors.len(), 15);
    assert!(errors.iter().all(|error| matches!(error, DecodeError::AwaitingKeyframe { .. })));
    assert_same(&pictures, &clip.pictures[20..], "joined late");
}

#[test]
fn what_cannot_be_decoded_is_refused_with_a_sentence() {
    for (args, expected) in [
        (&["-pix_fmt", "yuv420p10le"][..], "high 10 profile"),
        (&["-pix_fmt", "yuv422p"], "high 4:2:2 profile"),
        (&["-pix_fmt", "yuv444p"], "high 4:4:4 profile"),
        (&["-flags", "+ildct+ilme", "-x264-params", "tff=1"], "interlaced H.264"),
        (&["-pix_fmt", "gray"], "chroma format Monochrome"),
    ] {
        let clip = Clip::x264(&source(), size(), 2, args);
        let error = open("avc1", &clip.config).err().expect(expected);
        assert!(matches!(error, DecodeError::Unsupported { .. }), "{error:?}");
        let message = error.to_string();
        assert!(message.contains(expected) && message.contains("8-bit 4:2:0, progressive"), "{message}");
    }
    let message = open("vp09.00.10.08", &[]).err().unwrap().to_string();
    assert!(message.contains("codec \"vp09.00.10.08\"") && message.contains("H.264 (avc1, avc3)"), "{message}");
}

#[test]
fn another_size_in_mid_stream_is_reported_and_the_first_size_decodes_on() {
    let clip = clip_with_b_frames();
    let other = Clip::x264("testsrc2=size=640x360", Size::new(640, 360).unwrap(), 2, &[]);
    // An avc3 sample carries its parameter sets: the length of the first set stands at byte 6 of the record.
    let length = usize::from(u16::from_be_bytes([other.config[6], other.config[7]]));
    let mut sample = vec![0, 0];
    sample.extend(&other.config[6..8 + length]);
    sample.extend(&other.samples[0].data);

    let mut decoder = open("avc3", &clip.config).unwrap();
    let mut out = Vec::new();
    for sample in &clip.samples[..20] {
        decoder.decode(&sample.data, sample.time, &mut Unlimited, &mut out).unwrap();
    }
    let error = decoder.decode(&sample, Time::from_millis(700), &mut Unlimited, &mut out).unwrap_err();
    assert_eq!(error, DecodeError::SizeChanged { from: size(), to: Size::new(640, 360).unwrap() });
    assert!(error.to_string().contains("from 320x180 to 640x360"));
    for sample in &clip.samples[20..] {
        decoder.decode(&sample.data, sample.time, &mut Unlimited, &mut out).unwrap();
    }
    decoder.flush(&mut out).unwrap();
    assert_same(&out, &clip.pictures, "around a change of size");
}

#[test]
fn hostile_configurations_are_errors() {
    let config = clip_with_b_frames().config.clone();
    for length in 0..config.len() - 4 {
        assert!(open("avc1", &config[..length]).is_err(), "{length} bytes");
    }
    // Whatever is in the parameter sets, opening answers.
    let mut noise = Noise(7);
    let mut refused = 0;
    for _ in 0..2000 {
        let mut config = config.clone();
        for _ in 0..=noise.below(4) {
            let at = noise.below(config.len());
            config[at] = noise.below(256) as u8;
        }
        refused += usize::from(open("avc1", &config).is_err());
    }
    assert!(refused > 500, "{refused}");
}

#[test]
fn hostile_samples_never_bring_the_decoder_down() {
    let clip = clip_with_b_frames();
    let mut decoder = open("avc1", &clip.config).unwrap();
    let mut noise = Noise(42);
    let mut errors = 0;
    for _ in 0..12 {
        let mut samples = clip.samples.clone();
        for sample in &mut samples {
            for _ in 0..noise.below(6) {
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
