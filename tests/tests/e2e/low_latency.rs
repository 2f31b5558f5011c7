//! Low-latency HLS as a client sees it that asks for each part before it exists.

use std::io::Read;
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use millrace_tests::{Client, Playlist, Server, checked_playlists, until};

const CONFIG: &str = "[[ladder]]\nrenditions = [\"240p\"]\n";

fn playlist(server: &Server, track: &str) -> String {
    server.url(&format!("/hls/live/demo/{track}/playlist.m3u8"))
}

/// Waits until the demo plays, both as it is and as its rung.
fn demo() -> Server {
    let server = Server::demo(CONFIG);
    for track in ["video", "240p"] {
        until(track, || {
            let list = server.json("/api/v1/broadcasts");
            let tracks = list["broadcasts"][0]["tracks"].as_array()?;
            tracks.iter().find(|known| known["name"] == track && !known["width"].is_null()).cloned()
        });
    }
    server
}

#[test]
fn each_part_is_given_when_it_is_there() {
    let server = demo();
    let client = Client::default();
    for track in ["video", "240p", "audio"] {
        let url = playlist(&server, track);
        let mut known = Playlist::fetch(&client, &url);
        let part = Duration::from_secs_f64(known.part_target);
        assert!(part > Duration::from_millis(50) && part < Duration::from_millis(500), "{track}: parts of {part:?}");
        let begun = Instant::now();
        let mut waited = Duration::ZERO;
        // Past the end of a segment at least once.
        let count = (known.target_duration / known.part_target) as usize + 6;
        for _ in 0..count {
            let (number, index) = (known.open_number(), known.open_parts.len());
            let hint = known.hint.clone().unwrap_or_else(|| panic!("{track}: no hint: {}", known.text));
            // As the protocol has it: the part is asked for by its hint, and the playlist that lists it by its number.
            let hinted = url.replace("playlist.m3u8", &hint);
            let (asked, media) = std::thread::scope(|scope| {
                let media = scope.spawn(|| client.get(&hinted));
                (client.get(&format!("{url}?_HLS_msn={number}&_HLS_part={index}")), media.join().expect("no panic"))
            });
            assert_eq!((asked.status, media.status), (200, 200), "{}{}", asked.text(), hinted);
            let next = Playlist::parse(&asked.text());
            assert!(next.has(number, index), "{track}: no part {index} of {number} in {}", next.text);
            assert_ne!(next.text, known.text, "{track}: an unchanged playlist");
            let first = u32::from_be_bytes(media.body[..4].try_into().unwrap()) as usize;
            let begins = [&media.body[4..8], &media.body[first + 4..first + 8]];
            // Of pictures it is known when they were captured.
            let expected = if track == "audio" { [b"moof", b"mdat"] } else { [b"prft", b"moof"] };
            assert_eq!(begins, expected, "{track}: {hinted} begins with other boxes");
            assert!(media.took < part * 4, "{track}: {hinted} took {:?}", media.took);
            waited += asked.took;
            known = next;
        }
        let took = begun.elapsed();
        let (least, most) = (part.mul_f64(count as f64 * 0.7), part.mul_f64(count as f64 * 1.3 + 2.0));
        assert!(took > least && took < most, "{track}: {count} parts of {part:?} in {took:?}");
        println!("{track}: {count} parts of {part:?} in {took:?}, of which {waited:?} were spent waiting");
    }
    server.stop();
}

#[test]
fn a_blocking_reload_waits_for_its_segment() {
    let server = demo();
    let client = Client::default();
    let url = playlist(&server, "video");
    let before = Playlist::fetch(&client, &url);
    let number = before.open_number();
    let answer = client.get(&format!("{url}?_HLS_msn={number}"));
    let after = Playlist::parse(&answer.text());
    assert!(after.segments.iter().any(|segment| segment.number == number), "{}", after.text);
    assert!(answer.took < Duration::from_secs_f64(before.target_duration * 1.5), "it took {:?}", answer.took);

    let far = client.get(&format!("{url}?_HLS_msn={}", after.open_number() + 3));
    assert_eq!(far.status, 400, "{}", far.text());
    assert!(far.text().contains("too far ahead"), "{}", far.text());
    let nothing = client.get(&format!("{url}?_HLS_part=1"));
    assert_eq!(nothing.status, 400, "{}", nothing.text());
    let wrong = client.get(&format!("{url}?_HLS_msn=soon"));
    assert_eq!(wrong.status, 400, "{}", wrong.text());
    server.stop();
}

