//! The plugins that the configuration asks for, and those that the binary carries.

use std::borrow::Cow;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use millrace_media::Access;
use millrace_media::access::Authorizer;
use millrace_plugin::{
    CacheSettings, Compiler, EngineSettings, Filters, Hook, Limits, Plugin, PluginSettings, Plugins,
};
use millrace_transcode::factory::{Breaker, Factory, Policy};
use rust_embed::RustEmbed;

use crate::config::{self, BundledPlugin, Component, Config, OnFault, PluginCache, PluginHost, PluginLimits};

/// The components that `make plugins` builds, without the examples for authors.
#[derive(RustEmbed)]
#[folder = "../../plugins/dist"]
#[exclude = "examples/*"]
#[allow_missing = true]
struct Bundled;

/// What was loaded.
#[derive(Default)]
pub(crate) struct Loaded {
    /// In the order of the configuration.
    pub(crate) list: Vec<Arc<Plugin>>,
    /// None where there is no plugin.
    pub(crate) plugins: Option<Plugins>,
}

impl Loaded {
    /// The hooks `transcoder`, for the runner.
    pub(crate) fn factories(&self) -> Vec<Arc<dyn Factory>> {
        self.list.iter().filter_map(|plugin| plugin.transcoder()).map(|factory| factory as _).collect()
    }

    /// The hooks `filter`, for the bus. None where no plugin has it.
    pub(crate) fn filters(&self, config: &Config) -> anyhow::Result<Option<Filters>> {
        let threads = config.plugin_host.threads;
        let threads = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        Filters::new(&self.list, threads).context("the threads of filters cannot be started")
    }

    /// The hooks `access`, for whoever lets clients publish and play. Each call makes instances of its own.
    pub(crate) fn access(&self) -> Access {
        let plugins = self.list.iter().filter_map(|plugin| plugin.access());
        Access::new(plugins.map(|authorizer| authorizer as Arc<dyn Authorizer>).collect())
    }
}

/// Loads them all. One that cannot be loaded stops the start: a server that runs without what its operator asked for would be worse.
pub(crate) async fn load(config: &Config) -> anyhow::Result<Loaded> {
    let listed: Vec<_> = config.plugins.iter().filter(|plugin| plugin.enabled).collect();
    if listed.is_empty() && !config.plugin_host.bundled {
        return Ok(Loaded::default());
    }
    let plugins = Plugins::new(engine(config)?).context("the plugin host cannot start")?;
    let mut list = Vec::new();
    for plugin in listed {
        // A large component takes a while to compile, the first time.
        tracing::info!(plugin = %plugin.name, from = %plugin.component, "loading");
        let loaded = match &plugin.component {
            Component::File(path) => plugins.load(settings(plugin, path)).await?,
            Component::Bundled(bundled) => {
                let (path, bytes) = carried(*bundled)?;
                plugins.load_bytes(settings(plugin, &path), bytes).await?
            }
        };
        let hooks: Vec<_> = loaded.hooks().hooks.iter().map(|hook| hook.as_str()).collect();
        tracing::info!(plugin = %plugin.name, hooks = hooks.join(", "), summary = loaded.summary(), "loaded");
        list.push(loaded);
    }
    let transcoder = list.iter().find(|plugin| plugin.hooks().has(Hook::Transcoder));
    match transcoder {
        None if config.plugin_host.bundled => {
            let (path, bytes) = carried(BundledPlugin::LADDER)?;
            let settings = PluginSettings::new(BundledPlugin::LADDER.as_str(), path);
            list.push(plugins.load_bytes(settings, bytes).await?);
        }
        Some(plugin) if config.plugin_host.bundled && !config.ladders.is_empty() && !makes_rungs(config) => {
            tracing::info!(
                plugin = plugin.name(),
                "the ladder plugin that comes with Millrace is not loaded, because this plugin has the hook transcoder: list it with \
                 `bundled = \"ladder\"` to use both"
            );
        }
        _ => {}
    }
    Ok(Loaded { list, plugins: Some(plugins) })
}

/// The ladder plugin that comes with Millrace is listed.
fn makes_rungs(config: &Config) -> bool {
    let ladder = Component::Bundled(BundledPlugin::LADDER);
    config.plugins.iter().any(|plugin| plugin.enabled && plugin.component == ladder)
}

/// A component that this program carries, and what it is called in errors.
fn carried(plugin: BundledPlugin) -> anyhow::Result<(PathBuf, Cow<'static, [u8]>)> {
    let file = format!("{}.wasm", plugin.as_str());
    let component = Bundled::get(&file)
        .context("this build carries no plugins: `make plugins` before building adds them, and `plugin_host.bundled = false` does without")?;
    Ok((Path::new("bundled").join(file), component.data))
}

