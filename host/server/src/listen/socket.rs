//! A connection's socket.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::connection::{Connection, Order};
use super::table::Slot;
use super::unsent;

/// How much the system may hold for a client, sent and not acknowledged included. Linux doubles it for its own bookkeeping, and allows
/// no more than `net.core.wmem_max`. It bounds the rate to far clients: 512 KiB in flight are 42 Mb/s at a round trip of 100 ms.
pub(super) const SEND_BUFFER: usize = 512 << 10;
/// How much of it may wait to be sent (TCP_NOTSENT_LOWAT, tcp(7)): a client that takes nothing costs no more.
pub(super) const UNSENT: u32 = 128 << 10;

/// Sets what every connection has, with TLS or without.
pub(super) fn prepare(stream: &TcpStream) -> io::Result<()> {
    // A response is more than one write, over TLS always. Without this the second waits for the client to acknowledge the first, which
    // it does after 40 ms.
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_send_buffer_size(SEND_BUFFER)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_notsent_lowat(UNSENT)?;
    Ok(())
}

/// A socket with its place in the table. It is closed when it is dropped; what the client has not taken by then is waited for, as long
/// as patience lasts, by the table.
#[derive(Debug)]
pub(super) struct Socket(Option<Held>);

/// A socket that is open, and counted.
#[derive(Debug)]
pub(super) struct Held {
    stream: TcpStream,
    // After the socket, so that it is counted until it is closed.
    slot: Slot,
}

impl Held {
    /// Whether the client has taken everything, or the system was told to forget it.
    pub(super) fn is_over(&self) -> bool {
        self.slot.connection().standing() == Order::Abort || unsent::of(&self.stream) == 0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let connection = self.slot.connection();
        if connection.standing() == Order::Abort {
            // Otherwise the system keeps what is unsent, and offers it for minutes. Where it refuses, it does so.
            let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
        connection.probe().close();
    }
}

impl Socket {
    pub(super) const fn new(stream: TcpStream, slot: Slot) -> Self {
        Self(Some(Held { stream, slot }))
    }

    /// What is known of the connection.
    pub(super) fn connection(&self) -> Option<Arc<Connection>> {
        self.0.as_ref().map(|held| held.slot.connection().clone())
    }

    fn held(&mut self) -> io::Result<&mut Held> {
        // It is there until the drop.
        self.0.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn write(&mut self, write: impl FnOnce(Pin<&mut TcpStream>) -> Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let held = self.held()?;
        let result = write(Pin::new(&mut held.stream));
        if let Poll::Ready(Ok(written)) = &result {
            held.slot.connection().wrote(*written);
        }
        result
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Some(held) = self.0.take()
            && !held.is_over()
        {
            let table = held.slot.table().clone();
            table.linger(held);
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.held()?.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.write(|stream| stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(|stream| stream.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.held()?.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.held()?.stream).poll_shutdown(cx)
    }
}
