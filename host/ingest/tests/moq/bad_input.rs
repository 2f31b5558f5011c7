//! Publishers that send what they should not, or not all of it: each time it is said what becomes of it, and another publisher's
//! broadcast loses nothing.

use std::time::Duration;

use bytes::Bytes;
use millrace_cmaf::Limits;
use millrace_ingest::moq::{Grant, Settings};
use millrace_media::Broadcast;
use millrace_media::broadcast::State;
use moq_transport::data::{ExtensionHeaders, ObjectStatus};
use moq_transport::serve::{Datagram, ServeError, Subgroup, SubgroupsWriter, TracksWriter};
use serde_json::json;

use crate::catalogs::{msf, object};
use crate::media;
use crate::stage::{self, Ietf, Stage, ietf_group, ietf_track};

/// A publisher that behaves, beside the one that does not.
struct Beside {
    broadcast: Broadcast,
    track: SubgroupsWriter,
    _kept: (Ietf, TracksWriter, SubgroupsWriter),
}

impl Beside {
    async fn new(stage: &Stage) -> Self {
        let (ietf, tracks, catalog, track) = publisher(stage, "live/beside").await;
        let mut beside =
            Self { broadcast: stage.broadcast("live/beside").await, track, _kept: (ietf, tracks, catalog) };
        ietf_group(&mut beside.track, 0, &media::video().groups[0]);
        stage.fragments(&beside.broadcast, "video", 25).await;
        beside
    }

    /// It goes on, and has everything.
    async fn loses_nothing(mut self, stage: &Stage) {
        let video = media::video();
        for (number, group) in (1..).zip(&video.groups[1..]) {
            ietf_group(&mut self.track, number, group);
        }
        let v = video.bytes();
        assert_eq!(stage.samples(&self.broadcast, "video", v.len()).await, v);
    }
}

/// A session that announces a broadcast of one track of video, of which nothing has been written.
async fn publisher(stage: &Stage, name: &str) -> (Ietf, TracksWriter, SubgroupsWriter, SubgroupsWriter) {
    let video = media::video();
    let mut ietf = stage.ietf().await;
    let (mut tracks, reader) = ietf.namespace(name);
    let catalog = ietf_track(&mut tracks, "catalog", &object(&msf(&[("v", video)])));
    let track = ietf_track(&mut tracks, "v", &[]);
    ietf.announce(reader);
    (ietf, tracks, catalog, track)
}

fn of(groups: &[&[Bytes]]) -> Vec<Vec<u8>> {
    let video = media::video();
    let samples: Vec<(Bytes, Vec<u8>)> = video.groups.iter().flatten().cloned().zip(video.bytes()).collect();
    let find = |chunk: &Bytes| samples.iter().find(|(known, _)| known == chunk).unwrap().1.clone();
    groups.iter().flat_map(|group| group.iter().map(find)).collect()
}

/// Writes a stream of a group with these numbers of its objects.
fn stream(track: &mut SubgroupsWriter, group: u64, subgroup: u64, ids: impl IntoIterator<Item = u64>) {
    let chunks = &media::video().groups[group as usize];
    let mut writer = track.create(Subgroup { group_id: group, subgroup_id: subgroup, priority: 127 }).unwrap();
    for id in ids {
        let chunk = &chunks[id as usize];
        writer.create_with_id(id, chunk.len(), None).unwrap().write(chunk.clone()).unwrap();
    }
}

#[tokio::test]
async fn objects_out_of_order_and_again_are_put_right() {
    let stage = Stage::new();
    let beside = Beside::new(&stage).await;
    let (_ietf, _tracks, _catalog, mut track) = publisher(&stage, "live/me").await;
    // Streams of one group in the wrong order, with objects twice; then a group whose streams come in any order.
    stream(&mut track, 0, 0, 0..10);
    stream(&mut track, 0, 1, 5..15);
    stream(&mut track, 0, 2, 15..25);
    stream(&mut track, 1, 1, 12..25);
    stream(&mut track, 1, 0, 0..14);
    let broadcast = stage.broadcast("live/me").await;
    let groups = &media::video().groups;
    stage.fragments(&broadcast, "video", 50).await;
    // Of a group that is over.
    stream(&mut track, 0, 3, 0..25);
    stream(&mut track, 2, 0, 0..25);
    assert_eq!(stage.samples(&broadcast, "video", 75).await, of(&[&groups[0], &groups[1], &groups[2]]));
    beside.loses_nothing(&stage).await;
}