fn engine(config: &Config) -> anyhow::Result<EngineSettings> {
    let limits: Vec<_> = config.plugins.iter().map(|plugin| limits(&plugin.limits)).collect();
    let defaults = EngineSettings::new(compiler(&config.plugin_host)?);
    Ok(EngineSettings {
        max_instances: u32::try_from(config.plugin_host.max_instances).unwrap_or(u32::MAX),
        threads: config.plugin_host.threads.unwrap_or(defaults.threads),
        memory: limits.iter().map(|limits| limits.memory).max().unwrap_or(defaults.memory).max(defaults.memory),
        table_elements: limits
            .iter()
            .map(|limits| limits.table_elements)
            .max()
            .unwrap_or(0)
            .max(defaults.table_elements),
        store: config.plugin_host.store.clone().or_else(|| user_data(|name| std::env::var_os(name))),
        ca: config.plugin_host.ca.clone(),
        ..defaults
    })
}

/// This program, as a process of its own for every plugin that is compiled.
fn compiler(host: &PluginHost) -> anyhow::Result<Compiler> {
    let directory = match &host.cache {
        PluginCache::Off => None,
        PluginCache::Directory(directory) => Some(directory.clone()),
        PluginCache::User => user_cache(|name| std::env::var_os(name)),
    };
    let cache =
        directory.map(|directory| CacheSettings { bytes: host.cache_size.get(), ..CacheSettings::new(directory) });
    Ok(Compiler { args: vec!["compile-plugin".into()], cache, ..Compiler::new(this_program()?) })
}

/// Where this program is. The file may be replaced by another version while the server runs, so on Linux it is what the process itself
/// was started from.
fn this_program() -> anyhow::Result<PathBuf> {
    let running = Path::new("/proc/self/exe");
    if cfg!(target_os = "linux") && running.exists() {
        return Ok(running.into());
    }
    std::env::current_exe().context("where this program is cannot be found out, and it is what compiles plugins")
}

/// The directory for what can be made again, by the XDG Base Directory Specification, which has relative paths ignored. None without a
/// home.
fn user_cache(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
    Some(caches?.join("millrace/plugins"))
}

/// The directory for what is to be kept, by the same specification.
fn user_data(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")));
    Some(data?.join("millrace/plugins"))
}

fn settings(plugin: &config::Plugin, path: &Path) -> PluginSettings {
    let patterns = plugin.broadcasts.clone();
    PluginSettings {
        settings: plugin.settings.clone(),
        grants: plugin.grants.clone(),
        broadcasts: Arc::new(move |broadcast| patterns.iter().any(|pattern| pattern.matches(broadcast))),
        limits: limits(&plugin.limits),
        breaker: Breaker {
            max_faults: plugin.max_faults,
            window: plugin.fault_window,
            policy: match plugin.on_fault {
                OnFault::Bypass => Policy::Bypass,
                OnFault::Drop => Policy::Drop,
                OnFault::Fail => Policy::Fail,
            },
        },
        ..PluginSettings::new(plugin.name.as_str(), path)
    }
}

fn limits(limits: &PluginLimits) -> Limits {
    Limits {
        call_time: limits.call_time,
        call_wait: limits.call_wait,
        latency: limits.latency,
        decision: limits.decision,
        cpu: limits.cpu.get(),
        memory: usize::try_from(limits.memory.get()).unwrap_or(usize::MAX),
        table_elements: limits.table_elements,
        handles: limits.handles,
        pinned: limits.pinned.get(),
        output_tracks: limits.output_tracks,
        output_rate: limits.output_rate.get(),
        fragments: limits.fragments as u64,
        fragment: limits.fragment.get(),
        series: limits.series,
        log: limits.log as u64,
        http_time: limits.http_time,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_carries_every_plugin_that_can_be_listed() {
        let mut carried: Vec<_> = Bundled::iter().map(|file| file.trim_end_matches(".wasm").to_owned()).collect();
        carried.sort();
        assert_eq!(carried, BundledPlugin::NAMES);
    }

    #[test]
    fn compiled_plugins_are_kept_where_the_user_keeps_caches() {
        let cache = |variables: &[(&str, &str)]| {
            user_cache(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()))
        };
        let home = ("HOME", "/home/miller");
        assert_eq!(cache(&[home]), Some("/home/miller/.cache/millrace/plugins".into()));
        assert_eq!(cache(&[home, ("XDG_CACHE_HOME", "/var/cache")]), Some("/var/cache/millrace/plugins".into()));
        assert_eq!(cache(&[home, ("XDG_CACHE_HOME", "here")]), Some("/home/miller/.cache/millrace/plugins".into()));
        assert_eq!(cache(&[("HOME", "")]), None);
    }

    #[test]
    fn stores_of_plugins_are_kept_where_the_user_keeps_data() {
        let data = |variables: &[(&str, &str)]| {
            user_data(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()))
        };
        let home = ("HOME", "/home/miller");
        assert_eq!(data(&[home]), Some("/home/miller/.local/share/millrace/plugins".into()));
        assert_eq!(data(&[home, ("XDG_DATA_HOME", "/var/lib")]), Some("/var/lib/millrace/plugins".into()));
        assert_eq!(data(&[]), None);
    }
}
