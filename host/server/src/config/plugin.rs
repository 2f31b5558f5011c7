//! `[[plugin]]`: the plugins to load, and `[plugin_host]`: what runs them.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use millrace_media::TrackName;
use millrace_plugin::Grants;
use serde_json::Value;
use toml::de::DeValue;

use super::fault::Fault;
use super::grants;
use super::pattern::BroadcastPattern;
use super::section::{Element, Section};
use super::setting::{Refusal, Setting, words};
use super::unit::{BitRate, ByteSize, Cores};

/// One plugin: a WebAssembly component, what it is told, and what it may take.
#[derive(Clone, Debug, PartialEq)]
pub struct Plugin {
    /// What it is called in logs, metrics and provenance; no two have one name.
    pub name: TrackName,
    /// The component.
    pub component: Component,
    /// A plugin that is not enabled is checked here and not loaded.
    pub enabled: bool,
    /// The broadcasts it is offered.
    pub broadcasts: Vec<BroadcastPattern>,
    /// Given to it as JSON: an object.
    pub settings: Value,
    /// What it may reach beyond its own media.
    pub grants: Grants,
    /// What each of its instances may take.
    pub limits: PluginLimits,
    /// What becomes of a track when its instances have failed too often.
    pub on_fault: OnFault,
    /// So many faults within [`Self::fault_window`] are too often.
    pub max_faults: u32,
    /// The time over which faults are counted.
    pub fault_window: Duration,
}

/// Where a plugin's component is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Component {
    /// In this file.
    File(PathBuf),
    /// In this program.
    Bundled(BundledPlugin),
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Bundled(name) => write!(f, "this program ({})", name.as_str()),
        }
    }
}

/// A plugin that comes with Millrace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BundledPlugin(&'static str);

impl BundledPlugin {
    /// All there are: the folders of `plugins/` that hold one.
    pub const NAMES: [&'static str; 11] = [
        "audio-passthrough",
        "bitrate-cap",
        "clock",
        "health",
        "id3",
        "jwt-access",
        "ladder",
        "passthrough",
        "per-title",
        "scte35",
        "webhook-access",
    ];

    /// The plugin that makes the rungs of ladders.
    pub const LADDER: Self = Self("ladder");

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl Setting for BundledPlugin {
    const EXPECTED: &'static str = "the name of a plugin that comes with Millrace: \"audio-passthrough\", \"bitrate-cap\", \
        \"clock\", \"health\", \"id3\", \"jwt-access\", \"ladder\", \"passthrough\", \"per-title\", \"scte35\" or \"webhook-access\"";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        Self::NAMES.into_iter().find(|name| *name == text).map(Self).ok_or(Refusal::Value(None))
    }

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Refusal> {
        value.as_str().map_or(Err(Refusal::Type), Self::from_text)
    }
}

/// What a plugin may take. Where nothing else is said, each of its instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginLimits {
    /// Processor time of one call, the work of the host's functions included.
    pub call_time: Duration,
    /// How long one call may wait in the host's functions.
    pub call_wait: Duration,
    /// Processor time of one call of a filter, in place of `call_time`; ten times as much in wall time.
    pub latency: Duration,
    /// How long an access plugin may take to answer.
    pub decision: Duration,
    /// Processor cores, over all instances of the plugin.
    pub cpu: Cores,
    /// Its linear memory.
    pub memory: ByteSize,
    /// Elements of its tables together.
    pub table_elements: usize,
    /// Handles it may hold at once.
    pub handles: usize,
    /// Media that those handles keep in memory.
    pub pinned: ByteSize,
    /// Tracks it may write.
    pub output_tracks: usize,
    /// What it may write to its output tracks, on average.
    pub output_rate: BitRate,
    /// Fragments a second it may write, on average.
    pub fragments: usize,
    /// The largest fragment it may write.
    pub fragment: ByteSize,
    /// Series of metrics and alarms, over all instances of the plugin.
    pub series: usize,
    /// Lines of log a second, on average.
    pub log: usize,
    /// How long an HTTP request may take, to the last byte of its answer.
    pub http_time: Duration,
}

