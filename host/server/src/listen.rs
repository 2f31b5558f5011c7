//! The HTTP listeners: their addresses, their connections, and what each connection may take.
//!
//! An accept loop for each address hands every socket to the [table](table) of connections, which counts them, refuses those beyond the
//! limits, and looks at all of them once a tick: a connection whose client takes nothing, or asks for nothing, is ended there. Each
//! connection is a task of its own that speaks TLS, HTTP/1.1 and HTTP/2.

mod accept;
mod answer;
mod connection;
mod descriptors;
mod piece;
mod response;
mod seldom;
mod serve;
mod socket;
mod table;
#[cfg(test)]
mod tests;
mod tls;
mod unsent;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use axum::Router;
use millrace_moq::Certificates;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use self::table::{Limits, Table};
use crate::api::Reach;
use crate::config::Http;

pub(crate) use self::descriptors::raise as raise_descriptors;

/// Addresses that are bound.
pub(crate) struct Listeners {
    sockets: Vec<TcpListener>,
    tls: Option<TlsAcceptor>,
    limits: Limits,
}

impl Listeners {
    /// Binds every address, before anything else is started.
    ///
    /// # Errors
    /// Where one cannot be bound.
    pub(crate) fn bind(http: &Http, certificates: Option<&Certificates>) -> anyhow::Result<Self> {
        let tls = certificates.map(tls::acceptor).transpose()?;
        let bind = |address: &SocketAddr| {
            let socket = TcpListener::bind(address).with_context(|| {
                format!("cannot listen on {address}: is another server there? `http.listen` or --listen names others")
            })?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        let limits = Limits {
            patience: http.patience,
            connections: http.max_connections,
            connections_per_address: http.max_connections_per_address,
        };
        Ok(Self { sockets: http.listen.iter().map(bind).collect::<anyhow::Result<_>>()?, tls, limits })
    }

    /// Where it listens: as configured, with the ports that were free where any would do.
    ///
    /// # Errors
    /// Where the system does not say.
    pub(crate) fn addresses(&self) -> std::io::Result<Vec<SocketAddr>> {
        self.sockets.iter().map(TcpListener::local_addr).collect()
    }

    /// Serves until it is stopped: what is made for where each listener can be reached from.
    pub(crate) fn serve(self, app: impl Fn(Reach) -> Router) -> Serving {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let table = Arc::new(Table::new(self.limits, Instant::now()));
        let stopping = watch::Sender::new(false);
        let (mut accepting, mut sweeping) = (JoinSet::new(), JoinSet::new());
        let mut urls = Vec::new();
        sweeping.spawn(sweep(table.clone()));
        for socket in self.sockets {
            let reach = match socket.local_addr() {
                Ok(address) => {
                    urls.push(format!("{scheme}://{address}"));
                    if address.ip().to_canonical().is_loopback() { Reach::Loopback } else { Reach::Network }
                }
                Err(error) => {
                    tracing::error!(%error, "a listener has no address");
                    Reach::Network
                }
            };
            let server = serve::Server { router: app(reach), tls: self.tls.clone() };
            match tokio::net::TcpListener::from_std(socket) {
                Ok(socket) => {
                    accepting.spawn(accept::accept(socket, table.clone(), Arc::new(server), stopping.subscribe()));
                }
                Err(error) => tracing::error!(%error, "a listener has failed"),
            }
        }
        Serving { table, stopping, accepting, _sweeping: sweeping, urls }
    }
}

/// Looks at every connection once a tick, for ever.
async fn sweep(table: Arc<Table>) {
    let mut ticks = tokio::time::interval(table.tick());
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        table.sweep(Instant::now());
    }
}

/// Listeners at work.
pub(crate) struct Serving {
    table: Arc<Table>,
    stopping: watch::Sender<bool>,
    accepting: JoinSet<()>,
    /// Ends with this.
    _sweeping: JoinSet<()>,
    urls: Vec<String>,
}

impl Serving {
    /// Where they can be reached.
    pub(crate) fn urls(&self) -> &[String] {
        &self.urls
    }

    /// Takes no more connections, and lets answers under way finish within `patience`.
    pub(crate) async fn stop(mut self, patience: Duration) {
        self.stopping.send_replace(true);
        self.table.retire_all();
        let finished = async {
            while self.accepting.join_next().await.is_some() {}
            self.table.emptied().await;
        };
        if tokio::time::timeout(patience, finished).await.is_err() {
            tracing::debug!(connections = self.table.len(), "connections are cut off");
        }
        // What is left ends with its tasks.
        self.accepting.shutdown().await;
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.table.close();
    }
}
