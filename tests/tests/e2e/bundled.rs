//! Plugins that come with the server, as operators use them: who may publish and play, and rungs that follow the content.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header, encode};
use millrace_tests::{Client, Film, Form, Playlist, Publisher, Server, expect_continuous, packets, until};
use serde_json::{Value, json};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn token(claims: &Value, seconds: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set");
    let mut claims = claims.clone();
    claims["exp"] = (now + Duration::from_secs(seconds)).as_secs().into();
    encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET.as_bytes())).expect("it can be signed")
}

/// The status of the master playlist, and what the server says.
fn master(server: &Server, client: &Client, broadcast: &str, query: &str) -> (u16, String) {
    let answer = client.get(&server.url(&format!("/hls/{broadcast}/master.m3u8{query}")));
    (answer.status, answer.text())
}

#[test]
fn a_token_says_who_may_publish_and_play() {
    let server = Server::serve(&format!(
        "ladder = []\n[ingest]\nlinger = \"1s\"\n[[plugin]]\nname = \"tokens\"\nbundled = \"jwt-access\"\n\
         grants = {{ clock = true }}\nsettings = {{ secret = \"{SECRET}\", leeway = 0 }}\n"
    ));
    let (client, film) = (Client::default(), Film::new());
    let publishes = token(&json!({ "publish": "live/*" }), 600);
    let publisher = Publisher::start(&server, Form::Endless, &film, "live/me", &format!("?jwt={publishes}"));
    server.track("live/me", |track| !track["width"].is_null());

    let (status, said) = master(&server, &client, "live/me", "");
    assert_eq!(status, 403);
    assert!(said.contains("a JSON Web Token is needed"), "{said}");
    let (status, said) = master(&server, &client, "live/me", &format!("?jwt={publishes}"));
    assert_eq!(status, 403);
    assert!(said.contains("the token does not allow to play live/me"), "{said}");

    let plays = token(&json!({ "play": "live/me" }), 8);
    let url = server.url(&format!("/hls/live/me/master.m3u8?jwt={plays}"));
    for (number, packets) in packets(&url, 3) {
        expect_continuous(&format!("stream {number}"), &packets, 2.5);
    }
    until("the token expires, and with it what it allowed", || {
        let (status, said) = master(&server, &client, "live/me", &format!("?jwt={plays}"));
        (status == 403 && said.contains("expired")).then_some(())
    });
    assert!(server.metric("millrace_plugin_metric_tokens_attempts_total", &["decision=\"denied\""]) >= 3.0);
    publisher.finish();
    server.stop();
}

/// A service that decides: who shows the token `good` may, and everybody may publish.
struct Service {
    address: String,
    asked: Arc<Mutex<Vec<Value>>>,
}

impl Service {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback can be listened on");
        let address = listener.local_addr().expect("it has an address").to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let heard = heard.clone();
                // A client that goes away is no affair of the test.
                std::thread::spawn(move || answer(stream, &heard));
            }
        });
        Self { address, asked }
    }
}

fn answer(mut stream: TcpStream, heard: &Mutex<Vec<Value>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let question: Value = serde_json::from_slice(&body).unwrap_or_default();
        let good = question["action"] == "publish"
            || question["query"]["token"].as_str().is_some_and(|token| token.starts_with("good"));
        heard.lock().expect("nobody panics").push(question);
        let reply = if good { json!({ "allow": true }) } else { json!({ "allow": false, "reason": "not paid" }) };
        let reply = reply.to_string();
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{reply}", reply.len())?;
    }
}

