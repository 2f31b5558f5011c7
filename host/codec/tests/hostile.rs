//! Samples made to cost more than they look like: refused before they are decoded, within bounded memory.

mod common;

use common::{Clip, SCALE, Sample, open, times};
use millrace_codec::{Allowance, DecodeError, DecodeLimits, Size, Unlimited, VideoDecoder, open_video_decoder};
use millrace_hostile::{Numbers, most_held, mutate, seeds};
use millrace_media::time::{Time, Timescale};

/// Admits so many luma samples, and so many looks between slices.
struct Purse {
    left: u64,
    looks: usize,
    spent: u64,
}

impl Purse {
    fn of(luma_samples: u64) -> Self {
        Self { left: luma_samples, looks: usize::MAX, spent: 0 }
    }
}

impl Allowance for Purse {
    fn admits(&mut self, luma_samples: u64) -> bool {
        let admitted = luma_samples <= self.left;
        if admitted {
            self.left -= luma_samples;
            self.spent += luma_samples;
        }
        admitted
    }

    fn goes_on(&mut self) -> bool {
        self.looks = self.looks.saturating_sub(1);
        self.looks > 0
    }
}

fn size() -> Size {
    Size::new(1280, 720).unwrap()
}

/// Luma samples of a coded frame: 45 rows of 16.
const FRAME: u64 = 1280 * 720;

/// A still picture: a keyframe, then frames of a few bytes each.
fn still(codec: &str) -> Clip {
    let source = "color=c=gray:size=1280x720:rate=25";
    match codec {
        "avc1" => Clip::x264(source, size(), 8, &["-bf", "0", "-g", "100", "-x264-params", "scenecut=0:slices=4"]),
        "hvc1" => Clip::coded("libx265", source, size(), 8, &["-x265-params", "log-level=error:keyint=100:bframes=0"]),
        "av01" => Clip::coded("libaom-av1", source, size(), 8, &["-cpu-used", "8", "-g", "100", "-lag-in-frames", "0"]),
        _ => unreachable!(),
    }
}

const CODECS: [&str; 3] = ["avc1", "hvc1", "av01"];

fn time(millis: i64) -> Time {
    Time::new(millis * i64::from(SCALE) / 1000, Timescale::new(SCALE).unwrap())
}

/// What a decoder may hold: the frames it keeps and as many that stand in for them, in 16 bits a sample, and what it works with.
fn most(frames: u64) -> usize {
    (frames * FRAME * 3 + (24 << 20)) as usize
}

#[test]
fn a_sample_with_many_frames_is_refused_before_it_is_decoded() {
    for codec in CODECS {
        let clip = still(codec);
        let mut decoder = open(codec, &clip.config).unwrap();
        let mut purse = Purse::of(u64::MAX);
        let mut out = Vec::new();
        decoder.decode(&clip.samples[0].data, time(0), &mut purse, &mut out).unwrap();
        assert_eq!(purse.spent, FRAME, "{codec}");
        let bombs = [
            clip.samples[1].data.repeat(2),
            clip.samples[1].data.repeat(500),
            clip.samples[1..].iter().flat_map(|sample| sample.data.clone()).collect(),
            [clip.samples[0].data.clone(), clip.samples[1].data.clone()].concat(),
        ];
        for (index, bomb) in bombs.iter().enumerate() {
            let held = most_held(|| {
                let error = decoder.decode(bomb, time(40), &mut purse, &mut out).unwrap_err();
                assert!(matches!(error, DecodeError::Refused { .. }), "{codec}, bomb {index}: {error}");
            });
            assert_eq!(purse.spent, FRAME, "{codec}: nothing of bomb {index} was decoded");
            assert!(held < 8 * bomb.len() + (1 << 20), "{codec}, bomb {index}: {held} bytes held");
        }
        out.clear();
        decoder.decode(&clip.samples[0].data, time(80), &mut purse, &mut out).unwrap();
        decoder.flush(&mut out).unwrap();
        assert!(times(&out).contains(&time(80)), "{codec}: decoding goes on at the next keyframe");
    }
}

#[test]
fn floods_of_units_are_refused() {
    for (codec, set, other) in
        [("avc1", &[0x68, 0xce, 0x3c, 0x80][..], &[0x06, 0x05, 0x80][..]), ("hvc1", &[0x44, 1, 0xc0], &[0x4e, 1, 5])]
    {
        let clip = still(codec);
        let mut decoder = open(codec, &clip.config).unwrap();
        let unit = |unit: &[u8]| [&(unit.len() as u32).to_be_bytes()[..], unit].concat();
        for (flood, expected) in [(unit(set).repeat(10_000), "parameter sets"), (unit(other).repeat(10_000), "units")] {
            let sample = [flood, clip.samples[0].data.clone()].concat();
            let held = most_held(|| {
                let error = decoder.decode(&sample, time(0), &mut Purse::of(0), &mut Vec::new()).unwrap_err();
                assert!(
                    matches!(&error, DecodeError::Refused { reason, .. } if reason.contains(expected)),
                    "{codec}: {error}"
                );
            });
            assert!(held < 4 << 20, "{codec}: {held} bytes held");
        }
    }
    let clip = still("av01");
    let mut decoder = open("av01", &clip.config).unwrap();
    for (unit, expected) in [(&clip.config[4..], "sequence headers"), (&[0x7a, 0][..], "units")] {
        let sample = [unit.repeat(10_000), clip.samples[0].data.clone()].concat();
        let error = decoder.decode(&sample, time(0), &mut Purse::of(0), &mut Vec::new()).unwrap_err();
        assert!(matches!(&error, DecodeError::Refused { reason, .. } if reason.contains(expected)), "{error}");
    }
}

