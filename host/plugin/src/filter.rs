//! The hook `filter`: plugins in the path of a source, before anybody else sees it.
//!
//! [`Filters`] is the [stage](millrace_media::stage) of a bus. Each broadcast that a filter wants gets a [chain](chain), which runs as one
//! task on threads of its own. In it stands a [post](post) for each filter and broadcast, or each filter and track: it keeps an instance at
//! work, and knows what has to be decided without it.
//!
//! **The path is never held up.** A call may take [`Limits::latency`](crate::Limits) of processor time and ten times that in wall time.
//! A call that goes on past that is left beside the path, and the policy decides. Instances are started beside the path, too. What was
//! beside the path takes its place again with the next group.

mod call;
mod chain;
mod post;
mod replacement;
mod stats;
mod tracks;

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use millrace_media::stage::{Chain, Stage};
use millrace_media::{Broadcast, BroadcastName};
use millrace_transcode::Rendition;
use millrace_transcode::factory::{Breaker, Stop};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::imports::Wishes;
use crate::load::Loaded;
use crate::plugin::Plugin;
use crate::settings::BroadcastFilter;
use crate::threads::GuestThreads;
use chain::PluginChain;
use stats::Counters;
pub use stats::{CallTimes, FilterKey, FilterState, FilterStats};

/// How many times its processor time a call may take in wall time.
const WALL: u32 = 10;

/// The filter hook of a loaded plugin.
pub(crate) struct FilterPlugin {
    pub(crate) loaded: Arc<Loaded>,
    /// At least one kind.
    pub(crate) wishes: Wishes,
    pub(crate) broadcasts: BroadcastFilter,
    pub(crate) breaker: Breaker,
}

impl FilterPlugin {
    /// How long the path waits for a call.
    fn patience(&self) -> Duration {
        self.loaded.limits.latency * WALL
    }
}

/// Says which renditions a broadcast gets.
type Ladders = dyn Fn(&BroadcastName) -> Vec<Arc<Rendition>> + Send + Sync;

/// All the filters of a server, in the order of its configuration: the stage of its bus. Cheap to clone.
#[derive(Clone)]
pub struct Filters(Arc<Shared>);

struct Shared {
    plugins: Vec<Arc<FilterPlugin>>,
    threads: GuestThreads,
    common: Arc<Common>,
}

/// What chains share with the one who asks about them. It outlives no thread, and keeps none.
struct Common {
    ladders: OnceLock<Box<Ladders>>,
    began: Instant,
    /// The server stops.
    stopping: AtomicBool,
    posts: Mutex<Vec<Weak<Counters>>>,
    /// How many chains there are.
    chains: watch::Sender<usize>,
}

impl Common {
    fn posts(&self) -> MutexGuard<'_, Vec<Weak<Counters>>> {
        self.posts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a filter that is at work for as long as the counters are kept.
    fn count(&self, counters: &Arc<Counters>) {
        let mut posts = self.posts();
        posts.retain(|known| known.strong_count() > 0);
        posts.push(Arc::downgrade(counters));
    }

    fn renditions(&self, broadcast: &BroadcastName) -> Vec<Arc<Rendition>> {
        self.ladders.get().map(|ladders| ladders(broadcast)).unwrap_or_default()
    }

    /// Why what ends now ends.
    fn end(&self) -> Stop {
        if self.stopping.load(Ordering::Relaxed) { Stop::Shutdown } else { Stop::Ended }
    }
}

impl Filters {
    /// The filters among these plugins, on so many threads of their own. None where there is none.
    ///
    /// # Errors
    /// Where the threads cannot be started.
    pub fn new(plugins: &[Arc<Plugin>], threads: usize) -> io::Result<Option<Self>> {
        let plugins: Vec<_> = plugins.iter().filter_map(|plugin| plugin.filter()).map(Arc::new).collect();
        if plugins.is_empty() {
            return Ok(None);
        }
        let common = Common {
            ladders: OnceLock::new(),
            began: Instant::now(),
            stopping: AtomicBool::new(false),
            posts: Mutex::default(),
            chains: watch::Sender::new(0),
        };
        let threads = GuestThreads::in_the_path(threads)?;
        Ok(Some(Self(Arc::new(Shared { plugins, threads, common: Arc::new(common) }))))
    }

    /// Where filters learn the ladder that applies to a broadcast. The first word holds.
    pub fn follow_ladders(&self, ladders: impl Fn(&BroadcastName) -> Vec<Arc<Rendition>> + Send + Sync + 'static) {
        let _ = self.0.common.ladders.set(Box::new(ladders));
    }

    /// What has been counted of each filter that is at work, ordered by key.
    pub fn stats(&self) -> Vec<(FilterKey, FilterStats)> {
        let posts: Vec<_> = self.0.common.posts().iter().filter_map(Weak::upgrade).collect();
        let mut stats: Vec<_> = posts.iter().map(|counters| (counters.key().clone(), counters.read())).collect();
        stats.sort_by(|(a, _), (b, _)| a.cmp(b));
        stats
    }

    /// The server is to stop: filters whose broadcast ends from now on are told that.
    pub fn announce_shutdown(&self) {
        self.0.common.stopping.store(true, Ordering::Relaxed);
    }

    /// Waits until the filters of all broadcasts have stopped. The broadcasts have to have ended.
    pub async fn shutdown(&self) {
        let mut chains = self.0.common.chains.subscribe();
        // The sender is kept by `self`.
        let _ = chains.wait_for(|chains| *chains == 0).await;
    }
}

impl Stage for Filters {
    fn chain(&self, broadcast: &Broadcast) -> Option<Box<dyn Chain>> {
        let wants = |plugin: &&Arc<FilterPlugin>| (plugin.broadcasts)(broadcast.name());
        let plugins: Vec<_> = self.0.plugins.iter().filter(wants).cloned().collect();
        if plugins.is_empty() {
            return None;
        }
        let threads = self.0.threads.handle().clone();
        Some(Box::new(PluginChain::new(plugins, broadcast, threads, self.0.common.clone())))
    }

    fn threads(&self) -> &Handle {
        self.0.threads.handle()
    }
}

impl fmt::Debug for Filters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.plugins.iter().map(|plugin| &plugin.loaded.name).collect();
        f.debug_tuple("Filters").field(&names).finish()
    }
}
