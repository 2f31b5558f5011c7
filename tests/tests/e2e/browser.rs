//! Chromium plays: the demo at both qualities, and a publisher's stream across the publisher's return.

use millrace_tests::{Film, Form, Page, Publisher, Server};
use serde_json::Value;

const CONFIG: &str = "[[ladder]]\nrenditions = [\"240p\"]\n";

fn number(state: &Value, name: &str) -> f64 {
    state[name].as_f64().unwrap_or_else(|| panic!("{name} is no number in {state:#}"))
}

/// Watches for so many seconds without a stall. A machine that was busy with something else for a moment gets another chance, twice.
fn watch_smooth(page: &mut Page, what: &str, seconds: u32, height: u32) -> Value {
    let stalls = |watched: &Value| number(&watched["end"], "stalls") - number(&watched["begin"], "stalls");
    let mut watched = page.watch(seconds);
    for _ in 0..2 {
        if stalls(&watched) == 0.0 {
            break;
        }
        println!("{what}: {} stalls, another chance", stalls(&watched));
        watched = page.watch(seconds);
    }
    expect_smooth(what, &watched, height);
    watched
}

/// What playing for a while has to look like, where media comes picture by picture.
fn expect_smooth(what: &str, watched: &Value, height: u32) {
    let (begin, end) = (&watched["begin"], &watched["end"]);
    let grown = |name: &str| number(end, name) - number(begin, name);
    let seconds = grown("at") / 1000.0;
    let mut latencies: Vec<f64> =
        watched["latencies"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
    latencies.sort_by(f64::total_cmp);
    assert!(latencies.len() > 10, "{what}: no latency was measured: {end:#}");
    println!(
        "{what}: {:.2} s of {seconds:.2} s played, {} pictures, {} dropped, {} stalls, latency {:.0} ms (p95 {:.0} ms)",
        grown("currentTime"),
        grown("decodedFrames"),
        grown("droppedFrames"),
        grown("stalls"),
        latencies[latencies.len() / 2] * 1000.0,
        latencies[latencies.len() * 95 / 100] * 1000.0,
    );
    assert_eq!(number(end, "height"), f64::from(height), "{what}: {end:#}");
    assert_eq!(grown("stalls"), 0.0, "{what} stalled: {end:#}");
    assert!(grown("currentTime") > seconds * 0.9, "{what}: time does not advance: {watched:#}");
    assert!(grown("decodedFrames") > seconds * 30.0 * 0.9, "{what}: pictures are missing: {watched:#}");
    assert!(grown("audioBytes") > 1000.0 * seconds, "{what}: there is no sound: {watched:#}");
    expect_well(what, end);
}

fn expect_well(what: &str, state: &Value) {
    assert_eq!(state["fatal"].as_array().map(Vec::len), Some(0), "{what}: {state:#}");
    assert_eq!(state["failures"].as_array().map(Vec::len), Some(0), "{what}: {state:#}");
    assert_eq!(state["loads"], 1, "{what}: the page was loaded again");
}

#[test]
fn the_demo_plays_as_it_is_and_as_its_rung() {
    let server = Server::demo(CONFIG);
    let mut page = Page::open(&server.url("/#live/demo"), "demo");
    page.phase("playing");
    for (what, height) in [("source", 720), ("rung", 240)] {
        page.level(height);
        // Following the live edge begins anew with another quality.
        page.watch(3);
        watch_smooth(&mut page, what, 20, height);
        let latency = page.clock(40);
        println!("{what}: {latency:.0} ms from the painting of a picture to the screen");
        assert!(latency > 0.0 && latency < 2000.0, "{what}: the clock in the picture is {latency} ms behind");
        let (mean, deviation) = page.screenshot(&format!("demo-{what}"));
        println!("{what}: brightness {mean:.0} ± {deviation:.0}");
        assert!(mean > 40.0 && mean < 220.0 && deviation > 20.0, "{what}: the picture is blank: {mean} ± {deviation}");
    }
    drop(page);
    server.stop();
}

#[test]
fn a_publisher_returns_to_the_same_page() {
    let server = Server::serve(CONFIG);
    let film = Film::new();
    let first = Publisher::start(&server, Form::Endless, &film, "live/me", "");
    server.track("live/me", |track| track["rendition"] == "240p" && !track["width"].is_null());
    let mut page = Page::open(&server.url("/#live/me"), "return");
    page.phase("playing");
    page.level(360);
    let before = page.watch(3)["end"].clone();
    first.kill();
    // What was in the buffer has been played.
    page.phase("stalled");
    let waiting = server.broadcast("live/me").expect("it waits");
    assert_eq!(waiting["state"], "waiting", "{waiting:#}");

    let second = Publisher::start(&server, Form::Endless, &film, "live/me", "");
    page.phase("playing");
    // Wherever it had to catch up, it has now.
    page.watch(3);
    let watched = watch_smooth(&mut page, "after the return", 8, 360);
    assert!(number(&watched["end"], "decodedFrames") > number(&before, "decodedFrames"));
    page.level(240);
    page.watch(2);
    watch_smooth(&mut page, "the rung after the return", 5, 240);
    let (mean, deviation) = page.screenshot("return");
    assert!(mean > 20.0 && deviation > 20.0, "the picture is blank: {mean} ± {deviation}");
    drop(page);
    second.finish();
    server.stop();
}

#[test]
fn the_end_of_a_broadcast_is_seen() {
    let server = Server::serve(CONFIG);
    let film = Film::new();
    let publisher = Publisher::start(&server, Form::Dash, &film, "live/me", "");
    server.track("live/me", |track| track["rendition"] == "240p" && !track["width"].is_null());
    let mut page = Page::open(&server.url("/#live/me"), "end");
    page.phase("playing");
    let playing = page.watch(5)["end"].clone();
    // ffmpeg's last words are a static MPD.
    publisher.finish();
    let ended = page.says("This broadcast has ended");
    assert!(number(&ended, "currentTime") > number(&playing, "currentTime"), "{ended:#}");
    expect_well("the end", &ended);
    let (_, deviation) = page.screenshot("end");
    assert!(deviation > 20.0, "the last picture is gone: {deviation}");
    drop(page);
    server.stop();
}
