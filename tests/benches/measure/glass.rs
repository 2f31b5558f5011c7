//! Glass to glass: from the painting of a clock into a picture to its being on screen in Chromium, over Media over QUIC and over
//! Low-Latency HLS, one after the other in the same page.

use millrace_tests::{Page, Server};

use crate::report::{Figure, Goal, Row};
use crate::spread::percentile;

/// Pictures that the clock is read from, and those before: players settle at first.
const PICTURES: usize = 300;
const SETTLING: u32 = 10;
/// The source alone: encoders of rungs would share the machine.
const CONFIG: &str = "ladder = []\n[log]\nlevel = \"error\"\n";

pub(crate) fn measure() -> anyhow::Result<Vec<Row>> {
    let server = Server::demo(CONFIG);
    let mut page = Page::open(&server.url("/#live/demo"), "glass");
    page.phase("playing");
    let mut read = |protocol: &str, label: &str| {
        eprintln!("  over {protocol}");
        page.protocol(protocol);
        page.watch(SETTLING);
        let latencies = page.latencies(PICTURES);
        // Another may have stepped in at any time.
        let now = page.state();
        let played = now["protocol"].as_str().unwrap_or_default();
        anyhow::ensure!(played.starts_with(label), "it plays over {played:?} in the end: {}", now["whyNotMoq"]);
        anyhow::ensure!(now["whyNotMoq"].is_null(), "it did not play over MoQ: {}", now["whyNotMoq"]);
        Ok(latencies)
    };
    let (moq, hls) = (read("moq", "MoQ")?, read("hls", "LL-HLS")?);
    anyhow::ensure!(!moq.is_empty() && !hls.is_empty(), "no picture had a clock");
    let figure = |latencies: &[f64], share| Figure::new(percentile(latencies, share), "ms");
    let row = |what: &str, share: f64| {
        Row::new(format!("over Media over QUIC, {what}"), figure(&moq, share))
            .beside("over LL-HLS", figure(&hls, share))
    };
    Ok(vec![
        row("median", 0.5).goal(Goal::AtMost(100.0)),
        row("p99", 0.99),
        Row::new("over LL-HLS, median", figure(&hls, 0.5)).goal(Goal::AtMost(450.0)),
    ])
}
