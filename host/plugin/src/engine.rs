//! What all plugins share: the compiler, the pool their instances are made in, and the threads they run on.

mod ticker;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::bindings::Everything;
use crate::compile::codegen::{self, MEMORY_GUARD, MEMORY_RESERVATION};
use crate::compile::{Compiler, Compiling};
use crate::http::{Http, TrustError};
use crate::metrics::{RaisedAlarm, Registry};
use crate::settings::Limits;
use crate::state::State;
use crate::store::Stores;
use crate::threads::GuestThreads;
use crate::wasi;
use ticker::Ticker;
pub(crate) use ticker::Ticking;

/// How long a guest runs before the next one on its thread has its turn.
pub(crate) const TICK: Duration = Duration::from_millis(1);
/// Core instances that one component may consist of. A guest of wit-bindgen takes three; Python takes 14.
const CORE_INSTANCES: u32 = 64;
/// Tables that one component may have. A guest of wit-bindgen takes two.
const TABLES: u32 = 8;
/// Core memories that one component may have. Most have one; JavaScript in QuickJS has three.
const MEMORIES: u32 = 4;
/// Address space that the memories of the whole pool may take: half of what a process has on processors of 47 bits.
const POOL: u64 = 1 << 46;

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
    /// How they are compiled.
    pub compiler: Compiler,
    /// The directory of the stores of plugins that are granted one.
    pub store: Option<PathBuf>,
    /// A PEM file of authorities that HTTP requests trust beside those of the system.
    pub ca: Option<PathBuf>,
}

impl EngineSettings {
    /// The defaults, with this compiler.
    pub fn new(compiler: Compiler) -> Self {
        let limits = Limits::default();
        Self {
            max_instances: 256,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            memory: limits.memory,
            table_elements: limits.table_elements,
            compiler,
            store: None,
            ca: None,
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
    pub(crate) compiling: Compiling,
    pub(crate) threads: GuestThreads,
    pub(crate) ticker: Ticker,
    pub(crate) metrics: Registry,
    pub(crate) stores: Stores,
    /// Made for the first plugin that is granted a host.
    http: Mutex<Option<Arc<Http>>>,
    /// The moment that `clock.monotonic` counts from.
    pub(crate) began: Instant,
    room: Arc<Semaphore>,
}

impl Plugins {
    /// Sets aside the pool and starts the threads.
    ///
    /// # Errors
    /// Where the machine has not the address space or the threads.
    pub fn new(settings: EngineSettings) -> Result<Self, EngineError> {
        let engine = engine(&settings)?;
        let mut linker = Linker::new(&engine);
        let linked = Everything::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state);
        linked.and_then(|()| wasi::add_to_linker(&mut linker)).map_err(|error| unfit(&settings, &error))?;
        let threads = GuestThreads::new(settings.threads)?;
        let ticker = Ticker::new(engine.clone())?;
        let room = Arc::new(Semaphore::new(settings.max_instances as usize));
        let compiling = Compiling::new(&engine, settings.compiler.clone());
        let stores = Stores::new(settings.store.clone());
        Ok(Self(Arc::new(Shared {
            engine,
            linker,
            settings,
            compiling,
            threads,
            ticker,
            metrics: Registry::default(),
            stores,
            http: Mutex::default(),
            began: Instant::now(),
            room,
        })))
    }
}

impl Plugins {
    /// The metrics of all plugins, in Prometheus' text format (version 0.0.4).
    pub fn metrics(&self) -> String {
        self.0.metrics.render()
    }

    /// Puts on disk what plugins have stored, and waits for it no longer than `within`. False where something is not on disk then. Blocks.
    pub fn save_stores(&self, within: Duration) -> bool {
        self.0.stores.flush(within)
    }

    /// The alarms that plugins have raised.
    pub fn alarms(&self) -> Vec<RaisedAlarm> {
        self.0.metrics.alarms()
    }
}

impl Shared {
    /// What the HTTP requests of all plugins share. Blocks the first time: certificates are read.
    pub(crate) fn http(&self) -> Result<Arc<Http>, TrustError> {
        let mut http = self.http.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(http) = &*http {
            return Ok(http.clone());
        }
        let made = Arc::new(Http::new(self.settings.ca.as_deref())?);
        Ok(http.insert(made).clone())
    }

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
    // A plugin with all its memories always finds room, unless there are so many places that only plugins with one do.
    let memories = u64::from(instances) * u64::from(MEMORIES);
    let memories = memories.min(POOL / (MEMORY_RESERVATION + MEMORY_GUARD)).max(instances.into());
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(CORE_INSTANCES))
        .max_core_instances_per_component(CORE_INSTANCES)
        .total_memories(u32::try_from(memories).unwrap_or(u32::MAX))
        .max_memories_per_component(MEMORIES)
        .total_tables(instances.saturating_mul(TABLES))
        .max_tables_per_component(TABLES)
        .total_stacks(instances)
        .max_memory_size(settings.memory)
        .table_elements(settings.table_elements);
    let mut config = codegen::config();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&config).map_err(|error| unfit(settings, &error))
}
