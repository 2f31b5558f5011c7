//! Publishers before a stage that decides about every fragment.

use millrace_media::broadcast::State;
use millrace_media::stage::{TrackEnd, Verdict};

use crate::native::Native;
use crate::stage::{self, ENDLESS, Stage};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_pushed_comes_through_whole() {
    let stage = Stage::filtered(Native::new(|_| Verdict::Pass)).await;
    let file = stage::file("aac");
    stage.push_all(&format!("-i {file}"), ENDLESS, "live/me").await;
    let broadcast = stage.broadcast("live/me").await;
    stage.until_gone(&broadcast).await;
    for (track, stream) in [("video", "v"), ("audio", "a")] {
        let (_, fragments) = stage::sound(&broadcast, track);
        stage::same(&fragments, &file, stream);
    }
}

#[tokio::test]
async fn what_is_discarded_leaves_no_hole_in_a_group() {
    let discards = |fragment: &millrace_media::Fragment| {
        if fragment.place().object == 2 { Verdict::Discard } else { Verdict::Pass }
    };
    let stage = Stage::filtered(Native::new(discards)).await;
    let file = stage::file("aac");
    stage.push_all(&format!("-i {file}"), ENDLESS, "live/me").await;
    let broadcast = stage.broadcast("live/me").await;
    stage.until_gone(&broadcast).await;
    let held = broadcast.track("video").unwrap().held();
    let objects: Vec<_> = held.iter().map(|fragment| fragment.place().object).collect();
    assert_eq!(objects, [0, 1, 0, 1, 0, 1]);
    assert!(held.iter().all(|fragment| fragment.starts_group() == fragment.marks.keyframe));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_comes_back_and_goes_on_in_another_epoch() {
    let native = Native::new(|_| Verdict::Pass);
    let ends = native.ends();
    let stage = Stage::filtered(native).await;
    let file = stage::file("aac");
    for _ in 0..2 {
        stage.push_all(&format!("-i {file}"), ENDLESS, "live/me").await;
        let broadcast = stage.broadcast("live/me").await;
        stage.until_gone(&broadcast).await;
    }
    let held = stage.broadcast("live/me").await.track("video").unwrap().held();
    for epoch in [0, 1] {
        let of: Vec<_> = held.iter().filter(|fragment| fragment.place().epoch.0 == epoch).cloned().collect();
        stage::same(&of, &file, "v");
    }
    assert_eq!(ends(), [TrackEnd::PublisherLost; 2]);
}

#[tokio::test]
async fn the_end_that_a_publisher_says_comes_behind_its_media() {
    let stage = Stage::filtered(Native::new(|_| Verdict::Pass)).await;
    let (header, media) = stage::one_second();
    assert_eq!(stage.put("live/me/Streams(video.cmfv)", &header).await.0, 200);
    let last = [&b"\0\0\0\x14stypcmfs\0\0\0\0lmsg"[..], &media].concat();
    assert_eq!(stage.put("live/me/Streams(video.cmfv)", &last).await.0, 200);
    let broadcast = stage.broadcast("live/me").await;
    assert!(matches!(broadcast.state(), State::Ended { .. }));
    assert_eq!(broadcast.track("video").unwrap().stats().fragments, 5);
}
