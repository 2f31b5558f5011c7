//! What is counted of each filter.

mod times;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram};
use millrace_media::{BroadcastName, TrackName};
use millrace_transcode::factory::Policy;
use millrace_transcode::stats::Phase;

pub use times::CallTimes;
use times::Times;

/// Tells one filter from another.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FilterKey {
    /// The plugin.
    pub plugin: Arc<str>,
    /// The broadcast.
    pub broadcast: BroadcastName,
    /// The track, of a filter that works per track.
    pub track: Option<TrackName>,
}

/// What a filter is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterState {
    /// An instance is being started. The policy decides where a fragment cannot wait for it.
    Starting,
    /// An instance is at work.
    Running,
    /// A call has taken too long, and goes on beside the path. The policy decides.
    Late,
    /// There is no instance before the next group. The policy decides.
    Waiting,
    /// It does not want the track.
    Declined,
    /// It has faulted too often, and is not called any more. This policy decides.
    BreakerOpen(Policy),
}

impl FilterState {
    /// The word for it in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Late => "late",
            Self::Waiting => "waiting",
            Self::Declined => "declined",
            Self::BreakerOpen(_) => "breaker-open",
        }
    }

    const ALL: [Self; 8] = [
        Self::Starting,
        Self::Running,
        Self::Late,
        Self::Waiting,
        Self::Declined,
        Self::BreakerOpen(Policy::Bypass),
        Self::BreakerOpen(Policy::Drop),
        Self::BreakerOpen(Policy::Fail),
    ];
}

/// What has been counted so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterStats {
    /// Fragments that it passed on unchanged, those of tracks that it declined not counted.
    pub passed: u64,
    /// Fragments that it discarded itself.
    pub discarded: u64,
    /// Fragments that it put another in the place of.
    pub replaced: u64,
    /// Fragments that the policy decided.
    pub by_policy: u64,
    /// Fragments that did not come to it: the source lost them, or what they depend on was discarded, or a filter before it did that.
    pub missed: u64,
    /// Replacements of its that were not taken.
    pub refused: u64,
    /// Calls that took longer than the path waits.
    pub late: u64,
    /// Fragments that the policy decided because the plugin uses more than its share of the processor.
    pub over_share: u64,
    /// Starts that failed because there was no room for another instance.
    pub no_room: u64,
    /// Faults in starting, and in being offered a track.
    pub start_faults: u64,
    /// Faults in a fragment, a gap or the end of a track.
    pub fragment_faults: u64,
    /// Faults in stopping.
    pub stop_faults: u64,
    /// Faults in calls for something else than media.
    pub call_faults: u64,
    /// What it is doing.
    pub state: FilterState,
    /// How long its calls with a fragment take, in wall time.
    pub times: CallTimes,
}

/// One number, by filter and in the metrics by plugin.
struct Count(AtomicU64, Counter);

impl Count {
    fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
        self.1.increment(by);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// In the order in which their faults are counted.
const PHASES: [Phase; 4] = [Phase::Start, Phase::Fragment, Phase::Stop, Phase::Call];

/// The counters of one filter.
pub(super) struct Counters {
    key: FilterKey,
    passed: Count,
    discarded: Count,
    replaced: Count,
    by_policy: Count,
    missed: Count,
    refused: Count,
    late: Count,
    over_share: Count,
    no_room: Count,
    faults: [Count; 4],
    state: AtomicU8,
    times: Times,
    seconds: Histogram,
    breakers_open: Gauge,
}

impl Counters {
    pub(super) fn new(key: FilterKey) -> Self {
        let plugin = key.plugin.to_string();
        let labels = [("plugin", plugin.clone())];
        let count = |name: &'static str| Count(AtomicU64::new(0), metrics::counter!(name, &labels));
        let by = |name: &'static str, label: &'static str, value: &'static str| {
            let labels = [("plugin", plugin.clone()), (label, value.to_owned())];
            Count(AtomicU64::new(0), metrics::counter!(name, &labels))
        };
        let outcome = |outcome| by("millrace_filter_fragments_total", "outcome", outcome);
        let fault = |phase: Phase| by("millrace_filter_faults_total", "phase", phase.as_str());
        Self {
            passed: outcome("passed"),
            discarded: outcome("discarded"),
            replaced: outcome("replaced"),
            by_policy: outcome("policy"),
            missed: outcome("missed"),
            refused: count("millrace_filter_refused_replacements_total"),
            late: count("millrace_filter_late_calls_total"),
            over_share: count("millrace_filter_over_share_fragments_total"),
            no_room: count("millrace_filter_no_room_total"),
            faults: PHASES.map(fault),
            state: AtomicU8::new(0),
            times: Times::default(),
            seconds: metrics::histogram!("millrace_filter_seconds", &labels),
            breakers_open: metrics::gauge!("millrace_filter_breakers_open", &labels),
            key,
        }
    }

    pub(super) fn key(&self) -> &FilterKey {
        &self.key
    }

    pub(super) fn passed(&self) {
        self.passed.add(1);
    }

    pub(super) fn discarded(&self) {
        self.discarded.add(1);
    }

    pub(super) fn replaced(&self) {
        self.replaced.add(1);
    }

    pub(super) fn by_policy(&self) {
        self.by_policy.add(1);
    }

    pub(super) fn missed(&self, fragments: u64) {
        self.missed.add(fragments);
    }

    pub(super) fn refused(&self) {
        self.refused.add(1);
    }

    pub(super) fn late(&self) {
        self.late.add(1);
    }

    pub(super) fn over_share(&self) {
        self.over_share.add(1);
    }

    pub(super) fn no_room(&self) {
        self.no_room.add(1);
    }

    pub(super) fn fault(&self, phase: Phase) {
        if let Some(at) = PHASES.iter().position(|known| *known == phase) {
            self.faults[at].add(1);
        }
    }

    pub(super) fn took(&self, time: Duration) {
        self.times.add(time);
        self.seconds.record(time.as_secs_f64());
    }

    pub(super) fn set(&self, state: FilterState) {
        let at = FilterState::ALL.iter().position(|known| *known == state).unwrap_or(0);
        let before = self.state.swap(at as u8, Ordering::Relaxed);
        let is_open = |at: u8| matches!(FilterState::ALL.get(usize::from(at)), Some(FilterState::BreakerOpen(_)));
        match (is_open(before), is_open(at as u8)) {
            (false, true) => self.breakers_open.increment(1.0),
            (true, false) => self.breakers_open.decrement(1.0),
            _ => {}
        }
    }

    pub(super) fn read(&self) -> FilterStats {
        let [start_faults, fragment_faults, stop_faults, call_faults] = self.faults.each_ref().map(Count::get);
        let state = FilterState::ALL.get(usize::from(self.state.load(Ordering::Relaxed)));
        FilterStats {
            passed: self.passed.get(),
            discarded: self.discarded.get(),
            replaced: self.replaced.get(),
            by_policy: self.by_policy.get(),
            missed: self.missed.get(),
            refused: self.refused.get(),
            late: self.late.get(),
            over_share: self.over_share.get(),
            no_room: self.no_room.get(),
            start_faults,
            fragment_faults,
            stop_faults,
            call_faults,
            state: state.copied().unwrap_or(FilterState::Waiting),
            times: self.times.read(),
        }
    }
}

impl Drop for Counters {
    fn drop(&mut self) {
        self.set(FilterState::Waiting);
    }
}
