//! Through the relays of others: the server announces what it has, and viewers ask the relay.

use millrace_tests::moq::{Capture, Relay, Viewer};
use millrace_tests::{Film, Form, Publisher, Server, packets};

use super::browser::expect_stock_player;
use super::play::expect_rising;
use super::{CONFIG, SECONDS, expect_whole, wait_for_rung};

/// A server that announces to a relay, and a publisher of a film to the server.
fn behind(relay: &Relay) -> (Server, Publisher, Film) {
    let config = format!("{CONFIG}[[moq.relay]]\nurl = \"{}\"\ninsecure = true\n", relay.url());
    let (server, film) = (Server::serve(&config), Film::new());
    let publisher = Publisher::start(&server, Form::Endless, &film, "live/me", "");
    wait_for_rung(&server, "live/me");
    (server, publisher, film)
}

#[test]
fn a_viewer_watches_through_moq_relay() {
    let relay = Relay::moq_relay();
    let (server, publisher, _film) = behind(&relay);
    watched_with_the_moq_command(&relay);
    publisher.finish();
    server.stop();
}

#[test]
fn a_browser_watches_through_moq_relay() {
    let relay = Relay::moq_relay();
    let (server, publisher, _film) = behind(&relay);
    expect_stock_player(&relay.page(), "live/me");
    publisher.finish();
    server.stop();
}

#[test]
fn a_relay_that_was_away_is_found_again() {
    let relay = Relay::moq_relay();
    let (server, publisher, _film) = behind(&relay);
    watched_with_the_moq_command(&relay);
    let relay = relay.restarted();
    watched_with_the_moq_command(&relay);
    publisher.finish();
    server.stop();
}

/// The rung, with the sound.
fn watched_with_the_moq_command(relay: &Relay) {
    let url = relay.url();
    let from = ["--connect", &url, "--connect-tls-insecure", "--broadcast", "live/me", "export"];
    let select = ["--catalog-format", "hang", "--video-name", "240p", "fmp4", "--max-age", "10s"];
    // Pictures and frames of sound, one each.
    let fragments = SECONDS * (30 + 47);
    let capture = Capture::start("moq", [&from[..], &select, &["--fragment-duration", "30ms"]].concat());
    let recording = capture.fragments(fragments as usize);
    let streams = packets(recording.url(), 60);
    assert_eq!(streams.len(), 2, "a picture and its sound");
    for (number, packets) in streams {
        expect_whole(&format!("stream {number}"), &packets, SECONDS / 2);
    }
}

#[test]
fn viewers_watch_through_moq_relay_ietf() {
    let relay = Relay::moq_relay_ietf();
    let (server, publisher, _film) = behind(&relay);
    let url = relay.url();
    let arguments = ["--catalog", "--name", "live/me", "--tls-disable-verify", &url];
    let recording = Capture::start("moq-sub", arguments).fragments((SECONDS * 30) as usize);
    for (number, packets) in packets(recording.url(), 60) {
        expect_whole(&format!("moq-sub, stream {number}"), &packets, SECONDS / 2);
    }
    let viewer = Viewer::watch(&url, "live/me", "video");
    // A relay gives what it has of the group in which a viewer joins.
    let objects = viewer.groups(4);
    let first = objects.iter().position(|object| object.id == 0).expect("a group begins");
    expect_rising("the picture", &objects[first..]);
    publisher.finish();
    server.stop();
}
