//! A WebTransport session as `moq-transport` wants it: the same calls under an older version of the trait, with priorities the right
//! way round, and streams that do not wait for ever for a client that does not read.
//!
//! **Priorities.** In MoQ Transport the lower number goes first (draft-ietf-moq-transport-18, 7), in QUIC implementations the higher.
//! Among streams of one publisher priority the one that was opened last goes first, and streams are opened as groups begin: so newer
//! groups go before older ones. The control stream, requests and
//! their answers go before all media, and what was fetched before what is live.
//!
//! **Patience.** Once a stream has not taken a byte for so long, writing to it fails, and `moq-transport` resets it: the client keeps
//! the beginning of the group, and the memory that the rest pins is given back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use moq_transport::reexports::web_transport_trait as older;
use tokio::time::timeout;

/// Streams of one publisher priority that can be told apart by when they were opened: more than a session opens in days.
const OPENED_BITS: u32 = 22;

/// See the [module](self).
#[derive(Clone)]
pub(crate) struct Adapter {
    session: web_transport_quinn::Session,
    protocol: &'static str,
    patience: Duration,
    opened: Arc<AtomicU32>,
}

impl Adapter {
    pub(crate) fn new(session: web_transport_quinn::Session, protocol: &'static str, patience: Duration) -> Self {
        Self { session, protocol, patience, opened: Arc::default() }
    }
}

/// What goes wrong, with the codes that the other side gave.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Error {
    message: String,
    session: Option<(u32, String)>,
    stream: Option<u32>,
}

impl Error {
    fn local(message: String) -> Self {
        Self { message, session: None, stream: None }
    }

    fn impatient(patience: Duration) -> Self {
        Self::local(format!("the client has taken nothing for {patience:?}"))
    }
}

impl<E: web_transport_quinn::generic::Error> From<&E> for Error {
    fn from(error: &E) -> Self {
        Self { message: error.to_string(), session: error.session_error(), stream: error.stream_error() }
    }
}

fn told<E: web_transport_quinn::generic::Error>(error: E) -> Error {
    Error::from(&error)
}

impl older::Error for Error {
    fn session_error(&self) -> Option<(u32, String)> {
        self.session.clone()
    }

    fn stream_error(&self) -> Option<u32> {
        self.stream
    }
}

/// A stream that is written to.
pub(crate) struct Send {
    stream: web_transport_quinn::SendStream,
    patience: Duration,
    /// Which of the session's streams it is, where it carries media.
    opened: u32,
}

/// A stream that is read.
pub(crate) struct Receive(web_transport_quinn::RecvStream);

impl older::Session for Adapter {
    type SendStream = Send;
    type RecvStream = Receive;
    type Error = Error;

    async fn accept_uni(&self) -> Result<Receive, Error> {
        self.session.accept_uni().await.map(Receive).map_err(told)
    }

    async fn accept_bi(&self) -> Result<(Send, Receive), Error> {
        self.session.accept_bi().await.map(|pair| self.request(pair)).map_err(told)
    }

    async fn open_bi(&self) -> Result<(Send, Receive), Error> {
        self.session.open_bi().await.map(|pair| self.request(pair)).map_err(told)
    }

    async fn open_uni(&self) -> Result<Send, Error> {
        let stream = timeout(self.patience, self.session.open_uni()).await;
        let stream = stream.map_err(|_| Error::impatient(self.patience))?.map_err(told)?;
        let opened = self.opened.fetch_add(1, Ordering::Relaxed);
        // The first is the control stream. What answers a FETCH is given no priority later, and a picture cannot be shown without it.
        let priority = if opened == 0 { i32::MAX } else { order(0, opened) };
        // It is open: it was made a moment ago.
        let _ = stream.set_priority(priority);
        Ok(Send { stream, patience: self.patience, opened })
    }

    fn send_datagram(&self, payload: Bytes) -> Result<(), Error> {
        self.session.send_datagram(payload).map_err(told)
    }

    async fn recv_datagram(&self) -> Result<Bytes, Error> {
        self.session.read_datagram().await.map_err(told)
    }

    fn max_datagram_size(&self) -> usize {
        self.session.max_datagram_size()
    }

    fn protocol(&self) -> Option<&str> {
        Some(self.protocol)
    }

    fn close(&self, code: u32, reason: &str) {
        self.session.close(code, reason.as_bytes());
    }

    async fn closed(&self) -> Error {
        told(self.session.closed().await)
    }
}

impl Adapter {
    fn request(
        &self,
        (send, receive): (web_transport_quinn::SendStream, web_transport_quinn::RecvStream),
    ) -> (Send, Receive) {
        // It is open: it was made a moment ago.
        let _ = send.set_priority(i32::MAX);
        (Send { stream: send, patience: self.patience, opened: 0 }, Receive(receive))
    }
}

/// Where a stream stands among the others, by its publisher priority and by when it was opened.
fn order(priority: u8, opened: u32) -> i32 {
    let newest = opened & ((1 << OPENED_BITS) - 1);
    let order = (u32::from(u8::MAX - priority) << OPENED_BITS) | newest;
    i32::try_from(order).expect("thirty bits")
}

impl older::SendStream for Send {
    type Error = Error;

    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        match timeout(self.patience, self.stream.write(bytes)).await {
            Ok(written) => written.map_err(told),
            Err(_) => Err(Error::impatient(self.patience)),
        }
    }

    fn set_priority(&mut self, priority: u8) {
        // A stream that is closed needs none.
        let _ = self.stream.set_priority(order(priority, self.opened));
    }

    fn finish(&mut self) -> Result<(), Error> {
        self.stream.finish().map_err(|error| Error::local(error.to_string()))
    }

    fn reset(&mut self, code: u32) {
        // A stream that is closed already cannot be, and need not be.
        let _ = self.stream.reset(code);
    }

    async fn closed(&mut self) -> Result<(), Error> {
        match self.stream.stopped().await {
            Ok(None) => Ok(()),
            Ok(Some(code)) => Err(Error { message: format!("stopped with {code}"), session: None, stream: Some(code) }),
            Err(error) => Err(told(error)),
        }
    }
}

impl older::RecvStream for Receive {
    type Error = Error;

    async fn read(&mut self, bytes: &mut [u8]) -> Result<Option<usize>, Error> {
        self.0.read(bytes).await.map_err(told)
    }

    fn stop(&mut self, code: u32) {
        // A stream that is closed already cannot be, and need not be.
        let _ = self.0.stop(code);
    }

    async fn closed(&mut self) -> Result<(), Error> {
        self.0.received_reset().await.map(drop).map_err(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lower_priorities_go_first_and_newer_streams_before_older_ones() {
        assert!(order(1, 0) > order(2, 1_000_000), "priority counts for more");
        assert!(order(2, 7) > order(2, 6));
        assert!(order(0, u32::MAX) < i32::MAX, "requests go before everything");
        assert!(order(255, 0) >= 0);
    }
}
