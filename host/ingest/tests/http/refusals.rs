//! What cannot be taken is answered with a status and a sentence, and a healthy stream beside it loses nothing.

use std::sync::Arc;
use std::time::Duration;

use axum::http::request::Parts;
use millrace_cmaf::Limits;
use millrace_ingest::Grant;
use millrace_ingest::http::{Access, Denied, Settings};
use millrace_media::BroadcastName;
use millrace_media::broadcast::State;

use crate::stage::{self, ENDLESS, Stage};

/// Where a box's name stands.
fn find(bytes: &[u8], name: &[u8; 4]) -> usize {
    bytes.windows(4).position(|window| window == name).unwrap()
}

/// A request that is refused, with its status and a part of the sentence.
async fn refused(stage: &Stage, path: &str, body: &[u8], status: u16, sentence: &str) {
    let (given, text) = stage.put(path, body).await;
    assert_eq!(given, status, "{path}: {text}");
    assert!(text.contains(sentence), "{path}: {text}");
}

#[tokio::test]
async fn bad_input_harms_nobody_else() {
    let limits = Limits { max_mdat: 1 << 20, ..Limits::default() };
    let stage = Stage::with(Settings { limits, ..Settings::default() }).await;
    let file = stage::file("aac");
    let healthy = stage.push(&format!("-readrate 1.5 -i {file}"), ENDLESS, "live/healthy/stream.mp4");
    stage.broadcast("live/healthy").await;
    let (header, media) = stage::one_second();

    refused(&stage, "stream.mp4", &header, 403, "names no broadcast").await;
    refused(&stage, "live/b@d/stream.mp4", &header, 403, "'@'").await;
    refused(&stage, "live/bad/stream.mp4", b"GIF89a and so on, for a while", 415, "not MP4").await;
    refused(&stage, "live/bad/manifest.mpd", b"GIF89a", 400, "not XML").await;
    refused(&stage, "live/bad/index.m3u8", b"GIF89a", 400, "#EXTM3U").await;
    refused(&stage, "live/bad/manifest.mpd", &vec![b' '; (1 << 20) + 1], 413, "longer than").await;
    refused(&stage, "live/bad/stream.mp4", &media, 412, "before a header").await;
    refused(&stage, "live/bad/chunk-stream0-00001.m4s", &media, 412, "before a header").await;

    let mpeg4 = stage::made("-f lavfi -i testsrc2=size=64x64 -t 1 -c:v mpeg4 -movflags +cmaf+frag_keyframe");
    refused(&stage, "live/bad/stream.mp4", &mpeg4, 415, "mp4v").await;

    let html = "PUT /ingest/live/bad/stream.mp4 HTTP/1.1\r\nContent-Type: text/html; charset=utf-8";
    let (status, text) = stage.request(html, &header).await;
    assert!(status == 415 && text.contains("text/html"), "{status} {text}");

    let whole = [header.clone(), media.clone()].concat();
    refused(&stage, "live/bad/cut/stream.mp4", &whole[..header.len() + media.len() / 3], 400, "ends inside").await;

    let mut huge = whole.clone();
    let at = header.len() + find(&media, b"mdat");
    huge[at - 4..at].copy_from_slice(&0x7fff_ffffu32.to_be_bytes());
    refused(&stage, "live/bad/huge/stream.mp4", &huge, 413, "longer than the limit").await;

    let mut many = whole.clone();
    let at = header.len() + find(&media, b"trun") + 8;
    many[at..at + 4].copy_from_slice(&u32::MAX.to_be_bytes());
    refused(&stage, "live/bad/many/stream.mp4", &many, 413, "4294967295 samples").await;

    let (status, text) = stage.request("DELETE /ingest/live/bad/nobody/manifest.mpd HTTP/1.1", b"").await;
    assert!(status == 404 && text.contains("live/bad/nobody"), "{status} {text}");

    // An empty request only asks, and what was refused before anything of it was understood has published nothing.
    assert_eq!(stage.put("live/bad/stream.mp4", b"").await.0, 200);
    assert!(
        stage.bus.broadcasts().iter().all(|known| known.name().as_str() != "live/bad" || known.tracks().is_empty())
    );

    assert!(stage::within(healthy.wait_with_output()).await.unwrap().status.success());
    let broadcast = stage.broadcast("live/healthy").await;
    stage.until_gone(&broadcast).await;
    stage::same(&stage::sound(&broadcast, "video").1, &file, "v");
    stage::same(&stage::sound(&broadcast, "audio").1, &file, "a");
}

/// Lets whoever knows the word publish below `live/me`.
#[derive(Debug)]
struct ByWord;

impl Access for ByWord {
    fn grant(&self, request: &Parts) -> Result<Grant, Denied> {
        let is_known = request.uri.query() == Some("word");
        if is_known { Ok(Grant::Below("live/me".into())) } else { Err(Denied("say the word".into())) }
    }
}

