//! What a plugin is told, and what it may take.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use millrace_media::BroadcastName;
use millrace_transcode::factory::Breaker;

use crate::grants::Grants;
use crate::hook::Hook;

/// Says of a broadcast whether a plugin is to be asked about it.
pub type BroadcastFilter = Arc<dyn Fn(&BroadcastName) -> bool + Send + Sync>;

/// One plugin, as the operator configured it.
#[derive(Clone)]
pub struct PluginSettings {
    /// What it is called in logs, metrics and provenance: unique among plugins.
    pub name: String,
    /// The component's file.
    pub path: PathBuf,
    /// Given to it as JSON: an object.
    pub settings: serde_json::Value,
    /// The broadcasts it is asked about.
    pub broadcasts: BroadcastFilter,
    /// What it may reach beyond its own media.
    pub grants: Grants,
    /// What each of its instances may take.
    pub limits: Limits,
    /// What happens when it faults again and again.
    pub breaker: Breaker,
}

impl PluginSettings {
    /// The plugin in a file, for every broadcast, with empty settings and the default of everything else.
    pub fn new(name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            path: path.into(),
            settings: serde_json::Value::Object(serde_json::Map::new()),
            broadcasts: Arc::new(|_| true),
            grants: Grants::default(),
            limits: Limits::default(),
            breaker: Breaker::default(),
        }
    }
}

impl fmt::Debug for PluginSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PluginSettings")
            .field("name", &self.name)
            .field("path", &self.path)
            .field("settings", &self.settings)
            .field("grants", &self.grants)
            .field("limits", &self.limits)
            .field("breaker", &self.breaker)
            .finish_non_exhaustive()
    }
}

/// What a plugin may take. Where nothing else is said, each of its instances.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Processor time of one call, the work of the host's functions included.
    pub call_time: Duration,
    /// How long one call may wait in the host's functions.
    pub call_wait: Duration,
    /// Processor time of one call of a filter, in place of `call_time`. In wall time it may take ten times as much.
    pub latency: Duration,
    /// How long an access plugin may take to answer an attempt.
    pub decision: Duration,
    /// Processor cores, over all instances of the plugin. Beyond it fragments are skipped.
    pub cpu: f64,
    /// Bytes of linear memory, over all its memories.
    pub memory: usize,
    /// Elements of its tables together.
    pub table_elements: usize,
    /// Handles to what the host holds for it, at once.
    pub handles: usize,
    /// Bytes of media that its own handles to fragments keep in memory.
    pub pinned: u64,
    /// Tracks it may write, those of its encoders included.
    pub output_tracks: usize,
    /// Bits per second it may write to its output tracks, beyond bursts of two seconds. What its encoders write does not count.
    pub output_rate: u64,
    /// Fragments per second it may write to its output tracks, beyond bursts of two seconds.
    pub fragments: u64,
    /// Bytes of the largest fragment it may write.
    pub fragment: u64,
    /// Series of metrics and alarms, over all instances of the plugin.
    pub series: usize,
    /// Lines of log per second, beyond bursts of two seconds.
    pub log: u64,
    /// How long an HTTP request may take, to the last byte of its answer.
    pub http_time: Duration,
}

impl Limits {
    /// What an instance of a hook may take. Everybody waits for a filter: its calls are short, and may not wait.
    pub(crate) fn of(self, hook: Option<Hook>) -> Self {
        match hook {
            Some(Hook::Filter) => Self { call_time: self.latency, call_wait: Duration::ZERO, ..self },
            _ => self,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            call_time: Duration::from_millis(50),
            call_wait: Duration::from_secs(10),
            latency: Duration::from_millis(5),
            decision: Duration::from_secs(5),
            cpu: 0.5,
            memory: 64 << 20,
            table_elements: 10_000,
            handles: 1024,
            pinned: 64 << 20,
            output_tracks: 4,
            output_rate: 50_000_000,
            fragments: 500,
            fragment: 8 << 20,
            series: 1000,
            log: 10,
            http_time: Duration::from_secs(10),
        }
    }
}
