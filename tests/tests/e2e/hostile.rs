//! Publishers whose headers and sample tables say what nobody sends, with a broadcast beside them that loses nothing.

use millrace_hostile::{Numbers, seeds};
use millrace_tests::moq::Viewer;
use millrace_tests::{Client, Film, Form, Publisher, Server, expect_continuous, header_and_second, packets, until};

/// One rung, so that decoders and encoders meet the same.
const CONFIG: &str = "[ingest]\nidle_timeout = \"2s\"\nlinger = \"1s\"\n[[ladder]]\nrenditions = [\"240p\"]\n";
/// Publishers.
const SEEDS: u64 = 60;
/// One of so many is played.
const PLAYED: u64 = 8;
/// What numbers are replaced by.
const EXTREMES: [u32; 9] = [0, 1, 2, 0xffff, 0x00ff_ffff, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff];
/// The boxes whose numbers are replaced.
const HEADER_BOXES: [&[u8; 4]; 7] = [b"mvhd", b"tkhd", b"mdhd", b"trex", b"avcC", b"elst", b"stsd"];
const MEDIA_BOXES: [&[u8; 4]; 5] = [b"mfhd", b"tfhd", b"tfdt", b"trun", b"trun"];

#[test]
fn no_numbers_in_a_stream_stop_a_task_of_the_server() {
    let server = Server::serve(CONFIG);
    let film = Film::new();
    let healthy = Publisher::start(&server, Form::Endless, &film, "live/healthy", "");
    let rung = |name: &str| {
        server.track(name, |track| track["rendition"] == "240p" && !track["width"].is_null());
    };
    rung("live/healthy");
    let master = server.url("/hls/live/healthy/master.m3u8");
    const SECONDS: u32 = 8;
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| packets(&master, SECONDS));
        attack(&server);
        for (number, packets) in reader.join().expect("it can be read") {
            expect_continuous(&format!("stream {number} of the healthy broadcast"), &packets, f64::from(SECONDS) - 0.5);
        }
    });
    assert_eq!(server.metric("millrace_task_panics_total", &[]), 0.0, "{}", server.log());

    // What comes after the attack is announced and played as before.
    let after = Publisher::start(&server, Form::Endless, &film, "live/after", "");
    rung("live/after");
    for name in ["live/healthy", "live/after"] {
        assert!(!Viewer::watch(&server.moq(), name, "video").groups(1).is_empty());
    }
    after.finish();
    healthy.finish();
    server.stop();
}

/// Publishes one stream after the other, each with other numbers, and plays what comes of it.
fn attack(server: &Server) {
    let client = Client::default();
    let (header, media) = header_and_second("libx264");
    let mut taken = 0;
    for seed in seeds(SEEDS) {
        let mut random = Numbers(seed);
        let mut stream = header.clone();
        if random.below(3) == 0 {
            replace(&mut stream, &HEADER_BOXES, &mut random);
        }
        stream.extend_from_slice(&media);
        for fragment in 1..=3 {
            let mut media = shifted(&media, fragment);
            for _ in 0..=random.below(3) {
                replace(&mut media, &MEDIA_BOXES, &mut random);
            }
            stream.extend_from_slice(&media);
        }
        let name = format!("live/hostile-{seed}");
        let answer = client.put(&server.url(&format!("/ingest/{name}/stream.mp4")), &stream);
        assert!((200..500).contains(&answer.status), "seed {seed}: {} {}", answer.status, answer.text());
        taken += u32::from(answer.status == 200);
        // Playlists of what has no media wait for it, so that not every one is asked for.
        for path in ["master.m3u8", "video/playlist.m3u8"].iter().filter(|_| seed.is_multiple_of(PLAYED)) {
            let answer = client.get(&server.url(&format!("/hls/{name}/{path}")));
            assert_ne!(answer.status, 500, "seed {seed}: {path}: {}", answer.text());
        }
    }
    assert!(taken > 0, "all were refused: nothing was tested");
    // What their transcoders still do is part of it.
    until("the hostile broadcasts are over", || {
        let list = server.json("/api/v1/broadcasts");
        let mut names = list["broadcasts"].as_array()?.iter().filter(|broadcast| broadcast["state"] != "ended");
        names.all(|broadcast| broadcast["name"] == "live/healthy").then_some(())
    });
}

/// The same a second later for each of `seconds`: the decode time is put forward.
fn shifted(media: &[u8], seconds: u32) -> Vec<u8> {
    let mut media = media.to_vec();
    let at = find(&media, b"tfdt").expect("ffmpeg writes one") + 4;
    // Version 1: 64 bits; ffmpeg's timescale for 25 frames a second.
    let time = u64::from(seconds) * 12_800;
    media[at + 4..at + 12].copy_from_slice(&time.to_be_bytes());
    media
}

/// Replaces a number somewhere in the body of one of these boxes.
fn replace(bytes: &mut [u8], boxes: &[&[u8; 4]], random: &mut Numbers) {
    let kind = boxes[random.below(boxes.len())];
    let Some(at) = find(bytes, kind) else { return };
    let size = u32::from_be_bytes(bytes[at - 4..at].try_into().expect("four bytes")) as usize;
    // Not the flags, mostly: they say what there is.
    let first = if random.below(8) == 0 { 4 } else { 8 };
    let words = size.saturating_sub(8 + first) / 4;
    if words == 0 {
        return;
    }
    let at = at + first + random.below(words) * 4;
    if let Some(word) = bytes.get_mut(at..at + 4) {
        let extreme = EXTREMES[random.below(EXTREMES.len())];
        word.copy_from_slice(&extreme.to_be_bytes());
    }
}

fn find(bytes: &[u8], kind: &[u8; 4]) -> Option<usize> {
    bytes.windows(4).position(|window| window == kind)
}
