//! Joining in the middle: the whole newest group at once, and the bus's numbers and bytes from there on.

use millrace_media::calendar::Group;
use moq_net::track::Subscription;
use moq_transport::coding::{KeyValuePairs, TrackNamespace};
use moq_transport::serve::{ServeError, Track};

use crate::peers::{Server, read};
use crate::source::{NAME, PICTURES, Source, newest, objects};

/// Three groups, and six pictures of the fourth.
fn in_the_middle() -> Source {
    let mut source = Source::new();
    source.pictures(PICTURES * 3 + 6);
    source
}

#[tokio::test]
async fn a_client_of_moq_transport_has_the_newest_group_from_its_keyframe_and_then_the_next() {
    let mut source = in_the_middle();
    let server = Server::new(source.bus.clone());
    let mut client = server.transport().await;
    for name in ["video", "audio"] {
        let track = source.track(name);
        let group = newest(&track);
        let there = objects(&track, group);
        assert!(there.len() > 1, "{name}");
        let mut subscription = client.subscribe(NAME, name).await.unwrap();
        let largest = subscription.request.subscribe_ok().unwrap().params.largest_object().unwrap().unwrap();
        assert_eq!((largest.group_id, largest.object_id), (group.0, there.len() as u64 - 1));
        let (number, read) = subscription.read(there.len()).await;
        assert_eq!((number, read), (group.0, there), "{name}");
        source.pictures(PICTURES);
        let next = Group(group.0 + 1);
        let there = objects(&track, next);
        assert_eq!(subscription.read(there.len()).await, (next.0, there), "{name}");
    }
}

#[tokio::test]
async fn a_client_of_moq_net_has_the_newest_group_from_its_keyframe_and_then_the_next() {
    let mut source = in_the_middle();
    let server = Server::new(source.bus.clone());
    let client = server.net().await;
    for name in ["video", "audio"] {
        let track = source.track(name);
        let group = newest(&track);
        let there = objects(&track, group);
        let mut subscription = client.subscribe(NAME, name).await.unwrap();
        assert_eq!(read(&mut subscription, there.len()).await, (group.0, there), "{name}");
        source.pictures(PICTURES);
        let next = Group(group.0 + 1);
        let there = objects(&track, next);
        assert_eq!(read(&mut subscription, there.len()).await, (next.0, there), "{name}");
    }
}

#[tokio::test]
async fn one_who_comes_later_has_the_same_track_from_the_same_place() {
    let mut source = in_the_middle();
    let server = Server::new(source.bus.clone());
    let (first, second) = (server.net().await, server.net().await);
    let track = source.track("video");
    let mut early = first.subscribe(NAME, "video").await.unwrap();
    read(&mut early, 6).await;
    source.pictures(PICTURES);
    let group = newest(&track);
    let there = objects(&track, group);
    // One that does not ask for what is late has the newest.
    let consumer = second.broadcast(NAME).await.track("video").unwrap();
    let mut late = consumer.subscribe(Subscription::default()).await.unwrap();
    assert_eq!(read(&mut late, there.len()).await, (group.0, there.clone()));
    assert_eq!(read(&mut early, there.len()).await, (group.0, there));
}

#[tokio::test]
async fn a_rung_is_played_in_its_broadcast_and_as_a_view_with_its_sound_and_is_viewed_meanwhile() {
    let mut source = Source::new();
    let mut rung = source.rung("180p");
    for _ in 0..4 {
        let picture = source.picture();
        rung.follow(&picture);
    }
    let server = Server::new(source.bus.clone());
    let (mut transport, net) = (server.transport().await, server.net().await);
    let track = source.track("180p");
    let (group, there) = (newest(&track), objects(&track, newest(&track)));
    assert!(!track.is_viewed(std::time::Duration::ZERO));
    assert_eq!(group, newest(&source.track("video")), "its groups are the source's");
    for name in [NAME, "live/demo/180p"] {
        let mut subscription = transport.subscribe(name, "180p").await.unwrap();
        assert_eq!(subscription.read(4).await, (group.0, there.clone()), "{name}");
        assert!(track.is_viewed(std::time::Duration::ZERO));
        let mut subscription = net.subscribe(name, "180p").await.unwrap();
        assert_eq!(read(&mut subscription, 4).await, (group.0, there.clone()), "{name}");
    }
    assert!(transport.subscribe("live/demo/180p", "audio").await.is_ok());
    let other = transport.subscribe("live/demo/180p", "video").await.err();
    assert!(is_not_found(other), "the source's pictures are not in the view");
}

fn is_not_found(error: Option<ServeError>) -> bool {
    matches!(error, Some(ServeError::NotFound | ServeError::NotFoundWithId(..)))
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let source = in_the_middle();
    let server = Server::new(source.bus.clone());
    let (mut transport, net) = (server.transport().await, server.net().await);
    for (namespace, name) in
        [("live/other", "video"), (NAME, "vidéo"), (NAME, "picture"), ("live", "video"), ("live/demo/1", "x")]
    {
        let refused = transport.subscribe(namespace, name).await.err();
        assert!(is_not_found(refused), "{namespace} {name}");
    }
    assert!(net.subscribe(NAME, "picture").await.is_err());
    assert!(net.subscribe(NAME, "video").await.is_ok());
}

#[tokio::test]
async fn a_subscription_may_come_before_its_track() {
    let mut source = in_the_middle();
    let server = Server::new(source.bus.clone());
    let mut client = server.transport().await;
    let mut patient = KeyValuePairs::default();
    patient.set_rendezvous_timeout(30_000);
    let (writer, _reader) = Track::new(TrackNamespace::from_utf8_path(NAME), "180p").produce();
    let asked = client.subscriber.subscribe_start_with_params(writer, patient).await.unwrap();
    // By the time that this is answered, the server has that, too.
    assert!(is_not_found(client.subscribe(NAME, "picture").await.err()));
    assert!(asked.subscribe_ok().is_none(), "it is answered before there is anything");
    let mut rung = source.rung("180p");
    let picture = source.picture();
    rung.follow(&picture);
    asked.ok().await.unwrap();

    let mut hasty = KeyValuePairs::default();
    hasty.set_rendezvous_timeout(20);
    let refused = client.subscribe_with("live/other", "video", hasty).await.err();
    assert!(matches!(refused, Some(ServeError::Timeout)), "{refused:?}");
}
