//! Media over QUIC: the endpoints, the sessions of clients, and those with relays.

pub(crate) mod backoff;
pub(crate) mod dial;
mod relay;
mod session;
mod status;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use millrace_deliver::moq::Moq;
use millrace_ingest::moq::Ingest;
use millrace_media::{Access, Bus};
use millrace_moq::{Certificates, Endpoint};
use millrace_supervise::restart;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(crate) use self::relay::State as RelayState;
use self::session::Shared;
pub(crate) use self::status::{Status, router};
use crate::access::Publishers;
use crate::config::Config;
use crate::settings;

/// Addresses that are bound.
pub(crate) struct Listeners {
    endpoints: Vec<Endpoint>,
    certificates: Certificates,
    /// The ports of the server's own pages.
    pages: Vec<u16>,
}

impl Listeners {
    /// Binds every address: those of the configuration, or those that HTTP is spoken on, which are `http`. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// Where one cannot be bound.
    pub(crate) fn bind(config: &Config, certificates: &Certificates, http: &[SocketAddr]) -> anyhow::Result<Self> {
        let limits = settings::moq_limits(config);
        let bind = |address: &SocketAddr| {
            Endpoint::bind(*address, certificates, limits).with_context(|| {
                format!(
                    "cannot listen on UDP {address}, for Media over QUIC: is another server there? `moq.listen` names other addresses, \
                     and `moq.enabled = false` does without"
                )
            })
        };
        let endpoints = match &config.moq.listen {
            Some(listen) => listen.iter().map(bind).collect::<anyhow::Result<_>>()?,
            None => http
                .iter()
                .zip(&config.http.listen)
                .map(|(bound, configured)| {
                    // Where any port will do, one that UDP has taken is no reason not to start.
                    bind(bound).or_else(|error| if configured.port() == 0 { bind(configured) } else { Err(error) })
                })
                .collect::<anyhow::Result<_>>()?,
        };
        let pages = http.iter().map(SocketAddr::port).collect();
        Ok(Self { endpoints, certificates: certificates.clone(), pages })
    }

    /// Serves until it is stopped. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// Where the system does not say where it listens.
    pub(crate) fn serve(
        self,
        config: &Config,
        bus: &Bus,
        publishers: Arc<Publishers>,
        access: Access,
    ) -> anyhow::Result<Serving> {
        let deliver = Moq::new(bus.clone(), settings::moq_deliver(config));
        let ingest = Ingest::new(bus.clone(), settings::moq_ingest(config));
        let limits = settings::moq_limits(config);
        let ports = self.endpoints.iter().map(|endpoint| endpoint.address().map(|address| address.port()));
        let ports = ports.collect::<Result<Vec<_>, _>>()?;
        let mut tasks = JoinSet::new();
        let stop = watch::Sender::new(false);
        let mut relays = Vec::new();
        for relay in &config.moq.relays {
            let state = Arc::new(RelayState::new(relay.url.to_string()));
            let kept = (relay.clone(), deliver.clone(), state.clone(), stop.subscribe());
            tasks.spawn(restart(format!("announcing to {}", state.url), move || {
                let (relay, deliver, state, stop) = kept.clone();
                relay::keep(relay, limits, deliver, state, stop)
            }));
            relays.push(state);
        }
        let endpoints: Vec<_> = self.endpoints.into_iter().map(Arc::new).collect();
        let setup_timeout = limits.setup_timeout;
        let shared =
            Arc::new(Shared { deliver, ingest: ingest.clone(), publishers, access, pages: self.pages, setup_timeout });
        for endpoint in &endpoints {
            let (endpoint, shared) = (endpoint.clone(), shared.clone());
            tasks.spawn(restart("accepting Media over QUIC", move || accept(endpoint.clone(), shared.clone())));
        }
        let status = Arc::new(Status { ports, certificates: self.certificates, relays });
        Ok(Serving { endpoints, ingest, status, stop, tasks })
    }
}

/// Makes every connection a session, until the endpoint is closed. Sessions end with it.
async fn accept(endpoint: Arc<Endpoint>, shared: Arc<Shared>) {
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            incoming = endpoint.accept() => match incoming {
                Some(incoming) => { sessions.spawn(session::meet(incoming, shared.clone())); }
                None => break,
            },
            Some(_) = sessions.join_next() => {}
        }
    }
    while sessions.join_next().await.is_some() {}
}

/// Endpoints at work.
pub(crate) struct Serving {
    endpoints: Vec<Arc<Endpoint>>,
    ingest: Arc<Ingest>,
    status: Arc<Status>,
    /// Tells the sessions with relays.
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Serving {
    /// What is told of it.
    pub(crate) fn status(&self) -> &Arc<Status> {
        &self.status
    }

    /// Ends what is being published. What is played goes on to its end.
    pub(crate) fn stop_ingest(&self) {
        self.ingest.stop();
    }

    /// Closes all sessions, and tells the clients within `patience`.
    pub(crate) async fn stop(mut self, patience: Duration) {
        self.stop.send_replace(true);
        let told = async {
            for endpoint in &self.endpoints {
                endpoint.close().await;
            }
            while self.tasks.join_next().await.is_some() {}
        };
        if tokio::time::timeout(patience, told).await.is_err() {
            tracing::debug!("some clients or relays have not heard that the server stops");
        }
        self.tasks.shutdown().await;
    }
}
