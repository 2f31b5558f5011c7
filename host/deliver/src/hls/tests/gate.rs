//! Who may play, as players see it. Time stands still but for what is waited for.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::http::{HeaderName, StatusCode, header};
use millrace_media::access::{Answer as Said, Attempt, Authorizer, NoAnswer, Verdict};
use millrace_media::{Access, BroadcastName};

use super::http::{Answer, send, settle};
use super::rules::parse;
use super::source::{Arrival, Pictures, Source};
use crate::hls::{Hls, Settings, router};

/// Lets in whoever has a key, for 10 s at a time, until it is told of one that has ended; `key/1` stands for `live/demo`.
#[derive(Default)]
pub(super) struct Keys {
    asked: AtomicUsize,
    ended: Mutex<Option<&'static str>>,
    slow: AtomicBool,
}

#[async_trait]
impl Authorizer for Keys {
    fn name(&self) -> &str {
        "keys"
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(5)
    }

    fn concerns(&self, _: &BroadcastName) -> bool {
        true
    }

    async fn authorize(&self, attempt: Arc<Attempt>) -> Result<Said, NoAnswer> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        assert_eq!((attempt.action().as_str(), attempt.protocol()), ("play", "hls"));
        if self.slow.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let verdict = match attempt.query("key").or_else(|| attempt.header("x-key")) {
            None => Verdict::Deny(format!("{} needs a key", attempt.broadcast())),
            Some(key) if self.ended.lock().unwrap().is_some_and(|ended| ended == key) => {
                Verdict::Deny(format!("the key {key} has ended"))
            }
            Some(_) if attempt.broadcast().as_str() == "key/1" => {
                Verdict::AllowAs(BroadcastName::new("live/demo").unwrap())
            }
            Some(_) => Verdict::Allow,
        };
        Ok(Said { verdict, expiry: Some(Duration::from_secs(10)) })
    }
}

struct Guarded {
    source: Source,
    router: Router,
    keys: Arc<Keys>,
    _hls: Arc<Hls>,
}

impl Guarded {
    /// Five seconds in.
    async fn new() -> Self {
        let mut source = Source::new(Some(Pictures::regular(90_000, 3_000, 60)), Arrival::Steady);
        let keys = Arc::new(Keys::default());
        let hls = Hls::with_access(source.bus.clone(), Settings::default(), Access::new(vec![keys.clone()]));
        let router = router("/hls", hls.clone());
        source.run(5.0, |_| {});
        settle().await;
        Self { source, router, keys, _hls: hls }
    }

    async fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    async fn get_with(&self, path: &str, headers: &[(HeaderName, &str)]) -> Answer {
        send(self.router.clone(), "GET", path, headers).await
    }

    async fn status(&self, path: &str) -> StatusCode {
        self.get(path).await.status
    }

    fn asked(&self) -> usize {
        self.keys.asked.load(Ordering::SeqCst)
    }

    /// The folder that a viewer's playlists are in.
    async fn enter(&self, master: &str) -> String {
        let answer = self.get(master).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        let path = master.split_once('?').map_or(master, |(path, _)| path);
        folder(path, answer.text().lines().last().unwrap())
    }

    async fn run(&mut self, until: f64) {
        self.source.run(until, |_| {});
        settle().await;
    }
}

