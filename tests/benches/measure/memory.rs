//! The memory of live broadcasts, as the process takes it.

use std::time::{Duration, Instant};

use anyhow::Context;
use millrace_tests::{PATIENCE, Reel, resident, until};

use crate::cpu;
use crate::program::Program;
use crate::report::{Figure, Goal, Row};
use crate::spread::median;
use crate::wire::Wire;

const BROADCASTS: usize = 20;
/// More than a window of 60 s, so that its oldest media goes.
const SENT: Duration = Duration::from_secs(75);
/// What is measured is the middle one of so many figures, taken this often at the end.
const SAMPLES: usize = 24;
const SAMPLED: Duration = Duration::from_millis(500);
const CONFIG: &str = "ladder = []\n[log]\nlevel = \"error\"\n[ingest]\nidle_timeout = \"10m\"\nlinger = \"1s\"\n\
    [window]\nduration = \"60s\"\n[hls]\nplaylist_window = \"6s\"\n[plugin_host]\nbundled = false\n";

pub(crate) fn measure() -> anyhow::Result<Vec<Row>> {
    let reel = Reel::make();
    let millrace = Program::millrace(2, CONFIG)?;
    let idle = resident(millrace.id())? as f64;
    let names = (0..BROADCASTS).map(|number| format!("bench/memory/{number}"));
    let mut showings = reel.publish(&millrace.address().to_string(), names);
    let before = cpu::of_process(millrace.id())?;
    let sampled = std::thread::scope(|scope| {
        let sending = scope.spawn(|| reel.send(&mut showings, SENT, Some(1.0)));
        let mut samples = Vec::new();
        while !sending.is_finished() {
            samples.push(resident(millrace.id())? as f64 - idle);
            std::thread::sleep(SAMPLED);
        }
        anyhow::Ok(samples)
    })?;
    let cpu = (cpu::of_process(millrace.id())? - before).as_secs_f64();
    let taken = median(&sampled[sampled.len().saturating_sub(SAMPLES)..]);
    let media = metric(&millrace, "millrace_window_bytes")?;
    let pinned = metric(&millrace, "millrace_pinned_bytes")?;
    drop(showings);
    until("the broadcasts are gone", || (metric(&millrace, "millrace_tracks").ok()? == 0.0).then_some(()));
    // Until the free memory has been given back, for as long as that may take.
    let deadline = Instant::now() + PATIENCE;
    let mut kept = resident(millrace.id())? as f64 - idle;
    while kept > taken / 4.0 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(200));
        kept = resident(millrace.id())? as f64 - idle;
    }
    let megabytes = |bytes: f64| Figure::new(bytes / 1e6, "MB");
    Ok(vec![
        Row::new(format!("{BROADCASTS} broadcasts: memory above the idle server"), megabytes(taken))
            .beside("media in their windows", megabytes(media))
            .goal(Goal::RatioAtMost(1.15)),
        Row::new("the same, as millrace_pinned_bytes has it", megabytes(pinned))
            .beside("memory taken", megabytes(taken)),
        Row::new("once they have ended", megabytes(kept)).beside("while they were live", megabytes(taken)),
        Row::new("CPU time of their ingest, of a core", Figure::new(100.0 * cpu / SENT.as_secs_f64(), "%")),
    ])
}

/// A metric that has one series.
fn metric(server: &Program, name: &str) -> anyhow::Result<f64> {
    let answer = Wire::connect(server.address())?.get("/metrics")?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(line.with_context(|| format!("there is no {name}"))?.parse()?)
}
