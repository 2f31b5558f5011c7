//! Bad publishers, one after the other, beside a healthy one that loses nothing.

use std::io::{Read, Write};
use std::net::TcpStream;

use millrace_tests::{
    Client, Film, Form, PATIENCE, Publisher, Server, expect_continuous, header_and_second, packets, until,
};

const CONFIG: &str = "\
    [ingest]\npublish_token = \"to-be-or-not\"\nidle_timeout = \"2s\"\nmax_box = \"1MiB\"\nmax_samples = 1000\n\
    [[ladder]]\nrenditions = [\"240p\"]\n";
const TOKEN: &str = "?token=to-be-or-not";

#[test]
fn bad_publishers_are_told_and_a_healthy_one_loses_nothing() {
    let server = Server::serve(CONFIG);
    let film = Film::new();
    let healthy = Publisher::start(&server, Form::Endless, &film, "live/healthy", TOKEN);
    server.track("live/healthy", |track| track["rendition"] == "240p" && !track["width"].is_null());
    until("three segments", || {
        let playlist = server.text("/hls/live/healthy/240p/playlist.m3u8");
        (playlist.matches("#EXTINF").count() >= 3).then_some(())
    });
    let master = server.url("/hls/live/healthy/master.m3u8");
    // Longer than the bad ones take.
    const SECONDS: u32 = 12;
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| packets(&master, SECONDS));
        refused(&server);
        let read = reader.join().expect("it can be read");
        assert_eq!(read.len(), 3, "the source, its sound and its rung");
        for (number, packets) in read {
            expect_continuous(&format!("stream {number} of the healthy broadcast"), &packets, f64::from(SECONDS) - 0.5);
        }
    });
    let state = server.broadcast("live/healthy").expect("it is listed");
    assert_eq!(state["state"], "live", "{state:#}");
    assert!(server.metric("millrace_ingest_refusals_total", &["status=\"409\""]) >= 1.0);
    assert!(server.metric("millrace_ingest_refusals_total", &["status=\"403\""]) >= 2.0);
    healthy.finish();
    server.stop();
}

fn refused(server: &Server) {
    let client = Client::default();
    let (header, media) = header_and_second("libx264");
    let whole = [header.clone(), media.clone()].concat();
    let put = |path: &str, body: &[u8], status: u16, sentence: &str| {
        let answer = client.put(&server.url(&format!("/ingest/{path}")), body);
        let text = answer.text();
        assert!(answer.status == status && text.contains(sentence), "{path}: {} {text}", answer.status);
        println!("{status} {}", text.trim());
    };
    let bad = format!("live/bad/stream.mp4{TOKEN}");

    put(&format!("live/healthy/stream.mp4{TOKEN}"), &whole, 409, "has a publisher");
    put(&format!("live/healthy/chunk-stream0-00001.m4s{TOKEN}"), &whole, 409, "has a publisher");
    put("live/bad/stream.mp4", &whole, 403, "token");
    put("live/bad/stream.mp4?token=wrong", &whole, 403, "token");
    put(&bad, b"GIF89a and so on, for quite a while", 415, "not MP4");
    put(&bad, &media, 412, "before a header");
    put(&bad, &whole[..header.len() + media.len() / 2], 400, "ends inside");
    let (theora, _) = header_and_second("mpeg4");
    put(&bad, &theora, 415, "mp4v");

    let mut huge = whole.clone();
    let at = header.len() + find(&media, b"mdat");
    huge[at - 4..at].copy_from_slice(&0x7fff_ffffu32.to_be_bytes());
    put(&format!("live/bad/huge/stream.mp4{TOKEN}"), &huge, 413, "longer than the limit");
    let mut many = whole.clone();
    let at = header.len() + find(&media, b"trun") + 8;
    many[at..at + 4].copy_from_slice(&u32::MAX.to_be_bytes());
    put(&format!("live/bad/many/stream.mp4{TOKEN}"), &many, 413, "4294967295 samples");

    let answer = silent(server, &format!("/ingest/live/silent/stream.mp4{TOKEN}"), &whole);
    assert!(answer.contains(" 408 ") && answer.contains("nothing came for 2 s"), "{answer}");
    // Its name is free at once for whoever comes next.
    put(&format!("live/silent/stream.mp4{TOKEN}"), &whole, 200, "");
}

fn find(bytes: &[u8], name: &[u8; 4]) -> usize {
    bytes.windows(4).position(|window| window == name).expect("the box is there")
}

/// Sends something, and then nothing, without an end. Gives the answer.
fn silent(server: &Server, path: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address()).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out can be set");
    let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body, b"\r\n"].concat()).expect("it is taken");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer, and the end of the connection");
    String::from_utf8_lossy(&answer).into_owned()
}
