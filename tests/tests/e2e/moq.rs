//! Media over QUIC, with the programs of others on the other side.

mod bad;
mod browser;
mod command;
mod conformance;
mod ingest;
mod objects;
mod play;
mod raw;
mod relay;

use millrace_tests::{Packet, Server, expect_continuous, until};

/// One rung, and publishers that are missed soon.
const CONFIG: &str = "[moq]\nidle_timeout = \"5s\"\n[[ladder]]\nrenditions = [\"240p\"]\n";

/// How much is read, in seconds.
const SECONDS: u32 = 6;
/// Sound may be so much before or after its picture, in seconds.
const IN_STEP: f64 = 0.020;
/// AAC's first frame holds nothing but the run-up of its filter bank: 1024 samples at 48 kHz. A publisher whose header has no edit list
/// does not say so, and whoever plays the stream hears its sound so much later.
const AAC_DELAY: f64 = 1024.0 / 48_000.0;

/// Waits until a broadcast has its picture, its sound and its rung.
fn wait_for_rung(server: &Server, broadcast: &str) {
    server.track(broadcast, |track| track["name"] == "video" && !track["width"].is_null());
    server.track(broadcast, |track| track["kind"] == "audio");
    server.track(broadcast, |track| track["rendition"] == "240p" && !track["width"].is_null());
}

/// Waits until playlists are as long as players want them.
fn wait_for_three_segments(server: &Server, broadcast: &str) {
    for track in ["video", "240p", "audio"] {
        until(track, || {
            let playlist = server.text(&format!("/hls/{broadcast}/{track}/playlist.m3u8"));
            (playlist.matches("#EXTINF").count() >= 3).then_some(())
        });
    }
}

/// Checks a stream that was recorded in full: it goes on without a hole for so many seconds.
fn expect_whole(what: &str, packets: &[Packet], seconds: u32) {
    let (first, last) = (packets.first(), packets.last());
    println!("{what}: {} packets, {first:?} to {last:?}", packets.len());
    expect_continuous(what, packets, f64::from(seconds));
}
