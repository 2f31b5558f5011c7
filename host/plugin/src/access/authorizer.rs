//! The access hook of a plugin, as one of the authorizers that protocols ask.
//!
//! One instance answers for the whole server, on the plugins' threads, one call after the other: a task of its own drives it, from a queue
//! of attempts. Its answers come when it gives them. Where it is lost, the attempts that it has not answered are denied, and another instance
//! takes its place. Attempts that nobody waits for any more are not given to it.

use std::fmt;
use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use millrace_media::BroadcastName;
use millrace_media::access::{Answer, Attempt, Authorizer, NoAnswer};
use millrace_transcode::factory::{Fault, Reason, Slot};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use crate::hook::Purpose;
use crate::inbox::{Call, Calls};
use crate::instance::Instance;
use crate::load::Loaded;
use crate::settings::BroadcastFilter;

/// Attempts that wait to be given to the instance: as many as there are open at a time.
const QUEUE: usize = 256;
/// How long nothing more is tried where no instance can be made.
const AGAIN: Duration = Duration::from_secs(1);
/// How often a fault is logged: clients may cause them.
const LOGGED: Duration = Duration::from_secs(1);

/// The access hook of a loaded plugin. When it is dropped, its instance ends.
pub struct PluginAuthorizer {
    plugin: Arc<Loaded>,
    broadcasts: BroadcastFilter,
    asks: mpsc::Sender<Ask>,
    driver: AbortHandle,
}

/// An attempt on its way to the instance.
struct Ask {
    attempt: Arc<Attempt>,
    to: oneshot::Sender<Answer>,
    /// Told when the plugin has been called, whatever it answers, and when.
    called: oneshot::Sender<Result<Life, Failed>>,
}

/// The plugin could not be asked, or has failed.
#[derive(Clone, Copy, Debug)]
struct Failed;

/// Says whether an instance has been lost.
type Life = Arc<AtomicBool>;

impl PluginAuthorizer {
    /// Starts its instance. `broadcasts` says which broadcasts it is asked about.
    pub(crate) fn new(plugin: Arc<Loaded>, broadcasts: BroadcastFilter) -> Self {
        let (asks, queue) = mpsc::channel(QUEUE);
        let driver = Driver { plugin: plugin.clone(), asks: queue, logged: Mutex::default() };
        let driver = plugin.engine.threads.handle().spawn(driver.run()).abort_handle();
        Self { plugin, broadcasts, asks, driver }
    }

    fn no_answer(&self, what: &str) -> NoAnswer {
        NoAnswer(format!("the plugin {} {what}", self.plugin.name))
    }
}

#[async_trait]
impl Authorizer for PluginAuthorizer {
    fn name(&self) -> &str {
        &self.plugin.name
    }

    fn limit(&self) -> Duration {
        self.plugin.limits.decision
    }

    fn concerns(&self, broadcast: &BroadcastName) -> bool {
        (self.broadcasts)(broadcast)
    }

    async fn authorize(&self, attempt: Arc<Attempt>) -> Result<Answer, NoAnswer> {
        let (to, answer) = oneshot::channel();
        let (called, calling) = oneshot::channel();
        self.asks
            .try_send(Ask { attempt, to, called })
            .map_err(|_| self.no_answer("is overloaded: try again later"))?;
        if let Ok(answer) = answer.await {
            return Ok(answer);
        }
        // The answer has been dropped. Why, shows once the call is over; what the plugin says of its failure is for the operator.
        Err(match calling.await {
            Ok(Ok(lost)) if lost.load(Ordering::Acquire) => self.no_answer("has failed, and starts anew: try again"),
            Ok(Ok(_)) => self.no_answer("has given no answer"),
            Ok(Err(Failed)) | Err(_) => self.no_answer("has failed"),
        })
    }
}

impl Drop for PluginAuthorizer {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl fmt::Debug for PluginAuthorizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PluginAuthorizer").field("name", &self.plugin.name).finish_non_exhaustive()
    }
}

