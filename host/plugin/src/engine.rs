//! What all plugins share: the compiler, the pool their instances are made in, and the threads they run on.

mod ticker;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Cache, CacheConfig, Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::bindings::TranscoderPlugin;
use crate::metrics::{RaisedAlarm, Registry};
use crate::settings::Limits;
use crate::state::State;
use crate::threads::GuestThreads;
use crate::wasi;
use ticker::Ticker;
pub(crate) use ticker::Ticking;

/// How long a guest runs before the next one on its thread has its turn.
pub(crate) const TICK: Duration = Duration::from_millis(1);
/// Core instances and tables that one component may consist of. A guest of wit-bindgen takes three and two; the toolchains of other
/// languages add adapters.
const PARTS: u32 = 6;
/// Core memories that one component may have.
const MEMORIES: u32 = 1;

/// What all plugins share.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// Instances at once, of all plugins together; their pool is set aside at the start.
    pub max_instances: u32,
    /// Threads that run them. At least one.
    pub threads: usize,
    /// The most memory any plugin may be allowed, in bytes.
    pub memory: usize,
    /// The most table elements any plugin may be allowed.
    pub table_elements: usize,
    /// Where compiled plugins are kept from one start to the next, if anywhere.
    pub cache: Option<PathBuf>,
}

impl Default for EngineSettings {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            max_instances: 256,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            memory: limits.memory,
            table_elements: limits.table_elements,
            cache: None,
        }
    }
}

/// Why the engine cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The compiler or the pool of instances.
    #[error("the plugin engine cannot be set up for {instances} instances of {memory} bytes each: {reason}")]
    Engine {
        /// As configured.
        instances: u32,
        /// As configured.
        memory: usize,
        /// What is wrong.
        reason: String,
    },
    /// The directory of compiled plugins.
    #[error("compiled plugins cannot be kept in {}: {reason}", path.display())]
    Cache {
        /// As configured.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The threads.
    #[error("the plugins' threads cannot be started: {0}")]
    Threads(#[from] std::io::Error),
}

/// The engine that plugins are loaded into. Cheap to clone. Its threads end with the last clone and the last plugin.
#[derive(Clone)]
pub struct Plugins(pub(crate) Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<State>,
    pub(crate) settings: EngineSettings,
    pub(crate) threads: GuestThreads,
    pub(crate) ticker: Ticker,
    pub(crate) metrics: Registry,
    room: Arc<Semaphore>,
}

impl Plugins {
    /// Sets aside the pool and starts the threads.
    ///
    /// # Errors
    /// Where the machine has not the address space or the threads, or the directory of compiled plugins cannot be used.
    pub fn new(settings: EngineSettings) -> Result<Self, EngineError> {
        let engine = engine(&settings)?;
        let mut linker = Linker::new(&engine);
        let linked = TranscoderPlugin::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state);
        linked.and_then(|()| wasi::add_to_linker(&mut linker)).map_err(|error| unfit(&settings, &error))?;
        let threads = GuestThreads::new(settings.threads)?;
        let ticker = Ticker::new(engine.clone())?;
        let room = Arc::new(Semaphore::new(settings.max_instances as usize));
        Ok(Self(Arc::new(Shared { engine, linker, settings, threads, ticker, metrics: Registry::default(), room })))
    }
}

impl Plugins {
    /// The metrics of all plugins, in Prometheus' text format (version 0.0.4).
    pub fn metrics(&self) -> String {
        self.0.metrics.render()
    }

    /// The alarms that plugins have raised.
    pub fn alarms(&self) -> Vec<RaisedAlarm> {
        self.0.metrics.alarms()
    }
}

impl Shared {
    /// A place in the pool, for as long as it is held; none where all are taken.
    pub(crate) fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.room.clone().try_acquire_owned().ok()
    }
}

impl std::fmt::Debug for Plugins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugins").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}

fn unfit(settings: &EngineSettings, error: &wasmtime::Error) -> EngineError {
    EngineError::Engine { instances: settings.max_instances, memory: settings.memory, reason: format!("{error:#}") }
}

fn engine(settings: &EngineSettings) -> Result<Engine, EngineError> {
    let instances = settings.max_instances.max(1);
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(PARTS))
        .max_core_instances_per_component(PARTS)
        .total_memories(instances.saturating_mul(MEMORIES))
        .max_memories_per_component(MEMORIES)
        .total_tables(instances.saturating_mul(PARTS))
        .max_tables_per_component(PARTS)
        .total_stacks(instances)
        .max_memory_size(settings.memory)
        .table_elements(settings.table_elements);
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .epoch_interruption(true)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    if let Some(path) = &settings.cache {
        let refused = |reason: String| EngineError::Cache { path: path.clone(), reason };
        let mut cache = CacheConfig::new();
        cache.with_directory(path);
        config.cache(Some(Cache::new(cache).map_err(|error| refused(error.to_string()))?));
    }
    Engine::new(&config).map_err(|error| unfit(settings, &error))
}