#[tokio::test]
async fn nobody_publishes_or_ends_what_is_not_granted() {
    let stage = Stage::with(Settings { access: Arc::new(ByWord), ..Settings::default() }).await;
    let (header, _) = stage::one_second();
    refused(&stage, "live/me/stream.mp4", &header, 403, "say the word").await;
    refused(&stage, "live/you/stream.mp4?word", &header, 403, "may publish live/me and what lies below it").await;
    assert!(stage.bus.broadcasts().is_empty());
    for path in ["live/me/stream.mp4?word", "live/me/too/stream.mp4?word"] {
        assert_eq!(stage.put(path, &header).await.0, 200, "{path}");
    }
    let broadcast = stage.broadcast("live/me").await;
    for path in ["live/me", "live/you?word"] {
        assert_eq!(stage.delete(path).await.0, 403, "{path}");
    }
    assert_eq!(broadcast.state(), State::Live);
    assert_eq!(stage.delete("live/me?word").await.0, 200);
    assert!(matches!(broadcast.state(), State::Ended { .. }), "{:?}", broadcast.state());
}

#[tokio::test]
async fn a_broadcast_that_waits_for_its_publisher_can_be_ended() {
    let stage = Stage::new().await;
    let (header, media) = stage::one_second();
    let mut stream = stage::open(&stage, "live/me/stream.mp4").await;
    stage::send(&mut stream, &[header, media].concat()).await;
    let broadcast = stage.broadcast("live/me").await;
    drop(stream);
    stage.until_state(&broadcast, |state| matches!(state, State::Waiting { .. })).await;
    assert_eq!(stage.delete("live/me/segment7.m4s").await.0, 200, "old segments go by themselves");
    assert!(matches!(broadcast.state(), State::Waiting { .. }));
    assert_eq!(stage.delete("live/me").await.0, 200);
    assert!(matches!(broadcast.state(), State::Ended { .. }), "{:?}", broadcast.state());
    let (status, text) = stage.delete("live/me").await;
    assert!(status == 404 && text.contains("nothing to end"), "{status} {text}");
}

#[tokio::test]
async fn what_another_protocol_publishes_is_not_ended() {
    let stage = Stage::new().await;
    let name = BroadcastName::new("live/other").unwrap();
    let publisher = stage.bus.publish(&name).unwrap();
    let (status, text) = stage.delete("live/other").await;
    assert!(status == 409 && text.contains("not over HTTP"), "{status} {text}");
    assert_eq!(publisher.broadcast().state(), State::Live);
    // Once it waits for its publisher, nobody else will.
    drop(publisher);
    assert_eq!(stage.delete("live/other").await.0, 200);
}

#[tokio::test]
async fn publishers_are_told_that_the_server_stops() {
    let stage = Stage::new().await;
    let (header, media) = stage::one_second();
    let mut stream = stage::open(&stage, "live/me/stream.mp4").await;
    stage::send(&mut stream, &[header.clone(), media].concat()).await;
    let broadcast = stage.broadcast("live/me").await;
    stage.until(|| broadcast.track("video").filter(|track| track.stats().fragments > 0)).await;
    stage.ingest.stop();
    let (status, text) = stage::answer(&mut stream).await;
    assert!(status == 503 && text.contains("the server stops"), "{status} {text}");
    assert!(matches!(broadcast.state(), State::Ended { .. }), "{:?}", broadcast.state());
    // So are those that come while it stops.
    refused(&stage, "live/late/stream.mp4", &header, 503, "the server stops").await;
    assert_eq!(stage.bus.broadcasts().len(), 1);
}

#[tokio::test]
async fn a_sender_that_falls_silent_is_let_go() {
    let idle_timeout = Duration::from_millis(300);
    let stage = Stage::with(Settings { idle_timeout, ..Settings::default() }).await;
    let (header, media) = stage::one_second();
    let body = [header, media].concat();
    let mut stream = stage::open(&stage, "live/me/stream.mp4").await;
    stage::send(&mut stream, &body).await;
    let broadcast = stage.broadcast("live/me").await;
    let (status, text) = stage::answer(&mut stream).await;
    assert!(status == 408 && text.contains("nothing came for 0.3 s"), "{status} {text}");
    stage.until_state(&broadcast, |state| matches!(state, State::Waiting { .. })).await;
    assert_eq!(stage.ingest.publishers(), 0);
}

#[tokio::test]
async fn a_publisher_between_requests_is_let_go_when_it_is_silent() {
    let idle_timeout = Duration::from_millis(300);
    let stage = Stage::with(Settings { idle_timeout, ..Settings::default() }).await;
    let (header, media) = stage::one_second();
    assert_eq!(stage.put("live/me/init.mp4", &header).await.0, 200);
    assert_eq!(stage.put("live/me/index0.m4s", &media).await.0, 200);
    let broadcast = stage.broadcast("live/me").await;
    assert_eq!(broadcast.track("video").unwrap().stats().fragments, 5);
    stage.until_state(&broadcast, |state| matches!(state, State::Waiting { .. })).await;
}
