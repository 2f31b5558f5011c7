//! From the bytes of a component to machine code.
//!
//! The [world](World) of a component is read from its bytes first, within limits. Then the cache is asked, and then a child process
//! compiles, within limits of its own. This process never compiles.

mod cache;
mod child;
pub(crate) mod codegen;
mod job;
mod world;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::text::tidy;
use cache::{Cache, Kept, Key};
use codegen::EngineId;

pub use cache::CacheSettings;
pub use job::{CompileJob, NotAJob};
pub use world::{About, Producer, World, WorldError, WorldLimits};

/// How plugins are compiled: by which program, within which limits, and where the result is kept.
#[derive(Clone, Debug)]
pub struct Compiler {
    /// The program that is started for every component: it runs the [`CompileJob`] that its last argument is.
    pub program: PathBuf,
    /// Its arguments before the last.
    pub args: Vec<OsString>,
    /// How large a component may be.
    pub world: WorldLimits,
    /// What compiling it may take.
    pub limits: CompileLimits,
    /// Where compiled components are kept, if anywhere.
    pub cache: Option<CacheSettings>,
}

impl Compiler {
    /// A program without further arguments, with the default limits and without a cache.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            world: WorldLimits::default(),
            limits: CompileLimits::default(),
            cache: None,
        }
    }
}

/// What compiling one component may take.
///
/// The largest of the toolchains' components, those of JavaScript and Python, take 17 to 20 s of processor time, and 37 MB when compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileLimits {
    /// Bytes of memory, counted as address space.
    pub memory: u64,
    /// Processor time, in whole seconds.
    pub processor_time: Duration,
    /// Time by the clock, for where the machine has no processor time to give.
    pub time: Duration,
    /// Bytes of the machine code with its tables.
    pub artifact: u64,
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self {
            memory: 1 << 30,
            processor_time: Duration::from_secs(60),
            time: Duration::from_secs(180),
            artifact: 512 << 20,
        }
    }
}

/// Why a component was not compiled. Each sentence goes on after the name of the plugin.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The compiler refuses it.
    #[error("cannot be compiled: {0}")]
    Refused(String),
    /// The child has used up its processor time.
    #[error("takes more than {} s of processor time to compile", .0.as_secs())]
    ProcessorTime(Duration),
    /// The child has used up its memory.
    #[error("takes more than {} of memory to compile", size(*.0))]
    Memory(u64),
    /// The child was not done in time.
    #[error("was not compiled within {} s: the machine may be too busy", .0.as_secs())]
    Time(Duration),
    /// The machine code is too long.
    #[error("takes more than {} when compiled", size(*.0))]
    LongArtifact(u64),
    /// Somebody has killed the child.
    #[error(
        "was not compiled: the process that compiled it was killed, perhaps because the machine has no memory left"
    )]
    Killed,
    /// The child has ended as it should not.
    #[error("cannot be compiled: the process that compiles has crashed ({status}): {message}")]
    Crashed {
        /// How it has ended.
        status: ExitStatus,
        /// What it has said.
        message: String,
    },
    /// The child cannot be started.
    #[error("cannot be compiled: the process that compiles cannot be started: {0}")]
    Start(#[source] std::io::Error),
    /// The child cannot be talked with.
    #[error("cannot be compiled: the process that compiles cannot be talked with: {0}")]
    Child(#[source] std::io::Error),
    /// The pool of instances has no places so large, for one.
    #[error("is more than the host runs: {0}")]
    Load(String),
    /// This process is ending.
    #[error("was not compiled: the server is ending")]
    Ended,
}

/// In the largest unit that leaves a whole number.
fn size(bytes: u64) -> String {
    let fits = |(_, scale): &&(&str, u64)| bytes >= *scale && bytes.is_multiple_of(*scale);
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    units
        .iter()
        .find(fits)
        .map_or_else(|| format!("{bytes} bytes"), |(unit, scale)| format!("{} {unit}", bytes / scale))
}

/// What the compiler of this process's own program makes of a component: from the child, or from a file that only this user writes.
/// Nothing else is ever one.
struct Artifact(Vec<u8>);

/// Compiles for one engine.
pub(crate) struct Compiling {
    settings: Compiler,
    engine: Engine,
    id: EngineId,
    cache: Option<Arc<Cache>>,
    /// One child at a time: loading ten plugins at once must not take the machine.
    turn: Semaphore,
}

impl Compiling {
    pub(crate) fn new(engine: &Engine, settings: Compiler) -> Self {
        let cache = settings.cache.clone().map(|cache| Arc::new(Cache::new(cache, settings.limits.artifact)));
        let id = EngineId::of(engine);
        Self { settings, engine: engine.clone(), id, cache, turn: Semaphore::new(1) }
    }

    /// The world of a component.
    pub(crate) async fn world<B>(&self, component: &Arc<B>) -> Result<Result<World, WorldError>, CompileError>
    where
        B: AsRef<[u8]> + Send + Sync + 'static,
    {
        let (component, limits) = (component.clone(), self.settings.world);
        blocking(move || World::read((*component).as_ref(), &limits)).await
    }

    /// The component, ready to be linked: from the cache, or compiled now.
    pub(crate) async fn component<B>(&self, bytes: &Arc<B>) -> Result<Component, CompileError>
    where
        B: AsRef<[u8]> + Send + Sync + 'static,
    {
        if let Kept::Artifact(artifact) = self.kept(bytes).await? {
            return self.load(artifact, None).await;
        }
        let _turn = self.turn.acquire().await.map_err(|_| CompileError::Ended)?;
        // Whoever had the turn before may have compiled the same.
        let key = match self.kept(bytes).await? {
            Kept::Artifact(artifact) => return self.load(artifact, None).await,
            Kept::Nothing(key) => Some(key),
            Kept::Untrusted => None,
        };
        let artifact = child::compile(&self.settings, self.id, (**bytes).as_ref()).await?;
        self.load(artifact, key).await
    }

    /// What the cache has of a component.
    async fn kept<B>(&self, bytes: &Arc<B>) -> Result<Kept, CompileError>
    where
        B: AsRef<[u8]> + Send + Sync + 'static,
    {
        let Some(cache) = self.cache.clone() else { return Ok(Kept::Untrusted) };
        let (id, bytes) = (self.id, bytes.clone());
        blocking(move || cache.get(Key::of(id, (*bytes).as_ref()))).await
    }

    /// Loads machine code, and keeps it where it has a key.
    async fn load(&self, artifact: Artifact, key: Option<Key>) -> Result<Component, CompileError> {
        let (engine, cache) = (self.engine.clone(), self.cache.clone());
        let loaded = blocking(move || {
            let component = deserialize(&engine, &artifact)?;
            if let (Some(cache), Some(key)) = (cache, key) {
                cache.put(&key, &artifact);
            }
            Ok(component)
        });
        loaded.await?.map_err(|error: wasmtime::Error| CompileError::Load(tidy(&format!("{error:#}"))))
    }
}

/// Runs work that takes its time on a thread for that.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, CompileError> {
    spawn_blocking(work).await.map_err(|_| CompileError::Ended)
}

/// Loads machine code.
#[allow(unsafe_code)]
fn deserialize(engine: &Engine, artifact: &Artifact) -> wasmtime::Result<Component> {
    // SAFETY: the bytes must be what wasmtime itself has written for such an engine. An `Artifact` comes from the child, which runs the
    // program that the operator of this process named, and checks that its engine is of the same id as ours; or from the cache, which
    // takes it only from a file that this user alone can write, and only if its digest says that it is what was put there for this id.
    unsafe { Component::deserialize(engine, &artifact.0) }
}
