//! Connections of clients: how quick answers are over TLS, and what becomes of a server whose connections are taken up.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use millrace_tests::{Client, PATIENCE, Playlist, Server, run, until};

/// How many parts are fetched, one after another.
const PARTS: usize = 100;
/// A write that waits for the client to acknowledge the one before it waits for 40 ms.
const QUICK: f64 = 0.002;

/// Writes a certificate for this machine, and gives the configuration that shows it.
fn tls(folder: &Path) -> String {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]);
    let made = made.expect("a certificate can be made");
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.join(name));
    std::fs::write(&cert, made.cert.pem()).expect("it can be written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("it can be written");
    format!("[http.tls]\ncert = {cert:?}\nkey = {key:?}\n")
}

/// What curl says of a number of answers on one connection.
struct Fetched {
    /// Seconds, rising.
    took: Vec<f64>,
    /// How many connections were opened.
    connections: usize,
    /// As curl names it: `1.1` or `2`.
    version: String,
}

impl Fetched {
    /// Fetches the same bytes over and over.
    fn new(url: &str, version: &str) -> Self {
        // A query keeps the addresses apart, and says nothing to the server.
        let urls = format!("{url}?[1-{PARTS}]");
        let form = "%{http_code} %{num_connects} %{http_version} %{time_total}\\n";
        let said =
            run("curl", ["--silent", "--insecure", version, "--output", "/dev/null", "--write-out", form, &urls]);
        let mut fetched = Self { took: Vec::new(), connections: 0, version: String::new() };
        for line in said.lines() {
            let words: Vec<_> = line.split(' ').collect();
            assert_eq!((words.len(), words[0]), (4, "200"), "{line}");
            fetched.connections += words[1].parse::<usize>().expect("a number");
            fetched.version = words[2].to_owned();
            fetched.took.push(words[3].parse().expect("seconds"));
        }
        fetched.took.sort_by(f64::total_cmp);
        fetched
    }
}

#[test]
fn parts_on_one_connection_do_not_wait_for_acknowledgements() {
    let folder = tempfile::tempdir().expect("a folder");
    for (tls, versions) in [(tls(folder.path()), &["--http1.1", "--http2"][..]), (String::new(), &["--http1.1"])] {
        let server = Server::demo(&format!("ladder = []\n[plugin_host]\nbundled = false\n{tls}"));
        let video = server.url("/hls/live/demo/video");
        let part = until("a part", || {
            let (code, text) = millrace_tests::run_for_errors(
                "curl",
                ["--silent", "--insecure", "--fail", &format!("{video}/playlist.m3u8")],
            );
            let playlist = (code == 0).then(|| Playlist::parse(&text))?;
            playlist.segments.into_iter().flat_map(|segment| segment.parts).next()
        });
        for version in versions {
            let fetched = Fetched::new(&format!("{video}/{part}"), version);
            assert_eq!((fetched.took.len(), fetched.connections), (PARTS, 1), "{version}");
            assert!(version.ends_with("1.1") == (fetched.version == "1.1"), "{version}: HTTP/{}", fetched.version);
            let median = fetched.took[PARTS / 2];
            println!("{} {version}: median {:.3} ms", server.url(""), median * 1e3);
            assert!(median < QUICK, "{version}: a part takes {:.1} ms", median * 1e3);
        }
        if tls.is_empty() {
            // curl 7.88 cannot use such a connection twice.
            let health = server.url("/healthz");
            let form = ["--write-out", "HTTP/%{http_version}", &health];
            let said = run("curl", [&["--silent", "--http2-prior-knowledge"][..], &form].concat());
            assert_eq!(said, "ok\nHTTP/2");
        }
        server.stop();
    }
}

#[test]
fn a_server_without_descriptors_lets_silent_connections_go() {
    const DESCRIPTORS: u32 = 64;
    let config =
        "ladder = []\n[ingest]\nidle_timeout = \"1m\"\n[moq]\nenabled = false\n[plugin_host]\nbundled = false\n";
    let server = Server::serve_with_descriptors(config, DESCRIPTORS);
    // One that is asked on, and one whose answer is waited for, are not silent.
    let connect = || {
        let stream = TcpStream::connect(server.address()).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out can be set");
        stream.set_nodelay(true).expect("it can be set");
        stream
    };
    let mut publishing = connect();
    let head = "POST /ingest/live/me/stream.mp4 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    publishing.write_all(head.as_bytes()).expect("it is taken");
    until("the request", || (server.metric("millrace_http_connections", &[]) >= 1.0).then_some(()));
    let mut silent: Vec<_> = (0..3 * DESCRIPTORS).map(|_| connect()).collect();
    // Each of these is a connection of its own.
    for _ in 0..10 {
        let mut viewer = connect();
        viewer.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("it is taken");
        let mut answer = String::new();
        viewer.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert!(server.metric("millrace_http_connections_ended_total", &["reason=\"room\""]) > 0.0);
    assert!(server.metric("millrace_http_connections", &[]) <= f64::from(DESCRIPTORS));
    let lines = server.log().matches("no file descriptors are left").count();
    assert_eq!(lines, 1, "said once in a while");
    // Still open: nothing comes, and no end.
    publishing.set_read_timeout(Some(Duration::from_millis(1))).expect("it can be set");
    let error = publishing.read(&mut [0]).expect_err("no answer yet");
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
    silent.clear();
    drop(publishing);
    server.terminate();
    server.stopped(Some("no file descriptors are left"));
}

#[test]
fn a_viewer_who_takes_nothing_is_reset_when_patience_ends() {
    let server = Server::demo("ladder = []\n[plugin_host]\nbundled = false\n[http]\npatience = \"1s\"\n");
    let (client, video) = (Client::default(), "/hls/live/demo/video");
    let segment = until("a segment", || {
        let answer = client.get(&server.url(&format!("{video}/playlist.m3u8")));
        let playlist = (answer.status == 200).then(|| Playlist::parse(&answer.text()))?;
        Some(playlist.segments.first()?.uri.clone())
    });
    let mut viewer = TcpStream::connect(server.address()).expect("it listens");
    let request = format!("GET {video}/{segment} HTTP/1.1\r\nHost: a\r\n\r\n");
    // More than the sockets of both sides hold, whatever the machine gives them.
    viewer.write_all(request.repeat(400).as_bytes()).expect("it is taken");
    let ended = || server.metric("millrace_http_connections_ended_total", &["reason=\"untaken\""]);
    until("the viewer is gone", || (ended() >= 1.0).then_some(()));
    viewer.set_read_timeout(Some(PATIENCE)).expect("a time-out can be set");
    let error = std::io::copy(&mut viewer, &mut std::io::sink()).expect_err("the rest is not offered any more");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    server.stop();
}