/// What becomes of a track when a plugin has failed on it too often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFault {
    /// The work goes on without the plugin, as far as it can: its encoders are fed every fragment.
    #[default]
    Bypass,
    /// What the plugin makes of the track ends.
    Drop,
    /// The broadcast ends.
    Fail,
}

words!(OnFault, "\"bypass\", \"drop\" or \"fail\"", "bypass" => Bypass, "drop" => Drop, "fail" => Fail);

/// What runs the plugins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginHost {
    /// Whether the ladder plugin that comes with Millrace is used where no plugin that is listed has the hook `transcoder`.
    pub bundled: bool,
    /// Instances at once, of all plugins together; their pool is set aside at the start.
    pub max_instances: usize,
    /// Threads that run them; none for one a processor core.
    pub threads: Option<usize>,
    /// Where compiled plugins are kept from one start to the next.
    pub cache: PluginCache,
    /// The most that is kept there.
    pub cache_size: ByteSize,
    /// Where the stores of plugins are; none for the data of the user that the server runs as.
    pub store: Option<PathBuf>,
    /// A PEM file of authorities that plugins' HTTP requests trust beside those of the system.
    pub ca: Option<PathBuf>,
}

/// Where compiled plugins are kept from one start to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PluginCache {
    /// Among the caches of the user that the server runs as.
    #[default]
    User,
    /// In this directory.
    Directory(PathBuf),
    /// Nowhere.
    Off,
}

impl Setting for PluginCache {
    const EXPECTED: &'static str = "the path of a directory, or false";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        match text {
            "" => Err(Refusal::Value(None)),
            "false" => Ok(Self::Off),
            path => Ok(Self::Directory(path.into())),
        }
    }

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Refusal> {
        match value {
            DeValue::Boolean(false) => Ok(Self::Off),
            DeValue::Boolean(true) => Err(Refusal::Value(None)),
            _ => value.as_str().map_or(Err(Refusal::Type), Self::from_text),
        }
    }
}

impl Default for PluginLimits {
    fn default() -> Self {
        Self {
            call_time: Duration::from_millis(50),
            call_wait: Duration::from_secs(10),
            latency: Duration::from_millis(5),
            decision: Duration::from_secs(5),
            cpu: Cores::milli(500),
            memory: ByteSize::mib(64),
            table_elements: 10_000,
            handles: 1024,
            pinned: ByteSize::mib(64),
            output_tracks: 4,
            output_rate: BitRate::kbps(50_000),
            fragments: 500,
            fragment: ByteSize::mib(8),
            series: 1000,
            log: 10,
            http_time: Duration::from_secs(10),
        }
    }
}

impl Default for PluginHost {
    fn default() -> Self {
        Self {
            bundled: true,
            max_instances: 256,
            threads: None,
            cache: PluginCache::User,
            cache_size: ByteSize::mib(1024),
            store: None,
            ca: None,
        }
    }
}

impl PluginLimits {
    fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        let call_times = Duration::from_millis(1)..=Duration::from_secs(10);
        let mib = ByteSize::mib;
        Self {
            call_time: section.within("call_time", default.call_time, call_times),
            call_wait: section.within(
                "call_wait",
                default.call_wait,
                Duration::from_millis(10)..=Duration::from_secs(600),
            ),
            latency: section.within(
                "latency",
                default.latency,
                Duration::from_micros(100)..=Duration::from_millis(500),
            ),
            decision: section.within(
                "decision",
                default.decision,
                Duration::from_millis(100)..=Duration::from_secs(60),
            ),
            cpu: section.within("cpu", default.cpu, Cores::milli(10)..=Cores::milli(1_024_000)),
            memory: section.within("memory", default.memory, mib(1)..=mib(4096)),
            table_elements: section.within("table_elements", default.table_elements, 1..=10_000_000),
            handles: section.within("handles", default.handles, 16..=1_000_000),
            pinned: section.within("pinned", default.pinned, mib(1)..=mib(64 * 1024)),
            output_rate: section.within(
                "output_rate",
                default.output_rate,
                BitRate::kbps(1)..=BitRate::kbps(10_000_000),
            ),
            output_tracks: section.within("output_tracks", default.output_tracks, 0..=32),
            fragments: section.within("fragments", default.fragments, 1..=100_000),
            fragment: section.within("fragment", default.fragment, ByteSize::new(1024)..=mib(64)),
            series: section.within("series", default.series, 0..=100_000),
            log: section.within("log", default.log, 1..=1000),
            http_time: section.within(
                "http_time",
                default.http_time,
                Duration::from_millis(100)..=Duration::from_secs(60),
            ),
        }
    }
}

