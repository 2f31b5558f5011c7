//! Names: who is told of them, and a relay to which they are announced.

use moq_transport::coding::{KeyValuePairs, TrackNamespace, TrackNamespacePrefix};
use moq_transport::serve::Track;
use moq_transport::session::NamespaceEvent;

use crate::peers::{Server, relayed};
use crate::source::{NAME, PICTURES, Source, newest};

#[tokio::test]
async fn a_client_is_told_of_names_as_they_come_and_go() {
    let mut source = Source::new();
    source.pictures(1);
    let server = Server::new(source.bus.clone());
    let mut client = server.transport().await;
    let prefix = TrackNamespacePrefix::from_utf8_path("live");
    let told = client.subscriber.subscribe_namespace(prefix, KeyValuePairs::default()).await.unwrap();
    told.ok().await.unwrap();
    let came = told.next().await.unwrap().unwrap();
    assert!(matches!(came, NamespaceEvent::Added(name) if name.to_utf8_path() == "/live/demo"));
    let rung = source.rung("180p");
    let came = told.next().await.unwrap().unwrap();
    assert!(matches!(came, NamespaceEvent::Added(name) if name.to_utf8_path() == "/live/demo/180p"));
    drop(rung);
    let went = told.next().await.unwrap().unwrap();
    assert!(matches!(went, NamespaceEvent::Removed(name) if name.to_utf8_path() == "/live/demo/180p"));
    source.finish();
    let went = told.next().await.unwrap().unwrap();
    assert!(matches!(went, NamespaceEvent::Removed(name) if name.to_utf8_path() == "/live/demo"));
}

#[tokio::test]
async fn a_relay_is_told_and_what_it_subscribes_to_is_served() {
    let mut source = Source::new();
    source.pictures(3);
    let server = Server::new(source.bus.clone());
    let (mut relay, _tasks) = relayed(server.moq.clone()).await;
    let mut announced = relay.published_namespace().await.unwrap();
    assert_eq!(announced.info.namespace, TrackNamespace::from_utf8_path(NAME));
    announced.ok().unwrap();
    let (writer, reader) = Track::new(TrackNamespace::from_utf8_path(NAME), "video").produce();
    let _subscription = relay.subscribe_open(writer).await.unwrap();
    let moq_transport::serve::TrackReaderMode::Subgroups(mut groups) = reader.mode().await.unwrap() else {
        panic!("no subgroups")
    };
    let mut group = groups.next().await.unwrap().unwrap();
    assert_eq!(group.info.group_id, newest(&source.track("video")).0);
    source.pictures(PICTURES - 3);
    for _ in 0..PICTURES {
        group.read_next().await.unwrap().unwrap();
    }
    let rung = source.rung("180p");
    let mut view = relay.published_namespace().await.unwrap();
    view.ok().unwrap();
    assert_eq!(view.info.namespace, TrackNamespace::from_utf8_path("live/demo/180p"));
    drop(rung);
    // It is taken back.
    let _ = view.closed().await;
}
