//! What is read again while the server runs, on SIGHUP: certificates, and the key of JSON Web Tokens. What cannot be read stays as it was.

use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The result of reading a part again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It has changed, and the new one is used.
    Changed,
    /// It is the same as before.
    Same,
}

type Read = Box<dyn Fn() -> anyhow::Result<Outcome> + Send + Sync>;

/// The parts that can be read again.
pub(crate) struct Reload {
    hangup: Signal,
    parts: Vec<(&'static str, Read)>,
}

impl Reload {
    /// Nothing to read yet. From here on SIGHUP does not end the process. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// Where the system does not let the signal be listened for.
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self { hangup: signal(SignalKind::hangup())?, parts: Vec::new() })
    }

    /// Adds a part: what it is called in the log, and what reads it. That may wait for the disk.
    pub(crate) fn add(
        &mut self,
        what: &'static str,
        read: impl Fn() -> anyhow::Result<Outcome> + Send + Sync + 'static,
    ) {
        self.parts.push((what, Box::new(read)));
    }

    /// Reads every part again whenever SIGHUP comes, for ever. Whoever runs it ends it by dropping the future.
    pub(crate) async fn keep(self) {
        let (mut hangup, parts) = (self.hangup, Arc::new(self.parts));
        while hangup.recv().await.is_some() {
            if parts.is_empty() {
                tracing::info!("SIGHUP: the configuration names no file that can be read again");
            }
            let parts = parts.clone();
            let read = move || parts.iter().for_each(|(what, read)| tell(what, read()));
            if let Err(error) = tokio::task::spawn_blocking(read).await {
                tracing::error!(%error, "SIGHUP: files could not be read again");
            }
        }
    }
}

fn tell(what: &str, outcome: anyhow::Result<Outcome>) {
    match outcome {
        Ok(Outcome::Changed) => tracing::info!("SIGHUP: {what} has been read again: the new one is used from now on"),
        Ok(Outcome::Same) => tracing::info!("SIGHUP: {what} has been read again: it is the same"),
        Err(error) => tracing::warn!("SIGHUP: {what} stays as it was: {error:#}"),
    }
}