#[test]
fn a_service_says_who_may_publish_and_play() {
    let service = Service::start();
    let server = Server::serve(&format!(
        "ladder = []\n[ingest]\nlinger = \"1s\"\n[[plugin]]\nname = \"hook\"\nbundled = \"webhook-access\"\n\
         grants = {{ http = [\"http://{0}\"] }}\nsettings = {{ url = \"http://{0}/decide\" }}\n",
        service.address
    ));
    let (client, film) = (Client::default(), Film::new());
    let publisher = Publisher::start(&server, Form::Endless, &film, "live/me", "");
    server.track("live/me", |track| !track["width"].is_null());
    let (status, said) = master(&server, &client, "live/me", "?token=bad");
    assert_eq!(status, 403);
    assert!(said.contains("not paid"), "{said}");
    let url = server.url("/hls/live/me/master.m3u8?token=good");
    for (number, packets) in packets(&url, 3) {
        expect_continuous(&format!("stream {number}"), &packets, 2.5);
    }
    // A question a session, not a request; the player above has made dozens.
    let asked = service.asked.lock().expect("nobody panics").clone();
    let plays: Vec<_> = asked.iter().filter(|question| question["query"]["token"] == "good").collect();
    assert_eq!(plays.len(), 1, "{asked:#?}");
    assert_eq!((&plays[0]["broadcast"], &plays[0]["protocol"]), (&"live/me".into(), &"hls".into()));
    // More at a time than a plugin may have requests: they wait for their turn.
    std::thread::scope(|scope| {
        let ask = |n: usize| master(&server, &client, "live/me", &format!("?token=good-{n}"));
        let all: Vec<_> = (0..40).map(|n| scope.spawn(move || ask(n))).collect();
        for one in all {
            let (status, said) = one.join().expect("it is answered");
            assert_eq!(status, 200, "{said}");
        }
    });
    publisher.finish();
    server.stop();
}

#[test]
fn rungs_follow_the_content() {
    let server = Server::serve(
        "[ingest]\nlinger = \"1s\"\n[[ladder]]\n\
         [[ladder.renditions]]\nname = \"360p\"\nwidth = 640\nheight = 360\nvideo_bitrate = \"1M\"\n\
         [[ladder.renditions]]\nname = \"240p\"\nwidth = 426\nheight = 240\nvideo_bitrate = \"400k\"\n\
         [[plugin]]\nname = \"per-title\"\nbundled = \"per-title\"\n",
    );
    let rungs = |broadcast: &str| {
        let tracks = server.broadcast(broadcast).map(|found| found["tracks"].clone()).unwrap_or_default();
        let tracks = tracks.as_array().cloned().unwrap_or_default();
        let described = tracks.iter().filter(|track| !track["rendition"].is_null() && !track["width"].is_null());
        described.map(|track| track["rendition"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let target = |broadcast: &str, rung: &str| {
        let labels = [format!("broadcast=\"{broadcast}\""), format!("rung=\"{rung}\"")];
        let labels: Vec<_> = labels.iter().map(String::as_str).collect();
        server.metric("millrace_plugin_metric_per_title_target_bitrate", &labels)
    };
    let (easy, hard) = (Film::still(640, 360), Film::new());
    let publishers = [
        Publisher::start(&server, Form::Endless, &easy, "live/easy", ""),
        Publisher::start(&server, Form::Endless, &hard, "live/hard", ""),
    ];
    until("the hard film gets the whole ladder", || (rungs("live/hard") == ["240p", "360p"]).then_some(()));
    until("the easy film gets its lowest rung", || (rungs("live/easy") == ["240p"]).then_some(()));
    assert_eq!(target("live/easy", "240p"), 160_000.0, "the floor");
    assert!(target("live/hard", "240p") > 160_000.0);
    let (client, rung) = (Client::default(), server.url("/hls/live/easy/240p/playlist.m3u8"));
    until("three segments of the rung", || (Playlist::fetch(&client, &rung).segments.len() >= 3).then_some(()));
    for (number, packets) in packets(&server.url("/hls/live/easy/240p/master.m3u8"), 6) {
        expect_continuous(&format!("stream {number} of the easy film"), &packets, 5.0);
    }
    assert_eq!(server.metric("millrace_transcoder_faults_total", &["\"per-title\""]), 0.0);
    publishers.into_iter().for_each(Publisher::finish);
    server.stop();
}
