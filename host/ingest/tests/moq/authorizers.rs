//! Whoever decides about a broadcast may deny it, give it another name, and change its mind; what is beside it loses nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use millrace_ingest::moq::{Grant, Settings};
use millrace_media::access::{Answer, Attempt, Authorizer, NoAnswer, Verdict};
use millrace_media::broadcast::State;
use millrace_media::{Access, BroadcastName};
use moq_transport::message::RequestErrorCode;
use moq_transport::serve::ServeError;
use moq_transport::session::SessionError;

use crate::catalogs::{hang, msf, object};
use crate::media;
use crate::stage::{Stage, ietf_group, ietf_track, net_group, net_track, within};

/// Denies what lies below `secret`, publishes `key` as `live/other`, and allows `live/me` until it is closed.
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
        assert_eq!((attempt.action().as_str(), attempt.protocol()), ("publish", "moq"));
        assert!(attempt.header("host").is_some_and(|host| host.starts_with("127.0.0.1:")));
        let verdict = match attempt.broadcast().as_str() {
            "key" => Verdict::AllowAs(BroadcastName::new("live/other").unwrap()),
            "live/me" if self.closed.load(Ordering::SeqCst) => Verdict::Deny("it is over".to_owned()),
            name if name.starts_with("secret") => Verdict::Deny("it is secret".to_owned()),
            _ => Verdict::Allow,
        };
        Ok(Answer { verdict, expiry: Some(Duration::from_secs(1)) })
    }
}

fn guarded() -> (Stage, Arc<Names>) {
    let names = Arc::new(Names::default());
    let access = Access::new(vec![names.clone()]);
    (Stage::guarded(Settings::default(), Grant::Below(String::new()), access), names)
}

#[tokio::test]
async fn moq_transport_is_told_and_renamed_and_ended() {
    let (stage, names) = guarded();
    let video = media::video();
    let mut peer = stage.ietf().await;
    let (_secret, reader) = peer.namespace("secret/a");
    let error = within(peer.publisher.publish_namespace(reader)).await.unwrap_err();
    let SessionError::Serve(ServeError::Closed(code)) = &error else { panic!("{error}") };
    assert_eq!(*code, RequestErrorCode::Unauthorized as u64);

    let (mut tracks, reader) = peer.namespace("key");
    let mut beside = [
        ietf_track(&mut tracks, "catalog", &object(&msf(&[("v", video)]))),
        ietf_track(&mut tracks, "v", &video.groups[..1]),
    ];
    peer.announce(reader);
    let other = stage.broadcast("live/other").await;
    stage.fragments(&other, "video", 25).await;

    let (mut tracks, reader) = peer.namespace("live/me");
    let _written = [
        ietf_track(&mut tracks, "catalog", &object(&msf(&[("v", video)]))),
        ietf_track(&mut tracks, "v", &video.groups[..1]),
    ];
    peer.announce(reader);
    let broadcast = stage.broadcast("live/me").await;
    stage.fragments(&broadcast, "video", 25).await;
    names.closed.store(true, Ordering::SeqCst);
    stage.until_state(&broadcast, |state| matches!(state, State::Waiting { .. })).await;
    // The session goes on, and what else it publishes.
    for (number, group) in (1..).zip(&video.groups[1..]) {
        ietf_group(&mut beside[1], number, group);
    }
    let v = video.bytes();
    assert_eq!(stage.samples(&other, "video", v.len()).await, v);
    assert!(stage.bus.broadcast(&BroadcastName::new("secret/a").unwrap()).is_none());
}

#[tokio::test]
async fn moq_net_is_renamed_and_ended() {
    let (stage, names) = guarded();
    let (video, audio) = (media::video(), media::audio("aac"));
    let peer = stage.net().await;
    let mut kept = Vec::new();
    for (path, groups) in [("secret/a", 1), ("key", 1), ("live/me", 1)] {
        let broadcast = peer.broadcast(path);
        let tracks = [
            net_track(&broadcast, "catalog.json", &object(&hang(video, &audio))),
            net_track(&broadcast, "v", &video.groups[..groups]),
            net_track(&broadcast, "a", &audio.groups[..groups]),
        ];
        broadcast.announce(Default::default()).unwrap();
        kept.push((broadcast, tracks));
    }
    let other = stage.broadcast("live/other").await;
    let broadcast = stage.broadcast("live/me").await;
    stage.fragments(&broadcast, "video", 25).await;
    names.closed.store(true, Ordering::SeqCst);
    stage.until_state(&broadcast, |state| matches!(state, State::Waiting { .. })).await;
    video.groups[1..].iter().for_each(|group| net_group(&kept[1].1[1], group));
    stage.fragments(&other, "video", video.bytes().len()).await;
    assert!(stage.bus.broadcast(&BroadcastName::new("secret/a").unwrap()).is_none());
}
