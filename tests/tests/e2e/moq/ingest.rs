//! What others publish becomes a broadcast like any other.

use std::io::Write as _;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use millrace_tests::moq::Peer;
use millrace_tests::{Client, Film, Form, Playlist, Publisher, Server, header_and_second, moments, packets, until};
use serde_json::json;

use super::{AAC_DELAY, CONFIG, IN_STEP, SECONDS, expect_whole, wait_for_rung, wait_for_three_segments};

#[test]
fn moq_pub_announces_and_is_played_over_hls() {
    let server = Server::serve(CONFIG);
    let film = Film::new();
    let publisher = Peer::publishing("moq-pub", ["--name", "live/me", "--tls-disable-verify", &server.moq()], &film);
    played_over_hls(&server);
    drop(publisher);
    server.stop();
}

#[test]
fn moq_pub_pushes_its_tracks_and_is_played_over_hls() {
    let server = Server::serve(CONFIG);
    let film = Film::new();
    let url = server.moq();
    let arguments = ["--publish", "--name", "live/me", "--tls-disable-verify", &url];
    let publisher = Peer::publishing("moq-pub", arguments, &film);
    played_over_hls(&server);
    drop(publisher);
    server.stop();
}

#[test]
fn the_moq_command_publishes_and_is_played_over_hls() {
    let server = Server::serve(CONFIG);
    let film = Film::new();
    let publisher = Peer::publishing("moq", import(&server.moq()), &film);
    played_over_hls(&server);
    drop(publisher);
    server.stop();
}

/// The arguments with which `moq` publishes.
fn import(url: &str) -> [&str; 7] {
    ["--connect", url, "--connect-tls-insecure", "--broadcast", "live/me", "import", "fmp4"]
}

/// Reads the source with its rung, and the rung's own view, as a player does.
fn played_over_hls(server: &Server) {
    wait_for_rung(server, "live/me");
    wait_for_three_segments(server, "live/me");
    let (whole, view) = (server.url("/hls/live/me/master.m3u8"), server.url("/hls/live/me/240p/master.m3u8"));
    thread::scope(|scope| {
        let seen = scope.spawn(|| moments(&view, 0, SECONDS));
        for (url, tracks) in [(&whole, 3), (&view, 2)] {
            let streams = packets(url, SECONDS);
            assert_eq!(streams.len(), tracks, "{url} has other tracks than expected");
            for (number, packets) in &streams {
                expect_whole(&format!("{url}, stream {number}"), packets, SECONDS - 1);
            }
        }
        let skew = seen.join().expect("it can be decoded").skew();
        println!("sound is {:.1} ms behind the picture", skew * 1000.0);
        assert!((skew - AAC_DELAY).abs() < IN_STEP, "sound is {skew} s behind the picture");
    });
}

#[test]
fn a_publisher_who_breaks_off_inside_a_group_may_return() {
    let server = Server::serve(CONFIG);
    let film = Film::new();
    let first = Peer::publishing("moq", import(&server.moq()), &film);
    wait_for_rung(&server, "live/me");
    wait_for_three_segments(&server, "live/me");
    first.kill();
    until("it waits", || (server.broadcast("live/me")?["state"] == "waiting").then_some(()));

    let second = Peer::publishing("moq", import(&server.moq()), &film);
    until("the broadcast goes on behind a discontinuity", || {
        let playlist = Playlist::parse(&server.text("/hls/live/me/240p/playlist.m3u8"));
        let breaks = playlist.segments.iter().filter(|segment| segment.discontinuity).count();
        let goes_on = playlist.segments.last().is_some_and(|last| !last.discontinuity);
        (breaks == 1 && goes_on).then_some(())
    });
    drop(second);
    server.stop();
}

#[test]
fn a_name_that_is_live_is_refused() {
    let server = Server::serve(CONFIG);
    let film = Film::new();
    let healthy = Publisher::start(&server, Form::Endless, &film, "live/me", "");
    wait_for_rung(&server, "live/me");
    let mut second = Peer::publishing("moq-pub", ["--name", "live/me", "--tls-disable-verify", &server.moq()], &film);
    let end = until("it is refused", || second.ended());
    assert!(!end.success(), "it ended with {end}:\n{}", second.log());
    wait_for_three_segments(&server, "live/me");
    assert_eq!(server.broadcast("live/me").expect("it is listed")["state"], "live");
    healthy.finish();
    server.stop();
}