impl Plugin {
    /// All the plugins of the file.
    pub(super) fn read_all(root: &mut Section<'_, '_>) -> Vec<Self> {
        const EXPECTED: &str = "tables, each under `[[plugin]]`";
        let plugins = root.elements("plugin", EXPECTED, |element| match element {
            Element::Name(_) => {
                Err(Fault::WrongType { key: "plugin".into(), found: "a string", expected: EXPECTED.into() })
            }
            Element::Table(mut section) => {
                let plugin = Self::read(&mut section);
                let name_place = section.place_of("name");
                section.finish();
                Ok((plugin, name_place))
            }
        });
        let plugins: Vec<_> = plugins.unwrap_or_default().into_iter().map(|(plugin, _)| plugin).collect();
        for (i, (plugin, place)) in plugins.iter().enumerate() {
            if let Some((_, first)) = plugins[..i].iter().find(|(other, _)| other.name == plugin.name) {
                let (value, first) = (format!("`{}`", plugin.name), first.in_words());
                root.problem(Fault::Duplicate { what: "the plugin name", value, first }, place.clone());
            }
        }
        plugins.into_iter().map(|(plugin, _)| plugin).collect()
    }

    fn read(section: &mut Section<'_, '_>) -> Self {
        Self {
            name: section.required("name", TrackName::new("unnamed").expect("a name that is right")),
            component: Component::read(section),
            enabled: section.value("enabled", true),
            broadcasts: section.broadcasts(),
            settings: Value::Object(section.free_table("settings")),
            grants: section.table("grants", grants::read),
            limits: section.table("limits", PluginLimits::read),
            on_fault: section.value("on_fault", OnFault::default()),
            max_faults: section.within("max_faults", 5, 1..=1000),
            fault_window: section.within(
                "fault_window",
                Duration::from_secs(60),
                Duration::from_secs(1)..=Duration::from_secs(24 * 3600),
            ),
        }
    }
}

impl Component {
    fn read(section: &mut Section<'_, '_>) -> Self {
        let (path, bundled) = (section.optional_path("path"), section.optional("bundled"));
        match (path, bundled) {
            (Some(path), None) => Self::File(path),
            (None, Some(bundled)) => Self::Bundled(bundled),
            (Some(path), Some(_)) => {
                section.conflict("bundled", "`path` and `bundled` are both given, expected one of them".into());
                Self::File(path)
            }
            (None, None) => {
                // One that is wrong is a problem of its own.
                if !section.has("path") && !section.has("bundled") {
                    section.missing("`path` or `bundled`");
                }
                Self::File(PathBuf::new())
            }
        }
    }
}

impl PluginHost {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        Self {
            bundled: section.value("bundled", default.bundled),
            max_instances: section.within("max_instances", default.max_instances, 1..=100_000),
            threads: section.optional_within("threads", 1..=1024),
            cache: match section.optional("cache") {
                Some(PluginCache::Directory(path)) => PluginCache::Directory(section.in_directory("cache", path)),
                given => given.unwrap_or_default(),
            },
            cache_size: section.within(
                "cache_size",
                default.cache_size,
                ByteSize::mib(16)..=ByteSize::mib(1024 * 1024),
            ),
            store: section.optional_path("store"),
            ca: section.optional_path("ca"),
        }
    }
}
