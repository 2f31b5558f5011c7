//! Chromium plays over Media over QUIC, with the player of the page and with the stock player of others, and publishes.

use millrace_tests::{Page, Server, packets, until, watch_with_stock_player};
use serde_json::Value;

use super::{CONFIG, expect_whole, wait_for_rung, wait_for_three_segments};

/// How long is watched, in seconds.
const SECONDS: u32 = 20;

fn number(state: &Value, name: &str) -> f64 {
    state[name].as_f64().unwrap_or_else(|| panic!("{name} is no number in {state:#}"))
}

/// The stock player plays a broadcast, with sound, from where this address says.
pub(super) fn expect_stock_player(url: &str, broadcast: &str) {
    let mut watched = Value::Null;
    // A machine that was busy with something else for a moment gets another chance.
    for _ in 0..2 {
        watched = watch_with_stock_player(url, broadcast, SECONDS);
        println!("{watched:#}");
        if watched["stalls"] == 0 {
            break;
        }
    }
    let grown = |name: &str| number(&watched["end"], name) - number(&watched["begin"], name);
    let seconds = grown("at") / 1000.0;
    assert_eq!(watched["stalls"], 0, "{watched:#}");
    assert!(grown("frames") > seconds * 30.0 * 0.9, "pictures are missing: {watched:#}");
    assert!(grown("audioBytes") > 1000.0 * seconds, "there is no sound: {watched:#}");
    assert!(number(&watched, "loudest") > 0.01, "it is silent: {watched:#}");
    assert!(number(&watched["picture"], "deviation") > 20.0, "the picture is blank: {watched:#}");
    assert_eq!(watched["failures"].as_array().map(Vec::len), Some(0), "{watched:#}");
}

#[test]
fn the_stock_player_plays_with_sound() {
    let server = Server::demo(CONFIG);
    wait_for_rung(&server, "live/demo");
    expect_stock_player(&server.url(""), "live/demo");
    server.stop();
}

#[test]
fn the_page_plays_over_both_with_sound_and_says_its_latency() {
    let server = Server::demo(CONFIG);
    let mut page = Page::open(&server.url("/#live/demo"), "moq");
    page.phase("playing");
    for (protocol, label) in [("moq", "MoQ"), ("hls", "LL-HLS")] {
        page.protocol(protocol);
        // Following the live edge begins anew with another protocol.
        page.watch(3);
        let mut watched = page.watch(SECONDS);
        let stalls = |watched: &Value| number(&watched["end"], "stalls") - number(&watched["begin"], "stalls");
        // A machine that was busy with something else for a moment gets another chance.
        if stalls(&watched) > 0.0 {
            watched = page.watch(SECONDS);
        }
        let (begin, end) = (&watched["begin"], &watched["end"]);
        let grown = |name: &str| number(end, name) - number(begin, name);
        let seconds = grown("at") / 1000.0;
        let latency = page.clock(40);
        println!("{protocol}: {:.0} pictures in {seconds:.1} s, {latency:.0} ms behind", grown("decodedFrames"));
        assert_eq!(grown("stalls"), 0.0, "{protocol} stalled: {end:#}");
        assert!(grown("decodedFrames") > seconds * 30.0 * 0.9, "{protocol}: pictures are missing: {watched:#}");
        if protocol == "moq" {
            // It decodes sound itself, and knows what was played and how loud.
            assert!(grown("soundPlayed") > seconds * 0.9, "{protocol}: sound is missing: {watched:#}");
            assert!(number(end, "soundLevel") > 0.01, "{protocol}: it is silent: {watched:#}");
        } else {
            assert!(grown("audioBytes") > 1000.0 * seconds, "{protocol}: there is no sound: {watched:#}");
        }
        assert!(latency > 0.0 && latency < 2000.0, "{protocol}: the clock in the picture is {latency} ms behind");
        assert!(watched["latencies"].as_array().map_or(0, Vec::len) > 10, "{protocol}: no latency is shown: {end:#}");
        let (mean, deviation) = page.screenshot(&format!("demo-{protocol}"));
        assert!(mean > 20.0 && deviation > 20.0, "{protocol}: the picture is blank: {mean} ± {deviation}");
        assert_eq!(end["fatal"].as_array().map(Vec::len), Some(0), "{protocol}: {end:#}");
        assert_eq!(end["failures"].as_array().map(Vec::len), Some(0), "{protocol}: {end:#}");
        // Another may have stepped in at any time.
        let now = page.state();
        let played = now["protocol"].as_str().unwrap_or_default();
        assert!(played.starts_with(label), "{protocol}: it plays over {played:?}: {now:#}");
        assert!(now["whyNotMoq"].is_null(), "{protocol}: {now:#}");
    }
    drop(page);
    server.stop();
}

#[test]
fn a_browser_publishes_and_is_watched_over_hls() {
    let server = Server::serve(CONFIG);
    let mut page = Page::open(&server.url("/"), "publish");
    let told = page.publish(&server.url("/publish.html"), "live/camera", "");
    assert_eq!(told["state"], "live", "{told:#}");
    wait_for_rung(&server, "live/camera");
    wait_for_three_segments(&server, "live/camera");
    let streams = packets(&server.url("/hls/live/camera/240p/master.m3u8"), 5);
    assert_eq!(streams.len(), 2, "a picture and its sound");
    let mut watcher = Page::open(&server.url("/#live/camera"), "publish-watched");
    watcher.phase("playing");
    watcher.protocol("hls");
    let watched = watcher.watch(8);
    let grown = |name: &str| number(&watched["end"], name) - number(&watched["begin"], name);
    assert!(grown("decodedFrames") > 100.0, "pictures are missing: {watched:#}");
    assert!(grown("audioBytes") > 1000.0, "there is no sound: {watched:#}");
    drop(watcher);
    page.unpublish();
    // It said goodbye, and is not waited for.
    until("the broadcast waits or has ended", || {
        server.broadcast("live/camera").is_none_or(|broadcast| broadcast["state"] != "live").then_some(())
    });
    for (number, packets) in streams {
        expect_whole(&format!("stream {number}"), &packets, 4);
    }
    drop(page);
    server.stop();
}
