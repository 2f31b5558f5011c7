//! An access plugin decides who may publish and play, and harms nobody whatever it does.

use std::path::Path;

use millrace_tests::moq::{Capture, Viewer};
use millrace_tests::{
    Client, Film, Form, Page, Playlist, Publisher, Server, expect_continuous, gate, packets, run, until,
};

/// A server whose only plugin is the gate.
fn config(more: &str) -> String {
    format!(
        "ladder = []\n{more}[plugin_host]\nbundled = false\n[[plugin]]\nname = \"gate\"\npath = {:?}\n\
         grants = {{ timers = true }}\n[plugin.limits]\ndecision = \"1s\"\ncpu = 4\n",
        gate().display().to_string()
    )
}

/// Waits until the media of a broadcast is there.
fn wait_for(server: &Server, broadcast: &str) {
    server.track(broadcast, |track| track["kind"] == "video" && !track["width"].is_null());
    server.track(broadcast, |track| track["kind"] == "audio");
}

fn state(server: &Server, broadcast: &str) -> Option<String> {
    server.broadcast(broadcast)?["state"].as_str().map(str::to_owned)
}

#[test]
fn publishers_and_viewers_are_decided_beside_a_healthy_stream_that_loses_nothing() {
    let server = Server::serve(&config(""));
    let (film, client) = (Film::new(), Client::default());
    // Its publisher is asked about again every 30 s, and answered late.
    let healthy = Publisher::start(&server, Form::Endless, &film, "live/me", "?do=late");
    wait_for(&server, "live/me");

    // What is denied, and what fails, is told.
    for (what, reason) in [
        ("deny", "it says no"),
        ("drop", "the plugin gate has given no answer"),
        ("fail", "the plugin gate has failed"),
        ("trap", "the plugin gate has failed"),
        ("loop", "the plugin gate has failed"),
        ("never", "the plugin gate has not decided within 1 s"),
    ] {
        let answer = client.put(&server.url(&format!("/ingest/live/bad/stream.mp4?do={what}")), b"");
        assert_eq!((answer.status, answer.text()), (403, format!("{reason}.\n")), "{what}");
        let answer = client.get(&server.url(&format!("/hls/live/me/master.m3u8?do={what}")));
        assert_eq!((answer.status, answer.text()), (403, format!("{reason}\n")), "{what}");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
    }

    // Under another name.
    let renamed = Publisher::start(&server, Form::Endless, &film, "live/key", "?do=as");
    wait_for(&server, "live/other");
    assert_eq!(state(&server, "live/key"), None);
    for master in ["/hls/live/other/master.m3u8?do=allow", "/hls/live/key/master.m3u8?do=as"] {
        for (number, packets) in packets(&server.url(master), 4) {
            expect_continuous(&format!("{master}, stream {number}"), &packets, 3.5);
        }
    }
    renamed.finish();

    // One that is no longer allowed is cut off.
    let cut = Publisher::start(&server, Form::Endless, &film, "live/cut", "?do=once");
    until("it has been there", || state(&server, "live/cut"));
    until("it waits for its publisher", || state(&server, "live/cut").filter(|state| state == "waiting"));
    drop(cut);

    // A stock player plays through all of that, by the multivariant playlist and by a media playlist alone.
    for path in ["master.m3u8", "video/playlist.m3u8"] {
        for (number, packets) in packets(&server.url(&format!("/hls/live/me/{path}?do=allow")), 6) {
            expect_continuous(&format!("{path}, stream {number}"), &packets, 5.5);
        }
    }
    let shown = server.json("/api/v1/access");
    let gate = &shown["access"][0];
    assert_eq!(gate["plugin"], "gate", "{shown:#}");
    assert!(gate["failed"].as_u64() >= Some(10) && gate["denied"].as_u64() >= Some(3), "{shown:#}");
    assert_eq!(gate["open"], 0, "{shown:#}");
    assert!(server.metric("millrace_access_answers_total", &["plugin=\"gate\"", "result=\"allowed\""]) >= 4.0);
    assert_eq!(state(&server, "live/me").as_deref(), Some("live"));
    healthy.finish();
    server.terminate();
    server.stopped(Some("an access plugin has failed"));
}

/// What curl gets: status and body.
fn curl(version: &str, url: &str) -> (u16, String) {
    let form = "\n%{http_code} %{http_version}";
    let said = run("curl", ["--silent", "--insecure", "--location", version, "--write-out", form, url]);
    let (body, last) = said.rsplit_once('\n').expect("a line of its own");
    let (status, spoken) = last.split_once(' ').expect("two words");
    let expected = if version == "--http2" { "2" } else { "1.1" };
    assert_eq!(spoken, expected, "{url}");
    (status.parse().expect("a status"), body.to_owned())
}