#[tokio::test]
async fn a_group_with_a_missing_object_is_cut_there() {
    let stage = Stage::new();
    let beside = Beside::new(&stage).await;
    let (_ietf, _tracks, _catalog, mut track) = publisher(&stage, "live/me").await;
    stream(&mut track, 0, 0, (0..10).chain(11..25));
    stream(&mut track, 1, 0, 0..25);
    let broadcast = stage.broadcast("live/me").await;
    let groups = &media::video().groups;
    assert_eq!(stage.samples(&broadcast, "video", 35).await, of(&[&groups[0][..10], &groups[1]]));
    beside.loses_nothing(&stage).await;
}

#[tokio::test]
async fn a_group_whose_stream_is_reset_in_the_middle_of_an_object_is_cut_there() {
    let stage = Stage::new();
    let beside = Beside::new(&stage).await;
    let (_ietf, _tracks, _catalog, mut track) = publisher(&stage, "live/me").await;
    let groups = &media::video().groups;
    let mut writer = track.create(Subgroup { group_id: 0, subgroup_id: 0, priority: 127 }).unwrap();
    for chunk in &groups[0][..10] {
        writer.write(chunk.clone()).unwrap();
    }
    let broadcast = stage.broadcast("live/me").await;
    stage.fragments(&broadcast, "video", 10).await;
    let half = groups[0][10].slice(..groups[0][10].len() / 2);
    writer.create_with_id(10, groups[0][10].len(), None).unwrap().write(half).unwrap();
    let _ = writer.close(ServeError::Cancel);
    ietf_group(&mut track, 1, &groups[1]);
    assert_eq!(stage.samples(&broadcast, "video", 35).await, of(&[&groups[0][..10], &groups[1]]));
    beside.loses_nothing(&stage).await;
}

#[tokio::test]
async fn a_connection_that_breaks_in_the_middle_of_a_group_leaves_its_beginning() {
    let stage = Stage::new();
    let beside = Beside::new(&stage).await;
    let (ietf, _tracks, _catalog, mut track) = publisher(&stage, "live/me").await;
    let groups = &media::video().groups;
    let mut writer = track.create(Subgroup { group_id: 0, subgroup_id: 0, priority: 127 }).unwrap();
    groups[0][..10].iter().for_each(|chunk| writer.write(chunk.clone()).unwrap());
    let broadcast = stage.broadcast("live/me").await;
    stage.fragments(&broadcast, "video", 10).await;
    drop(ietf);
    stage.until_state(&broadcast, |state| matches!(state, State::Waiting { .. })).await;
    assert_eq!(stage::samples(&stage::sound(&broadcast, "video")), of(&[&groups[0][..10]]));
    beside.loses_nothing(&stage).await;
}

#[tokio::test]
async fn a_track_with_an_object_that_is_too_large_is_given_up_and_the_other_goes_on() {
    let limits = Limits { max_mdat: 200_000, ..Limits::default() };
    let stage = Stage::with(Settings { limits, ..Settings::default() }, Grant::Below(String::new()));
    let beside = Beside::new(&stage).await;
    two_tracks(&stage, Bytes::from(vec![0; 200_001])).await;
    beside.loses_nothing(&stage).await;
}

/// A session that pushes a broadcast of tracks, of each of which the first group has been taken.
async fn pushing(stage: &Stage, names: &[&str]) -> (Ietf, SubgroupsWriter, Vec<SubgroupsWriter>, Broadcast) {
    let video = media::video();
    let mut ietf = stage.ietf().await;
    let (mut tracks, mut reader) = ietf.namespace("live/me");
    let described: Vec<_> = names.iter().map(|name| (*name, video)).collect();
    let catalog = ietf_track(&mut tracks, "catalog", &object(&msf(&described)));
    let written = names.iter().map(|name| ietf_track(&mut tracks, name, &video.groups[..1])).collect();
    for name in ["catalog"].iter().chain(names) {
        ietf.push(&mut reader, name).await;
    }
    let broadcast = stage.broadcast("live/me").await;
    for name in ["video", "video-2"].iter().take(names.len()) {
        stage.fragments(&broadcast, name, 25).await;
    }
    (ietf, catalog, written, broadcast)
}

