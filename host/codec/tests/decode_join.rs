//! H.264 joined where there is no IDR picture: at the recovery points of open groups, and of a picture that is refreshed in parts.

mod common;

use common::{Clip, assert_same, decode_all, open, pan};
use millrace_codec::{DecodeError, Picture, Size};

fn clip(args: &[&str]) -> Clip {
    Clip::x264(&pan(320, 180, "25"), Size::new(320, 180).unwrap(), 90, args)
}

#[test]
fn an_open_group_is_joined_at_its_first_picture_and_nothing_broken_is_shown() {
    for params in [
        "open-gop=1:keyint=16:min-keyint=16:bframes=3:b-adapt=0",
        "open-gop=1:keyint=12:min-keyint=12:bframes=7:b-adapt=0:ref=5:b-pyramid=normal",
        "open-gop=1:keyint=20:min-keyint=20:bframes=5:b-adapt=0:ref=3:b-pyramid=strict:direct=temporal",
        "open-gop=1:keyint=25:min-keyint=5:bframes=3:ref=8:weightp=2:slices=3",
    ] {
        let clip = clip(&["-x264-params", params]);
        let groups: Vec<usize> = (0..clip.samples.len()).filter(|&i| clip.samples[i].keyframe).collect();
        assert!(groups.len() > 3, "{params}: {groups:?}");
        let mut leading = 0;
        for &group in &groups[1..] {
            let first = clip.samples[group].time;
            // One sample early, as where the first of a group is lost on the way.
            let mut decoder = open("avc1", &clip.config).unwrap();
            let (pictures, errors) = decode_all(&mut *decoder, &clip.samples[group - 1..]);
            assert!(errors.iter().all(|error| matches!(error, DecodeError::AwaitingKeyframe { .. })), "{errors:?}");
            let expected: Vec<Picture> = clip.pictures.iter().filter(|p| p.time() >= first).cloned().collect();
            assert_same(&pictures, &expected, &format!("{params}, joined at {first}"));
            leading += errors.len() - 1;
        }
        assert!(leading > 0, "{params}: no leading pictures");
    }
}

#[test]
fn a_loss_in_an_open_group_is_over_with_the_next() {
    let clip = clip(&["-x264-params", "open-gop=1:keyint=16:min-keyint=16:bframes=3:b-adapt=0"]);
    let groups: Vec<usize> = (0..clip.samples.len()).filter(|&i| clip.samples[i].keyframe).collect();
    let mut samples = clip.samples.clone();
    let lost = samples.remove(groups[2] + 4);
    let (pictures, errors) = decode_all(&mut *open("avc1", &clip.config).unwrap(), &samples);
    assert!(matches!(errors[0], DecodeError::Damaged { .. }), "{:?}", errors[0]);
    let healed = clip.samples[groups[3]].time;
    let right =
        |picture: &&Picture| picture.time() < lost.time.min(clip.samples[groups[2]].time) || picture.time() >= healed;
    let kept: Vec<Picture> = pictures.iter().filter(right).cloned().collect();
    let expected: Vec<Picture> = clip.pictures.iter().filter(right).cloned().collect();
    assert_same(&kept, &expected, "around the loss");
    let all: Vec<Picture> =
        clip.pictures.iter().filter(|p| pictures.iter().any(|d| d.time() == p.time())).cloned().collect();
    assert_same(&pictures, &all, "in the loss");
}

#[test]
fn a_stream_refreshed_in_parts_is_shown_when_it_has_gone_round() {
    let clip = clip(&["-x264-params", "intra-refresh=1:keyint=20:bframes=0:ref=1"]);
    let (pictures, errors) = decode_all(&mut *open("avc1", &clip.config).unwrap(), &clip.samples[7..]);
    assert!(errors.iter().all(|error| matches!(error, DecodeError::AwaitingKeyframe { .. })), "{errors:?}");
    assert!((20..=50).contains(&errors.len()), "{}", errors.len());
    assert_same(&pictures, &clip.pictures[7 + errors.len()..], "refreshed");
}
