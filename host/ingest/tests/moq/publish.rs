//! PUBLISH: tracks that the publisher pushes.

use crate::catalogs::{msf, object};
use crate::media;
use crate::stage::{Stage, ietf_group, ietf_track};

#[tokio::test]
async fn pushed_tracks_of_a_namespace_are_a_broadcast() {
    let (stage, video) = (Stage::new(), media::video());
    let mut ietf = stage.ietf().await;
    let (mut tracks, mut reader) = ietf.namespace("live/me");
    let mut written = [
        ietf_track(&mut tracks, "catalog", &object(&msf(&[("v", video)]))),
        ietf_track(&mut tracks, "v", &video.groups[..1]),
    ];
    for name in ["catalog", "v"] {
        ietf.push(&mut reader, name).await;
    }
    let broadcast = stage.broadcast("live/me").await;
    stage.fragments(&broadcast, "video", 25).await;
    for (number, group) in (1..).zip(&video.groups[1..]) {
        ietf_group(&mut written[1], number, group);
    }
    let v = video.bytes();
    assert_eq!(stage.samples(&broadcast, "video", v.len()).await, v);
    // All that was pushed has ended.
    drop(written);
    drop(tracks);
    stage.until_state(&broadcast, |state| matches!(state, millrace_media::broadcast::State::Waiting { .. })).await;
}

#[tokio::test]
async fn a_publisher_may_announce_and_push() {
    let (stage, video) = (Stage::new(), media::video());
    let mut ietf = stage.ietf().await;
    let (mut tracks, mut reader) = ietf.namespace("live/me");
    let _written = [
        ietf_track(&mut tracks, "catalog", &object(&msf(&[("v", video)]))),
        ietf_track(&mut tracks, "v", &video.groups),
    ];
    ietf.announce(reader.clone());
    for name in ["catalog", "v"] {
        ietf.push(&mut reader, name).await;
    }
    let broadcast = stage.broadcast("live/me").await;
    let v = video.bytes();
    assert_eq!(stage.samples(&broadcast, "video", v.len()).await, v);
}
