//! Broadcasts from the command line: a file or a pipe in, a pipe out, over Media over QUIC.

use std::os::fd::AsFd;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

mod choose;
mod mux;
mod pace;
mod progress;
mod publish;
mod recording;
mod retry;
mod server;
mod subscribe;
mod timeline;
mod uplink;

pub use publish::{PublishArgs, publish};
pub use retry::RetryArgs;
pub use server::ServerArgs;
pub use subscribe::{SubscribeArgs, subscribe};

/// How long a server has to hear that the command is done.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Waits until the command is told to end, by SIGINT or SIGTERM.
async fn interrupted() -> std::io::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// The standard input or output, without a buffer of its own: what is written is there for whoever reads it.
fn stream(standard: impl AsFd) -> std::io::Result<tokio::fs::File> {
    let owned = standard.as_fd().try_clone_to_owned()?;
    Ok(std::fs::File::from(owned).into())
}

#[cfg(test)]
pub(crate) use mux::tests::film;
