//! Subscribers who ask for too much, and who take nothing.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use millrace_deliver::moq::Settings;
use millrace_media::bus;
use millrace_media::calendar::Group;
use millrace_media::track::Window;
use millrace_moq::Limits;
use moq_net::group::MAX_GROUP_FRAMES;
use moq_transport::coding::TrackNamespace;
use moq_transport::serve::{ServeError, Track};

use crate::peers::{Server, object, read};
use crate::source::{NAME, Object, PICTURES, Source, newest, objects};

#[tokio::test]
async fn ten_thousand_subscriptions_are_refused_and_a_healthy_subscriber_loses_nothing() {
    let mut source = Source::new();
    source.pictures(3);
    let server = Server::with(source.bus.clone(), Settings { max_subscriptions: 2 }, Limits::default());
    let (mut greedy, mut healthy) = (server.transport().await, server.transport().await);
    let mut watching = healthy.subscribe(NAME, "video").await.unwrap();
    let _first = greedy.subscribe(NAME, "video").await.unwrap();
    let second = greedy.subscribe(NAME, "audio").await.unwrap();
    let track = source.track("video");
    let mut group = newest(&track);
    assert_eq!(watching.read(3).await.0, group.0);
    source.pictures(PICTURES - 3);
    for n in 0..10_000 {
        let (writer, _reader) = Track::new(TrackNamespace::from_utf8_path(NAME), format!("catalog{}", n % 2)).produce();
        assert_eq!(greedy.subscriber.subscribe_open(writer).await.err(), Some(ServeError::Closed(9)), "{n}");
        if n % 1_000 == 0 {
            source.pictures(PICTURES);
            group = Group(group.0 + 1);
            assert_eq!(watching.read(10).await, (group.0, objects(&track, group)));
        }
    }
    second.request.unsubscribe().await;
    // Its place is free again as soon as the server has heard of it.
    while greedy.subscribe(NAME, "catalog").await.is_err() {}
}