fn tls(folder: &Path) -> String {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]);
    let made = made.expect("a certificate can be made");
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.join(name));
    std::fs::write(&cert, made.cert.pem()).expect("it can be written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("it can be written");
    format!("[http.tls]\ncert = {cert:?}\nkey = {key:?}\n")
}

#[test]
fn hls_has_a_session_over_tls_and_http_2_and_it_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::demo(&config(&tls(folder.path())));
    for version in ["--http1.1", "--http2"] {
        let url = |path: &str| server.url(&format!("/hls/live/demo/{path}"));
        assert_eq!(curl(version, &url("master.m3u8?do=deny")), (403, "it says no\n".to_owned()));
        let (status, master) = until("the demo plays", || {
            Some(curl(version, &url("master.m3u8?do=allow"))).filter(|(status, _)| *status == 200)
        });
        assert_eq!(status, 200);
        let playlist = url(master.lines().last().expect("an address"));
        let (status, text) = curl(version, &playlist);
        assert_eq!(status, 200, "{text}");
        let known = Playlist::parse(&text);
        let file = playlist.replace("playlist.m3u8", &known.segments.last().expect("a segment").uri);
        let status = run("curl", ["-sko", "/dev/null", version, "--write-out", "%{http_code}", &file]);
        assert_eq!(status, "200", "{file}");
        // Without its token, nobody has it.
        let bare = file.split('/').filter(|element| !element.starts_with('~')).collect::<Vec<_>>().join("/");
        assert_eq!(curl(version, &bare).0, 403, "{bare}");
        // The way to a media playlist alone is a redirection, which curl follows.
        assert_eq!(curl(version, &url("video/playlist.m3u8?do=allow")).0, 200);
    }
    let (status, master) = curl("--http2", &server.url("/hls/live/demo/master.m3u8?do=once"));
    assert_eq!(status, 200, "{master}");
    let playlist = server.url(&format!("/hls/live/demo/{}", master.lines().last().expect("an address")));
    // A player goes on asking, for what is not there yet.
    let answer = until("the session ends", || {
        let (_, text) = curl("--http2", &playlist);
        let next = if text.starts_with("#EXTM3U") { Playlist::parse(&text).open_number() + 1 } else { 0 };
        let (status, text) = curl("--http2", &format!("{playlist}?_HLS_msn={next}"));
        (status == 403).then_some(text)
    });
    assert_eq!(answer, "it is over\n");
    server.terminate();
    server.stopped(Some("no longer play"));
}

#[test]
fn media_over_quic_is_decided_with_both_stacks() {
    let server = Server::serve(&config(""));
    let film = Film::new();
    let publisher = Publisher::start(&server, Form::Endless, &film, "live/me", "?do=allow");
    wait_for(&server, "live/me");
    let at = |what: &str| format!("{}/?do={what}", server.moq());

    let allowed = Viewer::watch(&at("allow"), "live/me", "video");
    let objects = allowed.groups(2);
    assert!(!objects.is_empty());
    let denied = Viewer::watch(&at("deny"), "live/me", "video");
    until("it is refused", || denied.end());
    assert!(denied.objects().is_empty());
    let once = Viewer::watch(&at("once"), "live/me", "video");
    until("it ends", || once.end());

    // The other stack.
    let url = at("allow&n=net");
    let select = ["--catalog-format", "hang", "fmp4", "--max-age", "10s", "--fragment-duration", "30ms"];
    let from = ["--connect", &url, "--connect-tls-insecure", "--broadcast", "live/me", "export"];
    Capture::start("moq", [&from[..], &select].concat()).fragments(60);

    let before = allowed.objects().len();
    until("the first viewer goes on", || (allowed.objects().len() > before).then_some(()));
    assert_eq!(allowed.end(), None);
    drop(allowed);
    publisher.finish();
    server.terminate();
    server.stopped(Some("a subscriber may no"));
}

#[test]
fn the_web_player_plays_through_a_session() {
    let server = Server::demo(&config(""));
    let mut page = Page::open(&server.url("/#live/demo"), "access");
    page.phase("playing");
    let watched = page.watch(5);
    assert_eq!(watched["end"]["fatal"].as_array().map(Vec::len), Some(0), "{watched:#}");
    assert!(server.metric("millrace_hls_sessions", &[]) >= 1.0);
    let asked = server.json("/api/v1/access")["access"][0]["attempts"].as_u64().expect("a number");
    assert!(asked <= 4, "it is asked for once a session, and not once a request: {asked}");
    drop(page);
    server.stop();
}
