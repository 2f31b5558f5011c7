//! Requests to the router.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use bytes::Bytes;
use flate2::read::GzDecoder;
use http_body_util::BodyExt;
use millrace_media::Fragment;
use millrace_media::track::{Producer, Provenance};
use tokio::task::JoinHandle;
use tower::ServiceExt;

use super::playlist::roomy;
use super::rest;
use super::rules::{Parsed, parse};
use super::source::{Arrival, Pictures, Source, media, name, track, video_info};
use crate::hls::{Hls, Settings, router};

pub(super) struct Site {
    pub(super) source: Source,
    hls: Arc<Hls>,
    router: Router,
    written: Vec<Fragment>,
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(super) fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub(super) async fn send(router: Router, method: &str, path: &str, headers: &[(header::HeaderName, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    let answer = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: parts.status, headers: parts.headers, body }
}

impl Site {
    fn new(settings: Settings) -> Self {
        Self::of(Source::new(Some(Pictures::regular(90_000, 3_000, 60)), Arrival::Steady), settings)
    }

    pub(super) fn of(source: Source, settings: Settings) -> Self {
        let hls = Hls::new(source.bus.clone(), settings);
        let router = router("/hls", hls.clone());
        Self { source, hls, router, written: Vec::new() }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        send(self.router.clone(), "GET", path, &[]).await
    }

    fn ask(&self, path: String) -> JoinHandle<Answer> {
        let router = self.router.clone();
        tokio::spawn(async move { send(router, "GET", &path, &[]).await })
    }

    pub(super) async fn run(&mut self, until: f64) {
        let written = &mut self.written;
        self.source.run(until, |fragment| written.push(fragment.clone()));
        settle().await;
    }

    /// Goes on with a rung, which works in the groups, numbered like segments here, that `works` says.
    async fn run_with(&mut self, until: f64, rung: &mut Producer, works: impl Fn(u64) -> bool) {
        self.source.run(until, |fragment| {
            if let Some(copy) = rest::copy(fragment).filter(|_| works(fragment.place().segment.0)) {
                rung.write_in(fragment.place().group, copy).unwrap();
            }
        });
        settle().await;
    }

    fn bytes(&self, segment: u64, scale: u32) -> Vec<u8> {
        let of_it = |f: &&Fragment| f.place().segment.0 == segment && f.info().timescale.get() == scale;
        let mut bytes = Vec::new();
        for fragment in self.written.iter().filter(of_it) {
            bytes.extend_from_slice(&fragment.head);
            fragment.payload.slices().iter().for_each(|slice| bytes.extend_from_slice(slice));
        }
        bytes
    }

    pub(super) async fn playlist(&self, query: &str) -> Parsed {
        let answer = self.get(&format!("/hls/live/demo/video/playlist.m3u8{query}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        parse(answer.text())
    }
}

/// Lets every task that can run do so: time stands still until then.
pub(super) async fn settle() {
    tokio::time::sleep(Duration::from_nanos(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_player_finds_its_way_from_the_master_to_the_media() {
    let mut site = Site::new(Settings::default());
    site.run(5.0).await;
    let master = site.get("/hls/live/demo/master.m3u8").await;
    assert_eq!(master.header(header::CONTENT_TYPE), "application/vnd.apple.mpegurl");
    assert!(master.text().ends_with("\nvideo/playlist.m3u8\n"), "{}", master.text());
    assert!(master.text().contains("URI=\"audio/playlist.m3u8\""));
    let answer = site.get("/hls/live/demo/video/playlist.m3u8").await;
    assert_eq!(answer.header(header::CACHE_CONTROL), "max-age=1");
    let playlist = parse(answer.text());
    assert_eq!(playlist.reports.len(), 1);
    assert!(
        playlist.reports[0].contains("URI=\"../audio/playlist.m3u8\",LAST-MSN=2,LAST-PART="),
        "{:?}",
        playlist.reports
    );
    // The largest part target of both tracks is the audio's.
    assert!(playlist.control("PART-HOLD-BACK").unwrap() > 3.0 * playlist.part_target().unwrap());
    let base = "/hls/live/demo/video/";
    let init = site.get(&format!("{base}{}", playlist.segments[0].map.as_ref().unwrap())).await;
    assert_eq!(&init.body[..], b"video header");
    assert_eq!(init.header(header::CACHE_CONTROL), "max-age=12, immutable");
    let mut whole = Vec::new();
    for part in &playlist.segments[1].parts {
        whole.extend(site.get(&format!("{base}{}", part.uri)).await.body);
    }
    let segment = site.get(&format!("{base}{}", playlist.segments[1].uri.as_ref().unwrap())).await;
    assert_eq!(segment.header(header::CONTENT_TYPE), "video/mp4");
    assert_eq!(segment.header(header::CONTENT_LENGTH), segment.body.len().to_string());
    assert!(segment.body == whole && segment.body == site.bytes(1, 90_000));
}

#[tokio::test(start_paused = true)]
async fn a_reload_waits_for_the_part_it_asks_for() {
    let mut site = Site::new(Settings::default());
    site.run(4.5).await;
    let before = site.playlist("").await;
    assert_eq!(before.segments.last().unwrap().parts.len(), 2);
    let waiting = site.ask("/hls/live/demo/video/playlist.m3u8?_HLS_msn=2&_HLS_part=2".into());
    settle().await;
    site.run(4.58).await;
    assert!(!waiting.is_finished());
    site.run(4.6).await;
    let answer = waiting.await.unwrap();
    assert_eq!(answer.header(header::CACHE_CONTROL), "max-age=12");
    assert_eq!(parse(answer.text()).segments.last().unwrap().parts.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_hinted_part_and_the_open_segment_are_sent_when_they_are_whole() {
    let mut site = Site::new(Settings::default());
    site.run(4.5).await;
    let hint = site.playlist("").await.hint.unwrap();
    let part = site.ask(format!("/hls/live/demo/video/{hint}"));
    let directory = hint.split_once('/').unwrap().0;
    let segment = site.ask(format!("/hls/live/demo/video/{directory}/2.m4s"));
    settle().await;
    assert!(!part.is_finished() && !segment.is_finished());
    site.run(4.6).await;
    let part = part.await.unwrap();
    assert_eq!(part.status, StatusCode::OK);
    assert!(site.bytes(2, 90_000).ends_with(&part.body) && !part.body.is_empty());
    assert!(!segment.is_finished());
    site.run(6.2).await;
    assert_eq!(segment.await.unwrap().body, site.bytes(2, 90_000));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_come_within_three_target_durations_is_unavailable() {
    let mut site = Site::new(Settings::default());
    site.run(4.5).await;
    let began = tokio::time::Instant::now();
    let answer = site.get("/hls/live/demo/video/playlist.m3u8?_HLS_msn=3").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.header(header::CACHE_CONTROL), "no-store");
    let waited = began.elapsed().as_secs_f64();
    assert!((6.0..6.1).contains(&waited), "{waited}");
}

#[tokio::test(start_paused = true)]
async fn directives_that_contradict_the_protocol_are_refused() {
    let mut site = Site::new(Settings::default());
    site.run(4.5).await;
    for query in ["_HLS_part=1", "_HLS_msn=4", "_HLS_msn=x", "_HLS_msn=-1", "_HLS_msn=", "_HLS_msn=2&_HLS_part=99"] {
        let answer = site.get(&format!("/hls/live/demo/video/playlist.m3u8?{query}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        assert!(answer.text().len() > 20, "{query} is refused with a sentence");
    }
}

#[tokio::test(start_paused = true)]
async fn what_there_is_not_is_not_found() {
    let mut site = Site::new(Settings::default());
    site.run(4.5).await;
    let hint = site.playlist("").await.hint.unwrap();
    let directory = hint.split_once('/').unwrap().0;
    let paths = [
        "live/master.m3u8".to_string(),
        "nobody/master.m3u8".into(),
        "live/demo/480p/master.m3u8".into(),
        "live/demo/480p/playlist.m3u8".into(),
        "live/demo/x.txt".into(),
        "live/../demo/master.m3u8".into(),
        format!("live/demo/video/{directory}/init-1.mp4"),
        format!("live/demo/video/{directory}/99.m4s"),
        format!("live/demo/video/{directory}/2.99.m4s"),
        "live/demo/video/1/0.m4s".into(),
    ];
    for path in paths {
        let answer = site.get(&format!("/hls/{path}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answer.header(header::CACHE_CONTROL), "max-age=1");
    }
}

#[tokio::test(start_paused = true)]
async fn files_answer_to_ranges_and_head() {
    let mut site = Site::new(Settings::default());
    site.run(4.5).await;
    let uri = site.playlist("").await.segments[0].uri.clone().unwrap();
    let (path, whole) = (format!("/hls/live/demo/video/{uri}"), site.bytes(0, 90_000));
    let head = send(site.router.clone(), "HEAD", &path, &[]).await;
    assert!(head.status == StatusCode::OK && head.body.is_empty());
    assert_eq!(head.header(header::CONTENT_LENGTH), whole.len().to_string());
    for (from, to) in [(0, 0), (5, 20_000), (7_000, whole.len() - 1)] {
        let range = format!("bytes={from}-{to}");
        let answer = send(site.router.clone(), "GET", &path, &[(header::RANGE, &range)]).await;
        assert_eq!(answer.status, StatusCode::PARTIAL_CONTENT);
        assert_eq!(answer.header(header::CONTENT_RANGE), format!("bytes {from}-{to}/{}", whole.len()));
        assert_eq!(answer.body, whole[from..=to]);
    }
    let outside = send(site.router.clone(), "GET", &path, &[(header::RANGE, "bytes=9999999-")]).await;
    assert_eq!(outside.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(outside.header(header::CONTENT_RANGE), format!("bytes */{}", whole.len()));
}

#[tokio::test(start_paused = true)]
async fn playlists_are_compressed_and_media_is_not() {
    let mut site = Site::new(Settings::default());
    site.run(4.5).await;
    let gzip = [(header::ACCEPT_ENCODING, "gzip, deflate, br")];
    let path = "/hls/live/demo/video/playlist.m3u8";
    let answer = send(site.router.clone(), "GET", path, &gzip).await;
    assert_eq!(answer.header(header::CONTENT_ENCODING), "gzip");
    assert!(answer.header(header::VARY).contains("accept-encoding"));
    let mut text = String::new();
    std::io::Read::read_to_string(&mut GzDecoder::new(&answer.body[..]), &mut text).unwrap();
    assert_eq!(text, site.get(path).await.text());
    let uri = parse(&text).segments[0].uri.clone().unwrap();
    let media = send(site.router.clone(), "GET", &format!("/hls/live/demo/video/{uri}"), &gzip).await;
    assert_eq!(media.header(header::CONTENT_ENCODING), "");
}

#[tokio::test(start_paused = true)]
async fn other_origins_are_allowed_as_configured() {
    let origin = [(header::ORIGIN, "https://player.example")];
    let mut site = Site::new(Settings::default());
    site.run(4.5).await;
    let path = "/hls/live/demo/master.m3u8";
    let answer = send(site.router.clone(), "GET", path, &origin).await;
    assert_eq!(answer.header(header::ACCESS_CONTROL_ALLOW_ORIGIN), "*");
    let settings = Settings { cors_origins: vec!["https://player.example".into()], ..Settings::default() };
    let site = Site::of(site.source, settings);
    settle().await;
    let answer = send(site.router.clone(), "GET", path, &origin).await;
    assert_eq!(answer.header(header::ACCESS_CONTROL_ALLOW_ORIGIN), "https://player.example");
    let other = send(site.router.clone(), "GET", path, &[(header::ORIGIN, "https://other.example")]).await;
    assert_eq!(other.header(header::ACCESS_CONTROL_ALLOW_ORIGIN), "");
    let asked = [origin[0].clone(), (header::ACCESS_CONTROL_REQUEST_METHOD, "GET")];
    let preflight = send(site.router.clone(), "OPTIONS", path, &asked).await;
    assert!(preflight.status.is_success() && preflight.header(header::ACCESS_CONTROL_ALLOW_METHODS).contains("GET"));
}

#[tokio::test(start_paused = true)]
async fn a_playlist_is_waited_for_until_it_can_be_told() {
    let mut site = Site::new(Settings::default());
    let master = site.ask("/hls/live/demo/master.m3u8".into());
    let playlist = site.ask("/hls/live/demo/video/playlist.m3u8".into());
    site.run(1.5).await;
    assert!(!master.is_finished() && !playlist.is_finished());
    site.run(2.2).await;
    assert_eq!(playlist.await.unwrap().status, StatusCode::OK);
    let master = master.await.unwrap();
    assert!(master.text().contains("AUDIO=\"audio\""), "{}", master.text());
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_without_media_is_unavailable() {
    let site = Site::new(Settings::default());
    assert_eq!(site.get("/hls/live/demo/master.m3u8").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(site.get("/hls/live/demo/video/playlist.m3u8").await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test(start_paused = true)]
async fn a_rung_comes_and_goes_with_its_track() {
    let mut site = Site::new(Settings::default());
    site.run(4.5).await;
    let from = Some(track("video"));
    let provenance = Provenance::Derived { factory: "ladder".into(), rendition: Some("480p".into()), from };
    let mut rung = site.source.broadcast.derive(track("480p"), provenance).unwrap();
    rung.set_info(video_info(90_000, "rung header"));
    let mut number = site.written.len();
    for until in [6.5, 8.5, 10.5] {
        let written = &mut site.written;
        site.source.run(until, |fragment| {
            written.push(fragment.clone());
            let skip = fragment.info().timescale.get() != 90_000 || fragment.place().segment.0 < 3;
            if !skip {
                let ticks = fragment.decode_time.ticks();
                let small = media(ticks, 90_000, &[3_000], fragment.marks.keyframe, 600);
                rung.write_in(fragment.place().group, small).unwrap();
            }
        });
        settle().await;
        assert!(site.written.len() > number);
        number = site.written.len();
    }
    let master = site.get("/hls/live/demo/master.m3u8").await;
    assert!(master.text().ends_with("\n480p/playlist.m3u8\n"), "{}", master.text());
    let view = site.get("/hls/live/demo/480p/master.m3u8").await;
    assert!(view.text().ends_with("\n../480p/playlist.m3u8\n") && view.text().contains("\"../audio/playlist.m3u8\""));
    let playlist = parse(site.get("/hls/live/demo/480p/playlist.m3u8").await.text());
    assert_eq!(playlist.segments[0].number, 3);
    assert_eq!(playlist.reports.len(), 2);
    drop(rung);
    settle().await;
    let master = site.get("/hls/live/demo/master.m3u8").await;
    assert!(!master.text().contains("480p"), "{}", master.text());
    // A player that was told of the end would stop there.
    let removed = site.get("/hls/live/demo/480p/playlist.m3u8").await;
    assert_eq!(removed.status, StatusCode::GONE, "{}", removed.text());
    let segment = format!("/hls/live/demo/480p/{}", playlist.segments[0].uri.as_ref().unwrap());
    assert_eq!(site.get(&segment).await.status, StatusCode::OK, "what is in a player's list can still be fetched");
}

#[tokio::test(start_paused = true)]
async fn a_resting_rung_is_listed_and_who_asks_for_it_gets_it_back() {
    let mut site = Site::new(Settings::default());
    let mut rung = rest::rung(&site.source);
    let (path, while_ago) = ("/hls/live/demo/480p/playlist.m3u8", Duration::from_secs(5));
    // It rests from the fourth group on.
    for tenths in 1..200 {
        site.run_with(f64::from(tenths) / 10.0, &mut rung, |group| group < 4).await;
    }
    let master = site.get("/hls/live/demo/master.m3u8").await;
    assert!(master.text().ends_with("\n480p/playlist.m3u8\n"), "{}", master.text());
    let source = site.playlist("").await;
    let report = source.reports.iter().find(|report| report.contains("480p")).unwrap();
    assert!(report.contains("LAST-MSN=8"), "what is listed is what is reported: {report}");
    assert!(!rung.track().is_viewed(while_ago), "neither wakes it");

    let resting = parse(site.get(path).await.text());
    assert_eq!(resting.segments.last().map(|last| (last.number, last.gap)), Some((8, true)));
    assert!(rung.track().is_viewed(while_ago));
    let waiting = site.ask(format!("{path}?_HLS_msn=10&_HLS_part=0"));
    settle().await;
    site.run_with(20.1, &mut rung, |group| !(4..10).contains(&group)).await;
    assert!(!waiting.is_finished());
    site.run_with(20.3, &mut rung, |group| !(4..10).contains(&group)).await;
    assert!(waiting.is_finished(), "the first part answers");
    let back = parse(waiting.await.unwrap().text());
    let newest: Vec<_> = back.segments.iter().rev().take(3).map(|segment| (segment.number, segment.gap)).collect();
    assert_eq!(newest, [(10, false), (9, true), (8, true)]);
}

#[tokio::test(start_paused = true)]
async fn every_piece_of_a_track_that_is_asked_for_is_a_viewers() {
    let mut site = Site::new(Settings::default());
    site.run(4.5).await;
    let playlist = site.playlist("").await;
    let segment = &playlist.segments[0];
    let paths =
        [segment.uri.clone(), segment.map.clone(), playlist.segments[1].parts.first().map(|part| part.uri.clone())];
    let video = site.source.broadcast.track("video").unwrap();
    for path in paths {
        site.source.clock.advance(Duration::from_secs(60));
        assert!(!video.is_viewed(Duration::from_secs(1)));
        assert_eq!(site.get(&format!("/hls/live/demo/video/{}", path.unwrap())).await.status, StatusCode::OK);
        assert!(video.is_viewed(Duration::from_secs(1)));
    }
    assert!(!site.source.broadcast.track("audio").unwrap().is_viewed(Duration::from_secs(1_000)));
}

#[tokio::test(start_paused = true)]
async fn the_end_answers_who_waits_and_leaves_nothing() {
    let mut site = Site::new(Settings::default());
    site.run(4.5).await;
    assert_eq!(site.hls.held(), (1, 2));
    let waiting = site.ask("/hls/live/demo/video/playlist.m3u8?_HLS_msn=3".into());
    settle().await;
    (site.source.video, site.source.audio) = (None, None);
    site.source.publisher.take().unwrap().finish();
    assert!(parse(waiting.await.unwrap().text()).ended);
    let segment = site.playlist("").await.segments[1].uri.clone().unwrap();
    assert_eq!(site.get(&format!("/hls/live/demo/video/{segment}")).await.status, StatusCode::OK);
    site.source.clock.advance(Duration::from_secs(60));
    site.source.bus.expire();
    settle().await;
    assert_eq!(site.hls.held(), (0, 0));
    let gone = site.get("/hls/live/demo/video/playlist.m3u8").await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn a_delta_update_is_sent_to_who_asks() {
    let source = Source::on(roomy(), Some(Pictures::regular(90_000, 3_000, 60)), Arrival::Steady);
    let mut site = Site::of(source, Settings::default());
    site.run(40.0).await;
    let delta = site.playlist("?_HLS_skip=YES").await;
    let whole = site.playlist("").await;
    assert!(delta.skipped > 0 && whole.skipped == 0);
    assert_eq!(delta.skipped + delta.segments.len(), whole.segments.len());
}

#[tokio::test(start_paused = true)]
async fn the_console_is_told_of_what_has_no_parts() {
    let mut site = Site::new(Settings::default());
    site.run(4.5).await;
    assert!(site.hls.low_latency(&name("live/demo")) && site.hls.notes(&name("live/demo")).is_empty());
    let bursts = Source::new(Some(Pictures::regular(90_000, 3_000, 60)), Arrival::Groups);
    let mut site = Site::of(bursts, Settings::default());
    site.run(10.0).await;
    assert!(!site.hls.low_latency(&name("live/demo")));
    assert_eq!(site.hls.notes(&name("live/demo")).len(), 2);
    assert!(site.hls.notes(&name("live/other")).is_empty());
}
