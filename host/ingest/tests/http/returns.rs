//! Publishers that go away and come back, and those that come while another is there.

use millrace_media::broadcast::State;
use millrace_media::track::{Event, Start};
use millrace_media::{Broadcast, Fragment};

use crate::stage::{self, ENDLESS, Stage};

const LDASH: &str = "-c copy -f dash -seg_duration 1 -streaming 1 -ldash 1 -frag_type every_frame -use_timeline 0 \
                     -target_latency 3 -http_persistent 1 -method PUT";

/// Waits for the track, and for `count` fragments of it.
async fn flows(stage: &Stage, broadcast: &Broadcast, name: &str, count: usize) {
    let track = stage.until(|| broadcast.track(name)).await;
    let mut consumer = track.subscribe(Start::OldestGroup);
    for _ in 0..count {
        stage::within(consumer.next()).await.expect("the track goes on");
    }
}

/// Waits for the first fragment of the next epoch.
async fn next_epoch(broadcast: &Broadcast, name: &str) -> Fragment {
    let mut consumer = broadcast.track(name).unwrap().subscribe(Start::OldestGroup);
    loop {
        match stage::within(consumer.next()).await.expect("the track goes on") {
            Event::Fragment(fragment) if fragment.place().epoch.0 > 0 => return fragment,
            _ => {}
        }
    }
}

async fn killed_and_back(options: &str, path: &str) {
    let stage = Stage::new().await;
    let file = stage::file("aac");
    let source = format!("-re -i {file}");
    let mut first = stage.push(&source, options, path);
    let broadcast = stage.broadcast("live/me").await;
    flows(&stage, &broadcast, "video", 10).await;
    flows(&stage, &broadcast, "audio", 2).await;
    first.kill().await.unwrap();
    let before = broadcast.track("video").unwrap().newest().unwrap();

    let second = stage.push(&source, options, path);
    for name in ["video", "audio"] {
        let fragment = next_epoch(&broadcast, name).await;
        assert!(fragment.presentation_time > before.presentation_time, "time goes on");
        assert!(fragment.place().group > before.place().group, "groups go on");
        assert_eq!(fragment.place().epoch.0, 1);
    }
    assert_eq!(broadcast.state(), State::Live);
    assert_eq!(broadcast.tracks().len(), 2);
    assert!(stage::within(second.wait_with_output()).await.unwrap().status.success());
    stage.until_gone(&broadcast).await;
    let again: Vec<_> =
        broadcast.track("video").unwrap().held().into_iter().filter(|fragment| fragment.place().epoch.0 == 1).collect();
    stage::same(&again, &file, "v");
}

#[tokio::test]
async fn an_endless_request_that_was_killed_comes_back() {
    killed_and_back(ENDLESS, "live/me/stream.mp4").await;
}

#[tokio::test]
async fn dash_that_was_killed_comes_back() {
    killed_and_back(LDASH, "live/me/manifest.mpd").await;
}

/// A second publisher is refused, and the first one's stream stays whole.
async fn only_one(first: (&str, &str), second: (&str, &str), probe: &str) {
    let stage = Stage::new().await;
    let file = stage::file("aac");
    let one = stage.push(&format!("-re -i {file}"), first.0, first.1);
    let broadcast = stage.broadcast("live/me").await;
    flows(&stage, &broadcast, "video", 5).await;
    let mut other = stage.push(&format!("-re -i {file}"), second.0, second.1);
    let (status, text) = stage.put(probe, &stage::one_second().0).await;
    assert!(status == 409 && text.contains("live/me has a publisher"), "{status} {text}");
    assert!(stage::within(one.wait_with_output()).await.unwrap().status.success());
    stage.until_gone(&broadcast).await;
    other.kill().await.unwrap();
    for (name, stream) in [("video", "v"), ("audio", "a")] {
        let (_, fragments) = stage::sound(&broadcast, name);
        let of_the_first: Vec<_> = fragments.into_iter().filter(|fragment| fragment.place().epoch.0 == 0).collect();
        stage::same(&of_the_first, &file, stream);
    }
}

#[tokio::test]
async fn a_second_endless_request_is_refused() {
    let stream = (ENDLESS, "live/me/stream.mp4");
    only_one(stream, stream, "live/me/stream.mp4").await;
}

#[tokio::test]
async fn a_second_dash_publisher_is_refused() {
    let dash = (LDASH, "live/me/manifest.mpd");
    only_one(dash, dash, "live/me/init-stream0.m4s").await;
}

#[tokio::test]
async fn dash_beside_an_endless_request_is_refused() {
    only_one((ENDLESS, "live/me/stream.mp4"), (LDASH, "live/me/manifest.mpd"), "live/me/init-stream0.m4s").await;
}

#[tokio::test]
async fn time_that_is_set_anew_in_an_endless_request_begins_an_epoch() {
    let stage = Stage::new().await;
    let (header, media) = stage::one_second();
    let body = [&header[..], &media, &media].concat();
    assert_eq!(stage.put("live/me/stream.mp4", &body).await.0, 200);
    let broadcast = stage.broadcast("live/me").await;
    let fragments = broadcast.track("video").unwrap().held();
    let epochs: Vec<_> = fragments.iter().map(|fragment| fragment.place().epoch.0).collect();
    assert_eq!(epochs, [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]);
    assert!(fragments.windows(2).all(|pair| pair[0].decode_time < pair[1].decode_time));
}

#[tokio::test]
async fn segments_under_one_name_go_on_after_the_header_is_repeated() {
    let stage = Stage::new().await;
    let (header, media) = stage::one_second();
    let path = "live/me/Streams(video.cmfv)";
    for body in [&header, &media, &header, &media] {
        assert_eq!(stage.put(path, body).await.0, 200);
    }
    let broadcast = stage.broadcast("live/me").await;
    assert_eq!(broadcast.track("video").unwrap().stats().fragments, 5);
    assert_eq!(broadcast.state(), State::Live);
}
