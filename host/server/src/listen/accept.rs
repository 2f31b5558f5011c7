//! The accept loop of one listener.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::seldom::Seldom;
use super::serve::Server;
use super::socket;
use super::table::Table;

/// How many silent connections are ended at a time where descriptors are short: the server needs some for other things as well.
const LET_GO: usize = 16;
/// The longest wait before the next try, where accepting fails.
const PAUSE: Duration = Duration::from_millis(100);

/// Takes connections until it is told to stop, and then waits for the last of them.
pub(super) async fn accept(
    listener: TcpListener,
    table: Arc<Table>,
    server: Arc<Server>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    let said = Seldom::default();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stopping.wait_for(|stop| *stop) => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                if let Err(error) = socket::prepare(&stream) {
                    // The client has gone again.
                    tracing::debug!(%peer, %error, "a connection cannot be used");
                } else if let Ok(socket) = table.admit(stream, peer) {
                    connections.spawn(server.clone().serve(socket));
                }
            }
            Err(error) => recover(&error, &table, &said).await,
        }
    }
    // Nobody else can connect while the last answers are given.
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Sees to it that the next try can go better.
async fn recover(error: &io::Error, table: &Table, said: &Seldom) {
    match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE) => {
            let left = table.left();
            let ended = table.let_go(LET_GO);
            if let Some(more) = said.due(Instant::now()) {
                tracing::error!(
                    %error, connections = table.len(), ended, more,
                    "a connection cannot be accepted: no file descriptors are left. Silent connections are ended. Raise the limit \
                     (`ulimit -n`, LimitNOFILE= of systemd), or lower `http.max_connections` below it"
                );
            }
            // Where nothing was silent, another connection may end.
            let _ = tokio::time::timeout(PAUSE, left).await;
        }
        // The client went before it was accepted.
        Some(libc::ECONNABORTED | libc::ECONNRESET | libc::EPERM | libc::EPROTO) => {}
        _ => {
            if let Some(more) = said.due(Instant::now()) {
                tracing::error!(%error, more, "a connection cannot be accepted");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
