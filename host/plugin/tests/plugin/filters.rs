//! Filters in the path of a source: what they make of its fragments, and what becomes of it when they fail.

mod chain;
mod faults;
mod hostile;
mod life;

use std::sync::Arc;
use std::time::Duration;

use millrace_media::clock::Clock;
use millrace_media::track::Track;
use millrace_media::{Bus, Fragment, bus};
use millrace_plugin::{CallTimes, FilterState, FilterStats, Filters, Limits, Plugin, PluginSettings, Plugins};
use millrace_transcode::factory::{Breaker, Policy};
use serde_json::json;

use crate::guests::component;
use crate::host::{engine, until};
use crate::source;

/// A bus with filters.
struct Site {
    bus: Bus,
    filters: Filters,
    clock: Arc<Clock>,
}

/// Of a filter that has done nothing.
const NOTHING: FilterStats = FilterStats {
    passed: 0,
    discarded: 0,
    replaced: 0,
    by_policy: 0,
    missed: 0,
    refused: 0,
    late: 0,
    over_share: 0,
    no_room: 0,
    start_faults: 0,
    fragment_faults: 0,
    stop_faults: 0,
    call_faults: 0,
    state: FilterState::Waiting,
    times: CallTimes { calls: 0, median: Duration::ZERO, p99: Duration::ZERO },
};

/// Every so many fragments of video begin a group.
const GROUP: u64 = source::GROUP as u64;

/// Limits that are never reached, however busy the machine is.
fn patient() -> Limits {
    Limits { latency: Duration::from_secs(3), cpu: 1000.0, log: 1000, ..Limits::default() }
}

/// The guest `filter`, told what to do, and named after that.
fn told(what: &str) -> PluginSettings {
    PluginSettings { settings: json!({ "do": what }), limits: patient(), ..PluginSettings::new(what, "filter.wasm") }
}

/// The same with all the tracks of a broadcast.
fn of_broadcast(what: &str) -> PluginSettings {
    PluginSettings { settings: json!({ "do": what, "scope": "broadcast" }), ..told(what) }
}

fn with_policy(settings: PluginSettings, policy: Policy) -> PluginSettings {
    let breaker = Breaker { policy, ..settings.breaker };
    PluginSettings { breaker, ..settings }
}

async fn load(plugins: &Plugins, settings: PluginSettings) -> Arc<Plugin> {
    plugins.load_bytes(settings, component("filter")).await.unwrap()
}

impl Site {
    /// With these filters, in this order.
    async fn new(settings: impl IntoIterator<Item = PluginSettings>) -> Self {
        let engine = engine();
        let mut plugins = Vec::new();
        for settings in settings {
            plugins.push(load(&engine, settings).await);
        }
        Self::of(&plugins)
    }

    fn of(plugins: &[Arc<Plugin>]) -> Self {
        let filters = Filters::new(plugins, 1).unwrap().expect("there is a filter");
        let clock = Arc::new(Clock::manual(Duration::from_secs(1_800_000_000)));
        let bus = Bus::with_stage(bus::Settings::default(), clock.clone(), Arc::new(filters.clone()));
        Self { bus, filters, clock }
    }

    /// What has been counted of a filter, of the first there is. Nothing, where it is not at work yet.
    fn stats(&self, plugin: &str) -> FilterStats {
        let stats = self.filters.stats().into_iter().find(|(key, _)| &*key.plugin == plugin);
        stats.map_or(NOTHING, |(_, stats)| stats)
    }

    /// Waits until nothing waits for the filters of a broadcast any more.
    async fn settled(&self, track: &Track, written: u64) {
        until(&format!("{} holds {written} fragments", track.name()), || track.stats().fragments >= written).await;
    }
}

/// How many fragments a filter has been asked about, or the policy in its place, or were kept from it.
fn decided(stats: &FilterStats) -> u64 {
    stats.passed + stats.discarded + stats.replaced + stats.by_policy + stats.missed
}

/// The values of the events of a scheme.
fn events(fragment: &Fragment, scheme: &str) -> Vec<String> {
    let events = millrace_cmaf::events(fragment).into_iter();
    events.filter(|event| event.scheme == scheme).map(|event| event.value).collect()
}

/// The groups and objects of what a track holds: the first group is 0.
fn places(track: &Track) -> Vec<(u64, u64)> {
    let held = track.held();
    let first = held.first().map_or(0, |fragment| fragment.place().group.0);
    held.iter().map(|fragment| (fragment.place().group.0 - first, fragment.place().object)).collect()
}

fn payload(fragment: &Fragment) -> Vec<u8> {
    fragment.payload.slices().concat()
}
