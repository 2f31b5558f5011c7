//! Events of a publisher, as a viewer with hls.js gets them.

use std::time::Duration;

use millrace_cmaf::write::Event;
use millrace_media::Time;
use millrace_tests::{Reel, Server, checked_playlists, watch_cues};
use serde_json::Value;

const CONFIG: &str = "[[ladder]]\nrenditions = [\"240p\"]\n";
/// When the splice is, in seconds of the film.
const SPLICE: u32 = 14;
/// How long before it is announced, in seconds.
const PRE_ROLL: u32 = 6;

/// A `splice_insert` of event 0x4800008f, out of the network for 60.293 s (the sample of ANSI/SCTE 35, 14.2).
const OUT: &[u8] = &[
    0xfc, 0x30, 0x2f, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xf0, 0x14, 0x05, 0x48, 0x00, 0x00, 0x8f, 0x7f,
    0xef, 0xfe, 0x73, 0x69, 0xc0, 0x2e, 0xfe, 0x00, 0x52, 0xcc, 0xf5, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0a, 0x00, 0x08,
    0x43, 0x55, 0x45, 0x49, 0x00, 0x00, 0x01, 0x35, 0x62, 0xdb, 0xa3, 0x0a,
];

#[test]
fn a_splice_is_a_cue_of_hls_js_before_its_time() {
    let server = Server::serve(CONFIG);
    // From the splice on the upper left is white.
    let source = format!(
        "testsrc2=size=640x360:rate=30:duration=40,drawbox=w=iw/2:h=ih/2:color=black:t=fill,\
         drawbox=w=iw/2:h=ih/2:color=white:t=fill:enable='gte(t,{SPLICE})'"
    );
    let reel = Reel::film(&source, 40);
    let mut showings = reel.publish(server.address(), ["live/me".to_owned()]);
    let second = |n: u32| Time::from_millis(i64::from(n) * 1_000);
    // The film begins one second in.
    let splice = second(SPLICE + 1);
    let event = Event {
        scheme: "urn:scte:scte35:2013:bin".into(),
        value: String::new(),
        presentation_time: splice,
        duration: None,
        id: 1,
        data: OUT.to_vec().into(),
    };
    let mut announced = false;
    let (seen, playlists) = std::thread::scope(|scope| {
        scope.spawn(|| {
            reel.send_edited(&mut showings, Duration::from_secs(38), Some(1.0), |media| {
                // A chunk of audio is shorter than a frame.
                let is_video = media.duration > Time::from_millis(30);
                if announced || !is_video || media.presentation_time + second(PRE_ROLL) < splice {
                    return media;
                }
                announced = true;
                millrace_cmaf::with_event(&media, &event).expect("it can be written")
            });
        });
        server.track("live/me", |track| track["rendition"] == "240p" && !track["width"].is_null());
        let seen = watch_cues(&server.url(""), "live/me");
        (seen, checked_playlists(&server.url("/hls/live/me/master.m3u8")))
    });
    assert!(seen["fatal"].as_array().is_some_and(Vec::is_empty), "{seen:#}");
    let ranges: Vec<(&String, &Value)> = seen["ranges"].as_object().expect("an object").iter().collect();
    assert_eq!(ranges.len(), 1, "{seen:#}");
    let (id, range) = ranges[0];
    assert!(id.starts_with("scte35-1207959695-"), "{seen:#}");
    assert_eq!(range["attributes"]["PLANNED-DURATION"], "60.293", "{seen:#}");
    let cue = seen["cues"].as_array().expect("a list").iter().find(|cue| cue["key"] == "SCTE35-OUT");
    let cue = cue.unwrap_or_else(|| panic!("no cue of the splice: {seen:#}"));
    let bytes: Vec<u8> = serde_json::from_value(cue["data"]["bytes"].clone()).expect("bytes");
    assert_eq!(bytes, OUT);

    let time = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("no time: {seen:#}"));
    let (start, black, white) = (time(&cue["start"]), time(&seen["black"]), time(&seen["white"]));
    let early = start - range["at"].as_f64().expect("a time");
    println!("the cue is {:.1} ms from the frame; hls.js knew of it {early:.2} s before", (start - white) * 1e3);
    // A busy machine does not show every frame: the first white one lies between the two that were seen.
    assert!(white - black < 0.2, "frames at {black} s and {white} s, and none between");
    let frame = 1.0 / 30.0;
    assert!(
        start > black && start < white + frame,
        "the cue is at {start} s, the frame at {black} to {white} s: {seen:#}"
    );
    assert!(early > 2.0, "it was announced {early} s before: {seen:#}");

    // The same in every playlist, and by the rules.
    let media = playlists["media"].as_array().expect("a list");
    assert_eq!(media.len(), 3, "video, 240p and audio: {playlists:#}");
    for list in media {
        assert_eq!(list["dateRanges"], serde_json::json!([id]), "{playlists:#}");
    }
    server.stop();
}
