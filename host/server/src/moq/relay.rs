//! Sessions with relays: begun from here, and begun again when they end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use millrace_deliver::moq::Moq;
use millrace_moq::{Client, Limits, Trust};
use tokio::sync::watch;
use url::Url;

use super::backoff::{self, Backoff};
use super::dial;
use crate::config::{Relay, RelayTrust};

/// A session that has lasted so long was a good one: the next attempt comes soon.
const GOOD: Duration = Duration::from_secs(10);

/// How it stands with a relay.
pub(crate) struct State {
    /// Where it is, without what may be a secret.
    pub(crate) url: String,
    now: Mutex<Now>,
}

/// How it stands now.
#[derive(Clone, Debug)]
pub(crate) struct Now {
    /// What is spoken with it; none while there is no session.
    pub(crate) protocol: Option<&'static str>,
    /// Since when that is so.
    pub(crate) since: SystemTime,
    /// Why the last attempt, or the last session, ended.
    pub(crate) error: Option<String>,
    /// Sessions so far.
    pub(crate) sessions: u64,
}

impl State {
    pub(crate) fn new(url: String) -> Self {
        let now = Now { protocol: None, since: SystemTime::now(), error: None, sessions: 0 };
        let state = Self { url, now: Mutex::new(now) };
        state.measure(false);
        state
    }

    /// How it stands now.
    pub(crate) fn now(&self) -> Now {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn connected(&self, protocol: &'static str) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        (now.protocol, now.since, now.sessions) = (Some(protocol), SystemTime::now(), now.sessions + 1);
        self.measure(true);
        metrics::counter!("millrace_moq_relay_sessions_total", "relay" => self.url.clone()).increment(1);
    }

    fn failed(&self, error: String) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if now.protocol.take().is_some() {
            now.since = SystemTime::now();
        }
        now.error = Some(error);
        self.measure(false);
    }

    fn measure(&self, is_connected: bool) {
        metrics::gauge!("millrace_moq_relay_connected", "relay" => self.url.clone())
            .set(f64::from(u8::from(is_connected)));
    }
}

/// Keeps a session with a relay, until `stop`: then the relay is told.
pub(super) async fn keep(
    relay: Relay,
    limits: Limits,
    deliver: Arc<Moq>,
    state: Arc<State>,
    mut stop: watch::Receiver<bool>,
) {
    let url = address(&relay);
    let trust = match relay.trust {
        RelayTrust::System => Trust::System,
        RelayTrust::Hashes(hashes) => Trust::Hashes(hashes),
        RelayTrust::Anyone => Trust::Anyone,
    };
    let mut backoff = Backoff::new();
    loop {
        let error = match begin(&url, &trust, limits).await {
            Ok((client, session)) => {
                let (protocol, began) = (session.protocol.name(), Instant::now());
                let begun = || {
                    state.connected(protocol);
                    tracing::info!(relay = state.url, protocol, "announcing to a relay");
                };
                let stopped = async { drop(stop.wait_for(|stops| *stops).await) };
                let ended = dial::publish(session, &url, &deliver, begun, stopped).await;
                if *stop.borrow() {
                    client.close().await;
                    return;
                }
                if began.elapsed() >= GOOD {
                    backoff.reset();
                }
                format!("the session has ended: {ended}")
            }
            Err(error) => error.to_string(),
        };
        let wait = backoff.wait(backoff::random());
        tracing::warn!(relay = state.url, error, ?wait, "not announcing to a relay");
        state.failed(error);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = stop.wait_for(|stops| *stops) => return,
        }
    }
}

async fn begin(
    url: &Url,
    trust: &Trust,
    limits: Limits,
) -> Result<(Client, millrace_moq::Session), millrace_moq::ConnectError> {
    let client = Client::new(trust.clone(), limits)?;
    let session = client.connect(url).await?;
    // Its sessions end when the client is dropped.
    Ok((client, session))
}

/// Where a relay is connected to, with what it is shown.
fn address(relay: &Relay) -> Url {
    let mut url = relay.url.expose().clone();
    if let Some(jwt) = &relay.jwt {
        url.query_pairs_mut().append_pair("jwt", jwt.expose());
    }
    url
}