/// Writes objects of no bytes and of one until the session is ended for it. If only their bytes counted, they would not be too many.
async fn ended_for_objects_without_end(stage: &Stage, track: &mut SubgroupsWriter, broadcast: &Broadcast) {
    let mut endless = track.create(Subgroup { group_id: 1, subgroup_id: 0, priority: 127 }).unwrap();
    let sends = async {
        for id in 0..100_000 {
            if endless.write(Bytes::from_static(&[0][..id % 2])).is_err() {
                break;
            }
            if id % 100 == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        std::future::pending().await
    };
    tokio::select! {
        () = stage.until_state(broadcast, |state| matches!(state, State::Waiting { .. })) => {}
        () = sends => {}
    }
}

#[tokio::test]
async fn a_session_that_pushes_objects_of_no_bytes_without_end_is_ended() {
    let limits = Limits { max_mdat: 200_000, ..Limits::default() };
    let stage = Stage::with(Settings { limits, ..Settings::default() }, Grant::Below(String::new()));
    let beside = Beside::new(&stage).await;
    let (_ietf, _catalog, mut tracks, broadcast) = pushing(&stage, &["v"]).await;
    ended_for_objects_without_end(&stage, &mut tracks[0], &broadcast).await;
    assert_eq!(stage::samples(&stage::sound(&broadcast, "video")), of(&[&media::video().groups[0]]));
    beside.loses_nothing(&stage).await;
}

#[tokio::test]
async fn a_track_that_has_left_the_catalog_may_go_on_but_not_without_end() {
    let limits = Limits { max_mdat: 200_000, ..Limits::default() };
    let stage = Stage::with(Settings { limits, ..Settings::default() }, Grant::Below(String::new()));
    let beside = Beside::new(&stage).await;
    let (_ietf, mut catalog, mut tracks, broadcast) = pushing(&stage, &["stays", "leaves"]).await;
    let video = media::video();
    ietf_group(&mut catalog, 1, &object(&msf(&[("stays", video)]))[0]);
    let ended = stage.until(|| broadcast.tracks().into_iter().find(|track| track.is_ended())).await;
    let stays = if ended.name().as_str() == "video" { "video-2" } else { "video" };
    for (number, group) in (1..).zip(&video.groups[1..]) {
        ietf_group(&mut tracks[0], number, group);
    }
    assert_eq!(stage.samples(&broadcast, stays, 75).await, video.bytes());
    assert_eq!(broadcast.state(), State::Live);
    ended_for_objects_without_end(&stage, &mut tracks[1], &broadcast).await;
    assert_eq!(stage::samples(&ended.held()), of(&[&video.groups[0]]));
    beside.loses_nothing(&stage).await;
}

#[tokio::test]
async fn a_damaged_track_is_given_up_and_the_other_goes_on() {
    let stage = Stage::new();
    let beside = Beside::new(&stage).await;
    two_tracks(&stage, media::video().groups[1][0].slice(..300)).await;
    beside.loses_nothing(&stage).await;
}

/// Publishes two tracks; the first sends `bad` after its first group, and ends on the bus with it.
async fn two_tracks(stage: &Stage, bad: Bytes) {
    let video = media::video();
    let mut ietf = stage.ietf().await;
    let (mut tracks, reader) = ietf.namespace("live/me");
    let _catalog = ietf_track(&mut tracks, "catalog", &object(&msf(&[("good", video), ("bad", video)])));
    let mut good = ietf_track(&mut tracks, "good", &video.groups[..1]);
    let mut spoilt = ietf_track(&mut tracks, "bad", &video.groups[..1]);
    ietf.announce(reader);
    let broadcast = stage.broadcast("live/me").await;
    for name in ["video", "video-2"] {
        stage.fragments(&broadcast, name, 25).await;
    }
    ietf_group(&mut spoilt, 1, &[bad]);
    let ended = stage.until(|| broadcast.tracks().into_iter().find(|track| track.is_ended())).await;
    let other = if ended.name().as_str() == "video" { "video-2" } else { "video" };
    for (number, group) in (1..).zip(&video.groups[1..]) {
        ietf_group(&mut good, number, group);
    }
    assert_eq!(stage.samples(&broadcast, other, 75).await, video.bytes());
    assert_eq!(stage::samples(&ended.held()), of(&[&video.groups[0]]));
    assert_eq!(broadcast.state(), State::Live);
}

#[tokio::test]
async fn groups_that_end_in_the_middle_of_pictures_lose_nothing() {
    let stage = Stage::new();
    let beside = Beside::new(&stage).await;
    let (_ietf, _tracks, _catalog, mut track) = publisher(&stage, "live/me").await;
    // As of a publisher that ends the groups of all its tracks where one of them has a keyframe.
    let groups = &media::video().groups;
    let parts = groups.iter().flat_map(|group| [&group[..1], &group[1..]]);
    for (number, part) in (0..).zip(parts) {
        ietf_group(&mut track, number, part);
    }
    let broadcast = stage.broadcast("live/me").await;
    assert_eq!(stage.samples(&broadcast, "video", 75).await, media::video().bytes());
    beside.loses_nothing(&stage).await;
}

#[tokio::test]
async fn a_track_in_datagrams_is_not_taken_and_the_other_goes_on() {
    let stage = Stage::new();
    let beside = Beside::new(&stage).await;
    let video = media::video();
    let mut ietf = stage.ietf().await;
    let (mut tracks, reader) = ietf.namespace("live/me");
    let _catalog = ietf_track(&mut tracks, "catalog", &object(&msf(&[("streams", video), ("datagrams", video)])));
    let mut good = ietf_track(&mut tracks, "streams", &video.groups[..1]);
    let mut bad = tracks.create("datagrams").unwrap().datagrams().unwrap();
    ietf.announce(reader);
    let broadcast = stage.broadcast("live/me").await;
    stage.fragments(&broadcast, "video", 25).await;
    for object_id in 0..1_000 {
        let payload = Bytes::from(vec![0; 1_000]);
        let (status, extension_headers) = (ObjectStatus::NormalObject, ExtensionHeaders::default());
        let (group_id, priority, end_of_group) = (0, 127, false);
        bad.write(Datagram { group_id, object_id, priority, status, end_of_group, payload, extension_headers })
            .unwrap();
    }
    for (number, group) in (1..).zip(&video.groups[1..]) {
        ietf_group(&mut good, number, group);
    }
    assert_eq!(stage.samples(&broadcast, "video", 75).await, video.bytes());
    assert_eq!(broadcast.tracks().len(), 1, "{:?}", broadcast.tracks());
    beside.loses_nothing(&stage).await;
}

#[tokio::test]
async fn a_broadcast_without_a_catalog_that_can_be_read_is_given_up() {
    let stage = Stage::new();
    let beside = Beside::new(&stage).await;
    let mut ietf = stage.ietf().await;
    let (mut tracks, reader) = ietf.namespace("live/me");
    let garbage = [vec![Bytes::from_static(b"\xff\x00{")]];
    let _written = ["catalog", "catalog.json", ".catalog"].map(|name| ietf_track(&mut tracks, name, &garbage));
    ietf.announce(reader);
    let broadcast = stage.broadcast("live/me").await;
    stage.until_state(&broadcast, |state| matches!(state, State::Waiting { .. })).await;
    beside.loses_nothing(&stage).await;
}

#[tokio::test]
async fn a_change_of_the_catalog_that_cannot_be_read_changes_nothing() {
    let stage = Stage::new();
    let beside = Beside::new(&stage).await;
    let (_ietf, _tracks, mut catalog, mut track) = publisher(&stage, "live/me").await;
    let groups = &media::video().groups;
    ietf_group(&mut track, 0, &groups[0]);
    let broadcast = stage.broadcast("live/me").await;
    stage.fragments(&broadcast, "video", 25).await;
    let ended = broadcast.track("video").unwrap();
    ietf_group(&mut catalog, 1, &[Bytes::from_static(b"{\"tracks\": 5}")]);
    let odd = json!({"version": "draft-01", "tracks": [{"name": "x", "packaging": "cmaf", "initData": "AAAA"}]});
    let odd = &object(&odd)[0];
    let mut long = odd[0].to_vec();
    long.resize(2 << 20, b' ');
    ietf_group(&mut catalog, 2, &[Bytes::from(long)]);
    ietf_group(&mut catalog, 3, &object(&msf(&[("v", media::video())]))[0]);
    ietf_group(&mut track, 1, &groups[1]);
    stage.fragments(&broadcast, "video", 50).await;
    assert_eq!(ended.stats().fragments, 50, "it has not ended meanwhile");
    ietf_group(&mut catalog, 4, odd);
    // That one could be read, and the track is not in it: it has ended.
    stage.until(|| ended.is_ended().then_some(())).await;
    beside.loses_nothing(&stage).await;
}

#[tokio::test]
async fn a_stream_for_each_object_and_each_twice_is_read() {
    let stage = Stage::new();
    let beside = Beside::new(&stage).await;
    let (_ietf, _tracks, _catalog, mut track) = publisher(&stage, "live/me").await;
    let groups = &media::video().groups;
    let broadcast = stage.broadcast("live/me").await;
    // A stream for each object, twice.
    for group in 0..3u64 {
        for id in 0..25 {
            stream(&mut track, group, id, [id]);
            stream(&mut track, group, 100 + id, [id]);
            // The publisher's library keeps few streams of those that are not taken.
            stage.fragments(&broadcast, "video", (group * 25 + id + 1) as usize).await;
        }
    }
    assert_eq!(stage.samples(&broadcast, "video", 75).await, of(&[&groups[0], &groups[1], &groups[2]]));
    beside.loses_nothing(&stage).await;
}