#[test]
fn a_token_is_asked_for_where_the_configuration_says_so() {
    let server = Server::serve("[ingest]\npublish_token = \"to-be-or-not\"\n");
    let film = Film::new();
    let mut without = Peer::publishing("moq-pub", ["--name", "live/a", "--tls-disable-verify", &server.moq()], &film);
    let end = until("it is refused", || without.ended());
    assert!(!end.success(), "it ended with {end}:\n{}", without.log());
    let url = format!("{}/?token=to-be-or-not", server.moq());
    let with = Peer::publishing("moq-pub", ["--name", "live/b", "--tls-disable-verify", &url], &film);
    server.track("live/b", |track| track["name"] == "video" && !track["width"].is_null());
    assert!(server.broadcast("live/a").is_none(), "it was published without a token");
    drop(with);
    server.stop();
}

#[test]
fn a_signed_token_lets_its_own_name_be_published() {
    let secret: [u8; 32] = std::array::from_fn(|i| i as u8);
    let mut key = tempfile::NamedTempFile::new().unwrap();
    write!(key, r#"{{"kty":"oct","alg":"HS256","k":"{}"}}"#, URL_SAFE_NO_PAD.encode(secret)).unwrap();
    let server = Server::serve(&format!("[ingest]\njwt_key = {:?}\n", key.path()));
    let claims = json!({ "put": "live/mine", "exp": jsonwebtoken::get_current_timestamp() + 3600 });
    let signed = |secret: &[u8]| {
        let (header, key) = (Header::new(Algorithm::HS256), EncodingKey::from_secret(secret));
        format!("{}/?jwt={}", server.moq(), jsonwebtoken::encode(&header, &claims, &key).unwrap())
    };
    let film = Film::new();
    let publish = |name, url: &str| Peer::publishing("moq-pub", ["--name", name, "--tls-disable-verify", url], &film);
    let mine = publish("live/mine", &signed(&secret));
    server.track("live/mine", |track| track["name"] == "video" && !track["width"].is_null());
    for (name, secret) in [("live/yours", secret), ("live/mine/too", [7; 32])] {
        let mut refused = publish(name, &signed(&secret));
        let end = until("it is refused", || refused.ended());
        assert!(!end.success(), "it ended with {end}:\n{}", refused.log());
        assert!(server.broadcast(name).is_none(), "{name} was published");
    }
    drop(mine);
    over_http(&server, |claims, secret: &[u8]| {
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(secret)).unwrap()
    });
    server.stop();
}

/// What a signed token lets be published over HTTP: the same.
fn over_http(server: &Server, signed: impl Fn(serde_json::Value, &[u8]) -> String) {
    let secret: [u8; 32] = std::array::from_fn(|i| i as u8);
    let (header, media) = header_and_second("libx264");
    let (whole, now) = ([header, media].concat(), jsonwebtoken::get_current_timestamp());
    let good = signed(json!({ "put": "live/http", "exp": now + 3600 }), &secret);
    let expired = signed(json!({ "put": "live/http", "exp": now - 3600 }), &secret);
    let foreign = signed(json!({ "put": "live/http" }), &[7; 32]);
    let client = Client::default();
    for (path, jwt, status, sentence) in [
        ("live/http/too/stream.mp4", Some(&good), 200, ""),
        ("live/yours/stream.mp4", Some(&good), 403, "may publish live/http and what lies below it"),
        ("live/http/stream.mp4", Some(&expired), 403, "has expired"),
        ("live/http/stream.mp4", Some(&foreign), 403, "signature"),
        ("live/http/stream.mp4", None, 403, "a JSON Web Token: send it as `Authorization: Bearer JWT`"),
    ] {
        let url = server.url(&format!("/ingest/{path}"));
        let in_query = client.put(&jwt.map_or(url.clone(), |jwt| format!("{url}?jwt={jwt}")), &whole);
        let bearer = jwt.map(|jwt| ("authorization", format!("Bearer {jwt}")));
        let headers: Vec<_> = bearer.iter().map(|(name, value)| (*name, value.as_str())).collect();
        for answer in [in_query, client.put_with(&url, &headers, &whole)] {
            assert!(answer.status == status && answer.text().contains(sentence), "{path}: {answer:?}");
        }
    }
    assert!(server.broadcast("live/yours").is_none() && server.broadcast("live/http").is_none());
}
