//! How soon a part can be fetched: from the moment the publisher sends the last byte of the fragment that completes it, to the moment
//! a player who is waiting for it has the first byte of the answer.

use std::time::Duration;

use anyhow::{Context, ensure};
use millrace_tests::{Client, until};

use crate::film::Film;
use crate::program::{BARE, Program};
use crate::push::Push;
use crate::report::{Figure, Row};
use crate::spread::{median, percentile};
use crate::wire::Wire;

const PARTS: usize = 100;
/// The server's own threads, as many as on a small machine.
const THREADS: usize = 2;

pub(crate) fn measure(film: &Film) -> anyhow::Result<Vec<Row>> {
    let server = Program::millrace(THREADS, BARE)?;
    let path = "/ingest/bench/arrival/Streams(video.cmfv)";
    let push = Push::start(server.address(), path, &film.picture, Duration::MAX)?;
    let folder = "/hls/bench/arrival/video";
    let (client, url) = (Client::default(), format!("http://{}{folder}/playlist.m3u8", server.address()));
    until("the film plays", || (client.get(&url).status == 200).then_some(()));
    let mut player = Wire::connect(server.address())?;
    let (mut waited, mut there) = (Vec::new(), Vec::new());
    let mut fetched = String::new();
    while waited.len() < PARTS {
        let playlist = player.playlist(&format!("{folder}/playlist.m3u8"))?;
        ensure!(
            !playlist.ended && playlist.part_target > 0.0,
            "the film has ended, or has no parts:\n{}",
            playlist.text
        );
        let hint = playlist.hint.context("a playlist with parts has a hint")?;
        ensure!(hint != fetched, "{hint} could be fetched, and is not listed");
        let part = player.get(&format!("{folder}/{hint}"))?;
        let sent = push.sent.when(&part.body).with_context(|| format!("{hint} ends with bytes that were not sent"))?;
        // Where it was sent before it was asked for, nobody waited for it.
        if part.asked < sent {
            waited.push(millis(part.first_byte.saturating_duration_since(sent)));
            if waited.len().is_multiple_of(PARTS / 4) {
                eprintln!("  {} of {PARTS} parts", waited.len());
            }
        }
        there.push(millis(player.get(&format!("{folder}/{hint}"))?.took()));
        fetched = hint;
    }
    let row = |what: &str, share: f64| {
        Row::new(what, Figure::new(percentile(&waited, share), "ms"))
            .beside("a part that is there, median", Figure::new(median(&there), "ms"))
    };
    Ok(vec![row("last byte in, part out, median", 0.5), row("last byte in, part out, p99", 0.99)])
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