/// Drives the instance.
struct Driver {
    plugin: Arc<Loaded>,
    asks: mpsc::Receiver<Ask>,
    /// When a fault was logged last, and how many have not been since.
    logged: Mutex<(Option<Instant>, u64)>,
}

/// One of the plugin's instances, until it is dropped.
struct Counted<'a>(&'a Loaded);

impl<'a> Counted<'a> {
    fn new(plugin: &'a Loaded) -> Self {
        plugin.metrics.instances.increment(1.0);
        Self(plugin)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.metrics.instances.decrement(1.0);
    }
}

impl Driver {
    async fn run(mut self) {
        let (plugin, state) = (self.plugin.clone(), Slot::default());
        let mut reason = Reason::Fresh;
        loop {
            let purpose = Purpose::Access { reason, state: state.clone() };
            match Instance::new(&plugin, purpose).await {
                Ok(mut instance) => {
                    let counted = Counted::new(&plugin);
                    let lost = Life::default();
                    let ended = self.serve(&mut instance, &lost).await;
                    // Before the instance is dropped, and with it the answers that it owes.
                    lost.store(true, Ordering::Release);
                    drop((instance, counted));
                    match ended {
                        Ok(()) => return,
                        Err(fault) => self.fault(&fault),
                    }
                }
                Err(fault) => {
                    self.fault(&fault);
                    if self.refuse_for(AGAIN).await.is_err() {
                        return;
                    }
                }
            }
            reason = Reason::AfterFault;
        }
    }

    /// Asks an instance until nobody is left who asks.
    ///
    /// # Errors
    /// Where it is lost.
    async fn serve(&mut self, instance: &mut Instance, lost: &Life) -> Result<(), Fault> {
        let mut calls = instance.calls();
        loop {
            let done = tokio::select! {
                ask = self.asks.recv() => {
                    let Some(Ask { attempt, to, called }) = ask else { return Ok(()) };
                    // What is asked beyond the plugin's share of the processor waits, and is denied where that takes too long.
                    while let Some(until) = self.plugin.share.over_until(Instant::now()) {
                        tokio::time::sleep_until(until.into()).await;
                    }
                    if to.is_closed() {
                        continue;
                    }
                    let done = instance.authorize(attempt, to).await;
                    // Nobody may wait for it.
                    let _ = called.send(done.as_ref().map(|()| lost.clone()).map_err(|_| Failed));
                    done
                }
                call = next(&mut calls) => instance.attend(call).await,
            };
            match done {
                Ok(()) => {}
                Err(fault @ Fault::Lost(_)) => return Err(fault),
                Err(fault) => self.fault(&fault),
            }
        }
    }

    /// Refuses all attempts for a while.
    ///
    /// # Errors
    /// Where nobody is left who asks.
    async fn refuse_for(&mut self, time: Duration) -> Result<(), Failed> {
        let refuse = async {
            while let Some(ask) = self.asks.recv().await {
                let Ask { to, called, .. } = ask;
                drop(to);
                // Nobody may wait for it.
                let _ = called.send(Err(Failed));
            }
        };
        match tokio::time::timeout(time, refuse).await {
            Ok(()) => Err(Failed),
            Err(_) => Ok(()),
        }
    }

    /// Tells the operator of a fault, now and then.
    fn fault(&self, fault: &Fault) {
        let now = Instant::now();
        let more = {
            let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
            if logged.0.is_some_and(|last| now.saturating_duration_since(last) < LOGGED) {
                logged.1 += 1;
                return;
            }
            logged.0 = Some(now);
            std::mem::take(&mut logged.1)
        };
        tracing::warn!(plugin = %self.plugin.name, %fault, more, "an access plugin has failed");
    }
}

/// The next call for something else than an attempt; never one of an instance that can be called for nothing else.
async fn next(calls: &mut Option<Calls>) -> Call {
    match calls {
        Some(calls) => calls.next().await,
        None => pending().await,
    }
}
