//! From a file to a factory.
//!
//! Everything that can be wrong with a plugin before it sees media is found here, and said in a sentence: the operator may have nothing but
//! the file.

mod check;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use millrace_transcode::factory::Slot;
use tokio::io::AsyncReadExt;
use wasmtime::component::InstancePre;

use crate::bindings::exports::millrace::plugin::{about, access, filter, messages, transcoder, wake};
use crate::compile::{CompileError, WorldError};
use crate::engine::{Plugins, Shared};
use crate::fault::in_words;
use crate::hook::{Hook, Hooks, Purpose};
use crate::http::TrustError;
use crate::instance::Instance;
use crate::metrics::Metrics;
use crate::plugin::Plugin;
use crate::rate::Rates;
use crate::reach::Reach;
use crate::settings::{Limits, PluginSettings};
use crate::share::Share;
use crate::state::State;
use crate::states::States;
use crate::store::StoreError;
use crate::text::tidy;

/// Why a plugin was not loaded.
#[derive(Debug, thiserror::Error)]
#[error("the plugin `{plugin}` ({}) {fault}", path.display())]
pub struct LoadError {
    /// As the operator named it.
    pub plugin: String,
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub fault: LoadFault,
}

/// What is wrong with a plugin.
#[derive(Debug, thiserror::Error)]
pub enum LoadFault {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Read(std::io::Error),
    /// It is no component, or one that is damaged or too large.
    #[error(transparent)]
    World(#[from] WorldError),
    /// It cannot be compiled, or is too large for the pool of instances.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// It is not of a world that plugins are of.
    #[error("is no plugin: it does not export {missing} (it exports {exports})")]
    WrongWorld {
        /// What it would have to export.
        missing: String,
        /// What it exports, in words.
        exports: String,
    },
    /// It imports what plugins are not given.
    #[error("asks for `{0}`, which this host does not give to plugins")]
    Import(String),
    /// It was built against another version of the contract.
    #[error("asks for `{name}`, which is {age} than the contract of this host, {ours}: {advice}")]
    Version {
        /// What it asks for.
        name: String,
        /// "newer" or "older".
        age: &'static str,
        /// The host's version.
        ours: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// Its name becomes that of another plugin in Prometheus.
    #[error(
        "has a name that is the same as that of the plugin `{0}` in metrics: only letters, digits and '_' count there"
    )]
    AlikeName(String),
    /// Its imports or exports are of other types than the contract's.
    #[error("does not fit the contract: {0}")]
    Contract(String),
    /// A limit is beyond what the engine was set up for.
    #[error("is allowed {given} {what}, and the engine is set up for {most}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// As configured.
        given: usize,
        /// The most any plugin may be given.
        most: usize,
    },
    /// Its share of the processor is none.
    #[error("is allowed {0} processor cores (expected more than 0)")]
    Share(f64),
    /// Its settings are not a JSON object.
    #[error("has settings that are not a table of keys and values")]
    Settings,
    /// It was lost while it described itself.
    #[error("cannot describe itself: it {0}")]
    Describe(millrace_transcode::factory::Fault),
    /// It refuses its settings.
    #[error("refuses its settings: {0}")]
    Refused(String),
    /// It did not say which tracks it wants.
    #[error("does not say which kinds of track it wants: `describe` must call `want` for its hook `{0}`")]
    NoKinds(&'static str),
    /// Its store cannot be used.
    #[error("cannot have the store that it is granted: {0}")]
    Store(#[from] StoreError),
    /// Its HTTP requests would trust nobody.
    #[error("cannot make the HTTP requests that it is granted: {0}")]
    Http(#[from] TrustError),
    /// The engine has ended.
    #[error("was not loaded: the plugin engine has ended")]
    Ended,
}

/// A plugin that is compiled and linked.
pub(crate) struct Loaded {
    pub(crate) name: String,
    /// JSON.
    pub(crate) settings: String,
    pub(crate) limits: Limits,
    pub(crate) metrics: Arc<Metrics>,
    /// Processor time, over all its instances.
    pub(crate) share: Arc<Share>,
    /// What may be written, by what its instances are made for.
    pub(crate) rates: Rates,
    /// Kept for all its instances.
    pub(crate) state: Slot,
    /// Kept for all its instances on a broadcast.
    pub(crate) broadcast_states: States,
    /// What it may reach beyond its own media.
    pub(crate) reach: Reach,
    pub(crate) hooks: Hooks,
    pub(crate) pre: InstancePre<State>,
    pub(crate) exported: Exported,
    pub(crate) engine: Arc<Shared>,
}

/// Where a component's exports are.
pub(crate) struct Exported {
    pub(crate) about: Arc<about::GuestIndices>,
    pub(crate) transcoder: Option<transcoder::GuestIndices>,
    pub(crate) filter: Option<filter::GuestIndices>,
    pub(crate) access: Option<access::GuestIndices>,
    pub(crate) wake: Option<wake::GuestIndices>,
    pub(crate) messages: Option<messages::GuestIndices>,
}

/// A component that is linked.
struct Linked {
    hooks: Hooks,
    pre: InstancePre<State>,
    exported: Exported,
}

impl Plugins {
    /// Loads the plugin in a file: compiles it, links it, and lets it describe itself.
    ///
    /// # Errors
    /// Where the file cannot be read, is not a component of the right world, asks for what plugins are not given, cannot be compiled, or does
    /// not describe itself properly.
    pub async fn load(&self, settings: PluginSettings) -> Result<Arc<Plugin>, LoadError> {
        match read(&settings.path, self.0.settings.compiler.world.bytes).await {
            Ok(bytes) => self.load_bytes(settings, bytes).await,
            Err(fault) => Err(blame(&settings, fault)),
        }
    }

    /// Loads a plugin whose bytes are here already. The path of `settings` only names it in errors.
    ///
    /// # Errors
    /// As [`Plugins::load`].
    pub async fn load_bytes(
        &self,
        settings: PluginSettings,
        bytes: impl AsRef<[u8]> + Send + Sync + 'static,
    ) -> Result<Arc<Plugin>, LoadError> {
        self.prepare(&settings, bytes).await.map(Arc::new).map_err(|fault| blame(&settings, fault))
    }

    async fn prepare(
        &self,
        settings: &PluginSettings,
        bytes: impl AsRef<[u8]> + Send + Sync + 'static,
    ) -> Result<Plugin, LoadFault> {
        check::limits(&settings.limits, &self.0.settings)?;
        if !settings.settings.is_object() {
            return Err(LoadFault::Settings);
        }
        let Linked { hooks, pre, exported } = link(&self.0, Arc::new(bytes)).await?;
        let metrics = self.0.metrics.add(&settings.name, settings.limits.series).map_err(LoadFault::AlikeName)?;
        let reach = {
            let (shared, name, grants) = (self.0.clone(), settings.name.clone(), settings.grants.clone());
            let http_time = settings.limits.http_time;
            tokio::task::spawn_blocking(move || Reach::open(&shared, &name, grants, http_time))
        };
        let reach = reach.await.map_err(|_| LoadFault::Ended)??;
        let plugin = Arc::new(Loaded {
            name: settings.name.clone(),
            settings: settings.settings.to_string(),
            limits: settings.limits,
            metrics,
            share: Arc::new(Share::new(settings.limits.cpu, Instant::now())),
            rates: Rates::default(),
            state: Slot::default(),
            broadcast_states: States::default(),
            reach,
            hooks,
            pre,
            exported,
            engine: self.0.clone(),
        });
        let described = {
            let plugin = plugin.clone();
            async move { Instance::new(&plugin, Purpose::Describe).await?.describe(&plugin.settings).await }
        };
        let described = self.0.threads.run(described).await.map_err(|_| LoadFault::Ended)?;
        let described = described.map_err(LoadFault::Describe)?;
        let descriptor = described.map_err(|error| LoadFault::Refused(tidy(&in_words(&error))))?;
        check::described(&descriptor, &plugin.hooks)?;
        Ok(Plugin::new(plugin, descriptor, settings))
    }
}

fn blame(settings: &PluginSettings, fault: LoadFault) -> LoadError {
    LoadError { plugin: settings.name.clone(), path: settings.path.clone(), fault }
}

/// The bytes of a file, if they are no more than `most`.
async fn read(path: &Path, most: usize) -> Result<Vec<u8>, LoadFault> {
    let file = tokio::fs::File::open(path).await.map_err(LoadFault::Read)?;
    let mut bytes = Vec::new();
    file.take(most as u64 + 1).read_to_end(&mut bytes).await.map_err(LoadFault::Read)?;
    if bytes.len() > most { Err(WorldError::too_long(bytes.len(), most).into()) } else { Ok(bytes) }
}

/// Compiles a component that is of the right world, and links it.
async fn link<B>(shared: &Shared, bytes: Arc<B>) -> Result<Linked, LoadFault>
where
    B: AsRef<[u8]> + Send + Sync + 'static,
{
    let hooks = check::world(&shared.compiling.world(&bytes).await??)?;
    let component = shared.compiling.component(&bytes).await?;
    let contract = |error: wasmtime::Error| LoadFault::Contract(tidy(&format!("{error:#}")));
    let pre = shared.linker.instantiate_pre(&component).map_err(contract)?;
    let exported = Exported {
        about: Arc::new(about::GuestIndices::new(&pre).map_err(contract)?),
        transcoder: hooks
            .has(Hook::Transcoder)
            .then(|| transcoder::GuestIndices::new(&pre).map_err(contract))
            .transpose()?,
        filter: hooks.has(Hook::Filter).then(|| filter::GuestIndices::new(&pre).map_err(contract)).transpose()?,
        access: hooks.has(Hook::Access).then(|| access::GuestIndices::new(&pre).map_err(contract)).transpose()?,
        wake: hooks.wake.then(|| wake::GuestIndices::new(&pre).map_err(contract)).transpose()?,
        messages: hooks.messages.then(|| messages::GuestIndices::new(&pre).map_err(contract)).transpose()?,
    };
    Ok(Linked { hooks, pre, exported })
}
