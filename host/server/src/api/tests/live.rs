//! A rung comes and goes while its source is live.

use std::time::Duration;

use super::*;
use crate::demo::{self, Demo};

const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until there is something, and gives it.
async fn until<T>(site: &Site, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let seen = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        loop {
            ticks.tick().await;
            if let Some(seen) = look().await {
                return seen;
            }
        }
    };
    match tokio::time::timeout(PATIENCE, seen).await {
        Ok(seen) => seen,
        Err(_) => panic!("never {what}: {}", site.get("/api/v1/ladders").await.text),
    }
}

/// Waits until the multivariant playlist is as wanted, and gives it.
async fn master(site: &Site, what: &str, wanted: impl Fn(&str) -> bool) -> String {
    let path = format!("/hls/{}/master.m3u8", demo::BROADCAST);
    let look = async || {
        let answer = site.get(&path).await;
        (answer.status == 200 && wanted(&answer.text)).then_some(answer.text)
    };
    until(site, what, look).await
}

/// The transcoder of a rendition that works on the source's pictures.
fn at_video(rendition: &Value) -> Value {
    let transcoders = rendition["transcoders"].as_array().expect("a list");
    transcoders.iter().find(|transcoder| transcoder["track"] == "video").cloned().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_multivariant_playlist_follows_the_ladder() {
    let (_folder, file) = written("[[ladder]]\nname = \"main\"\nrenditions = [\"240p\"]\n");
    let site = Site::of_file(Some(&file), Reach::Loopback);
    let demo = Demo::start(&site.bus).unwrap();
    master(&site, "the first rung", |text| text.contains("240p/")).await;
    let body = r#"{"name":"tiny","width":160,"height":90,"video_bitrate":"64k","speed":"draft"}"#;
    assert_eq!(site.post("/api/v1/ladders/main/renditions", body).await.status, 201);
    let both = master(&site, "the added rung", |text| text.contains("tiny/")).await;
    assert!(both.contains("240p/"), "{both}");
    // It is listed as soon as its headers are known.
    let ladder = until(&site, "the rung is at work", async || {
        let ladder = site.get("/api/v1/ladders/main").await.json();
        let worker = at_video(&ladder["renditions"][1]);
        let works = worker["output_fragments"].as_u64() > Some(0) && worker["encode_ms"].as_f64() > Some(0.0);
        works.then_some(ladder)
    })
    .await;
    let worker = at_video(&ladder["renditions"][1]);
    assert_eq!((&worker["broadcast"], &worker["rendition"]), (&demo::BROADCAST.into(), &"tiny".into()), "{ladder:#}");
    assert_eq!(worker["state"], "running", "{ladder:#}");
    let document = site.get("/api/v1/openapi.json").await.json();
    let schema = &document["components"]["schemas"]["Ladder"];
    openapi::fits(&document, schema, &ladder, "a ladder at work");

    assert_eq!(site.delete("/api/v1/ladders/main/renditions/240p").await.status, 200);
    let one = master(&site, "without the first rung", |text| !text.contains("240p/")).await;
    assert!(one.contains("tiny/"), "{one}");
    assert_eq!(site.delete("/api/v1/ladders/main").await.status, 200);
    master(&site, "without rungs", |text| !text.contains("tiny/")).await;
    assert_eq!(site.get("/api/v1/transcoders").await.json()["transcoders"], serde_json::json!([]));
    tokio::task::spawn_blocking(move || demo.stop()).await.unwrap();
}
