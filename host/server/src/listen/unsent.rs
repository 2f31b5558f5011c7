//! What the system still holds of what was written to a socket.

use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Mutex, PoisonError};

use tokio::net::TcpStream;

/// Bytes that the system holds for a socket's peer: not sent yet, or sent and not acknowledged. 0 where it does not say.
pub(super) fn of(stream: &TcpStream) -> usize {
    ask(stream.as_raw_fd())
}

fn ask(socket: RawFd) -> usize {
    let mut bytes: libc::c_int = 0;
    // SAFETY: TIOCOUTQ (SIOCOUTQ, tcp(7)) writes one int to the address it is given, which is that of an int that lives here. A
    // descriptor of another kind is answered with an error.
    let result = unsafe { libc::ioctl(socket, libc::TIOCOUTQ, &raw mut bytes) };
    if result == 0 { usize::try_from(bytes).unwrap_or(0) } else { 0 }
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
