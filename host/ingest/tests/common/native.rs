//! A native stage before the bus: what it passes and discards is a function of the fragment.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use millrace_media::stage::{Chain, Missing, Stage, TrackEnd, Verdict};
use millrace_media::track::{Info, Track};
use millrace_media::{Broadcast, Fragment};
use tokio::runtime::{Builder, Handle, Runtime};

type Decide = dyn Fn(&Fragment) -> Verdict + Send + Sync;

/// See the [module](self). It runs on a thread of its own.
pub(crate) struct Native(Arc<Shared>);

struct Shared {
    decide: Box<Decide>,
    ends: Mutex<Vec<TrackEnd>>,
    runtime: Mutex<Option<Runtime>>,
    handle: Handle,
}

impl Native {
    pub(crate) fn new(decide: impl Fn(&Fragment) -> Verdict + Send + Sync + 'static) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
        let handle = runtime.handle().clone();
        Self(Arc::new(Shared {
            decide: Box::new(decide),
            ends: Mutex::default(),
            runtime: Mutex::new(Some(runtime)),
            handle,
        }))
    }

    /// Why tracks have ended so far.
    pub(crate) fn ends(&self) -> impl Fn() -> Vec<TrackEnd> + use<> {
        let shared = self.0.clone();
        move || shared.ends.lock().unwrap().clone()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // It may be dropped on one of its own threads.
        if let Some(runtime) = self.runtime.lock().unwrap().take() {
            runtime.shutdown_background();
        }
    }
}

impl Stage for Native {
    fn chain(&self, _: &Broadcast) -> Option<Box<dyn Chain>> {
        Some(Box::new(NativeChain(self.0.clone())))
    }

    fn threads(&self) -> &Handle {
        &self.0.handle
    }
}

struct NativeChain(Arc<Shared>);

#[async_trait]
impl Chain for NativeChain {
    fn track(&mut self, _: u32, _: &Track, _: &Arc<Info>) {}

    fn track_end(&mut self, _: u32, why: TrackEnd) {
        self.0.ends.lock().unwrap().push(why);
    }

    fn missing(&mut self, _: u32, _: u64, _: Missing) {}

    async fn settle(&mut self) {}

    async fn fragment(&mut self, _: u32, fragment: &Fragment) -> Verdict {
        (self.0.decide)(fragment)
    }

    fn decide(&mut self, _: u32, fragment: &Fragment) -> Verdict {
        (self.0.decide)(fragment)
    }

    async fn stop(&mut self) {}
}
