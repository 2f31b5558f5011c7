//! What a plugin is told, and what it may take.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use millrace_media::BroadcastName;
use millrace_transcode::factory::Breaker;

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
            .field("limits", &self.limits)
            .field("breaker", &self.breaker)
            .finish_non_exhaustive()
    }
}

/// What one instance of a plugin may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// CPU time of one call. Time in the host's functions does not count.
    pub call_time: Duration,
    /// Bytes of linear memory, over all its memories.
    pub memory: usize,
    /// Elements of its tables together.
    pub table_elements: usize,
    /// Handles to what the host holds for it, at once.
    pub handles: usize,
    /// Bytes of media that its own handles to fragments keep in memory.
    pub pinned: u64,
    /// Bits per second it may write to its output tracks, beyond bursts of two seconds. What its encoders write does not count.
    pub output_rate: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            call_time: Duration::from_millis(50),
            memory: 64 << 20,
            table_elements: 10_000,
            handles: 1024,
            pinned: 64 << 20,
            output_rate: 50_000_000,
        }
    }
}
