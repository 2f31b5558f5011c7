//! How a server ends, and what does not end it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use millrace_tests::{Client, PATIENCE, Playlist, Server, header_and_second, until};

#[test]
fn sigterm_ends_the_playlists_of_those_who_wait() {
    let server = Server::demo("[[ladder]]\nrenditions = [\"240p\"]\n");
    let client = Client::default();
    let tracks = ["video", "240p", "audio"];
    let urls = tracks.map(|track| server.url(&format!("/hls/live/demo/{track}/playlist.m3u8")));
    until("the rung", || (client.get(&urls[1]).status == 200).then_some(()));
    server.hang_up();
    until("the hang-up is seen", || server.log().contains("SIGHUP: ").then_some(()));
    let ended = server.delete("/ingest/live/demo");
    assert!(ended.status == 409 && ended.text().contains("not over HTTP"), "{ended:?}");
    let mut publisher = publishing(&server);
    std::thread::scope(|scope| {
        let waiting = urls.each_ref().map(|url| {
            let next = Playlist::fetch(&client, url).open_number() + 1;
            let client = &client;
            scope.spawn(move || client.get(&format!("{url}?_HLS_msn={next}")))
        });
        until("all of them wait", || (server.metric("millrace_hls_blocked_requests", &[]) >= 3.0).then_some(()));
        server.terminate();
        for (track, answer) in tracks.iter().zip(waiting) {
            let answer = answer.join().expect("an answer");
            assert_eq!(answer.status, 200, "{track}: {}", answer.text());
            let playlist = Playlist::parse(&answer.text());
            assert!(playlist.ended, "{track}: {}", playlist.text);
            assert!(answer.took < Duration::from_secs(8), "{track}: {:?}", answer.took);
        }
    });
    let mut answer = String::new();
    publisher.read_to_string(&mut answer).expect("an answer, and the end of the connection");
    let answer = answer.to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 503 ") && answer.contains("\nretry-after: 5\r"), "{answer}");
    assert!(answer.contains("the server stops: send the stream again"), "{answer}");
    server.stopped(None);
}

/// A publisher in the middle of an endless request.
fn publishing(server: &Server) -> TcpStream {
    let (header, media) = header_and_second("libx264");
    let body = [header, media].concat();
    let mut stream = TcpStream::connect(server.address()).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out can be set");
    let head = format!(
        "POST /ingest/live/me/stream.mp4 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), &body, b"\r\n"].concat()).expect("it is taken");
    server.track("live/me", |track| track["name"] == "video" && !track["width"].is_null());
    stream
}
