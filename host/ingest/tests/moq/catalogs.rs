//! Every catalog, with CMAF, through the stack that its publishers speak.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::media::{self, Clip};
use crate::stage::{self, Stage, ietf_track, net_group, net_track};

fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(crate) fn object(value: &Value) -> Vec<Vec<Bytes>> {
    vec![vec![Bytes::from(value.to_string())]]
}

/// hang's catalog of one track of video, and of sound.
pub(crate) fn hang(video: &Clip, audio: &Clip) -> Value {
    json!({
        "video": {"renditions": {"v": {"codec": video.header.info.codec,
            "container": {"kind": "cmaf", "init": base64(&video.init)}}}},
        "audio": {"renditions": {"a": {"codec": audio.header.info.codec, "sampleRate": 48000, "numberOfChannels": 1,
            "container": {"kind": "cmaf", "init": base64(&audio.init)}}}},
    })
}

/// An MSF catalog of CMAF tracks.
pub(crate) fn msf(tracks: &[(&str, &Clip)]) -> Value {
    let described = tracks.iter().map(|(name, clip)| {
        json!({"name": name, "packaging": "cmaf", "isLive": true, "codec": clip.header.info.codec, "initRef": name})
    });
    let inits = tracks.iter().map(|(name, clip)| json!({"id": name, "type": "inline", "data": base64(&clip.init)}));
    json!({"version": "draft-01", "tracks": described.collect::<Vec<_>>(), "initDataList": inits.collect::<Vec<_>>()})
}

#[tokio::test]
async fn hang_and_cmaf_through_moq_net() {
    let (stage, video, audio) = (Stage::new(), media::reordered(), media::audio("aac"));
    let net = stage.net().await;
    let published = net.broadcast("live/me");
    let _catalog = net_track(&published, "catalog.json", &object(&hang(video, &audio)));
    let _tracks = [net_track(&published, "v", &video.groups), net_track(&published, "a", &audio.groups)];
    published.announce(Default::default()).unwrap();
    let broadcast = stage.broadcast("live/me").await;
    let (v, a) = (video.bytes(), audio.bytes());
    assert_eq!(stage.samples(&broadcast, "video", v.len()).await, v);
    stage.group_end(&broadcast, "video").await;
    // Sound waits for the rest of its last chunk.
    let held = stage.samples(&broadcast, "audio", a.len() - 4).await;
    assert_eq!(held, a[..held.len()]);
    let keyframes = stage::sound(&broadcast, "video").iter().filter(|fragment| fragment.starts_group()).count();
    assert_eq!(keyframes, 3);
    assert_eq!(stage.ingest.publishers(), 1);
}

#[tokio::test]
async fn msf_and_cmaf_through_moq_transport() {
    let (stage, video, audio) = (Stage::new(), media::reordered(), media::audio("aac"));
    let mut ietf = stage.ietf().await;
    let (mut tracks, reader) = ietf.namespace("live/me");
    let _written = [
        ietf_track(&mut tracks, "catalog", &object(&msf(&[("v", video), ("a", &audio)]))),
        ietf_track(&mut tracks, "v", &video.groups),
        ietf_track(&mut tracks, "a", &audio.groups),
    ];
    ietf.announce(reader);
    let broadcast = stage.broadcast("live/me").await;
    let v = video.bytes();
    assert_eq!(stage.samples(&broadcast, "video", v.len()).await, v);
    stage.group_end(&broadcast, "video").await;
    stage.fragments(&broadcast, "audio", 100).await;
}

#[tokio::test]
async fn the_older_catalog_with_a_header_in_a_track_of_its_own() {
    let (stage, video) = (Stage::new(), media::video());
    let mut ietf = stage.ietf().await;
    let (mut tracks, reader) = ietf.namespace("live/me");
    let catalog = json!({"version": 1, "streamingFormat": 1, "streamingFormatVersion": "0.2", "supportsDeltaUpdates": true,
        "commonTrackFields": {"namespace": "/live/me", "packaging": "cmaf"},
        "tracks": [{"name": "1.m4s", "initTrack": "0.mp4", "selectionParams": {"codec": "avc1.42c00d"}}]});
    let _written = [
        ietf_track(&mut tracks, ".catalog", &object(&catalog)),
        ietf_track(&mut tracks, "0.mp4", &[vec![video.init.clone()]]),
        ietf_track(&mut tracks, "1.m4s", &video.groups),
    ];
    ietf.announce(reader);
    let broadcast = stage.broadcast("live/me").await;
    let v = video.bytes();
    assert_eq!(stage.samples(&broadcast, "video", v.len()).await, v);
}

#[tokio::test]
async fn tracks_come_and_go_with_the_catalog() {
    let (stage, video) = (Stage::new(), media::video());
    let net = stage.net().await;
    let published = net.broadcast("live/me");
    let catalog = net_track(&published, "catalog", &object(&msf(&[("one", video)])));
    let one = net_track(&published, "one", &video.groups[..1]);
    published.announce(Default::default()).unwrap();
    let broadcast = stage.broadcast("live/me").await;
    stage.fragments(&broadcast, "video", 25).await;

    // A change in the same group: another track, and then the first goes.
    let two = net_track(&published, "two", &video.groups[..2]);
    let mut group = catalog.append_group().unwrap();
    let write = |group: &mut moq_net::group::Producer, value: &Value| {
        group.write_frame(moq_net::Timestamp::now(), Bytes::from(value.to_string())).unwrap();
    };
    write(&mut group, &msf(&[("one", video)]));
    write(&mut group, &json!({"deltaUpdate": [{"op": "clone", "tracks": [{"name": "two", "parentName": "one"}]}]}));
    stage.fragments(&broadcast, "video-2", 25).await;
    write(&mut group, &json!({"deltaUpdate": [{"op": "remove", "tracks": [{"name": "one"}]}]}));
    let first = broadcast.track("video").unwrap();
    stage.until(|| first.is_ended().then_some(())).await;
    net_group(&two, &video.groups[2]);
    stage.fragments(&broadcast, "video-2", 75).await;
    drop(one);
}
