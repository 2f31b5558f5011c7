//! What is granted, and what plugins do with it: the plugin `reach` is told so in messages.

mod calls;
mod granted;
mod http;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millrace_media::{Bus, TrackName};
use millrace_plugin::{Addressees, EngineSettings, Grants, NotSent, Plugin, PluginSettings, Plugins, Reply};
use millrace_transcode::Runner;
use millrace_transcode::factory::Fault;

use crate::guests::component;
use crate::host::{Observed, compiler, engine, stats, until};
use crate::source::{Source, bus};

/// Longer than any answer takes here.
const TIME: Duration = Duration::from_secs(60);

fn settings(grants: Grants, settings: serde_json::Value) -> PluginSettings {
    PluginSettings { grants, settings, ..PluginSettings::new("reach", "reach.wasm") }
}

async fn load(plugins: &Plugins, settings: PluginSettings) -> Arc<Plugin> {
    plugins.load_bytes(settings, component("reach")).await.unwrap()
}

/// The plugin at work on a video track, of which one group has come.
struct Work {
    plugin: Arc<Plugin>,
    observed: Arc<Observed>,
    runner: Runner,
    bus: Bus,
    source: Source,
}

impl Work {
    async fn start(grants: Grants) -> Self {
        Self::of(load(&engine(), settings(grants, serde_json::json!({}))).await).await
    }

    async fn of(plugin: Arc<Plugin>) -> Self {
        let observed = Observed::new(plugin.transcoder().unwrap());
        let bus = bus();
        let runner = Runner::start(&bus, vec![observed.clone()], vec![]);
        let mut source = Source::of_size(&bus, 1000);
        source.write(1);
        let work = Self { plugin, observed, runner, bus, source };
        until("it is at work", || stats(&work.runner, "reach").fragments > 0).await;
        work
    }

    async fn send(&self, to: &Addressees, message: impl Into<Bytes>) -> Result<Vec<Reply>, NotSent> {
        self.plugin.send(to, message.into(), TIME).await
    }

    /// What the instance of the video track replies.
    async fn ask(&self, message: &str) -> Result<String, String> {
        let to = Addressees { track: Some(TrackName::new("video").unwrap()), ..Addressees::default() };
        let replies = self.send(&to, message.to_owned()).await.unwrap();
        let [reply] = &replies[..] else { panic!("{replies:?}") };
        reply.reply.clone().map(|reply| String::from_utf8(reply).unwrap())
    }

    async fn told(&self, message: &str) -> String {
        self.ask(message).await.unwrap_or_else(|error| panic!("{message}: {error}"))
    }

    /// Asks until the answer is as it should be.
    async fn told_until(&self, message: &str, right: impl Fn(&str) -> bool) -> String {
        let asked = async {
            loop {
                let told = self.told(message).await;
                if right(&told) {
                    return told;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(TIME, asked).await.unwrap_or_else(|_| panic!("{message} is never answered so"))
    }

    fn faults(&self) -> Vec<Fault> {
        self.observed.faults()
    }

    /// Grants that the plugin has missed, and how often.
    fn denied(&self) -> Vec<(&'static str, String, u64)> {
        let denials = self.plugin.denials().into_iter();
        denials.map(|denial| (denial.grant.as_str(), denial.detail, denial.count)).collect()
    }
}
