//! One connection, from the first byte to the last: TLS where there is a certificate, then HTTP/1.1 or HTTP/2.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use millrace_media::payload::READ_BUFFER;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

use super::answer::App;
use super::connection::{Connection, Order};
use super::response::Streams;
use super::socket::Socket;

/// How long a handshake of TLS may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// HTTP/2: requests at once. A player that waits for parts of several tracks has about ten.
const STREAMS: u32 = 100;
/// HTTP/2: the longest head of a request, as RFC 9113, 6.5.2 counts it.
const HEAD: u32 = 16 << 10;
/// HTTP/2: how much of an answer waits here for the client's window, beyond the piece that does not fit.
const SEND_BUFFER: usize = 64 << 10;
/// HTTP/2: what a client may send before it is read, on a stream and on all of them (RFC 9113, 6.9): for publishers.
const WINDOW: u32 = 1 << 20;

/// What the connections of a listener share.
pub(super) struct Server {
    pub(super) router: Router,
    /// None: without TLS.
    pub(super) tls: Option<TlsAcceptor>,
}

impl Server {
    /// Sees a connection through.
    pub(super) async fn serve(self: Arc<Self>, socket: Socket) {
        let Some(connection) = socket.connection() else { return };
        match &self.tls {
            None => speak(socket, &connection, self.router.clone()).await,
            Some(tls) => {
                let handshake = tokio::time::timeout(HANDSHAKE, tls.accept(socket));
                let met = tokio::select! {
                    biased;
                    // There is nothing yet to finish.
                    _ = connection.ordered() => return,
                    met = handshake => met,
                };
                match met {
                    Ok(Ok(stream)) => speak(stream, &connection, self.router.clone()).await,
                    Ok(Err(error)) => tracing::debug!(peer = %connection.peer(), %error, "a handshake has failed"),
                    Err(_) => {
                        tracing::debug!(peer = %connection.peer(), "a handshake took too long");
                        connection.order(Order::Abort);
                    }
                }
            }
        }
        connection.reset_all();
    }
}

/// Answers requests until the client leaves, or the connection has to end.
async fn speak(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, connection: &Arc<Connection>, router: Router) {
    // Silence and patience are the table's: nothing here has a timer.
    let mut builder = auto::Builder::new(Streams(connection.clone()));
    // Also the longest head of a request, and how much of an answer waits here while the system takes no more.
    builder.http1().max_buf_size(READ_BUFFER);
    builder
        .http2()
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEAD)
        .max_send_buf_size(SEND_BUFFER)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW);
    let app = App::new(router, connection.clone());
    let mut serving = pin!(builder.serve_connection(TokioIo::new(io), app));
    loop {
        tokio::select! {
            biased;
            result = serving.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(peer = %connection.peer(), %error, "a connection has ended");
                }
                return;
            }
            order = connection.ordered() => match order {
                Order::Stay => {}
                Order::Retire => serving.as_mut().graceful_shutdown(),
                Order::Abort => return,
            },
        }
    }
}