#[test]
fn a_delta_update_leaves_out_what_is_known() {
    let server = demo();
    let client = Client::default();
    let url = playlist(&server, "video");
    // What is skipped is older than six target durations.
    let delta = until("a delta update", || {
        let delta = Playlist::fetch(&client, &format!("{url}?_HLS_skip=YES"));
        (delta.skipped > 1).then_some(delta)
    });
    let whole = Playlist::fetch(&client, &url);
    for segment in &delta.segments {
        let same = whole.segments.iter().find(|known| known.number == segment.number);
        // Parts leave the list in time.
        let same = same.unwrap_or_else(|| panic!("{} is not in {}", segment.number, whole.text));
        assert_eq!((&same.uri, same.duration), (&segment.uri, segment.duration));
    }
    assert!(delta.segments.len() < whole.segments.len(), "{}\n{}", delta.text, whole.text);
    server.stop();
}

#[test]
fn playlists_keep_the_rules_and_say_what_flows() {
    let server = demo();
    let client = Client::default();
    // Parts leave the list, and segments begin to be skipped, once there are some segments.
    until("some segments", || (Playlist::fetch(&client, &playlist(&server, "240p")).segments.len() >= 5).then_some(()));
    let master = server.url("/hls/live/demo/master.m3u8");
    let read = checked_playlists(&master);
    println!("{read:#}");
    let variants = read["variants"].as_array().expect("a list");
    for (name, width, height, target) in [("video", 1280, 720, 2_596_000.0), ("240p", 426, 240, 496_000.0)] {
        let variant = variants.iter().find(|variant| variant["height"] == height);
        let variant = variant.unwrap_or_else(|| panic!("{height} is not in {read:#}"));
        assert_eq!(variant["width"], width, "{variant}");
        assert_eq!(variant["uri"], format!("{name}/playlist.m3u8"), "{variant}");
        let rate = variant["frameRate"].as_f64().expect("a number");
        assert!((rate - 30.0).abs() < 0.1, "{variant}");
        let codecs = variant["codecs"].as_str().expect("text");
        assert!(codecs.contains("avc1.") && codecs.contains("opus"), "{variant}");
        let (peak, average) = (variant["bandwidth"].as_f64(), variant["averageBandwidth"].as_f64());
        let (peak, average) = (peak.expect("a number"), average.expect("a number"));
        assert!(average <= peak && average > target * 0.4 && peak < target * 1.8, "{variant}: about {target} expected");
        assert_eq!(variant["audio"], 1, "{variant}");
    }
    let media = read["media"].as_array().expect("a list");
    assert_eq!(media.len(), 3, "{read:#}");
    for playlist in media {
        assert_eq!(playlist["hints"], 1, "{playlist}");
        assert!(playlist["parts"].as_u64() > Some(5), "{playlist}");
    }

    let packed = client.get_with(&master, &[("Accept-Encoding", "gzip")]);
    assert_eq!(packed.header("content-encoding"), "gzip");
    let mut text = String::new();
    GzDecoder::new(&packed.body[..]).read_to_string(&mut text).expect("it can be unpacked");
    assert!(text.starts_with("#EXTM3U"), "{text}");
    let asked = client.get_with(&master, &[("Origin", "https://player.example")]);
    assert_eq!(asked.header("access-control-allow-origin"), "*");
    assert!(asked.header("cache-control").starts_with("max-age="), "{}", asked.header("cache-control"));
    server.stop();
}
