//! The ladder as viewers see it: the player follows the network up and down, rungs come and go while it plays, every rung decodes
//! without a word, and a publisher who returns again and again finds them.

use std::thread;

use millrace_tests::{Film, Form, Page, Playlist, Publisher, Server, expect_continuous, moments, packets, until};
use serde_json::{Value, json};

/// How much of each rung is read.
const SECONDS: u32 = 6;
const RUNGS: [(&str, u32); 3] = [("720p", 720), ("480p", 480), ("240p", 240)];

fn number(state: &Value, name: &str) -> f64 {
    state[name].as_f64().unwrap_or_else(|| panic!("{name} is no number in {state:#}"))
}

fn wait_for_rungs(server: &Server, names: &[&str]) {
    for name in names {
        server.track("live/me", |track| track["rendition"] == *name && !track["width"].is_null());
        let url = format!("/hls/live/me/{name}/playlist.m3u8");
        until("three segments", || (server.text(&url).matches("#EXTINF").count() >= 3).then_some(()));
    }
}

/// Nothing went wrong that a viewer would notice, and there was sound all along.
fn expect_well(what: &str, watched: &Value) {
    let (begin, end) = (&watched["begin"], &watched["end"]);
    let grown = |name: &str| number(end, name) - number(begin, name);
    let seconds = grown("at") / 1000.0;
    println!(
        "{what}: {:.1} s of {seconds:.1} s played, {} pictures, {} dropped, {} stalls, {} lines high at the end",
        grown("currentTime"),
        grown("decodedFrames"),
        grown("droppedFrames"),
        grown("stalls"),
        end["height"],
    );
    assert_eq!(end["fatal"].as_array().map(Vec::len), Some(0), "{what}: {end:#}");
    assert_eq!(end["failures"].as_array().map(Vec::len), Some(0), "{what}: {end:#}");
    assert_eq!(end["loads"], 1, "{what}: the page was loaded again");
    assert!(grown("currentTime") > seconds * 0.7, "{what}: time does not advance: {watched:#}");
    assert!(grown("audioBytes") > 1000.0 * seconds, "{what}: there is no sound: {watched:#}");
}

#[test]
fn the_player_goes_down_and_up_the_default_ladder() {
    let server = Server::serve("");
    let film = Film::sized(1280, 720);
    let publisher = Publisher::start(&server, Form::Endless, &film, "live/me", "");
    wait_for_rungs(&server, &RUNGS.map(|(name, _)| name));
    let mut page = Page::open(&server.url("/#live/me"), "ladder");
    page.phase("playing");
    page.automatic();
    page.height(720);
    expect_well("at first", &page.watch(15));
    // Enough for 240p with its sound, and for nothing above it.
    page.throttle(Some(900_000));
    page.height(240);
    expect_well("throttled", &page.watch(20));
    page.screenshot("ladder-throttled");
    page.throttle(None);
    page.height(720);
    expect_well("free again", &page.watch(25));
    let (_, deviation) = page.screenshot("ladder-free");
    assert!(deviation > 20.0, "the picture is blank: {deviation}");
    drop(page);
    publisher.finish();
    server.stop();
}

