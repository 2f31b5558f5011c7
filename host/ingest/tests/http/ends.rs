//! How a publisher says that it has ended.

use millrace_media::broadcast::State;

use crate::stage::{self, Stage};

#[tokio::test]
async fn deleting_the_publishing_point_ends_it_and_deleting_segments_does_not() {
    let stage = Stage::new().await;
    let (header, media) = stage::one_second();
    for (name, point) in [("live/a", "live/a"), ("live/b", "live/b/manifest.mpd")] {
        assert_eq!(stage.put(&format!("{name}/init-stream0.m4s"), &header).await.0, 200);
        assert_eq!(stage.put(&format!("{name}/chunk-stream0-00001.m4s"), &media).await.0, 200);
        let broadcast = stage.broadcast(name).await;
        let old = format!("DELETE /ingest/{name}/chunk-stream0-00001.m4s HTTP/1.1");
        assert_eq!(stage.request(&old, b"").await.0, 200);
        assert_eq!(broadcast.state(), State::Live);
        assert_eq!(stage.request(&format!("DELETE /ingest/{point} HTTP/1.1"), b"").await.0, 200);
        assert!(matches!(broadcast.state(), State::Ended { .. }));
        assert!(broadcast.track("video").unwrap().is_ended());
    }
}

#[tokio::test]
async fn a_last_segment_ends_it() {
    let stage = Stage::new().await;
    let (header, media) = stage::one_second();
    assert_eq!(stage.put("live/me/Streams(video.cmfv)", &header).await.0, 200);
    let last = [&b"\0\0\0\x14stypcmfs\0\0\0\0lmsg"[..], &media].concat();
    assert_eq!(stage.put("live/me/Streams(video.cmfv)", &last).await.0, 200);
    let broadcast = stage.broadcast("live/me").await;
    assert!(matches!(broadcast.state(), State::Ended { .. }));
    assert_eq!(broadcast.track("video").unwrap().stats().fragments, 5);
}

#[tokio::test]
async fn a_segment_that_is_sent_again_is_dropped() {
    let stage = Stage::new().await;
    let (header, media) = stage::one_second();
    assert_eq!(stage.put("live/me/init.mp4", &header).await.0, 200);
    for _ in 0..2 {
        assert_eq!(stage.put("live/me/index0.m4s", &media).await.0, 200);
    }
    assert_eq!(stage.broadcast("live/me").await.track("video").unwrap().stats().fragments, 5);
}
