//! Others play what was published over HTTP.

use std::collections::BTreeSet;

use millrace_tests::moq::{Capture, Object, Viewer};
use millrace_tests::{Film, Form, Publisher, Server, moments_of_file, packets, run};

use super::{AAC_DELAY, CONFIG, IN_STEP, SECONDS, expect_whole, wait_for_rung};

/// What ffmpeg pushes has so many pictures and frames of sound a second.
const PICTURES: u32 = 30;
const SOUNDS: u32 = 47;

/// A server, and a publisher of a film who sends a picture at a time.
fn publish() -> (Server, Publisher, Film) {
    let (server, film) = (Server::serve(CONFIG), Film::new());
    let publisher = Publisher::start(&server, Form::Endless, &film, "live/me", "");
    wait_for_rung(&server, "live/me");
    (server, publisher, film)
}

#[test]
fn moq_sub_plays_the_source() {
    let (server, publisher, _film) = publish();
    let url = server.moq();
    let arguments = ["--catalog", "--name", "live/me", "--tls-disable-verify", &url];
    let recording = Capture::start("moq-sub", arguments).fragments((SECONDS * PICTURES) as usize);
    for (number, packets) in packets(recording.url(), 60) {
        expect_whole(&format!("stream {number}"), &packets, SECONDS / 2);
    }
    decodes(recording.url());
    publisher.finish();
    server.stop();
}

#[test]
fn moq_sub_joins_in_the_middle_of_a_group_and_misses_nothing() {
    let (server, publisher, _film) = publish();
    let url = server.moq();
    // It ends where an object is missing between what it fetches and what it is sent.
    let arguments = ["--catalog", "--join-groups", "0", "--name", "live/me", "--tls-disable-verify", &url];
    let recording = Capture::start("moq-sub", arguments).fragments((SECONDS * PICTURES) as usize);
    for (number, packets) in packets(recording.url(), 60) {
        expect_whole(&format!("stream {number}"), &packets, SECONDS / 2);
    }
    publisher.finish();
    server.stop();
}

#[test]
fn the_moq_command_exports_source_and_rung() {
    // Of an MSF catalog it takes no pictures in CMAF.
    for video in ["video", "240p"] {
        // Of a server of its own: one who bears old groups is given what sound is kept for those who came before, without its picture.
        let (server, publisher, _film) = publish();
        let url = server.moq();
        // It may be late on a busy machine, and is not to skip anything for it.
        let select = ["--catalog-format", "hang", "--video-name", video, "fmp4", "--max-age", "10s"];
        let from = ["--connect", &url, "--connect-tls-insecure", "--broadcast", "live/me", "export"];
        let pieces = ["--fragment-duration", "30ms"];
        let count = SECONDS * (PICTURES + SOUNDS);
        let capture = Capture::start("moq", [&from[..], &select, &pieces].concat());
        let recording = capture.fragments(count as usize);
        let streams = packets(recording.url(), 60);
        assert_eq!(streams.len(), 2, "{video}: a picture and its sound");
        for (number, packets) in streams {
            expect_whole(&format!("{video}, stream {number}"), &packets, SECONDS / 2);
        }
        let skew = moments_of_file(recording.path(), SECONDS).skew();
        println!("{video}: sound is {:.1} ms behind the picture", skew * 1000.0);
        assert!((skew - AAC_DELAY).abs() < IN_STEP, "{video}: sound is {skew} s behind the picture");
        publisher.finish();
        server.stop();
    }
}

#[test]
fn a_viewer_of_draft_18_gets_whole_groups_from_the_first_on() {
    let (server, publisher, _film) = publish();
    let (picture, sound) =
        (Viewer::watch(&server.moq(), "live/me", "video"), Viewer::watch(&server.moq(), "live/me", "audio"));
    let (pictures, sounds) = (picture.groups(4), sound.groups(4));
    expect_rising("the picture", &pictures);
    expect_rising("the sound", &sounds);
    // Sound is cut into groups where the picture is.
    let groups = |objects: &[Object]| objects.iter().map(|object| object.group).collect::<BTreeSet<_>>();
    let (of_picture, of_sound) = (groups(&pictures), groups(&sounds));
    let shared = of_picture.intersection(&of_sound).count();
    assert!(shared >= 4, "{of_picture:?} and {of_sound:?} have too few groups in common");
    for (role, viewer, objects) in [("video", &picture, &pictures), ("audio", &sound, &sounds)] {
        let recording = viewer.recording(role, objects);
        for (number, packets) in packets(recording.url(), 60) {
            expect_whole(&format!("{role}, stream {number}"), &packets, 4);
        }
        decodes(recording.url());
    }
    publisher.finish();
    server.stop();
}

/// Groups follow each other, and each is there from its first object to its last.
pub(super) fn expect_rising(what: &str, objects: &[Object]) {
    let first = objects.first().expect("there are objects");
    assert_eq!(first.id, 0, "{what} begins inside group {}", first.group);
    for pair in objects.windows(2) {
        let [before, after] = pair else { continue };
        let goes_on = after.group == before.group && after.id == before.id + 1;
        let begins = after.group == before.group + 1 && after.id == 0;
        let at = |object: &Object| format!("{}/{}", object.group, object.id);
        assert!(goes_on || begins, "{what}: {} follows {}", at(after), at(before));
    }
}

/// ffmpeg has nothing to complain about.
fn decodes(url: &str) {
    run("ffmpeg", ["-v", "warning", "-nostdin", "-xerror", "-i", url, "-f", "null", "-"]);
}