#[test]
fn hidden_frames_of_av1_are_counted_and_bounded() {
    let clip = still("av01");
    // A frame header that shows nothing: show_existing_frame 0, a frame between others, show_frame 0; then one that shows a frame again.
    let (hidden, again) = ([0x32, 2, 0x20, 0], [0x1a, 1, 0x80]);
    let refused = |sample: &[u8]| {
        let mut decoder = open("av01", &clip.config).unwrap();
        let mut purse = Purse::of(u64::MAX);
        decoder.decode(&clip.samples[0].data, time(0), &mut purse, &mut Vec::new()).unwrap();
        let before = purse.spent;
        let error = decoder.decode(sample, time(40), &mut purse, &mut Vec::new()).unwrap_err();
        (error.to_string(), purse.spent - before)
    };
    let (error, spent) = refused(&hidden.repeat(9));
    assert!(error.contains("more than 8 hidden frames") && spent == 0, "{error}");
    let (error, spent) = refused(&again.repeat(2));
    assert!(error.contains("a second shown frame") && spent == 0, "{error}");
    // What says that it is a copy of a header, and is none, begins a frame.
    let copy = [0x3a, 1, 0x90];
    let (error, spent) = refused(&[&again[..], &copy].concat());
    assert!(error.contains("a second shown frame") && spent == 0, "{error}");
    // What is within the bounds is paid for, whatever comes of it.
    let (_, spent) = refused(&[&hidden.repeat(8)[..], &again].concat());
    assert_eq!(spent, 8 * FRAME + FRAME / 4);
}

#[test]
fn frames_beyond_the_limit_are_refused_in_the_header_and_in_mid_stream() {
    let limits = DecodeLimits { max_frame: Size::new(640, 360).unwrap() };
    for codec in CODECS {
        let clip = still(codec);
        let error = open_video_decoder(codec, &clip.config, limits).err().expect("it is refused").to_string();
        assert!(error.contains("1280x720") && error.contains("the limit is 640x360"), "{codec}: {error}");
    }
    // A stream within the limits that turns to a larger size: the sequence header of AV1 stands in its keyframes.
    let small =
        Clip::coded("libaom-av1", "testsrc2=size=320x180", Size::new(320, 180).unwrap(), 1, &["-cpu-used", "8"]);
    let mut decoder = open_video_decoder("av01", &small.config, limits).unwrap();
    decoder.decode(&small.samples[0].data, time(0), &mut Unlimited, &mut Vec::new()).unwrap();
    let large = still("av01");
    let held = most_held(|| {
        let answer = decoder.decode(&large.samples[0].data, time(40), &mut Purse::of(0), &mut Vec::new());
        assert!(answer.unwrap_err().to_string().contains("the limit is 640x360"));
    });
    assert!(held < FRAME as usize, "{held} bytes held");
}

#[test]
fn what_is_not_admitted_is_dropped_until_the_next_keyframe() {
    for codec in CODECS {
        let clip = still(codec);
        let mut decoder = open(codec, &clip.config).unwrap();
        let mut out = Vec::new();
        let mut purse = Purse::of(3 * FRAME);
        let mut errors = Vec::new();
        for sample in &clip.samples {
            errors.extend(decoder.decode(&sample.data, sample.time, &mut purse, &mut out).err());
        }
        assert_eq!(purse.spent, 3 * FRAME, "{codec}");
        assert!(matches!(errors[0], DecodeError::OverBudget { luma_samples: FRAME, .. }), "{codec}: {errors:?}");
        assert!(
            errors[1..].iter().all(|error| matches!(error, DecodeError::AwaitingKeyframe { .. })),
            "{codec}: {errors:?}"
        );
        assert_eq!(errors.len(), 5, "{codec}");
        let again = time(1_000);
        decoder.decode(&clip.samples[0].data, again, &mut Purse::of(FRAME), &mut out).unwrap();
        decoder.flush(&mut out).unwrap();
        let expected: Vec<Time> = clip.samples[..3].iter().map(|sample| sample.time).chain([again]).collect();
        assert_eq!(times(&out), expected, "{codec}");
    }
}

