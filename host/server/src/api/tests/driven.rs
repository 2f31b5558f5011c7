//! Every status that the description gives to ingest and HLS is driven, as far as it comes in a moment, and no other comes.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures::StreamExt;

use super::*;
use crate::demo::{self, Demo};
use crate::pipe::film;

const STREAM: [(&str, &str); 1] = [("content-type", "video/mp4")];

/// A path as it is described, and as it is asked for with which headers.
type Asked<'a> = (String, String, &'a [(&'a str, &'a str)]);

/// What each operation has answered.
#[derive(Default)]
struct Driven(BTreeMap<String, BTreeSet<String>>);

impl Driven {
    fn note(&mut self, document: &Value, method: &str, path: &str, answer: &Answer) {
        let operation = &document["paths"][path][method.to_lowercase()];
        let response = &operation["responses"][answer.status.as_str()];
        assert!(response.is_object(), "{method} {path} answers {}, which is not described: {answer:?}", answer.status);
        let given = answer.header("content-type").split(';').next().unwrap_or_default().to_owned();
        let described = response["content"].as_object();
        if answer.text.is_empty() {
            assert!(given.is_empty() || described.is_none_or(|content| content.contains_key(&given)), "{answer:?}");
        } else {
            assert!(described.is_some_and(|content| content.contains_key(&given)), "{method} {path}: {answer:?}");
        }
        self.0.entry(format!("{method} {path}")).or_default().insert(answer.status.as_str().to_owned());
    }

    /// Every described status has come, but for those that need longer.
    fn expect(&self, document: &Value, operation: &str, not: &[&str]) {
        let (method, path) = operation.split_once(' ').unwrap();
        let responses = document["paths"][path][method.to_lowercase()]["responses"].as_object().unwrap();
        let described: BTreeSet<String> =
            responses.keys().filter(|status| !not.contains(&status.as_str())).cloned().collect();
        assert_eq!(self.0.get(operation), Some(&described), "{operation}");
    }
}

