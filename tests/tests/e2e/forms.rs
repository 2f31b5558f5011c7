//! ffmpeg pushes each form as the README says, and reads the source and its rung back over HLS.

use std::collections::BTreeMap;
use std::thread;

use millrace_tests::{
    Film, Form, Packet, Publisher, Server, expect_continuous, moments, packets, run_for_errors, until,
};
use serde_json::Value;

const CONFIG: &str = "[[ladder]]\nrenditions = [\"240p\"]\n";
/// How much is read.
const SECONDS: u32 = 8;
/// Sound may be so much before or after its picture, in seconds.
const IN_STEP: f64 = 0.020;
/// AAC's first frame holds nothing but the run-up of its filter bank: 1024 samples at 48 kHz. A header without an edit list does not
/// say so, and whoever plays the stream hears its sound so much later.
const AAC_DELAY: f64 = 1024.0 / 48_000.0;

#[test]
fn endless_stream_is_played_back() {
    // ffmpeg writes no edit list into an endless stream.
    pushed_and_read_back(Form::Endless, AAC_DELAY);
}

#[test]
fn dash_is_played_back() {
    pushed_and_read_back(Form::Dash, 0.0);
}

#[test]
fn hls_is_played_back() {
    pushed_and_read_back(Form::Hls, 0.0);
}

#[test]
fn smooth_streaming_is_played_back() {
    pushed_and_read_back(Form::Smooth, 0.0);
}

/// `delay`: by how much the sound is late as it is pushed, in seconds.
fn pushed_and_read_back(form: Form, delay: f64) {
    let server = Server::serve(CONFIG);
    let film = Film::new();
    let publisher = Publisher::start(&server, form, &film, "live/me", "");
    let source = server.track("live/me", |track| track["name"] == "video" && !track["width"].is_null());
    assert_eq!((&source["width"], &source["height"]), (&640.into(), &360.into()), "{source}");
    assert!(source["codec"].as_str().is_some_and(|codec| codec.starts_with("avc1.")), "{source}");
    let sound = server.track("live/me", |track| track["kind"] == "audio");
    assert_eq!(sound["codec"], "mp4a.40.2", "{sound}");
    let rung = server.track("live/me", |track| track["rendition"] == "240p" && !track["width"].is_null());
    assert_eq!((&rung["width"], &rung["height"], &rung["made_by"]), (&426.into(), &240.into(), &"ladder".into()));
    wait_for_three_segments(&server);

    let whole = server.url("/hls/live/me/master.m3u8");
    let view = server.url("/hls/live/me/240p/master.m3u8");
    let number = video_number(&whole, 640);
    thread::scope(|scope| {
        let seen = scope.spawn(|| moments(&whole, number, SECONDS));
        let of_rung = scope.spawn(|| moments(&view, 0, SECONDS));
        for (url, tracks) in [(&whole, 3), (&view, 2)] {
            let streams = packets(url, SECONDS);
            assert_eq!(streams.len(), tracks, "{url} has other tracks than expected");
            expect_streams(url, &streams);
        }
        for (what, moments) in [("the source", seen), ("the rung", of_rung)] {
            let skew = moments.join().expect("it can be decoded").skew();
            println!("{form:?}, {what}: sound is {:.1} ms behind the picture", skew * 1000.0);
            assert!(
                (skew - delay).abs() < IN_STEP,
                "{what}: sound is {skew} s behind the picture, {delay} s as pushed"
            );
        }
    });
    let notes = server.broadcast("live/me").expect("it is listed")["notes"].clone();
    println!("{form:?}: notes {notes}");
    publisher.finish();
    server.stop();
}

/// Players start three segments from the end.
fn wait_for_three_segments(server: &Server) {
    for track in ["video", "240p", "audio"] {
        until(track, || {
            let playlist = server.text(&format!("/hls/live/me/{track}/playlist.m3u8"));
            (playlist.matches("#EXTINF").count() >= 3).then_some(())
        });
    }
}

/// Which of the video streams of an address is so wide.
fn video_number(url: &str, width: u32) -> usize {
    let entries = ["-v", "error", "-select_streams", "v", "-show_entries", "stream=width", "-of", "json", url];
    let (code, text) = run_for_errors("ffprobe", entries);
    assert_eq!(code, 0, "{text}");
    let read: Value = serde_json::from_str(&text).expect("ffprobe prints JSON");
    let streams = read["streams"].as_array().expect("a list");
    streams.iter().position(|stream| stream["width"] == width).unwrap_or_else(|| panic!("no width {width} in {text}"))
}

fn expect_streams(url: &str, streams: &BTreeMap<u32, Vec<Packet>>) {
    let firsts: Vec<f64> = streams.values().map(|packets| packets[0].shown).collect();
    for (number, packets) in streams {
        expect_continuous(&format!("{url}, stream {number}"), packets, f64::from(SECONDS) - 0.5);
    }
    let (first, last) = firsts.iter().fold((f64::MAX, f64::MIN), |(a, b), time| (a.min(*time), b.max(*time)));
    println!("{url}: streams begin within {:.1} ms", (last - first) * 1000.0);
}
