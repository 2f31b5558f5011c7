<<<<<<< HEAD
//! The plugins that come with Millrace, as operators and viewers see them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use millrace_tests::{Reel, Server, until, watch_cues};
use serde_json::{Value, json};

const NAME: &str = "live/me";
/// When the film's upper left turns white, in seconds.
const WHITE: u32 = 22;
const SECONDS: u32 = 60;

/// A film whose upper left is black, and white from a moment on.
fn film() -> Reel {
    Reel::film(
        &format!(
            "testsrc2=size=640x360:rate=30:duration={SECONDS},noise=alls=6:allf=t+u,\
             drawbox=w=iw/2:h=ih/2:color=black:t=fill,\
             drawbox=w=iw/2:h=ih/2:color=white:t=fill:enable='gte(t,{WHITE})'"
        ),
        SECONDS,
    )
}

/// Publishes a film in real time while `run` goes on, and no longer.
fn while_published<T>(server: &Server, reel: &Reel, run: impl FnOnce() -> T) -> T {
    let mut showings = reel.publish(server.address(), [NAME.to_owned()]);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let whole = Duration::from_secs(SECONDS.into());
            reel.send_until(&mut showings, whole, || is_over.load(Ordering::Relaxed));
        });
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
        is_over.store(true, Ordering::Relaxed);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Sends a message to the only instance of a plugin, and gives its reply.
fn message(server: &Server, plugin: &str, message: &Value) -> Value {
    let path = format!("/api/v1/plugins/{plugin}/messages?broadcast={NAME}");
    let answer = server.post(&path, message);
    assert_eq!(answer.status, 200, "{message}: {}", answer.text());
    let replies: Value = serde_json::from_str(&answer.text()).expect("JSON");
    assert_eq!(replies.as_array().map(Vec::len), Some(1), "{replies:#}");
    let reply = replies[0]["reply"].as_str().unwrap_or_else(|| panic!("{message}: {replies:#}"));
    serde_json::from_slice(&STANDARD.decode(reply).expect("base64")).expect("JSON")
}

fn has_media(server: &Server) -> bool {
    let video = |track: &Value| track["kind"] == "video" && !track["width"].is_null();
    server.broadcast(NAME).is_some_and(|one| one["tracks"].as_array().is_some_and(|tracks| tracks.iter().any(video)))
}

fn alarm(server: &Server, name: &str) -> Option<Value> {
    let all = server.json("/api/v1/alarms");
    all["alarms"].as_array().expect("a list").iter().find(|alarm| alarm["name"] == name).cloned()
}

#[test]
fn messages_are_cues_and_metadata_of_hls_js() {
    let plugin = |name: &str, more: &str| format!("[[plugin]]\nname = \"{name}\"\nbundled = \"{name}\"\n{more}\n");
    let server = Server::serve(
        &[
            plugin("scte35", ""),
            plugin("id3", ""),
            plugin("clock", "settings = { form = \"id3\" }\ngrants = { clock = true }"),
        ]
        .concat(),
    );
    let reel = film();
    let (asked, seen) = while_published(&server, &reel, || {
        until("the video", || has_media(&server).then_some(()));
        std::thread::scope(|scope| {
            let player = scope.spawn(|| watch_cues(&server.url(""), NAME));
            let media = |kind| server.metric("millrace_hls_requests_total", &[kind, "status=\"200\""]);
            until("the player fetches media", || {
                (media("kind=\"segment\"") + media("kind=\"part\"") > 5.0).then_some(())
            });
            let asked = message(&server, "scte35", &json!({ "type": "out", "duration": 10, "in": 6 }));
            message(&server, "id3", &json!({ "TIT2": "A title" }));
            (asked, player.join().expect("it plays"))
        })
    });
    assert!(seen["fatal"].as_array().is_some_and(Vec::is_empty), "{seen:#}");
    let ranges = seen["ranges"].as_object().expect("an object");
    assert_eq!(ranges.len(), 1, "{seen:#}");
    let (_, range) = ranges.iter().next().expect("there is one");
    assert_eq!(range["attributes"]["PLANNED-DURATION"], "10.000", "{seen:#}");
    let cues = seen["cues"].as_array().expect("a list");
    let find = |key: &str| cues.iter().find(|cue| cue["key"] == key).unwrap_or_else(|| panic!("no {key}: {seen:#}"));

    // The white frame is at a whole second of the timeline, which tells where on it the splice is shown.
    let (cue, white) = (find("SCTE35-OUT")["start"].as_f64().unwrap(), seen["white"].as_f64().unwrap());
    let at = asked["at"].as_f64().expect("the answer has the time of the splice");
    let apart = (cue - at) - (white - f64::from(WHITE));
    let off = apart - apart.round();
    println!("the cue is {:.1} ms from its frame; announced at {}, shown at {cue}", off * 1e3, range["at"]);
    assert!(off.abs() < 1.0 / 30.0, "{off} s from its frame: {asked}, {seen:#}");
    assert!(cue - range["at"].as_f64().unwrap() > 2.0, "with pre-roll: {seen:#}");
    assert!(server.metric("millrace_plugin_metric_scte35_cues_total", &["type=\"out\""]) == 1.0);
    assert!(server.metric("millrace_plugin_metric_scte35_events_total", &[]) > 2.0, "once and with each group");

    assert_eq!(find("TIT2")["data"], "A title", "{seen:#}");
    let times: Vec<u64> =
        cues.iter().filter(|cue| cue["key"] == "TXXX").filter_map(|cue| cue["data"].as_str()?.parse().ok()).collect();
    assert!(times.len() > 3, "a time with each group: {seen:#}");
    assert!(times.windows(2).all(|pair| (500..1_500).contains(&(pair[1] - pair[0]))), "{times:?}");
=======
//! Plugins that come with the server, as operators use them: who may publish and play, and rungs that follow the content.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header, encode};
use millrace_tests::{Client, Film, Form, Publisher, Server, expect_continuous, packets, until};
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
                // A client that goes away is no affair of the test.
                let _ = answer(stream, &heard);
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
        let good = question["action"] == "publish" || question["query"]["token"] == "good";
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
    publisher.finish();
>>>>>>> main
    server.stop();
}

