//! A rung comes and goes while its source is live.

use std::time::Duration;

use super::*;
use crate::demo::{self, Demo};

const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until the multivariant playlist is as wanted, and gives it.
async fn master(site: &Site, wanted: impl Fn(&str) -> bool) -> String {
    let path = format!("/hls/{}/master.m3u8", demo::BROADCAST);
    let seen = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        loop {
            ticks.tick().await;
            let answer = site.get(&path).await;
            if answer.status == 200 && wanted(&answer.text) {
                return answer.text;
            }
        }
    };
    match tokio::time::timeout(PATIENCE, seen).await {
        Ok(text) => text,
        Err(_) => panic!("never as wanted: {}", site.get(&path).await.text),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_multivariant_playlist_follows_the_ladder() {
    let (_folder, file) = written("[[ladder]]\nname = \"main\"\nrenditions = [\"240p\"]\n");
    let site = Site::of_file(Some(&file), Reach::Loopback);
    let demo = Demo::start(&site.bus).unwrap();
    master(&site, |text| text.contains("240p/")).await;
    let body = r#"{"name":"tiny","width":160,"height":90,"video_bitrate":"64k","speed":"draft"}"#;
    assert_eq!(site.post("/api/v1/ladders/main/renditions", body).await.status, 201);
    let both = master(&site, |text| text.contains("tiny/")).await;
    assert!(both.contains("240p/"), "{both}");
    let ladder = site.get("/api/v1/ladders/main").await.json();
    let tiny = &ladder["renditions"][1];
    let worker = &tiny["transcoders"][0];
    assert_eq!((&worker["broadcast"], &worker["rendition"]), (&demo::BROADCAST.into(), &"tiny".into()), "{ladder:#}");
    assert!(worker["output_fragments"].as_u64() > Some(0), "{ladder:#}");

    assert_eq!(site.delete("/api/v1/ladders/main/renditions/240p").await.status, 200);
    let one = master(&site, |text| !text.contains("240p/")).await;
    assert!(one.contains("tiny/"), "{one}");
    assert_eq!(site.delete("/api/v1/ladders/main").await.status, 200);
    master(&site, |text| !text.contains("tiny/")).await;
    assert_eq!(site.get("/api/v1/transcoders").await.json()["transcoders"], serde_json::json!([]));
    tokio::task::spawn_blocking(move || demo.stop()).await.unwrap();
}