/// Where a relative address leads to, without the track and its playlist.
fn folder(base: &str, relative: &str) -> String {
    let base = url::Url::parse(&format!("http://a{base}")).unwrap();
    let playlist = base.join(relative).unwrap();
    playlist.path().strip_suffix("/video/playlist.m3u8").unwrap_or_else(|| panic!("{playlist}")).to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_viewer_is_asked_for_once_and_plays_everything_below_its_token() {
    let site = Guarded::new().await;
    let master = site.get("/hls/live/demo/master.m3u8?key=a").await;
    assert_eq!(master.header(header::CACHE_CONTROL), "no-store", "it is of one viewer");
    let base = site.enter("/hls/live/demo/master.m3u8?key=a").await;
    assert!(base.starts_with("/hls/live/demo/~") && base.len() == "/hls/live/demo/~".len() + 22, "{base}");
    assert!(!master.text().contains(&base["/hls/live/demo/".len()..]), "each viewer has a token of its own");
    let answer = site.get(&format!("{base}/video/playlist.m3u8")).await;
    assert_eq!(answer.header(header::CACHE_CONTROL), "private, max-age=1");
    let playlist = parse(answer.text());
    assert!(playlist.reports[0].contains("URI=\"../audio/playlist.m3u8\""), "{:?}", playlist.reports);
    assert_eq!(site.status(&format!("{base}/audio/playlist.m3u8")).await, StatusCode::OK);
    for segment in &playlist.segments {
        let parts = segment.parts.iter().map(|part| part.uri.clone());
        for file in segment.map.iter().cloned().chain(segment.uri.clone()).chain(parts) {
            let answer = site.get(&format!("{base}/video/{file}")).await;
            assert_eq!(answer.status, StatusCode::OK, "{file}");
            assert!(answer.header(header::CACHE_CONTROL).starts_with("private, max-age="));
        }
    }
    assert_eq!(site.status(&format!("{base}/master.m3u8")).await, StatusCode::OK);
    assert_eq!(site.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_denied_viewer_is_told_why_and_its_page_may_read_it() {
    let site = Guarded::new().await;
    for path in ["master.m3u8", "video/playlist.m3u8?_HLS_msn=1", "audio/master.m3u8"] {
        let answer = site.get_with(&format!("/hls/live/demo/{path}"), &[(header::ORIGIN, "https://a.example")]).await;
        assert_eq!((answer.status, answer.text()), (StatusCode::FORBIDDEN, "live/demo needs a key\n"), "{path}");
        assert_eq!(answer.header(header::CACHE_CONTROL), "no-store");
        assert_eq!(answer.header(header::ACCESS_CONTROL_ALLOW_ORIGIN), "*");
    }
    let unknown = site.get("/hls/live/nothing/master.m3u8").await;
    assert_eq!((unknown.status, unknown.text()), (StatusCode::FORBIDDEN, "live/nothing needs a key\n"));
    assert_eq!(site.status("/hls/live/nothing/master.m3u8?key=a").await, StatusCode::NOT_FOUND);
    let header = HeaderName::from_static("x-key");
    let allowed = site.get_with("/hls/live/demo/master.m3u8", &[(header.clone(), "a")]).await;
    assert_eq!(allowed.status, StatusCode::OK);
    let long = site.get_with("/hls/live/demo/master.m3u8", &[(header, &"a".repeat(9 << 10))]).await;
    assert_eq!(long.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
}

#[tokio::test(start_paused = true)]
async fn a_media_playlist_is_moved_below_a_token_and_files_are_not() {
    let site = Guarded::new().await;
    let base = site.enter("/hls/live/demo/master.m3u8?key=a").await;
    let file = parse(site.get(&format!("{base}/video/playlist.m3u8")).await.text()).segments[0].uri.clone().unwrap();
    for path in [format!("video/{file}"), "video/1/init-0.mp4".into(), format!("~{}/video/{file}", "A".repeat(22))] {
        assert_eq!(site.status(&format!("/hls/live/demo/{path}?key=a")).await, StatusCode::FORBIDDEN, "{path}");
    }
    let elsewhere = base.replace("/live/demo/", "/live/other/");
    assert_eq!(site.status(&format!("{elsewhere}/video/{file}")).await, StatusCode::FORBIDDEN, "of another broadcast");
    let moved = site.get("/hls/live/demo/video/playlist.m3u8?key=a&_HLS_msn=1").await;
    assert_eq!(moved.status, StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(moved.header(header::CACHE_CONTROL), "no-store");
    assert_eq!(moved.header(header::ACCESS_CONTROL_ALLOW_ORIGIN), "*");
    let location = moved.header(header::LOCATION);
    assert!(location.ends_with("?key=a&_HLS_msn=1"), "{location}");
    let base = folder("/hls/live/demo/video/playlist.m3u8", location);
    assert_eq!(site.status(&format!("{base}/video/playlist.m3u8?_HLS_msn=1")).await, StatusCode::OK);
    assert_eq!(site.status(&format!("{base}/video/{file}")).await, StatusCode::OK);
    assert_eq!(site.status("/hls/live/demo/nothing/playlist.m3u8?key=a").await, StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn a_rendition_is_played_by_whoever_may_play_its_broadcast() {
    let site = Guarded::new().await;
    let master = site.get("/hls/live/demo/audio/master.m3u8?key=a").await;
    let line = master.text().lines().last().unwrap();
    let path = url::Url::parse("http://a/hls/live/demo/audio/master.m3u8").unwrap().join(line).unwrap();
    assert!(path.path().starts_with("/hls/live/demo/~"), "{line}");
    assert_eq!(site.status(path.path()).await, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn what_is_allowed_under_another_name_plays_under_the_address_asked_for() {
    let site = Guarded::new().await;
    let base = site.enter("/hls/key/1/master.m3u8?key=a").await;
    assert!(base.starts_with("/hls/key/1/~"), "{base}");
    let playlist = parse(site.get(&format!("{base}/video/playlist.m3u8")).await.text());
    let file = playlist.segments[0].uri.as_ref().unwrap();
    assert_eq!(site.status(&format!("{base}/video/{file}")).await, StatusCode::OK);
    let moved = site.get("/hls/key/1/video/playlist.m3u8?key=a").await;
    assert_eq!(moved.status, StatusCode::TEMPORARY_REDIRECT);
    assert!(folder("/hls/key/1/video/playlist.m3u8", moved.header(header::LOCATION)).starts_with("/hls/key/1/~"));
}

#[tokio::test(start_paused = true)]
async fn a_viewer_that_is_no_longer_allowed_ends_in_the_middle_of_waiting() {
    let mut site = Guarded::new().await;
    let (a, b) =
        (site.enter("/hls/live/demo/master.m3u8?key=a").await, site.enter("/hls/live/demo/master.m3u8?key=b").await);
    let next = |base: &str, segment: u64| {
        let (router, path) =
            (site.router.clone(), format!("{base}/video/playlist.m3u8?_HLS_msn={segment}&_HLS_part=7"));
        tokio::spawn(async move { send(router, "GET", &path, &[]).await })
    };
    *site.keys.ended.lock().unwrap() = Some("a");
    // The decisions of both end at 10 s, while both wait.
    tokio::time::advance(Duration::from_millis(9_900)).await;
    let (denied, waiting) = (next(&a, 2), next(&b, 2));
    let answer = denied.await.unwrap();
    assert_eq!((answer.status, answer.text()), (StatusCode::FORBIDDEN, "the key a has ended\n"));
    assert!(!waiting.is_finished());
    site.run(6.0).await;
    assert_eq!(waiting.await.unwrap().status, StatusCode::OK);
    let file = parse(site.get(&format!("{b}/video/playlist.m3u8")).await.text()).segments[1].uri.clone().unwrap();
    *site.keys.ended.lock().unwrap() = None;
    for path in ["video/playlist.m3u8".into(), format!("video/{file}"), "master.m3u8".into()] {
        let answer = site.get(&format!("{a}/{path}")).await;
        assert_eq!((answer.status, answer.text()), (StatusCode::FORBIDDEN, "the key a has ended\n"), "{path}");
        assert_eq!(site.status(&format!("{b}/{path}")).await, StatusCode::OK, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_about_a_viewer_that_rests_until_it_comes_back() {
    let site = Guarded::new().await;
    let base = site.enter("/hls/live/demo/master.m3u8?key=a").await;
    let playlist = format!("{base}/video/playlist.m3u8");
    assert_eq!(site.status(&playlist).await, StatusCode::OK);
    // It was used after the first decision, so that there is a second.
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(site.asked(), 2);
    site.keys.slow.store(true, Ordering::SeqCst);
    let began = tokio::time::Instant::now();
    let ask = || {
        let (router, path) = (site.router.clone(), playlist.clone());
        tokio::spawn(async move { send(router, "GET", &path, &[]).await })
    };
    let both = (ask(), ask());
    assert_eq!((both.0.await.unwrap().status, both.1.await.unwrap().status), (StatusCode::OK, StatusCode::OK));
    assert_eq!((site.asked(), began.elapsed().as_secs()), (3, 1), "they waited for one answer");
    *site.keys.ended.lock().unwrap() = Some("a");
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(site.get(&playlist).await.text(), "the key a has ended\n");
}
