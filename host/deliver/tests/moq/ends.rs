//! What comes back, and what ends.

use std::time::Duration;

use millrace_media::bus;
use millrace_media::calendar::Group;

use crate::peers::{Server, object, read};
use crate::source::{NAME, PICTURES, Source, UNIX, newest, objects};

#[tokio::test]
async fn numbers_rise_when_a_publisher_comes_back_and_the_subscriptions_go_on() {
    let mut source = Source::new();
    source.pictures(PICTURES + 3);
    let server = Server::new(source.bus.clone());
    let (mut transport, net) = (server.transport().await, server.net().await);
    let mut first = transport.subscribe(NAME, "video").await.unwrap();
    let mut second = net.subscribe(NAME, "video").await.unwrap();
    let track = source.track("video");
    let before = newest(&track);
    assert_eq!(first.read(3).await.0, before.0);
    assert_eq!(read(&mut second, 3).await.0, before.0);
    source.returns();
    source.pictures(PICTURES);
    let after = newest(&track);
    assert_eq!(after, Group(before.0 + 1));
    let there = objects(&track, after);
    assert_eq!(first.read(there.len()).await, (after.0, there.clone()));
    assert_eq!(read(&mut second, there.len()).await, (after.0, there));
}

#[tokio::test]
async fn numbers_rise_when_the_server_is_started_again() {
    let mut before = Source::new();
    before.pictures(5 * PICTURES);
    let reached = newest(&before.track("video"));
    drop(before);
    // As long after as what was played took: ten pictures are 0.4 s.
    let mut after = Source::at(UNIX + Duration::from_secs(2), bus::Settings::default());
    after.pictures(1);
    let server = Server::new(after.bus.clone());
    let mut client = server.transport().await;
    let (group, _) = client.subscribe(NAME, "video").await.unwrap().read(1).await;
    assert!(group > reached.0, "{group} after {}", reached.0);
}

#[tokio::test]
async fn the_end_of_a_group_is_passed_on_before_the_next_begins() {
    let mut source = Source::new();
    source.pictures(3);
    let server = Server::new(source.bus.clone());
    let (mut transport, net) = (server.transport().await, server.net().await);
    let mut first = transport.subscribe(NAME, "video").await.unwrap();
    let mut second = net.subscribe(NAME, "video").await.unwrap();
    let (mut first_group, mut second_group) =
        (first.group().await.unwrap(), second.recv_group().await.unwrap().unwrap());
    source.video.as_mut().unwrap().producer.end_group();
    let mut counts = [0, 0];
    while first_group.read_next().await.unwrap().is_some() {
        counts[0] += 1;
    }
    while object(&mut second_group).await.is_some() {
        counts[1] += 1;
    }
    assert_eq!(counts, [3, 3]);
}

#[tokio::test]
async fn the_tracks_and_catalogs_of_a_broadcast_end_with_it() {
    let mut source = Source::new();
    source.pictures(3);
    let server = Server::new(source.bus.clone());
    let (mut transport, net) = (server.transport().await, server.net().await);
    let mut announced = net.origin.consume().announced();
    assert!(announced.next().await.unwrap().kind.is_active());
    let mut first = transport.subscribe(NAME, "video").await.unwrap();
    let mut second = net.subscribe(NAME, "video").await.unwrap();
    let mut catalog = transport.subscribe(NAME, "catalog").await.unwrap();
    let mut hang = net.subscribe(NAME, "catalog.json").await.unwrap();
    let (mut first_group, mut second_group) =
        (first.group().await.unwrap(), second.recv_group().await.unwrap().unwrap());
    assert!(catalog.group().await.is_some() && hang.recv_group().await.unwrap().is_some());
    source.picture();
    source.finish();

    let mut count = 0;
    while first_group.read_next().await.unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 4, "to the end of its last group");
    assert!(first.group().await.is_none());
    assert!(first.request.closed().await.is_err());
    assert_eq!(first.request.publish_done().unwrap().status_code, 2, "the track has ended");
    assert!(catalog.group().await.is_none());

    let mut count = 0;
    while object(&mut second_group).await.is_some() {
        count += 1;
    }
    assert_eq!(count, 4);
    assert!(second.recv_group().await.unwrap().is_none());
    assert!(hang.recv_group().await.unwrap().is_none());
    assert!(!announced.next().await.unwrap().kind.is_active(), "it is taken back");
    assert!(transport.subscribe(NAME, "audio").await.is_err());
}

#[tokio::test]
async fn a_view_ends_with_its_rung_and_its_sound_goes_on_elsewhere() {
    let mut source = Source::new();
    source.pictures(3);
    let rung = source.rung("180p");
    let server = Server::new(source.bus.clone());
    let mut client = server.transport().await;
    let mut viewed = client.subscribe("live/demo/180p", "audio").await.unwrap();
    let mut whole = client.subscribe(NAME, "audio").await.unwrap();
    assert!(viewed.group().await.is_some());
    drop(rung);
    assert!(viewed.group().await.is_none());
    source.pictures(PICTURES * 2);
    assert!(whole.group().await.is_some() && whole.group().await.is_some());
}

#[tokio::test]
async fn a_rung_is_not_viewed_any_more_when_its_last_subscriber_has_gone() {
    let mut source = Source::new();
    let mut rung = source.rung("180p");
    let picture = source.picture();
    rung.follow(&picture);
    let server = Server::new(source.bus.clone());
    let (mut transport, net) = (server.transport().await, server.net().await);
    let track = source.track("180p");
    let first = transport.subscribe(NAME, "180p").await.unwrap();
    let second = net.subscribe(NAME, "180p").await.unwrap();
    assert!(track.is_viewed(Duration::ZERO));
    first.request.unsubscribe().await;
    drop(second);
    // Who has just stopped has been seen at this moment of the clock.
    source.clock.advance(Duration::from_secs(1));
    while track.is_viewed(Duration::ZERO) {
        tokio::task::yield_now().await;
    }
}
