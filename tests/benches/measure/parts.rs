//! Parts from memory, against nginx serving the same bytes from the page cache: one thread each, one load generator, taking turns.

use std::fs;
use std::time::Duration;

use anyhow::{Context, ensure};
use millrace_tests::Playlist;

use crate::curl::{self, Feed};
use crate::film::Film;
use crate::load::{Load, Protocol};
use crate::program::{BARE, Certificate, Program};
use crate::report::{Figure, Goal, Row};
use crate::spread::median;

const ROUNDS: u32 = 3;
/// Several segments, so that parts are listed.
const PUBLISHED: Duration = Duration::from_secs(7);

pub(crate) fn measure(film: &Film) -> anyhow::Result<Vec<Row>> {
    let certificate = Certificate::make()?;
    let mut rows = Vec::new();
    for is_secure in [false, true] {
        let protocols = Protocol::ALL.into_iter().filter(|protocol| protocol.is_secure() == is_secure);
        rows.extend(beside(film, is_secure.then_some(&certificate), &protocols.collect::<Vec<_>>())?);
    }
    Ok(rows)
}

/// Both servers, with a certificate or without, asked in these ways.
fn beside(film: &Film, certificate: Option<&Certificate>, protocols: &[Protocol]) -> anyhow::Result<Vec<Row>> {
    let tls = certificate.map(Certificate::for_millrace).unwrap_or_default();
    let millrace = Program::millrace(1, &format!("{BARE}{tls}"))?;
    let files = tempfile::tempdir()?;
    let nginx = Program::nginx(files.path(), certificate)?;
    let plain = protocols[0];
    let feed = |path: &str, track| {
        Feed::start(&plain.url(&millrace, &format!("/ingest/bench/parts/{path}")), track, PUBLISHED)
    };
    let mut feeds = [feed("Streams(video.cmfv)", &film.picture)?, feed("Streams(audio.cmfa)", &film.sound)?];
    feeds.iter_mut().try_for_each(Feed::sent_all)?;
    let mut rows = Vec::new();
    for track in ["audio", "video"] {
        let folder = format!("/hls/bench/parts/{track}");
        let (part, bytes) = median_part(&plain.url(&millrace, &folder))?;
        let (path, file) = (format!("{folder}/{part}"), format!("/{track}.m4s"));
        fs::write(files.path().join(&file[1..]), &bytes)?;
        ensure!(curl::get(&plain.url(&nginx, &file))? == bytes, "nginx serves other bytes than {path}");
        if certificate.is_some() {
            let [ours, theirs] =
                [(&millrace, &path), (&nginx, &file)].map(|(s, path)| curl::cipher(&plain.url(s, path)));
            let (ours, theirs) = (ours?, theirs?);
            ensure!(ours == theirs, "the ciphers differ: {ours}, and nginx {theirs}");
        }
        let size = format!("{:.1} kB", bytes.len() as f64 / 1e3);
        for protocol in protocols {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for round in 1..=ROUNDS {
                eprintln!("  a part of {size}, {}, round {round} of {ROUNDS}", protocol.name());
                ours.push(Load::put(&millrace, *protocol, &path)?);
                theirs.push(Load::put(&nginx, *protocol, &file)?);
            }
            let middle = |loads: &[Load], of: fn(&Load) -> f64| median(&loads.iter().map(of).collect::<Vec<_>>());
            let [rate, cpu] = [|load: &Load| load.per_second, |load: &Load| load.cpu_micros];
            rows.push(
                Row::new(
                    format!("{}: parts of {size} a second", protocol.name()),
                    Figure::new(middle(&ours, rate), "/s"),
                )
                .beside("nginx", Figure::new(middle(&theirs, rate), "/s"))
                .goal(Goal::RatioAtLeast(0.8)),
            );
            rows.push(
                Row::new(
                    format!("{}: CPU time of a request for {size}", protocol.name()),
                    Figure::new(middle(&ours, cpu), "µs"),
                )
                .beside("nginx", Figure::new(middle(&theirs, cpu), "µs")),
            );
        }
    }
    Ok(rows)
}

/// The address and the bytes of a listed part: the one of median size.
fn median_part(folder: &str) -> anyhow::Result<(String, Vec<u8>)> {
    let playlist = String::from_utf8(curl::get(&format!("{folder}/playlist.m3u8"))?)?;
    let Playlist { text, segments, open_parts, .. } = Playlist::parse(&playlist);
    let parts = segments.into_iter().flat_map(|segment| segment.parts).chain(open_parts);
    let fetch = |part: String| anyhow::Ok((curl::get(&format!("{folder}/{part}"))?, part));
    let mut parts = parts.map(fetch).collect::<Result<Vec<_>, _>>()?;
    parts.sort_by_key(|(body, _)| body.len());
    let middle = parts.len() / 2;
    let (body, part) = parts.into_iter().nth(middle).with_context(|| format!("no parts are listed:\n{text}"))?;
    Ok((part, body))
}
