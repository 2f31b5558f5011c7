//! Parts from memory, against nginx serving the same bytes from the page cache: one thread each, one load generator, taking turns.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use millrace_tests::Playlist;

use crate::film::Film;
use crate::program::{BARE, Program, find};
use crate::push::Push;
use crate::report::{Figure, Goal, Row};
use crate::spread::median;
use crate::wire::Wire;

/// How long the load lasts each time, in seconds.
const LOAD: u32 = 5;
const ROUNDS: u32 = 3;
/// Several segments, so that parts are listed.
const PUBLISHED: Duration = Duration::from_secs(7);

pub(crate) fn measure(film: &Film) -> anyhow::Result<Vec<Row>> {
    let millrace = Program::millrace(1, BARE)?;
    let push =
        |path: &str, track| Push::start(millrace.address(), &format!("/ingest/bench/parts/{path}"), track, PUBLISHED);
    let mut pushes = [push("Streams(video.cmfv)", &film.picture)?, push("Streams(audio.cmfa)", &film.sound)?];
    pushes.iter_mut().try_for_each(Push::sent_all)?;
    let files = tempfile::tempdir()?;
    let nginx = Program::nginx(files.path())?;
    let mut rows = Vec::new();
    for track in ["audio", "video"] {
        let folder = format!("/hls/bench/parts/{track}");
        // The server closes a connection on which nothing is asked for as long as a load lasts.
        let part = median_part(&mut Wire::connect(millrace.address())?, &folder)?;
        let (path, file) = (format!("{folder}/{}", part.0), format!("/{track}.m4s"));
        fs::write(files.path().join(&file[1..]), &part.1)?;
        let same = Wire::connect(nginx.address())?.get(&file)?.body == part.1;
        ensure!(same, "nginx serves other bytes than {path}");
        let size = format!("{:.1} kB", part.1.len() as f64 / 1e3);
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 1..=ROUNDS {
            eprintln!("  a part of {size}, round {round} of {ROUNDS}");
            ours.push(Load::put(&millrace, &path)?);
            theirs.push(Load::put(&nginx, &file)?);
        }
        let middle = |loads: &[Load], of: fn(&Load) -> f64| median(&loads.iter().map(of).collect::<Vec<_>>());
        let [rate, cpu] = [|load: &Load| load.per_second, |load: &Load| load.cpu_micros];
        rows.push(
            Row::new(format!("parts of {size} a second"), Figure::new(middle(&ours, rate), "/s"))
                .beside("nginx", Figure::new(middle(&theirs, rate), "/s"))
                .goal(Goal::RatioAtLeast(0.8)),
        );
        rows.push(
            Row::new(format!("CPU time of a request for {size}"), Figure::new(middle(&ours, cpu), "µs"))
                .beside("nginx", Figure::new(middle(&theirs, cpu), "µs")),
        );
    }
    Ok(rows)
}

/// The address and the bytes of a listed part: the one of median size.
fn median_part(client: &mut Wire, folder: &str) -> anyhow::Result<(String, Vec<u8>)> {
    let Playlist { text, segments, open_parts, .. } = client.playlist(&format!("{folder}/playlist.m3u8"))?;
    let parts = segments.into_iter().flat_map(|segment| segment.parts).chain(open_parts);
    let fetch = |part: String| anyhow::Ok((client.get(&format!("{folder}/{part}"))?.body, part));
    let mut parts = parts.map(fetch).collect::<Result<Vec<_>, _>>()?;
    parts.sort_by_key(|(body, _)| body.len());
    let middle = parts.len() / 2;
    let (body, part) = parts.into_iter().nth(middle).with_context(|| format!("no parts are listed:\n{text}"))?;
    Ok((part, body))
}

/// What a server did under load.
struct Load {
    /// Requests.
    per_second: f64,
    /// Of the server, for a request.
    cpu_micros: f64,
}

impl Load {
    /// Has wrk ask for a path, over and over.
    fn put(server: &Program, path: &str) -> anyhow::Result<Self> {
        let url = format!("http://{}{path}", server.address());
        let before = server.cpu_time()?;
        let mut wrk = Command::new(find("wrk", "wrk")?);
        let output =
            wrk.args(["-t1", "-c32", &format!("-d{LOAD}s"), &url]).output().context("wrk cannot be started")?;
        let cpu = server.cpu_time()? - before;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "wrk {url}: {text}{}", String::from_utf8_lossy(&output.stderr));
        ensure!(!text.contains("Non-2xx") && !text.contains("Socket errors"), "not every request went well:\n{text}");
        let per_second = text.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:"));
        let total = text.lines().find_map(|line| line.trim().split_once(" requests in "));
        let per_second = per_second.with_context(|| format!("wrk said:\n{text}"))?.trim().parse()?;
        let total: f64 = total.with_context(|| format!("wrk said:\n{text}"))?.0.parse()?;
        Ok(Self { per_second, cpu_micros: cpu.as_secs_f64() * 1e6 / total })
    }
}
