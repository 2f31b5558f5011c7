//! The sessions in which a broadcast is published, one after the other.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use millrace_deliver::moq::Moq;
use millrace_media::Bus;
use millrace_moq::negotiate::Protocol;
use tokio::sync::watch;

use super::retry::{Problem, Retry};
use super::server::{Connected, ServerArgs, Target, close};
use crate::moq::dial;

/// A server that plays the broadcast asks for its tracks in this time.
const TAKEN: Duration = Duration::from_secs(10);
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(50);
/// What it may mean that it does not.
pub(super) const UNTAKEN: &str = "nobody has asked for any of it: a relay waits for viewers, but a server that takes nothing may want a token \
                                  (`?token=`, `?jwt=`), or have a publisher of this name already";

/// See the [module](self).
pub(super) struct Uplink<'a> {
    server: &'a ServerArgs,
    target: &'a Target,
    bus: Bus,
    deliver: Arc<Moq>,
    /// The first session has begun.
    begun: watch::Sender<bool>,
    /// The broadcast has ended.
    ended: watch::Sender<bool>,
    /// Somebody has asked for some of it, in any session.
    taken: Cell<bool>,
    /// The user has been told that nobody does.
    told: Cell<bool>,
}

impl<'a> Uplink<'a> {
    /// Publishes what is on this bus.
    pub(super) fn new(server: &'a ServerArgs, target: &'a Target, bus: Bus) -> Self {
        let deliver = Moq::new(bus.clone(), Default::default());
        let (begun, ended) = (watch::Sender::new(false), watch::Sender::new(false));
        Self { server, target, bus, deliver, begun, ended, taken: Cell::new(false), told: Cell::new(false) }
    }

    /// Waits until the first session has begun.
    pub(super) async fn begun(&self) {
        // It ends with the sender, which is here.
        let _ = self.begun.subscribe().wait_for(|begun| *begun).await;
    }

    /// Whether a session has begun.
    pub(super) fn has_begun(&self) -> bool {
        *self.begun.borrow()
    }

    /// Ends the session, once what is under way has arrived.
    pub(super) fn end(&self) {
        self.ended.send_replace(true);
    }

    /// Whether somebody has asked for some of it.
    pub(super) fn is_taken(&self) -> bool {
        self.taken.get()
    }

    /// Publishes, in one session after the other, until the [end](Self::end).
    ///
    /// # Errors
    /// Where a session is lost, or none begins, and that is not to be tried again; and where the end comes while there is none.
    pub(super) async fn keep(&self, mut retry: Retry) -> anyhow::Result<()> {
        let mut ended = self.ended.subscribe();
        loop {
            let Err(problem) = self.once(&mut retry).await else { return Ok(()) };
            let wait = retry.after(problem, Instant::now())?;
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = ended.wait_for(|ended| *ended) => return Err(too_late()),
            }
        }
    }

    /// One session, to the end of the broadcast.
    async fn once(&self, retry: &mut Retry) -> Result<(), Problem> {
        let mut ended = self.ended.subscribe();
        let connected = tokio::select! {
            connected = self.server.connect(self.target, Protocol::all().collect()) => connected?,
            _ = ended.wait_for(|ended| *ended) => return Err(Problem::Final(too_late())),
        };
        let Connected { session, url, client } = connected;
        let name = &self.target.broadcast;
        eprintln!("publishing {name} to {} over {}", session.remote, session.protocol.name());
        let is_refused = session.refusal();
        let end = async { drop(ended.wait_for(|ended| *ended).await) };
        let up = Cell::new(false);
        let begun = || {
            up.set(true);
            self.begun.send_replace(true);
        };
        let lost = tokio::select! {
            ended = dial::publish(session, &url, &self.deliver, begun, end) => format!("the server has ended the session: {ended}"),
            reason = self.watch(retry) => reason,
        };
        close(&client).await;
        Err(match (is_refused(), *self.ended.borrow()) {
            (true, _) => Problem::Final(anyhow!(lost)),
            (false, true) if up.get() => return Ok(()),
            (false, true) => Problem::Final(too_late()),
            (false, false) => Problem::Lost(anyhow!(lost)),
        })
    }

    /// Watches whether the server asks for tracks of the broadcast. Returns a reason to begin another session where the server asked in an
    /// earlier session and does not in this one: it may still take the lost session for the publisher. Otherwise it goes on for ever.
    async fn watch(&self, retry: &mut Retry) -> String {
        let (came_before, began) = (self.taken.get(), Instant::now());
        // Since when there are tracks to ask for.
        let mut offered = None;
        loop {
            tokio::time::sleep(LOOK).await;
            let tracks =
                self.bus.broadcast(&self.target.broadcast).map(|broadcast| broadcast.tracks()).unwrap_or_default();
            if tracks.iter().any(|track| track.is_viewed(began.elapsed())) {
                self.taken.set(true);
                retry.worked();
                return std::future::pending().await;
            }
            if tracks.is_empty() || offered.get_or_insert_with(Instant::now).elapsed() < TAKEN {
                continue;
            }
            if came_before {
                return "the server is back, and does not ask for the broadcast".into();
            }
            // A relay may have no viewers.
            retry.worked();
            if !self.told.replace(true) {
                eprintln!("{UNTAKEN}");
            }
        }
    }
}

fn too_late() -> anyhow::Error {
    anyhow!("the input has ended while there was no session with the server: the end of it is lost")
}
