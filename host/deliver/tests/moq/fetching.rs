//! FETCH: what was, out of the bus's window.

use std::time::Duration;

use millrace_media::bus;
use millrace_media::calendar::Group;
use millrace_media::track::Window;
use moq_transport::coding::{KeyValuePairs, Location, TrackNamespace};
use moq_transport::data::FetchRecord;
use moq_transport::message::{FetchType, FilterType, GroupOrder, StandaloneFetch, SubscriptionFilter};
use moq_transport::serve::ServeError;
use moq_transport::session::Fetch;

use crate::peers::{Server, object};
use crate::source::{NAME, Object, PICTURES, Source, newest, objects};

type Objects = Vec<((u64, u64), Object)>;

async fn all(fetch: &mut Fetch) -> Objects {
    let mut objects = Vec::new();
    while let Some(record) = fetch.next().await.unwrap() {
        let FetchRecord::Object(object) = record else { continue };
        let mut bytes = Vec::new();
        while let Some(chunk) = fetch.read_payload_chunk(1 << 20).await.unwrap() {
            bytes.extend_from_slice(&chunk);
        }
        objects.push(((object.group_id, object.object_id), Object(bytes)));
    }
    objects
}

fn range(name: &str, first: (u64, u64), end: (u64, u64)) -> StandaloneFetch {
    StandaloneFetch {
        track_namespace: TrackNamespace::from_utf8_path(NAME),
        track_name: name.into(),
        start_location: Location::new(first.0, first.1),
        end_location: Location::new(end.0, end.1),
    }
}

/// What comes next alone.
fn largest_object() -> KeyValuePairs {
    let mut parameters = KeyValuePairs::default();
    let filter =
        SubscriptionFilter { filter_type: FilterType::LargestObject, start_location: None, end_group_id: None };
    parameters.set_subscription_filter(&filter).unwrap();
    parameters
}

#[tokio::test]
async fn a_joining_fetch_brings_the_beginning_of_the_group_and_the_subscription_the_rest() {
    let mut source = Source::new();
    source.pictures(PICTURES + 4);
    let server = Server::new(source.bus.clone());
    let mut client = server.transport().await;
    let mut subscription = client.subscribe_with(NAME, "video", largest_object()).await.unwrap();
    let id = subscription.request.info.id;
    let fetch = client.subscriber.joining_fetch(FetchType::RelativeJoining, id, 0, KeyValuePairs::default());
    let mut fetch = fetch.await.unwrap();
    let track = source.track("video");
    let group = newest(&track).0;
    let there = objects(&track, Group(group));
    let beginning: Objects = there.into_iter().enumerate().map(|(n, bytes)| ((group, n as u64), bytes)).collect();
    assert_eq!(all(&mut fetch).await, beginning);
    let ok = fetch.ok().await.unwrap();
    assert_eq!((ok.end_location, ok.end_of_track), (Location::new(group, 4), false));
    source.pictures(6);
    let rest = objects(&track, Group(group)).split_off(4);
    assert_eq!(subscription.read(6).await, (group, rest));
}

#[tokio::test]
async fn a_joining_fetch_brings_the_catalog() {
    let mut source = Source::new();
    source.pictures(3);
    let server = Server::new(source.bus.clone());
    let mut client = server.transport().await;
    let mut subscription = client.subscribe_with(NAME, "catalog", largest_object()).await.unwrap();
    let id = subscription.request.info.id;
    // Another one comes before the first is fetched.
    let _rung = source.rung("180p");
    let (newer, objects) = subscription.read(1).await;
    let fetch = client.subscriber.joining_fetch(FetchType::RelativeJoining, id, 0, KeyValuePairs::default());
    let fetched = all(&mut fetch.await.unwrap()).await;
    let [((older, 0), first)] = fetched.as_slice() else { panic!("{fetched:?}") };
    assert!(*older < newer);
    let read =
        |text: &Object| moq_msf::Catalog::<()>::from_str(std::str::from_utf8(&text.0).unwrap()).unwrap().tracks.len();
    assert_eq!((read(first), read(&objects[0])), (2, 3));
}

#[tokio::test]
async fn a_range_is_fetched_in_either_order_and_no_farther_than_the_track_is() {
    let mut source = Source::new();
    source.pictures(PICTURES * 3 + 2);
    let server = Server::new(source.bus.clone());
    let mut client = server.transport().await;
    let track = source.track("video");
    let last = newest(&track).0;
    let asked = range("video", (last - 2, 8), (last + 5, 0));
    let mut fetch = client.subscriber.fetch(asked.clone(), KeyValuePairs::default()).await.unwrap();
    let fetched = all(&mut fetch).await;
    assert_eq!(fetch.ok().await.unwrap().end_location, Location::new(last, 2));
    assert_eq!(fetched.len(), 2 + 10 + 2);
    assert_eq!((fetched[0].0, fetched[13].0), ((last - 2, 8), (last, 1)));
    assert_eq!(
        fetched[2..12].iter().map(|(_, bytes)| bytes.clone()).collect::<Vec<_>>(),
        objects(&track, Group(last - 1))
    );
    let mut parameters = KeyValuePairs::default();
    parameters.set_group_order(GroupOrder::Descending);
    let mut fetch = client.subscriber.fetch(asked, parameters).await.unwrap();
    let numbers: Vec<_> = all(&mut fetch).await.into_iter().map(|(at, _)| at).collect();
    assert_eq!((numbers[0], numbers[13], numbers.len()), ((last, 0), (last - 2, 9), 14));
}

#[tokio::test]
async fn what_is_not_there_cannot_be_fetched() {
    let window = Window { duration: Duration::from_secs(1), bytes: u64::MAX };
    let mut source = Source::on(bus::Settings { window, ..bus::Settings::default() });
    let first = source.picture().place().group.0;
    source.pictures(PICTURES * 10);
    let last = newest(&source.track("video")).0;
    let server = Server::new(source.bus.clone());
    let mut client = server.transport().await;
    let cases = [
        (range("picture", (0, 0), (1, 0)), 0x10, "no such track"),
        (range("video", (last + 1, 0), (last + 2, 0)), 0x11, "not yet"),
        (range("video", (first, 0), (first, 0)), 0x11, "not any more"),
        (range("catalog", (0, 0), (1, 0)), 0x11, "no such edition"),
    ];
    for (asked, code, what) in cases {
        let fetch = client.subscriber.fetch(asked, KeyValuePairs::default()).await.unwrap();
        assert_eq!(fetch.ok().await.err(), Some(ServeError::Closed(code)), "{what}");
    }
    let fetch =
        client.subscriber.joining_fetch(FetchType::RelativeJoining, 4, 0, KeyValuePairs::default()).await.unwrap();
    assert_eq!(fetch.ok().await.err(), Some(ServeError::Closed(0x32)), "no such subscription");
}

#[tokio::test]
async fn moq_net_has_older_groups_from_the_bus() {
    let mut source = Source::new();
    source.pictures(PICTURES * 4);
    let server = Server::new(source.bus.clone());
    let client = server.net().await;
    let track = source.track("video");
    let old = newest(&track).0 - 2;
    let consumer = client.broadcast(NAME).await.track("video").unwrap();
    let mut group = consumer.fetch_group(old, None).await.unwrap();
    let mut fetched = Vec::new();
    while let Some(object) = object(&mut group).await {
        fetched.push(Object(object.to_vec()));
    }
    assert_eq!(fetched, objects(&track, Group(old)));
    assert!(consumer.fetch_group(old - 100, None).await.is_err());
}
