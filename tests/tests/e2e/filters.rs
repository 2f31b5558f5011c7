//! The bundled filters and the health plugin, as operators and viewers see them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use millrace_tests::{Reel, Server, until, watch_cues};
use serde_json::{Value, json};

const NAME: &str = "live/me";
/// When the film's upper left turns white, in seconds.
const WHITE: u32 = 16;
const SECONDS: u32 = 40;

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
    let time = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("no time: {seen:#}"));
    let (cue, black, white) = (time(&find("SCTE35-OUT")["start"]), time(&seen["black"]), time(&seen["white"]));
    let at = asked["at"].as_f64().expect("the answer has the time of the splice");
    let apart = (cue - at) - (white - f64::from(WHITE));
    let off = apart - apart.round();
    println!("the cue is {:.1} ms from its frame; announced at {}, shown at {cue}", off * 1e3, range["at"]);
    // A busy machine does not show every frame: the first white one lies between the two that were seen.
    assert!(white - black < 0.2, "frames at {black} s and {white} s, and none between");
    let frame = 1.0 / 30.0;
    assert!(off > black - white && off < frame, "{off} s from its frame: {asked}, {seen:#}");
    assert!(cue - time(&range["at"]) > 2.0, "with pre-roll: {seen:#}");
    assert!(server.metric("millrace_plugin_metric_scte35_cues_total", &["type=\"out\""]) == 1.0);
    assert!(server.metric("millrace_plugin_metric_scte35_events_total", &[]) > 2.0, "once and with each group");

    assert_eq!(find("TIT2")["data"], "A title", "{seen:#}");
    let mut times: Vec<u64> =
        cues.iter().filter(|cue| cue["key"] == "TXXX").filter_map(|cue| cue["data"].as_str()?.parse().ok()).collect();
    // hls.js hands on the events of the segment that it joins in with each part of it.
    times.dedup();
    assert!(times.len() > 3, "a time with each group: {seen:#}");
    assert!(times.windows(2).all(|pair| (500..1_500).contains(&(pair[1] - pair[0]))), "{times:?}");
    server.stop();
}

#[test]
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
    server.stop();
}
