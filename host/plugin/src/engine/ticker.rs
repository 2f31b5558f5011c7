//! The tick at which running guests are interrupted.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle, Thread};

use wasmtime::Engine;

use super::TICK;

/// A thread that moves the engine's epoch on, while there are instances. Ended and waited for when dropped.
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    instances: AtomicUsize,
    ended: AtomicBool,
}

/// Keeps the ticker going.
pub(crate) struct Ticking {
    shared: Arc<Shared>,
}

impl Ticker {
    pub(super) fn new(engine: Engine) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let thread = thread::Builder::new().name("plugin-ticker".into()).spawn({
            let shared = shared.clone();
            move || {
                while !shared.ended.load(Ordering::Acquire) {
                    if shared.instances.load(Ordering::Acquire) == 0 {
                        thread::park();
                    } else {
                        thread::sleep(TICK);
                        engine.increment_epoch();
                    }
                }
            }
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    fn wake(&self) {
        if let Some(thread) = self.thread.as_ref().map(JoinHandle::thread) {
            Thread::unpark(thread);
        }
    }

    /// To be held while there is an instance.
    pub(crate) fn tick(&self) -> Ticking {
        if self.shared.instances.fetch_add(1, Ordering::AcqRel) == 0 {
            self.wake();
        }
        Ticking { shared: self.shared.clone() }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        self.wake();
        if let Some(thread) = self.thread.take() {
            // It panics nowhere, and there would be nobody to tell.
            let _ = thread.join();
        }
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        self.shared.instances.fetch_sub(1, Ordering::AcqRel);
    }
}