#[test]
fn rungs_come_and_go_while_the_page_plays() {
    let server = Server::serve("[[ladder]]\nname = \"live\"\nrenditions = [\"480p\", \"240p\"]\n");
    let film = Film::sized(1280, 720);
    let publisher = Publisher::start(&server, Form::Endless, &film, "live/me", "");
    wait_for_rungs(&server, &["480p", "240p"]);
    let mut page = Page::open(&server.url("/#live/me"), "come-and-go");
    page.phase("playing");
    page.level(480);
    let rung = json!({ "name": "360p", "width": 640, "height": 360, "video_bitrate": "800k" });
    let added = server.post("/api/v1/ladders/live/renditions", &rung);
    assert_eq!(added.status, 201, "{}", added.text());
    assert_eq!(server.post("/api/v1/ladders/live/renditions", &rung).status, 409);
    wait_for_rungs(&server, &["360p"]);
    page.offers(360, true);
    page.level(360);
    expect_well("the new rung", &page.watch(5));
    // What is being watched goes.
    let removed = server.delete("/api/v1/ladders/live/renditions/360p");
    assert_eq!(removed.status, 200, "{}", removed.text());
    let master = server.text("/hls/live/me/master.m3u8");
    assert!(!master.contains("360p"), "the master playlist still lists it:\n{master}");
    page.offers(360, false);
    page.phase("playing");
    let watched = page.watch(8);
    expect_well("another in its place", &watched);
    assert_ne!(number(&watched["end"], "height"), 360.0);
    drop(page);
    publisher.finish();
    server.stop();
}

#[test]
fn every_rung_decodes_without_a_word_and_in_step() {
    let server = Server::serve(
        "[[ladder]]\nrenditions = [\"480p\", { name = \"240p\", audio = \"opus\" }, \
         { name = \"av1\", width = 320, height = 180, video_bitrate = \"250k\", codec = \"av1\", speed = \"draft\", audio = \"opus\", audio_bitrate = \"48k\" }]\n",
    );
    let film = Film::new();
    let publisher = Publisher::start(&server, Form::Dash, &film, "live/me", "");
    wait_for_rungs(&server, &["240p", "av1"]);
    let tracks = server.broadcast("live/me").expect("it is listed")["tracks"].clone();
    println!("{tracks:#}");
    assert!(!tracks.to_string().contains("\"480p\""), "no rung is larger than the source");
    thread::scope(|scope| {
        for name in ["240p", "av1"] {
            let url = server.url(&format!("/hls/live/me/{name}/master.m3u8"));
            let master = server.text(&format!("/hls/live/me/{name}/master.m3u8"));
            assert!(master.contains("opus"), "{name} has no sound of its own:\n{master}");
            let seen = scope.spawn({
                let url = url.clone();
                move || moments(&url, 0, SECONDS)
            });
            for (stream, packets) in packets(&url, SECONDS) {
                expect_continuous(&format!("{name}, stream {stream}"), &packets, f64::from(SECONDS) - 0.5);
            }
            let skew = seen.join().expect("it decodes").skew();
            println!("{name}: sound is {:.1} ms behind the picture", skew * 1000.0);
            assert!(skew.abs() < 0.020, "{name}: sound is {skew} s behind the picture");
        }
    });
    publisher.finish();
    server.stop();
}

#[test]
fn rungs_go_on_each_time_the_publisher_returns() {
    let server = Server::serve("[[ladder]]\nrenditions = [\"240p\"]\n");
    let film = Film::new();
    let mut publisher = Publisher::start(&server, Form::Endless, &film, "live/me", "");
    wait_for_rungs(&server, &["240p"]);
    for returned in 1..=3 {
        publisher.kill();
        until("it waits", || (server.broadcast("live/me")?["state"] == "waiting").then_some(()));
        publisher = Publisher::start(&server, Form::Endless, &film, "live/me", "");
        let playlist = until("the rung goes on behind the discontinuity", || {
            let playlist = Playlist::parse(&server.text("/hls/live/me/240p/playlist.m3u8"));
            let breaks = playlist.segments.iter().filter(|segment| segment.discontinuity).count();
            (breaks == returned && playlist.segments.last().is_some_and(|last| !last.discontinuity)).then_some(playlist)
        });
        let numbers: Vec<_> = playlist.segments.iter().map(|segment| segment.number).collect();
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    }
    // Read across the last return.
    for (stream, packets) in packets(&server.url("/hls/live/me/240p/master.m3u8"), SECONDS) {
        assert!(packets.len() > 30, "stream {stream} has {} packets", packets.len());
    }
    publisher.finish();
    server.stop();
}
