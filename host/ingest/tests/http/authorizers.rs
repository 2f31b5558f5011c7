//! Whoever decides about a broadcast does so before its media is read, may give it another name, and may change its mind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use millrace_ingest::http::Settings;
use millrace_media::access::{Answer, Attempt, Authorizer, NoAnswer, Verdict};
use millrace_media::broadcast::State;
use millrace_media::{Access, BroadcastName};

use crate::stage::{self, Stage};

/// Denies what has no key, publishes what has the key `other` as `live/other`, and allows the rest for a second at a time, until it is
/// closed.
#[derive(Default)]
struct Keys {
    closed: AtomicBool,
}

#[async_trait]
impl Authorizer for Keys {
    fn name(&self) -> &str {
        "keys"
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(5)
    }

    fn concerns(&self, broadcast: &BroadcastName) -> bool {
        broadcast.as_str() != "live/free"
    }

    async fn authorize(&self, attempt: Arc<Attempt>) -> Result<Answer, NoAnswer> {
        assert_eq!((attempt.action().as_str(), attempt.protocol()), ("publish", "http"));
        assert!(attempt.address().is_loopback());
        let key = attempt.query("key").or_else(|| attempt.header("x-key"));
        let verdict = match key.as_deref() {
            None => Verdict::Deny(format!("{} needs a key", attempt.broadcast())),
            Some(_) if self.closed.load(Ordering::SeqCst) => Verdict::Deny("the key has ended".to_owned()),
            Some("other") => Verdict::AllowAs(BroadcastName::new("live/other").unwrap()),
            Some(_) => Verdict::Allow,
        };
        Ok(Answer { verdict, expiry: Some(Duration::from_secs(1)) })
    }
}

async fn guarded() -> (Stage, Arc<Keys>) {
    let keys = Arc::new(Keys::default());
    let authorizers = Access::new(vec![keys.clone()]);
    (Stage::with(Settings { authorizers, ..Settings::default() }).await, keys)
}

#[tokio::test]
async fn a_denied_publisher_is_told_why_before_its_body_is_read() {
    let (stage, _) = guarded().await;
    let mut stream = stage::open(&stage, "live/me/stream.mp4").await;
    // Nothing of the body is sent, so that nothing of it can have been read.
    let (status, text) = stage::answer_now(&mut stream).await;
    assert_eq!((status, text.as_str()), (403, "live/me needs a key.\n"));
    let (status, text) = stage.put("live/me/manifest.mpd", b"").await;
    assert_eq!((status, text.as_str()), (403, "live/me needs a key.\n"));
    assert_eq!(stage.delete("live/me").await.0, 403);
    assert!(stage.bus.broadcasts().is_empty());
    let (header, media) = stage::one_second();
    assert_eq!(
        stage.put("live/free/stream.mp4", &[header.clone(), media].concat()).await.0,
        200,
        "it does not concern it"
    );
    let head = "PUT /ingest/live/me/stream.mp4 HTTP/1.1\r\nX-Key: a";
    assert_eq!(stage.request(head, &header).await.0, 200, "by a header");
    let long = format!("PUT /ingest/live/me/stream.mp4 HTTP/1.1\r\nX-Key: {}", "a".repeat(9 << 10));
    assert_eq!(stage.request(&long, &header).await.0, 431);
}

#[tokio::test]
async fn what_is_allowed_under_another_name_is_published_there() {
    let (stage, _) = guarded().await;
    let (header, media) = stage::one_second();
    assert_eq!(stage.put("live/me/init.mp4?key=other", &header).await.0, 200);
    assert_eq!(stage.put("live/me/index0.m4s?key=other", &media).await.0, 200);
    let broadcast = stage.broadcast("live/other").await;
    assert_eq!(broadcast.track("video").unwrap().stats().fragments, 5);
    assert_eq!(stage.bus.broadcasts().len(), 1);
    assert_eq!(stage.delete("live/me?key=other").await.0, 200);
    assert!(matches!(broadcast.state(), State::Ended { .. }));
}

#[tokio::test]
async fn a_publisher_that_is_no_longer_allowed_is_cut_off_and_its_broadcast_waits() {
    let (stage, keys) = guarded().await;
    let (header, media) = stage::one_second();
    let mut stream = stage::open(&stage, "live/me/stream.mp4?key=a").await;
    let mut beside = stage::open(&stage, "live/free/stream.mp4").await;
    for stream in [&mut stream, &mut beside] {
        stage::send(stream, &header).await;
        stage::send(stream, &media).await;
    }
    let broadcast = stage.broadcast("live/me").await;
    stage.until(|| broadcast.track("video").filter(|track| track.stats().fragments == 5)).await;
    keys.closed.store(true, Ordering::SeqCst);
    let (status, text) = stage::answer_now(&mut stream).await;
    assert_eq!((status, text.as_str()), (403, "the key has ended.\n"));
    assert!(matches!(broadcast.state(), State::Waiting { .. }), "{:?}", broadcast.state());
    let (status, text) = stage.put("live/me/stream.mp4?key=a", &header).await;
    assert_eq!((status, text.as_str()), (403, "the key has ended.\n"));
    let free = stage.broadcast("live/free").await;
    assert_eq!(free.state(), State::Live);
    stage::send(&mut beside, &stage::later(&media, 1, &[12_800])).await;
    stage.until(|| free.track("video").filter(|track| track.stats().fragments == 10)).await;
}
