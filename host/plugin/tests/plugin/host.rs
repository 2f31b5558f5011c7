//! The engine, a bus and a runner, with what the tests ask of them.

use std::sync::{Arc, Mutex};
use std::task::{self, Poll};
use std::time::Duration;

use async_trait::async_trait;
use millrace_codec::{VideoCodec, VideoSettings};
use millrace_media::track::{Event, Kind, Start};
use millrace_media::{Broadcast, Fragment};
use millrace_plugin::{
    CacheSettings, Compiler, EngineSettings, LoadError, Plugin, PluginFactory, PluginSettings, Plugins,
};
use millrace_transcode::factory::{
    Breaker, Context, Decision, Factory, Fault, Gap, Scope, SourceTrack, Stop, Taken, TrackEnd, Transcoder,
};
use millrace_transcode::stats::Stats;
use millrace_transcode::{Ladder, Rendition, Runner, Sound};

use crate::guests::component;

/// The one that is built for tests, with the default limits.
pub(crate) fn compiler() -> Compiler {
    Compiler::new(env!("CARGO_BIN_EXE_millrace-compile-plugin"))
}

/// One thread: whoever holds it up holds up everybody.
pub(crate) fn engine() -> Plugins {
    engine_with(compiler())
}

/// As [`engine`], with a cache that outlives the tests: the components of some languages take long to compile.
pub(crate) fn cached() -> Plugins {
    let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugin-cache");
    engine_with(Compiler { cache: Some(CacheSettings::new(directory)), ..compiler() })
}

pub(crate) fn engine_with(compiler: Compiler) -> Plugins {
    Plugins::new(EngineSettings { threads: 1, max_instances: 16, ..EngineSettings::new(compiler) }).unwrap()
}

/// `misbehave`, told what to do, and named after that.
pub(crate) fn misbehave(what: &str) -> PluginSettings {
    let mut settings = PluginSettings::new(what, "misbehave.wasm");
    settings.settings = serde_json::json!({ "do": what });
    settings
}

pub(crate) async fn load(plugins: &Plugins, settings: PluginSettings) -> Result<Arc<PluginFactory>, LoadError> {
    let plugin = plugins.load_bytes(settings, component("misbehave")).await?;
    Ok(plugin.transcoder().expect("it is a transcoder"))
}

/// `misbehave` built for WASI.
pub(crate) async fn load_wasi(plugins: &Plugins, settings: PluginSettings) -> Arc<PluginFactory> {
    let plugin = plugins.load_bytes(settings, component("misbehave-wasip2")).await.unwrap();
    plugin.transcoder().unwrap()
}

/// A plugin that comes with Millrace.
pub(crate) async fn shipped_plugin(plugins: &Plugins, name: &str) -> Arc<Plugin> {
    let settings = PluginSettings::new(name, format!("{name}.wasm"));
    plugins.load_bytes(settings, component(name)).await.unwrap()
}

pub(crate) async fn shipped(plugins: &Plugins, name: &str) -> Arc<PluginFactory> {
    shipped_plugin(plugins, name).await.transcoder().unwrap()
}

pub(crate) fn rendition(name: &str, width: u32, height: u32) -> Rendition {
    let video = VideoSettings { bitrate: Some(200_000), ..VideoSettings::new(VideoCodec::H264, width, height) };
    Rendition { name: name.into(), video, audio: Sound::Source, priority: 0 }
}

/// One ladder, for every broadcast.
pub(crate) fn ladder(renditions: impl IntoIterator<Item = Rendition>) -> Vec<Ladder> {
    vec![Ladder {
        name: "test".into(),
        applies_to: Arc::new(|_| true),
        renditions: renditions.into_iter().map(Arc::new).collect(),
        economy: Arc::default(),
    }]
}

/// A factory whose faults are written down. It is driven from the runner's threads, where the plugin alone would be from its own.
pub(crate) struct Observed {
    factory: Arc<PluginFactory>,
    faults: Arc<Mutex<Vec<Fault>>>,
}

struct ObservedTranscoder {
    transcoder: Box<dyn Transcoder>,
    faults: Arc<Mutex<Vec<Fault>>>,
}

impl Observed {
    pub(crate) fn new(factory: Arc<PluginFactory>) -> Arc<Self> {
        Arc::new(Self { factory, faults: Arc::default() })
    }

    pub(crate) fn faults(&self) -> Vec<Fault> {
        self.faults.lock().unwrap().clone()
    }
}

fn note<T>(faults: &Mutex<Vec<Fault>>, done: Result<T, Fault>) -> Result<T, Fault> {
    done.inspect_err(|fault| faults.lock().unwrap().push(fault.clone()))
}

#[async_trait]
impl Factory for Observed {
    fn name(&self) -> &str {
        self.factory.name()
    }
    fn scope(&self) -> Scope {
        self.factory.scope()
    }
    fn kinds(&self) -> &[Kind] {
        self.factory.kinds()
    }
    fn breaker(&self) -> Breaker {
        self.factory.breaker()
    }
    async fn start(&self, context: Context) -> Result<Box<dyn Transcoder>, Fault> {
        let transcoder = note(&self.faults, self.factory.start(context).await)?;
        Ok(Box::new(ObservedTranscoder { transcoder, faults: self.faults.clone() }))
    }
}

#[async_trait]
impl Transcoder for ObservedTranscoder {
    async fn track(&mut self, track: &SourceTrack) -> Result<Decision, Fault> {
        note(&self.faults, self.transcoder.track(track).await)
    }
    async fn fragment(&mut self, track: u32, fragment: &Fragment) -> Result<Taken, Fault> {
        note(&self.faults, self.transcoder.fragment(track, fragment).await)
    }
    async fn gap(&mut self, gap: Gap) -> Result<(), Fault> {
        note(&self.faults, self.transcoder.gap(gap).await)
    }
    async fn track_end(&mut self, track: u32, why: TrackEnd) -> Result<(), Fault> {
        note(&self.faults, self.transcoder.track_end(track, why).await)
    }
    fn poll_called(&mut self, context: &mut task::Context<'_>) -> Poll<()> {
        self.transcoder.poll_called(context)
    }
    async fn attend(&mut self) -> Result<(), Fault> {
        note(&self.faults, self.transcoder.attend().await)
    }
    async fn stop(&mut self, why: Stop) -> Result<(), Fault> {
        note(&self.faults, self.transcoder.stop(why).await)
    }
}

/// The counts of the one transcoder of a factory.
pub(crate) fn stats(runner: &Runner, factory: &str) -> Stats {
    runner.stats().into_iter().find(|(key, _)| &*key.factory == factory).map(|(_, stats)| stats).unwrap_or_default()
}

/// The first `count` fragments of a track, which may have yet to come.
pub(crate) async fn read(broadcast: &Broadcast, track: &str, count: usize) -> Vec<Fragment> {
    until(&format!("{track} is there"), || broadcast.track(track).is_some()).await;
    let mut consumer = broadcast.track(track).unwrap().subscribe(Start::OldestGroup);
    let mut read = Vec::new();
    while read.len() < count {
        let next = tokio::time::timeout(Duration::from_secs(60), consumer.next()).await;
        match next.unwrap_or_else(|_| panic!("{track} has {} of {count} fragments", read.len())) {
            Some(Event::Fragment(fragment)) => read.push(fragment),
            Some(Event::Gap { skipped, .. }) => panic!("{skipped} fragments skipped"),
            Some(Event::GroupEnd) => {}
            None => break,
        }
    }
    read
}

/// Waits until `condition` holds.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}
