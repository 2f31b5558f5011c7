//! The plugins that the configuration asks for, and those that the binary carries.

use std::sync::Arc;

use anyhow::Context;
use millrace_plugin::{EngineSettings, Limits, PluginSettings, Plugins};
use millrace_transcode::factory::{Breaker, Factory, Policy};
use rust_embed::RustEmbed;

use crate::config::{Config, OnFault, Plugin, PluginLimits};

/// The name of the plugin that makes the ladder where no other is listed.
const LADDER: &str = "ladder";

/// The components that `make plugins` builds, without the examples for authors.
#[derive(RustEmbed)]
#[folder = "../../plugins/dist"]
#[exclude = "examples/*"]
#[allow_missing = true]
struct Bundled;

/// Loads them all. One that cannot be loaded stops the start: a server that runs without what its operator asked for would be worse.
pub(crate) async fn load(config: &Config) -> anyhow::Result<Vec<Arc<dyn Factory>>> {
    let listed: Vec<_> = config.plugins.iter().filter(|plugin| plugin.enabled).collect();
    if listed.is_empty() && !config.uses_bundled_plugin() {
        return Ok(Vec::new());
    }
    let plugins = Plugins::new(engine(config)).context("the plugin host cannot start")?;
    let mut factories: Vec<Arc<dyn Factory>> = Vec::new();
    for plugin in listed {
        factories.push(plugins.load(settings(plugin)).await?);
        tracing::info!(plugin = %plugin.name, "loaded");
    }
    if config.uses_bundled_plugin() {
        let file = format!("{LADDER}.wasm");
        let component = Bundled::get(&file)
            .context("this build carries no plugins: `make plugins` before building adds them, and `plugin_host.bundled = false` does without")?;
        let settings = PluginSettings::new(LADDER, format!("bundled/{file}"));
        factories.push(plugins.load_bytes(settings, component.data).await?);
    }
    Ok(factories)
}

fn engine(config: &Config) -> EngineSettings {
    let limits: Vec<_> = config.plugins.iter().map(|plugin| limits(&plugin.limits)).collect();
    let defaults = EngineSettings::default();
    EngineSettings {
        max_instances: u32::try_from(config.plugin_host.max_instances).unwrap_or(u32::MAX),
        threads: config.plugin_host.threads.unwrap_or(defaults.threads),
        memory: limits.iter().map(|limits| limits.memory).max().unwrap_or(defaults.memory).max(defaults.memory),
        table_elements: limits
            .iter()
            .map(|limits| limits.table_elements)
            .max()
            .unwrap_or(0)
            .max(defaults.table_elements),
        ..defaults
    }
}

fn settings(plugin: &Plugin) -> PluginSettings {
    let patterns = plugin.broadcasts.clone();
    PluginSettings {
        settings: plugin.settings.clone(),
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
        ..PluginSettings::new(plugin.name.as_str(), &plugin.path)
    }
}

fn limits(limits: &PluginLimits) -> Limits {
    Limits {
        call_time: limits.call_time,
        memory: usize::try_from(limits.memory.get()).unwrap_or(usize::MAX),
        table_elements: limits.table_elements,
        handles: limits.handles,
        pinned: limits.pinned.get(),
        output_rate: limits.output_rate.get(),
    }
}
