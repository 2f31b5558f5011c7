//! What the system still holds of what was written to a socket.

use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Mutex, PoisonError};

use tokio::net::TcpStream;

/// The state of a socket whose connection is over, as `tcp_info` has it: TCP_CLOSE of Linux.
const CLOSED: u8 = 7;

/// Bytes that the system holds for a socket's peer: not sent yet, or sent and not acknowledged. 0 where it does not say, and where the peer
/// has reset the connection.
pub(super) fn of(stream: &TcpStream) -> usize {
    ask(stream.as_raw_fd())
}

fn ask(socket: RawFd) -> usize {
    let mut bytes: libc::c_int = 0;
    // SAFETY: TIOCOUTQ (SIOCOUTQ, tcp(7)) writes one int to the address it is given, which is that of an int that lives here. A
    // descriptor of another kind is answered with an error.
    let result = unsafe { libc::ioctl(socket, libc::TIOCOUTQ, &raw mut bytes) };
    // What was written to a connection that was reset is still counted, and will never be taken.
    if result != 0 || bytes <= 0 || is_closed(socket) { 0 } else { usize::try_from(bytes).unwrap_or(0) }
}

/// True of a socket whose connection is over, because both sides have ended it, or one has reset it.
fn is_closed(socket: RawFd) -> bool {
    let mut state = 0_u8;
    let mut length: libc::socklen_t = 1;
    // SAFETY: TCP_INFO (tcp(7)) writes as many bytes of a `tcp_info` as it is told there is room for: its first, the state.
    let result = unsafe {
        libc::getsockopt(socket, libc::IPPROTO_TCP, libc::TCP_INFO, (&raw mut state).cast(), &raw mut length)
    };
    result == 0 && length == 1 && state == CLOSED
}

/// The same of a socket that another task owns: it can be asked until it is closed.
#[derive(Debug)]
pub(super) struct Probe(Mutex<Option<RawFd>>);

impl Probe {
    pub(super) fn new(stream: &TcpStream) -> Self {
        Self(Mutex::new(Some(stream.as_raw_fd())))
    }

    /// Of no socket.
    #[cfg(test)]
    pub(super) const fn closed() -> Self {
        Self(Mutex::new(None))
    }

    /// Whether small writes are sent at once; none once the socket is closed.
    #[cfg(test)]
    pub(super) fn nodelay(&self) -> Option<bool> {
        let socket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the socket is open while this lock is held.
        let borrowed = (*socket).map(|socket| unsafe { std::os::fd::BorrowedFd::borrow_raw(socket) })?;
        socket2::SockRef::from(&borrowed).tcp_nodelay().ok()
    }

    /// As [`of`]; none once the socket is closed.
    pub(super) fn unsent(&self) -> Option<usize> {
        // Held while the system is asked, so that the number cannot have become another file's.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).map(ask)
    }

    /// To be called before the socket is closed.
    pub(super) fn close(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
