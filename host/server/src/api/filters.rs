//! What each filter has done.

use axum::extract::State;
use millrace_media::BroadcastName;
use millrace_plugin::{FilterKey, FilterState, FilterStats};
use millrace_transcode::factory::Policy;
use serde::Serialize;
use utoipa::ToSchema;

use super::refusal::Guarded;
use super::transcoders::{Faults, milliseconds};
use super::{Answer, Shared, answer};

#[derive(Serialize, ToSchema)]
pub(super) struct Filters {
    filters: Vec<Filter>,
}

/// A plugin in the path of one broadcast, or of one track.
#[derive(Serialize, ToSchema)]
pub(super) struct Filter {
    #[schema(example = "bitrate-cap")]
    plugin: String,
    #[schema(example = "live/demo")]
    broadcast: String,
    /// None of a plugin that works on the whole broadcast.
    #[schema(example = "video")]
    track: Option<String>,
    /// `running`; `starting`, `late` (a call has taken too long) or `waiting` (there is no instance before the next group): `on_fault` of
    /// the plugin decides meanwhile; `declined` (it does not want the track); or `breaker-open`: it has faulted too often, and is not called
    /// any more.
    #[schema(example = "running")]
    state: &'static str,
    /// What is done without it, where its breaker is open: `bypass`, `drop` or `fail`.
    #[schema(example = json!(null))]
    breaker: Option<&'static str>,
    /// Fragments that it passed on unchanged.
    passed: u64,
    /// Fragments that it discarded.
    discarded: u64,
    /// Fragments that it put another in the place of.
    replaced: u64,
    /// Fragments that `on_fault` decided.
    by_policy: u64,
    /// Fragments that did not come to it: the source lost them, or a filter discarded them or what they depend on.
    missed: u64,
    /// Replacements of its that were not taken.
    refused: u64,
    /// Calls that took longer than the path waits, which is ten times `latency` of its limits.
    late: u64,
    /// Fragments that it was not given, because the plugin uses more than its share of the processor (`cpu` of its limits).
    over_share: u64,
    /// Starts that failed because `max_instances` of [plugin_host] are at work.
    no_room: u64,
    faults: Faults,
    /// Half of its calls with a fragment took no longer. Milliseconds, up to a quarter too many.
    median_ms: f64,
    /// 99 of 100 calls with a fragment took no longer. Milliseconds, up to a quarter too many.
    p99_ms: f64,
    /// What waits for all filters of the broadcast together: fragments, and ends of groups and tracks.
    queue: usize,
}

/// What each filter has done, and its faults
#[utoipa::path(
    get,
    path = "/filters",
    tag = "plugins",
    security((), ("token" = [])),
    responses(
        (status = 200, description = "Every filter that is at work", body = Filters),
        Guarded,
    )
)]
pub(super) async fn list(State(shared): State<Shared>) -> Answer<Filters> {
    let stats = shared.filters.as_ref().map(|filters| filters.stats()).unwrap_or_default();
    let queue = |broadcast: &BroadcastName| {
        let load = shared.bus.broadcast(broadcast).and_then(|broadcast| broadcast.queued());
        load.map_or(0, |load| load.entries)
    };
    let filters = stats.into_iter().map(|(key, stats)| Filter::new(&key, &stats, queue(&key.broadcast)));
    answer(Filters { filters: filters.collect() })
}

impl Filter {
    fn new(key: &FilterKey, stats: &FilterStats, queue: usize) -> Self {
        let breaker = if let FilterState::BreakerOpen(policy) = stats.state { Some(policy) } else { None };
        Self {
            plugin: key.plugin.to_string(),
            broadcast: key.broadcast.to_string(),
            track: key.track.as_ref().map(ToString::to_string),
            state: stats.state.as_str(),
            breaker: breaker.map(Policy::as_str),
            passed: stats.passed,
            discarded: stats.discarded,
            replaced: stats.replaced,
            by_policy: stats.by_policy,
            missed: stats.missed,
            refused: stats.refused,
            late: stats.late,
            over_share: stats.over_share,
            no_room: stats.no_room,
            faults: Faults {
                start: stats.start_faults,
                fragment: stats.fragment_faults,
                stop: stats.stop_faults,
                call: stats.call_faults,
            },
            median_ms: milliseconds(stats.times.median),
            p99_ms: milliseconds(stats.times.p99),
            queue,
        }
    }
}