/// A fragment's memory, to see when it is given back.
fn watched(source: &mut Source) -> Weak<Vec<u8>> {
    struct Kept(Arc<Vec<u8>>);
    impl AsRef<[u8]> for Kept {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    let memory = Arc::new(vec![7; 5_000]);
    let weak = Arc::downgrade(&memory);
    source.given(Bytes::from_owner(Kept(memory)));
    weak
}

/// A client that reads nothing: its windows are as small as QUIC has them, and what comes fills them.
fn closed() -> Limits {
    Limits { receive_window: 20_000, stream_receive_window: 10_000, ..Limits::default() }
}

#[tokio::test]
async fn one_who_never_reads_holds_no_memory_and_disturbs_nobody() {
    let window = Window { duration: Duration::from_secs(1), bytes: u64::MAX };
    let mut source = Source::on(bus::Settings { window, ..bus::Settings::default() });
    // Longer than anything here lasts: memory is given back before it has run out.
    let limits = Limits { patience: Duration::from_secs(60), ..Limits::default() };
    let server = Server::with(source.bus.clone(), Settings::default(), limits);
    let (mut stuck, mut healthy) = (server.transport_with(closed()).await, server.transport().await);
    let (stuck_net, healthy_net) = (server.net_with(closed()).await, server.net().await);
    source.pictures(1);
    let mut watching = healthy.subscribe(NAME, "video").await.unwrap();
    let mut watching_net = healthy_net.subscribe(NAME, "video").await.unwrap();
    let _held = stuck.subscribe(NAME, "video").await.unwrap();
    let _held_net = stuck_net.subscribe(NAME, "video").await.unwrap();
    stuck.task.stop();
    stuck_net.task.stop();

    let track = source.track("video");
    source.size = 20_000;
    // More than it takes of a stream comes first.
    source.pictures(3);
    let memory = watched(&mut source);
    source.pictures(PICTURES - 5);
    watching.read(PICTURES as usize).await;
    read(&mut watching_net, PICTURES as usize).await;
    let mut groups = 0;
    while memory.strong_count() > 0 {
        source.pictures(PICTURES);
        let group = newest(&track);
        assert_eq!(watching.read(PICTURES as usize).await, (group.0, objects(&track, group)));
        assert_eq!(read(&mut watching_net, PICTURES as usize).await, (group.0, objects(&track, group)));
        groups += 1;
        assert!(groups < 20, "the bus has let it go, and it is still held");
    }
    assert_eq!(server.sessions(), 4, "nobody was thrown out");
}

#[tokio::test]
async fn one_who_pauses_keeps_the_beginning_of_its_group_and_goes_on_with_a_later_one() {
    let mut source = Source::new();
    let patience = Duration::from_millis(300);
    let limits = Limits { patience, ..Limits::default() };
    let server = Server::with(source.bus.clone(), Settings::default(), limits);
    let (mut slow, mut healthy) = (server.transport_with(closed()).await, server.transport().await);
    source.pictures(3);
    let mut watching = healthy.subscribe(NAME, "video").await.unwrap();
    let mut late = slow.subscribe(NAME, "video").await.unwrap();
    let track = source.track("video");
    let cut = newest(&track);
    let mut group = late.group().await.unwrap();
    let mut beginning = Vec::new();
    for _ in 0..3 {
        beginning.push(Object(group.read_next().await.unwrap().unwrap().to_vec()));
    }
    slow.task.stop();
    source.size = 20_000;
    source.pictures(PICTURES - 3);
    let whole = objects(&track, cut);
    assert_eq!(watching.read(PICTURES as usize).await, (cut.0, whole.clone()));
    tokio::time::sleep(4 * patience).await;
    source.size = 1_000;
    source.pictures(PICTURES);
    slow.task.go_on();
    let ended = loop {
        match group.read_next().await {
            Ok(Some(object)) => beginning.push(Object(object.to_vec())),
            other => break other,
        }
    };
    assert!(ended.is_err(), "it does not pass for whole: {ended:?}");
    assert!(beginning.len() < whole.len() && whole.starts_with(&beginning), "{beginning:?} of {whole:?}");
    let next = newest(&track);
    assert_eq!(late.read(PICTURES as usize).await, (next.0, objects(&track, next)));
    assert_eq!(watching.read(PICTURES as usize).await.0, next.0);
}

#[tokio::test]
async fn a_group_longer_than_the_window_ends_early_and_the_next_is_whole() {
    let window = Window { duration: Duration::from_secs(60), bytes: 30_000 };
    let mut source = Source::on(bus::Settings { window, ..bus::Settings::default() });
    let server = Server::new(source.bus.clone());
    let mut client = server.transport().await;
    source.pictures(1);
    let mut subscription = client.subscribe(NAME, "video").await.unwrap();
    let track = source.track("video");
    let long = newest(&track);
    source.size = 10_000;
    let mut group = subscription.group().await.unwrap();
    group.read_next().await.unwrap().unwrap();
    for _ in 0..6 {
        source.picture();
        tokio::task::yield_now().await;
    }
    // A beginning, and then not the group's end.
    let ended = loop {
        match group.read_next().await {
            Ok(Some(_)) => {}
            other => break other,
        }
    };
    assert!(ended.is_err(), "{ended:?}");
    source.size = 1_000;
    source.pictures(PICTURES - 7);
    source.pictures(1);
    let (next, there) = subscription.read(1).await;
    assert_eq!((next, there), (long.0 + 1, objects(&track, Group(long.0 + 1))));
}

#[tokio::test]
async fn a_group_longer_than_moq_net_takes_ends_early_and_the_next_is_whole() {
    let mut source = Source::new();
    source.audio = None;
    let server = Server::new(source.bus.clone());
    let client = server.net().await;
    source.picture();
    let mut subscription = client.subscribe(NAME, "video").await.unwrap();
    let track = source.track("video");
    let long = newest(&track);
    let mut group = subscription.recv_group().await.unwrap().unwrap();
    assert_eq!(Object(object(&mut group).await.unwrap().to_vec()), objects(&track, long)[0]);
    for _ in 0..MAX_GROUP_FRAMES + 100 {
        source.given(Bytes::from_static(b"a picture"));
        tokio::task::yield_now().await;
    }
    while !source.picture().starts_group() {}
    let next = newest(&track);
    assert_eq!(next.0, long.0 + 1);
    assert_eq!(read(&mut subscription, 1).await, (next.0, objects(&track, next)));
    // What there was of it was its beginning, and nobody takes it for the whole.
    while let Some(mut frame) = group.next_frame().await.transpose() {
        match &mut frame {
            Ok(frame) => drop(frame.read_all().await),
            Err(_) => return,
        }
    }
    panic!("it is not complete");
}