#[test]
fn a_frame_that_nothing_refers_to_is_dropped_alone() {
    let source = "testsrc2=size=1280x720:rate=25";
    let args = ["-bf", "1", "-g", "100", "-x264-params", "b-adapt=0:scenecut=0:b-pyramid=none"];
    let clip = Clip::x264(source, size(), 9, &args);
    let mut decoder = open("avc1", &clip.config).unwrap();
    let (mut out, mut dropped) = (Vec::new(), Vec::new());
    for sample in &clip.samples {
        // nal_ref_idc of the slice, behind the parameter sets and SEI of the first sample.
        let disposable = sample.data[4] & 0x60 == 0 && sample.data[4] & 0x1f == 1;
        let mut purse = Purse::of(if disposable && dropped.is_empty() { 0 } else { u64::MAX });
        match decoder.decode(&sample.data, sample.time, &mut purse, &mut out) {
            Ok(()) => {}
            Err(DecodeError::OverBudget { time, .. }) => dropped.push(time),
            Err(other) => panic!("{other}"),
        }
    }
    decoder.flush(&mut out).unwrap();
    assert_eq!((dropped.len(), out.len()), (1, 8));
    assert!(!times(&out).contains(&dropped[0]));
}

#[test]
fn decoding_stops_between_slices() {
    let clip = still("avc1");
    let mut decoder = open("avc1", &clip.config).unwrap();
    decoder.decode(&clip.samples[0].data, time(0), &mut Unlimited, &mut Vec::new()).unwrap();
    let mut purse = Purse { looks: 2, ..Purse::of(u64::MAX) };
    let error = decoder.decode(&clip.samples[1].data, time(40), &mut purse, &mut Vec::new()).unwrap_err();
    assert_eq!(error, DecodeError::Stopped { time: time(40) });
}

/// Decodes until the end, and gives the most memory that was held.
fn storm(decoder: &mut dyn VideoDecoder, samples: &[Sample]) -> usize {
    most_held(|| {
        for sample in samples {
            let mut out = Vec::new();
            let _either = decoder.decode(&sample.data, sample.time, &mut Unlimited, &mut out);
            assert!(out.len() <= 33, "{} frames at once", out.len());
        }
        let _either = decoder.flush(&mut Vec::new());
    })
}

#[test]
fn cuts_and_mutations_stay_within_the_memory_of_the_frames_that_are_kept() {
    let args: [(&str, &str, &[&str]); 3] = [
        ("avc1", "libx264", &["-bf", "2", "-g", "8", "-x264-params", "slices=2"]),
        ("hvc1", "libx265", &["-x265-params", "log-level=error:keyint=8:bframes=2"]),
        ("av01", "libaom-av1", &["-cpu-used", "8", "-g", "8"]),
    ];
    let small = Size::new(320, 180).unwrap();
    for (codec, encoder, args) in args {
        let clip = Clip::coded(encoder, "testsrc2=size=320x180:rate=25", small, 16, args);
        // A decoder may keep 16 frames of this size, and make as many up.
        let most = most(33 * 320 * 192 / FRAME + 1);
        for seed in seeds(10) {
            let mut numbers = Numbers(seed);
            let changed = |sample: &Sample, numbers: &mut Numbers| match numbers.below(4) {
                0 => sample.data.clone(),
                1 => sample.data[..numbers.below(sample.data.len())].to_vec(),
                2 => [sample.data.clone(), clip.samples[numbers.below(16)].data.clone()].concat(),
                _ => mutate(&sample.data, &[], numbers),
            };
            let samples: Vec<Sample> = clip
                .samples
                .iter()
                .map(|sample| Sample { data: changed(sample, &mut numbers), ..sample.clone() })
                .collect();
            let held = storm(&mut *open(codec, &clip.config).unwrap(), &samples);
            assert!(held < most, "{codec}, seed {seed}: {held} bytes held (expected < {most})");
        }
    }
}

#[test]
fn a_frame_costs_what_the_parameter_set_it_is_decoded_with_says() {
    let small = Size::new(320, 180).unwrap();
    let first = Clip::x264("color=c=gray:size=320x180:rate=25", small, 1, &[]);
    // Coded 1280x720, of which 320x180 are shown.
    let crop = ["-x264-params", "sps-id=1", "-bsf:v", "h264_metadata=crop_right=960:crop_bottom=540"];
    let second = Clip::x264("color=c=gray:size=1280x720:rate=25", small, 1, &crop);
    let sets = |config: &[u8]| {
        let length = |at: usize| usize::from(u16::from_be_bytes([config[at], config[at + 1]]));
        let picture = 8 + length(6) + 1;
        (config[6..8 + length(6)].to_vec(), config[picture..picture + 2 + length(picture)].to_vec())
    };
    let ((first_sequence, first_picture), (sequence, picture)) = (sets(&first.config), sets(&second.config));
    let record = [&first.config[..5], &[0xe2], &first_sequence, &sequence, &[2], &first_picture, &picture].concat();
    let mut decoder = open("avc1", &record).unwrap();
    assert_eq!(decoder.size(), small);
    let mut purse = Purse::of(u64::MAX);
    let _whatever_comes_of_it = decoder.decode(&second.samples[0].data, time(0), &mut purse, &mut Vec::new());
    assert_eq!(purse.spent, FRAME);
}
