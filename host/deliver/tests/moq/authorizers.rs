//! Who may play: what a client may not play is neither told nor served, and what it may no longer play ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use millrace_deliver::moq::Settings;
use millrace_media::access::{Answer, Attempt, Authorizer, NoAnswer, Verdict};
use millrace_media::track::Producer;
use millrace_media::{Access, BroadcastName, Publisher};
use millrace_moq::Limits;
use moq_transport::coding::{KeyValuePairs, TrackNamespacePrefix};
use moq_transport::message::RequestErrorCode;
use moq_transport::serve::ServeError;
use moq_transport::session::NamespaceEvent;

use crate::peers::{Server, read};
use crate::source::{NAME, PICTURES, Source, newest, objects, track};

/// Denies `live/secret`, plays `live/demo` under the name `live/key`, and allows `live/demo` until it is closed.
#[derive(Default)]
struct Names {
    closed: AtomicBool,
}

#[async_trait]
impl Authorizer for Names {
    fn name(&self) -> &str {
        "names"
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(5)
    }

    fn concerns(&self, _: &BroadcastName) -> bool {
        true
    }

    async fn authorize(&self, attempt: Arc<Attempt>) -> Result<Answer, NoAnswer> {
        assert_eq!((attempt.action().as_str(), attempt.protocol()), ("play", "moq"));
        assert!(attempt.address().is_loopback());
        if self.closed.load(Ordering::SeqCst) {
            // Longer than a fragment takes to come.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let verdict = match attempt.broadcast().as_str() {
            NAME if self.closed.load(Ordering::SeqCst) => Verdict::Deny("it is over".to_owned()),
            "live/secret" => Verdict::Deny("it is secret".to_owned()),
            "live/key" => Verdict::AllowAs(BroadcastName::new(NAME).unwrap()),
            _ => Verdict::Allow,
        };
        Ok(Answer { verdict, expiry: Some(Duration::from_secs(1)) })
    }
}

/// A broadcast with a track, of which nothing comes.
fn silent(source: &Source, name: &str) -> (Publisher, Producer) {
    let publisher = source.bus.publish(&BroadcastName::new(name).unwrap()).unwrap();
    let info = source.track("video").info().unwrap();
    let producer = publisher.create_track(track("video"), (*info).clone()).unwrap();
    (publisher, producer)
}

fn guarded(source: &Source) -> (Server, Arc<Names>) {
    let names = Arc::new(Names::default());
    let access = Access::new(vec![names.clone()]);
    (Server::guarded(source.bus.clone(), Settings::default(), Limits::default(), access), names)
}

fn is_unauthorized(error: Option<ServeError>) -> bool {
    matches!(error, Some(ServeError::Closed(code)) if code == RequestErrorCode::Unauthorized as u64)
}

