//! Publishers that go away and come back.

use millrace_ingest::moq::{Grant, Settings};
use millrace_media::Fragment;
use millrace_media::broadcast::State;
use std::time::Duration;

use crate::catalogs::{hang, msf, object};
use crate::media;
use crate::stage::{self, Net, Stage, ietf_track, net_group, net_track};

fn waits(state: State) -> bool {
    matches!(state, State::Waiting { .. })
}

/// Groups, objects and times go on in a new epoch.
fn goes_on(fragments: &[Fragment]) {
    let epochs: Vec<_> = fragments.iter().map(|fragment| fragment.place().epoch.0).collect();
    assert!(epochs.is_sorted() && *epochs.last().unwrap() == 1, "{epochs:?}");
    assert!(fragments.windows(2).all(|pair| pair[0].decode_time < pair[1].decode_time));
    assert!(fragments.windows(2).all(|pair| pair[0].place().group <= pair[1].place().group));
}

async fn publish(stage: &Stage) -> (Net, moq_net::broadcast::Producer, [moq_net::track::Producer; 3]) {
    let (video, audio) = (media::video(), media::audio("aac"));
    let net = stage.net().await;
    let published = net.broadcast("live/me");
    let tracks = [
        net_track(&published, "catalog.json", &object(&hang(video, &audio))),
        net_track(&published, "v", &video.groups),
        net_track(&published, "a", &audio.groups),
    ];
    published.announce(Default::default()).unwrap();
    (net, published, tracks)
}

#[tokio::test]
async fn a_publisher_of_moq_net_comes_back() {
    let stage = Stage::new();
    let first = publish(&stage).await;
    let broadcast = stage.broadcast("live/me").await;
    stage.fragments(&broadcast, "video", 75).await;
    drop(first);
    stage.until_state(&broadcast, waits).await;
    let _second = publish(&stage).await;
    goes_on(&stage.fragments(&broadcast, "video", 150).await);
    assert_eq!(broadcast.state(), State::Live);
    assert_eq!(broadcast.tracks().len(), 2, "the tracks have their names again");
}

#[tokio::test]
async fn an_announcement_is_taken_back() {
    let stage = Stage::new();
    let (net, published, tracks) = publish(&stage).await;
    let broadcast = stage.broadcast("live/me").await;
    stage.fragments(&broadcast, "video", 75).await;
    published.close();
    drop((published, tracks));
    stage.until_state(&broadcast, waits).await;
    drop(net);
}

#[tokio::test]
async fn an_announcement_is_taken_back_and_made_again_at_once() {
    let stage = Stage::new();
    let (_net, published, tracks) = publish(&stage).await;
    let broadcast = stage.broadcast("live/me").await;
    stage.fragments(&broadcast, "video", 75).await;
    published.unannounce();
    published.announce(Default::default()).unwrap();
    // At least the last group comes again.
    goes_on(&stage.fragments(&broadcast, "video", 100).await);
    for group in &media::video().later(3) {
        net_group(&tracks[1], group);
    }
    goes_on(&stage.fragments(&broadcast, "video", 175).await);
    assert_eq!(broadcast.state(), State::Live);
}

#[tokio::test]
async fn a_publisher_of_moq_transport_comes_back() {
    let (stage, video) = (Stage::new(), media::video());
    for run in 0..2 {
        let mut ietf = stage.ietf().await;
        let (mut tracks, reader) = ietf.namespace("live/me");
        let _written = [
            ietf_track(&mut tracks, "catalog", &object(&msf(&[("v", video)]))),
            ietf_track(&mut tracks, "v", &video.groups),
        ];
        ietf.announce(reader);
        let broadcast = stage.broadcast("live/me").await;
        let fragments = stage.fragments(&broadcast, "video", 75 * (run + 1)).await;
        if run == 1 {
            goes_on(&fragments);
        }
        drop(ietf);
        stage.until_state(&broadcast, waits).await;
    }
}

#[tokio::test]
async fn a_publisher_that_is_silent_gives_up_its_place_until_it_is_heard_again() {
    let settings = Settings { idle_timeout: Duration::from_millis(400), ..Settings::default() };
    let (stage, video) = (Stage::with(settings, Grant::Below(String::new())), media::video());
    let (_net, _published, tracks) = publish(&stage).await;
    let broadcast = stage.broadcast("live/me").await;
    stage.fragments(&broadcast, "video", 75).await;
    stage.until_state(&broadcast, waits).await;
    for group in &video.later(3) {
        net_group(&tracks[1], group);
    }
    goes_on(&stage.fragments(&broadcast, "video", 150).await);
}

#[tokio::test]
async fn time_that_is_set_anew_begins_an_epoch() {
    let (stage, video) = (Stage::new(), media::video());
    let (_net, _published, tracks) = publish(&stage).await;
    let broadcast = stage.broadcast("live/me").await;
    stage.fragments(&broadcast, "video", 75).await;
    for group in &video.groups {
        net_group(&tracks[1], group);
    }
    goes_on(&stage.fragments(&broadcast, "video", 150).await);
    assert_eq!(broadcast.state(), State::Live);
}

#[tokio::test]
async fn a_server_that_stops_ends_what_is_published() {
    let stage = Stage::new();
    let _published = publish(&stage).await;
    let broadcast = stage.broadcast("live/me").await;
    stage.fragments(&broadcast, "video", 75).await;
    stage.ingest.stop();
    assert!(matches!(broadcast.state(), State::Ended { .. }));
    assert_eq!(stage::samples(&broadcast.track("video").unwrap().held()), media::video().bytes());
}
