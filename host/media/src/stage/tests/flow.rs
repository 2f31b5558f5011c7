//! What passes, and what becomes of what is discarded and replaced.

use super::chain::{Outcomes, Site, Step, at, audio, held, video, write, written_straight};
use crate::fragment::Marks;
use crate::stage::Verdict;
use crate::track::tests::media;

use std::sync::Arc;

#[test]
fn fragments_come_in_the_order_of_arrival_over_all_tracks() {
    let site = Site::passing();
    let publisher = site.publish();
    let (mut video, mut audio) = (video(&publisher), audio(&publisher));
    for n in 0..3 {
        video.write(media(n * 100, n == 0, 10)).unwrap();
        audio.write(media(n * 100 + 10, true, 10)).unwrap();
    }
    publisher.broadcast().settle();
    assert_eq!(
        site.told(),
        [
            "0 is video avc1.64001f",
            "1 is audio opus",
            "0 0 in 0 as 0",
            "1 10 in 0 as 0",
            "0 100 in 0 as 1",
            "1 110 in 0 as 1",
            "0 200 in 0 as 2",
            "1 210 in 0 as 2"
        ]
    );
    assert_eq!(held(video.track()), [0, 100, 200]);
    assert_eq!(held(audio.track()), [10, 110, 210]);
}

#[test]
fn a_fragment_is_offered_with_the_place_that_it_gets() {
    let site = Site::passing();
    let publisher = site.publish();
    // The first frame moves the beginning of the group that audio has begun.
    let (mut audio, mut video) = (audio(&publisher), video(&publisher));
    for n in 0..25 {
        audio.write(media(n * 100, true, 10)).unwrap();
        video.write(media(n * 100 + 50, n % 10 == 0, 10)).unwrap();
    }
    publisher.broadcast().settle();
    let told = site.told();
    let offered = |id: u32| -> Vec<String> {
        let of = told.iter().filter(|line| line.starts_with(&format!("{id} ")) && line.contains(" in "));
        of.cloned().collect()
    };
    for (id, track) in [(0, audio.track()), (1, video.track())] {
        let written = track.held().into_iter().map(|fragment| {
            let place = fragment.place();
            format!("{id} {} in {} as {}", fragment.decode_time.ticks(), place.group.0 % 1_000, place.object)
        });
        assert_eq!(offered(id), written.collect::<Vec<_>>());
    }
}

#[test]
fn discarded_video_takes_the_rest_of_its_group_with_it() {
    let site = Site::new(|fragment| {
        let discards = fragment.decode_time == at(300) || fragment.decode_time == at(1_000);
        Step::Say(if discards { Verdict::Discard } else { Verdict::Pass })
    });
    let publisher = site.publish();
    let mut video = video(&publisher);
    write(&mut video, 0..22);
    publisher.broadcast().settle();
    let left = [0, 100, 200, 2_000, 2_100];
    assert_eq!(held(video.track()), left);
    let places = |fragments: Vec<crate::Fragment>| fragments.iter().map(crate::Fragment::place).collect::<Vec<_>>();
    // To readers it is a source that lost them.
    assert_eq!(places(video.track().held()), places(written_straight(&left)));
    let told = site.told();
    assert_eq!(told.iter().filter(|line| *line == "0 lacks 1: Discarded").count(), 6 + 9);
    assert!(!told.iter().any(|line| line.starts_with("0 400 ") || line.starts_with("0 1100 ")), "{told:?}");
}

#[test]
fn what_nothing_depends_on_is_discarded_alone() {
    let site = Site::new(|fragment| {
        let discards = fragment.decode_time == at(100);
        Step::Say(if discards { Verdict::Discard } else { Verdict::Pass })
    });
    let publisher = site.publish();
    let (mut video, mut audio) = (video(&publisher), audio(&publisher));
    for n in 0..3 {
        let mut frame = media(n * 100, n == 0, 10);
        frame.marks = Marks { discardable: n == 1, ..frame.marks };
        video.write(frame).unwrap();
        audio.write(media(n * 100, true, 10)).unwrap();
    }
    publisher.broadcast().settle();
    assert_eq!(held(video.track()), [0, 200]);
    assert_eq!(held(audio.track()), [0, 200]);
}

#[test]
fn another_fragment_goes_on_in_place_of_the_one_that_came() {
    let site = Site::new(|fragment| {
        let mut other = fragment.media().clone();
        other.head = "other".into();
        Step::Say(Verdict::Replace(other))
    });
    let publisher = site.publish();
    let mut video = video(&publisher);
    write(&mut video, 0..2);
    publisher.broadcast().settle();
    assert!(video.track().held().iter().all(|fragment| &*fragment.head == b"other"));
    assert_eq!(held(video.track()), [0, 100]);
}

#[test]
fn what_the_track_refuses_takes_the_rest_of_its_group_with_it() {
    let site = Site::passing();
    let publisher = site.publish();
    let outcomes = Arc::new(Outcomes::default());
    let mut video = video(&publisher).with_report(outcomes.clone());
    for (time, keyframe) in [(0, false), (100, true), (200, false), (50, false), (300, false), (1_000, true)] {
        video.write(media(time, keyframe, 10)).unwrap();
    }
    publisher.broadcast().settle();
    assert_eq!(held(video.track()), [100, 200, 1_000]);
    assert_eq!(outcomes.take(), ["refused", "written", "written", "refused", "after refused", "written"]);
    let told = site.told();
    assert_eq!(told.iter().filter(|line| *line == "0 lacks 1: Source").count(), 3, "{told:?}");
}

#[test]
fn what_becomes_of_each_fragment_is_reported() {
    let site = Site::new(|fragment| {
        let discards = fragment.decode_time == at(100);
        Step::Say(if discards { Verdict::Discard } else { Verdict::Pass })
    });
    let publisher = site.publish();
    let outcomes = Arc::new(Outcomes::default());
    let mut video = video(&publisher).with_report(outcomes.clone());
    write(&mut video, 8..12);
    write(&mut video, 0..0);
    publisher.broadcast().settle();
    assert_eq!(outcomes.take(), ["refused", "refused", "written", "written"]);
    let mut audio = audio(&publisher).with_report(outcomes.clone());
    for n in 0..3 {
        audio.write(media(n * 100, true, 10)).unwrap();
    }
    publisher.broadcast().settle();
    assert_eq!(outcomes.take(), ["written", "discarded", "written"]);
}

#[test]
fn what_the_source_lost_is_told() {
    let site = Site::passing();
    let publisher = site.publish();
    let mut video = video(&publisher);
    write(&mut video, 0..2);
    video.lost(3);
    write(&mut video, 10..11);
    publisher.broadcast().settle();
    assert_eq!(site.told()[3..], ["0 lacks 3: Source", "0 1000 in 1 as 0"]);
}