#[tokio::test]
async fn a_client_of_moq_transport_has_what_it_may_for_as_long_as_it_may() {
    let mut source = Source::new();
    source.pictures(3);
    let _beside = [silent(&source, "live/secret"), silent(&source, "live/free")];
    let _rung = source.rung("180p");
    let (server, names) = guarded(&source);
    let mut client = server.transport().await;
    for (name, track) in [("live/secret", "catalog"), ("live/secret", "video")] {
        let refused = client.subscribe(name, track).await.err();
        assert!(is_unauthorized(refused.clone()), "{name} {track}: {refused:?}");
    }

    let prefix = TrackNamespacePrefix::from_utf8_path("live");
    let told = client.subscriber.subscribe_namespace(prefix, KeyValuePairs::default()).await.unwrap();
    told.ok().await.unwrap();
    let mut namespaces = Vec::new();
    for _ in 0..3 {
        let NamespaceEvent::Added(name) = told.next().await.unwrap().unwrap() else { panic!("one has gone") };
        namespaces.push(name.to_utf8_path());
    }
    namespaces.sort();
    assert_eq!(namespaces, ["/live/demo", "/live/demo/180p", "/live/free"]);

    let there = objects(&source.track("video"), newest(&source.track("video")));
    let mut playing = Vec::new();
    for name in [NAME, "live/key"] {
        let mut subscription = client.subscribe(name, "video").await.unwrap();
        let mut group = subscription.group().await.unwrap();
        for object in &there {
            assert_eq!(group.read_next().await.unwrap().unwrap(), object.0, "{name}");
        }
        playing.push((subscription, group));
    }
    let mut view = client.subscribe("live/demo/180p", "catalog").await.unwrap();
    view.read(1).await;

    names.closed.store(true, Ordering::SeqCst);
    let (mut ended, _group) = playing.remove(0);
    let end = {
        let mut closed = std::pin::pin!(ended.request.closed());
        loop {
            tokio::select! {
                end = &mut closed => break end,
                () = tokio::time::sleep(Duration::from_millis(10)) => drop(source.picture()),
            }
        }
    };
    assert!(is_unauthorized(end.err()), "its end has the code");
    while ended.group().await.is_some() {}
    assert!(is_unauthorized(view.request.closed().await.err()), "so does the view of it");
    assert!(is_unauthorized(client.subscribe(NAME, "catalog").await.err()));
    // What else the session plays goes on.
    source.pictures(2 * PICTURES);
    let reached = newest(&source.track("video")).0;
    while playing[0].0.group().await.unwrap().info.group_id < reached {}
    client.subscribe("live/free", "catalog").await.unwrap();
}

#[tokio::test]
async fn a_client_of_moq_net_is_offered_what_it_may_play_and_its_session_ends_with_that() {
    let mut source = Source::new();
    source.pictures(3);
    let beside = [silent(&source, "live/secret"), silent(&source, "live/free")];
    let (server, names) = guarded(&source);
    let client = server.net().await;
    let mut announced = client.origin.consume().announced();
    let mut offered = Vec::new();
    while offered.len() < 2 {
        let update = announced.next().await.unwrap();
        assert!(update.kind.is_active());
        offered.push(update.prefix.to_string());
    }
    offered.sort();
    assert_eq!(offered, [NAME, "live/free"]);
    let mut subscription = client.subscribe(NAME, "video").await.unwrap();
    let there = objects(&source.track("video"), newest(&source.track("video")));
    assert_eq!(read(&mut subscription, there.len()).await.1, there);
    // One that comes later, and one that goes.
    let late = silent(&source, "live/late");
    let update = announced.next().await.unwrap();
    assert_eq!((update.prefix.to_string().as_str(), update.kind.is_active()), ("live/late", true));
    late.0.finish();
    drop(late.1);
    let update = announced.next().await.unwrap();
    assert_eq!((update.prefix.to_string().as_str(), update.kind.is_active()), ("live/late", false));
    assert!(client.origin.consume().request_broadcast("live/secret").await.is_err());

    assert_eq!(server.sessions(), 1);
    names.closed.store(true, Ordering::SeqCst);
    while subscription.recv_group().await.is_ok_and(|group| group.is_some()) {}
    while server.sessions() > 0 {
        tokio::task::yield_now().await;
    }
    drop(beside);
}

#[tokio::test]
async fn a_client_of_moq_net_that_plays_something_else_keeps_its_session() {
    let mut source = Source::new();
    source.pictures(3);
    let _beside = silent(&source, "live/free");
    let (server, names) = guarded(&source);
    let client = server.net().await;
    let mut catalog = client.subscribe("live/free", "catalog.json").await.unwrap();
    read(&mut catalog, 1).await;
    client.broadcast(NAME).await;
    let mut announced = client.origin.consume().announced();
    names.closed.store(true, Ordering::SeqCst);
    loop {
        let update = announced.next().await.unwrap();
        if update.prefix.to_string() == NAME && !update.kind.is_active() {
            break;
        }
    }
    client.subscribe("live/free", "catalog.json").await.unwrap();
    assert_eq!(server.sessions(), 1);
}
