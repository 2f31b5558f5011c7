//! What a rung adds: from the moment a picture is captured to the moment a player who waits for its part has the first byte, for the
//! source and for rungs made of it, through the whole server.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use millrace_cmaf::write::prft;
use millrace_tests::{Client, until};
use serde_json::Value;

use crate::film::Film;
use crate::program::Program;
use crate::push::Push;
use crate::report::{Figure, Row};
use crate::rungs::Source;
use crate::spread::percentile;
use crate::wire::Wire;

const PARTS: usize = 50;
/// The server's own threads, as many as on a small machine.
const THREADS: usize = 2;
const CONFIG: &str = "[[ladder]]\nrenditions = [\"480p\", \"240p\"]\n[log]\nlevel = \"error\"\n";
/// What is played: the track, and what it is.
const PLAYED: [(&str, &str); 3] = [("video", "the source"), ("480p", "480p"), ("240p", "240p")];
/// Seconds between the epochs of NTP, 1900, and of Unix, 1970 (RFC 5905, 6).
const NTP_TO_UNIX: u64 = 2_208_988_800;

pub(crate) fn measure() -> anyhow::Result<Vec<Row>> {
    let film = Film::immediate()?;
    let times: Vec<_> = {
        let source = Source::read(&film, film.chunks.len())?;
        let first = source.media.first().context("the film has pictures")?.decode_time;
        source.media.iter().map(|media| media.decode_time - first).collect()
    };
    let server = Program::millrace(THREADS, CONFIG)?;
    let address = server.address();
    let path = "/ingest/bench/capture/Streams(video.cmfv)";
    // Every picture says that it was captured when it is sent.
    let stamp = move |number: usize| prft(1, unix_now(), times[number]).unwrap_or_default();
    let _push = Push::stamped(address, path, &film, Duration::MAX, stamp)?;
    let client = Client::default();
    for (track, _) in PLAYED {
        let url = format!("http://{address}/hls/bench/capture/{track}/playlist.m3u8");
        until("the rung plays", || (client.get(&url).status == 200).then_some(()));
    }
    let waited = std::thread::scope(|scope| {
        let players: Vec<_> = PLAYED.iter().map(|(track, _)| scope.spawn(move || play(address, track))).collect();
        players.into_iter().map(|player| player.join().expect("a player does not panic")).collect::<Result<Vec<_>, _>>()
    })?;
    let transcoders: Value = serde_json::from_str(&client.text(&format!("http://{address}/api/v1/transcoders")))?;
    let mut rows = Vec::new();
    for ((track, what), waited) in PLAYED.iter().zip(waited) {
        for (name, share) in [("median", 0.5), ("p99", 0.99)] {
            let row = Row::new(
                format!("{what}: picture captured, its part's first byte, {name}"),
                Figure::new(percentile(&waited, share), "ms"),
            );
            rows.push(match encode_time(&transcoders, track) {
                Some(own) => row.beside("scaling and encoding a picture, mean", Figure::new(own, "ms")),
                None => row,
            });
        }
    }
    Ok(rows)
}

/// What the rung's encoder takes for a picture, as the server counts it. Milliseconds.
fn encode_time(transcoders: &Value, rendition: &str) -> Option<f64> {
    let known = transcoders["transcoders"].as_array()?.iter().find(|known| known["rendition"] == rendition)?;
    Some(known["encode_ms"].as_f64()? + known["scale_ms"].as_f64()?)
}

/// Fetches part after part as it comes: how long ago the last picture of each was captured when its first byte was there, in
/// milliseconds.
fn play(server: SocketAddr, track: &str) -> anyhow::Result<Vec<f64>> {
    let folder = format!("/hls/bench/capture/{track}");
    let mut player = Wire::connect(server)?;
    let (mut ages, mut fetched) = (Vec::new(), String::new());
    while ages.len() < PARTS {
        let playlist = player.playlist(&format!("{folder}/playlist.m3u8"))?;
        ensure!(!playlist.ended && playlist.part_target > 0.0, "{track} has ended, or no parts:\n{}", playlist.text);
        let hint = playlist.hint.context("a playlist with parts has a hint")?;
        if hint == fetched {
            // What it held is being listed.
            std::thread::sleep(Duration::from_millis(1));
            continue;
        }
        let part = player.get(&format!("{folder}/{hint}"))?;
        let first_byte = unix_now().saturating_sub(Instant::now() - part.first_byte);
        let captured = last_capture(&part.body).with_context(|| format!("{hint} does not say when it was captured"))?;
        ages.push(first_byte.saturating_sub(captured).as_secs_f64() * 1e3);
        fetched = hint;
    }
    Ok(ages)
}

/// The time of the last `prft` (ISO/IEC 14496-12, 8.16.5), since the Unix epoch.
fn last_capture(part: &[u8]) -> Option<Duration> {
    let at = part.windows(4).rposition(|name| name == b"prft")?;
    // Behind version, flags and the track's number.
    let ntp = u64::from_be_bytes(part.get(at + 12..at + 20)?.try_into().ok()?);
    let nanos = (u128::from(ntp & 0xFFFF_FFFF) * 1_000_000_000) >> 32;
    Some(Duration::new((ntp >> 32).checked_sub(NTP_TO_UNIX)?, u32::try_from(nanos).ok()?))
}

fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