#[tokio::test]
async fn ingest_answers_as_described() {
    let (_folder, file) = written("[ingest]\nidle_timeout = \"1s\"\nmax_broadcasts = 2\nmax_box = \"1MiB\"\n");
    let site = Site::of_file(Some(&file), Reach::Loopback);
    let document = site.get("/api/v1/openapi.json").await.json();
    let film = film(1, 3);
    let whole: Bytes = [&film.init[..], &film.fragments.concat()].concat().into();
    let mut huge = whole.to_vec();
    let mdat = huge.windows(4).position(|name| name == b"mdat").unwrap();
    huge[mdat - 4..mdat].copy_from_slice(&0x7fff_ffffu32.to_be_bytes());
    let cut = whole.slice(..whole.len() - 1);
    let media = film.fragments[0].clone();
    let taken = millrace_media::BroadcastName::new("taken").unwrap();
    let _publisher = site.bus.publish(&taken).unwrap();
    let mut driven = Driven::default();
    let foreign = [("origin", "http://evil.example")];
    for method in ["POST", "PUT"] {
        for (path, headers, body, status) in [
            ("live/me/stream.mp4", &STREAM[..], whole.clone(), 200),
            ("live/me/stream.mp4", &foreign, whole.clone(), 403),
            ("live/me/stream.mp4", &STREAM, cut.clone(), 400),
            ("taken/stream.mp4", &STREAM, whole.clone(), 409),
            ("live/none/other.mp4", &STREAM, media.clone(), 412),
            ("live/me/huge.mp4", &STREAM, huge.clone().into(), 413),
            ("live/me/stream.mp4", &[("content-type", "text/html")], whole.clone(), 415),
            ("live/more/stream.mp4", &STREAM, whole.clone(), 503),
        ] {
            let answer = site.send_body(method, &format!("/ingest/{path}"), headers, Body::from(body)).await;
            assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
            driven.note(&document, method, "/ingest/{path}", &answer);
        }
        let silent = Body::from_stream(
            futures::stream::iter([Ok::<_, std::io::Error>(whole.clone())]).chain(futures::stream::pending()),
        );
        let answer = site.send_body(method, "/ingest/live/me/silent.mp4", &STREAM, silent).await;
        driven.note(&document, method, "/ingest/{path}", &answer);
        // What a plugin is told of a client has a limit: that is tested where ingest is.
        driven.expect(&document, &format!("{method} /ingest/{{path}}"), &["431"]);
        for media_type in millrace_ingest::http::MEDIA_TYPES {
            let content = &document["paths"]["/ingest/{path}"][method.to_lowercase()]["requestBody"]["content"];
            assert!(content[media_type].is_object(), "{media_type}");
            let asked = site.send(method, "/ingest/live/me/stream.mp4", &[("content-type", media_type)], "").await;
            assert_eq!(asked.status, 200, "{media_type}");
        }
    }
    for (path, headers, status) in
        [("live/me", &foreign[..], 403), ("taken", &[], 409), ("live/me", &[], 200), ("live/me", &[], 404)]
    {
        let answer = site.send("DELETE", &format!("/ingest/{path}"), headers, "").await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        driven.note(&document, "DELETE", "/ingest/{path}", &answer);
    }
    site.ingest.stop();
    let answer = site.delete("/ingest/live/me").await;
    assert!(!answer.header("retry-after").is_empty(), "{answer:?}");
    driven.note(&document, "DELETE", "/ingest/{path}", &answer);
    driven.expect(&document, "DELETE /ingest/{path}", &["431"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_played_is_answered_as_described() {
    let (_folder, file) = written("ladder = []\n");
    let site = Site::of_file(Some(&file), Reach::Loopback);
    let document = site.get("/api/v1/openapi.json").await.json();
    let demo = Demo::start(&site.bus).unwrap();
    let base = format!("/hls/{}", demo::BROADCAST);
    let mut driven = Driven::default();
    let list = loop {
        let answer = site.get(&format!("{base}/video/playlist.m3u8")).await;
        if answer.status == 200 && answer.text.contains("#EXTINF") && answer.text.contains("#EXT-X-PART:") {
            break answer.text;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    let uri = |line: &str| {
        let found = list.lines().find(|known| known.starts_with(line)).unwrap_or_else(|| panic!("no {line}: {list}"));
        format!("{base}/video/{}", found.split("URI=\"").nth(1).unwrap().split('"').next().unwrap())
    };
    let (init, part) = (uri("#EXT-X-MAP"), uri("#EXT-X-PART:"));
    let segment = list.lines().find(|line| !line.starts_with('#') && line.ends_with(".m4s")).unwrap();
    let segment = format!("{base}/video/{segment}");
    let range = [("range", "bytes=0-9")];
    let outside = [("range", "bytes=999999999-")];
    let (master, playlist) = ("/hls/{broadcast}/master.m3u8", "/hls/{broadcast}/{track}/playlist.m3u8");
    let directory = "/hls/{broadcast}/{track}/{directory}";
    let file = |name: &str| format!("{directory}/{name}");
    let mut asked: Vec<Asked<'_>> = vec![
        (master.into(), format!("{base}/master.m3u8"), &[]),
        (master.into(), "/hls/none/master.m3u8".into(), &[]),
        (playlist.into(), format!("{base}/video/playlist.m3u8"), &[]),
        (playlist.into(), format!("{base}/video/playlist.m3u8?_HLS_msn=x"), &[]),
        (playlist.into(), format!("{base}/none/playlist.m3u8"), &[]),
        (file("init-{number}.mp4"), format!("{base}/video/none/init-0.mp4"), &[]),
        (file("{segment}.m4s"), format!("{base}/video/none/0.m4s"), &[]),
        (file("{segment}.{part}.m4s"), format!("{base}/video/none/0.0.m4s"), &[]),
    ];
    for (described, path) in
        [("init-{number}.mp4", &init), ("{segment}.m4s", &segment), ("{segment}.{part}.m4s", &part)]
    {
        for headers in [&[][..], &range, &outside] {
            asked.push((file(described), path.clone(), headers));
        }
    }
    for path in ["/certificate.sha256", "/api/v1/openapi.json"] {
        asked.push((path.into(), path.into(), &[]));
    }
    for (described, path, headers) in asked {
        let answer = site.send("GET", &path, headers, "").await;
        driven.note(&document, "GET", &described, &answer);
    }
    // A track is removed while its broadcast goes on, nothing comes for long, or a plugin decides who may play: that is tested where HLS is.
    driven.expect(&document, &format!("GET {master}"), &["403", "431", "503"]);
    driven.expect(&document, &format!("GET {playlist}"), &["307", "403", "410", "431", "503"]);
    for name in ["init-{number}.mp4", "{segment}.m4s", "{segment}.{part}.m4s"] {
        driven.expect(&document, &format!("GET {}", file(name)), &["403", "503"]);
    }
    tokio::task::spawn_blocking(move || demo.stop()).await.unwrap();
}
