//! Health and metrics.

use anyhow::Context;
use axum::Router;
use axum::http::header;
use axum::routing::get;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use millrace_media::access::Tally;
use millrace_media::broadcast::State;
use millrace_media::{Access, Bus};
use millrace_plugin::Plugins;

use crate::memory;

/// Seconds: from a scaled picture to a viewer who has given up.
const SECONDS: [f64; 12] = [0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// Collects what every crate counts from now on.
pub(crate) fn install() -> anyhow::Result<PrometheusHandle> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)?
        .install_recorder()
        .context("the metrics cannot be collected")
}

/// `/healthz`, and `/metrics` in the text format of Prometheus.
pub(crate) fn router(metrics: PrometheusHandle, bus: Bus, plugins: Option<Plugins>, access: Access) -> Router {
    let scrape = move || async move {
        measure(&bus);
        measure_access(&access);
        metrics.run_upkeep();
        let mut text = metrics.render();
        text.push_str(&plugins.map(|plugins| plugins.metrics()).unwrap_or_default());
        ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
    };
    Router::new().route("/healthz", get(|| async { "ok\n" })).route("/metrics", get(scrape))
}

/// What is there now, as opposed to what has been counted.
fn measure(bus: &Bus) {
    let (mut live, mut waiting, mut tracks, mut media) = (0u32, 0u32, 0u32, 0u64);
    for broadcast in bus.broadcasts() {
        match broadcast.state() {
            State::Live => live += 1,
            State::Waiting { .. } => waiting += 1,
            State::Ended { .. } => {}
        }
        for track in broadcast.tracks() {
            tracks += 1;
            media += track.stats().media;
        }
    }
    metrics::gauge!("millrace_broadcasts", "state" => "live").set(live);
    metrics::gauge!("millrace_broadcasts", "state" => "waiting").set(waiting);
    metrics::gauge!("millrace_tracks").set(tracks);
    metrics::gauge!("millrace_window_bytes").set(media as f64);
    let memory = bus.memory();
    metrics::gauge!("millrace_pinned_bytes").set(memory.held as f64);
    metrics::gauge!("millrace_pinned_limit_bytes").set(memory.limit as f64);
    metrics::counter!("millrace_given_up_fragments_total").absolute(memory.given_up);
    if let Some(resident) = memory::resident() {
        metrics::gauge!("process_resident_memory_bytes").set(resident as f64);
    }
}

/// What access plugins have decided.
fn measure_access(access: &Access) {
    for (plugin, tally) in access.tallies() {
        let Tally { attempts, allowed, denied, failed, reused, open, cached } = tally;
        metrics::counter!("millrace_access_attempts_total", "plugin" => plugin.clone()).absolute(attempts);
        for (result, count) in [("allowed", allowed), ("denied", denied), ("failed", failed)] {
            metrics::counter!("millrace_access_answers_total", "plugin" => plugin.clone(), "result" => result)
                .absolute(count);
        }
        metrics::counter!("millrace_access_reused_total", "plugin" => plugin.clone()).absolute(reused);
        metrics::gauge!("millrace_access_open", "plugin" => plugin.clone()).set(open as f64);
        metrics::gauge!("millrace_access_cached", "plugin" => plugin).set(cached as f64);
    }
}