#[test]
<<<<<<< HEAD
fn a_cap_holds_and_the_player_plays_on() {
    let server = Server::serve(
        "[[ladder]]\nrenditions = [\"240p\"]\n[[plugin]]\nname = \"cap\"\nbundled = \"bitrate-cap\"\n\
         settings = { bitrate = 600000, window = 1 }\n",
    );
    let reel = film();
    let seen = while_published(&server, &reel, || {
        until("the video", || has_media(&server).then_some(()));
        watch_cues(&server.url(""), NAME)
    });
    assert!(seen["fatal"].as_array().is_some_and(Vec::is_empty), "{seen:#}");
    assert!(seen["white"].is_number(), "it came as far as the white frames: {seen:#}");
    let groups = server.metric("millrace_plugin_metric_cap_discarded_groups_total", &[]);
    let passed = server.metric("millrace_plugin_metric_cap_passed_bits_per_second", &[]);
    println!("{groups} groups discarded, {passed:.0} b/s passed");
    assert!(groups >= 3.0, "{groups} groups");
    server.stop();
}

#[test]
fn health_is_measured_and_a_stalled_source_is_noticed() {
    let server = Server::serve(
        "[[ladder]]\nrenditions = [\"240p\"]\n[[plugin]]\nname = \"ladder\"\nbundled = \"ladder\"\n\
         [[plugin]]\nname = \"health\"\nbundled = \"health\"\n\
         settings = { max_gop = 0.5, min_bitrate = 100000, stalled = 1 }\ngrants = { timers = true }\n",
    );
    let reel = film();
    let of_video = "of=\"video\"";
    while_published(&server, &reel, || {
        let gop = until("a group is measured", || {
            let gop = server.metric("millrace_plugin_metric_health_gop_seconds", &[of_video]);
            (gop > 0.0).then_some(gop)
        });
        assert!((gop - 1.0).abs() < 0.05, "groups of {gop} s");
        let rate = until("the rates", || {
            let rate = server.metric("millrace_plugin_metric_health_frames_per_second", &[of_video]);
            (rate > 0.0).then_some(rate)
        });
        assert!((rate - 30.0).abs() < 0.5, "{rate} frames a second");
        let bits = server.metric("millrace_plugin_metric_health_bits_per_second", &[of_video]);
        assert!((500_000.0..2_000_000.0).contains(&bits), "{bits} b/s");
        assert_eq!(server.metric("millrace_plugin_metric_health_reordered_frames", &[of_video]), 0.0);
        let long = until("the alarm", || alarm(&server, "long_gop"));
        assert!(long["text"].as_str().is_some_and(|text| text.contains("longer than 0.5 s")), "{long:#}");
        assert_eq!(alarm(&server, "low_bitrate"), None);
        assert_eq!(alarm(&server, "stalled"), None);
    });
    until("the source is stalled", || alarm(&server, "stalled"));
    // It is well again with the publisher's return.
    while_published(&server, &reel, || until("it goes on", || alarm(&server, "stalled").is_none().then_some(())));
=======
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
    for (number, packets) in packets(&server.url("/hls/live/easy/master.m3u8"), 6) {
        expect_continuous(&format!("stream {number} of the easy film"), &packets, 5.0);
    }
    assert_eq!(server.metric("millrace_transcoder_faults_total", &["\"per-title\""]), 0.0);
    publishers.into_iter().for_each(Publisher::finish);
>>>>>>> main
    server.stop();
}
