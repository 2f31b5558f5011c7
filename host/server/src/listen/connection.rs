//! One connection, as its own task and the table's sweep both see it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use slab::Slab;
use tokio::sync::Notify;

use super::response::Response;
use super::table::Tick;
use super::unsent::Probe;

/// A connection on which no request is in progress ends after this long: at first, between requests, and while the head of a request
/// comes in.
pub(super) const SILENCE: Duration = Duration::from_secs(60);
/// A connection that was told to end, and has no request in progress, is cut off after this long.
const GOODBYE: Duration = Duration::from_secs(5);

/// What a connection's task is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Order {
    /// Go on.
    Stay,
    /// Take no more requests, say so where the protocol can (HTTP/2, GOAWAY), and end after the last answer.
    Retire,
    /// End now, and have the system forget what it holds for the client.
    Abort,
}

/// Why a connection was ended here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// The client took nothing for as long as patience lasts.
    Untaken,
    /// No request for [`SILENCE`].
    Silent,
    /// Its place was needed.
    Room,
}

impl Reason {
    /// As it stands in metrics.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Untaken => "untaken",
            Self::Silent => "silent",
            Self::Room => "room",
        }
    }
}

/// What a look at a connection found.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// It was ended, or told to end.
    pub(super) ended: Option<Reason>,
    /// So many of its streams were reset, whose clients took nothing.
    pub(super) reset: usize,
}

/// What is known of a connection. Its task writes, the sweep reads.
#[derive(Debug)]
pub(super) struct Connection {
    peer: SocketAddr,
    /// How many were taken before it.
    number: u64,
    probe: Probe,
    tick: Tick,
    /// Requests in progress, from the end of their heads until their answers are handed over.
    requests: AtomicU32,
    /// When the last of them ended.
    silent_since: AtomicU64,
    /// Bytes that the system took for the client.
    written: AtomicU64,
    order: AtomicU8,
    ordered: Notify,
    seen: Mutex<Seen>,
    /// Of HTTP/2 alone, those in progress.
    responses: Mutex<Slab<Weak<Response>>>,
}

/// What the sweep saw last.
#[derive(Debug)]
struct Seen {
    /// Bytes that the client had taken.
    taken: u64,
    /// When it last took some, or had nothing to take.
    taken_at: Duration,
    /// When it last had taken all that was written.
    clear_at: Duration,
    /// When it was told to end, and how long it may take for it.
    retired: Option<(Duration, Duration)>,
}

impl Connection {
    pub(super) fn new(peer: SocketAddr, number: u64, probe: Probe, tick: Tick) -> Self {
        let now = tick.get();
        Self {
            peer,
            number,
            probe,
            requests: AtomicU32::new(0),
            silent_since: AtomicU64::new(tick.millis()),
            written: AtomicU64::new(0),
            order: AtomicU8::new(Order::Stay as u8),
            ordered: Notify::new(),
            seen: Mutex::new(Seen { taken: 0, taken_at: now, clear_at: now, retired: None }),
            responses: Mutex::new(Slab::new()),
            tick,
        }
    }

    /// The client's address.
    pub(super) const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// How many were taken before it.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    pub(super) const fn probe(&self) -> &Probe {
        &self.probe
    }

    pub(super) const fn tick(&self) -> &Tick {
        &self.tick
    }

    /// Notes that the system took so many bytes.
    pub(super) fn wrote(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Gives an order; one that asks for less than an earlier one changes nothing.
    pub(super) fn order(&self, order: Order) {
        if self.order.fetch_max(order as u8, Ordering::AcqRel) < order as u8 {
            self.ordered.notify_one();
        }
    }

    /// The order that holds.
    pub(super) fn standing(&self) -> Order {
        match self.order.load(Ordering::Acquire) {
            0 => Order::Stay,
            1 => Order::Retire,
            _ => Order::Abort,
        }
    }

    /// Waits for an order. For the connection's task alone.
    pub(super) async fn ordered(&self) -> Order {
        self.ordered.notified().await;
        self.standing()
    }

    /// How long no request has been in progress at a time; none where one is, or the connection is ending anyway.
    pub(super) fn silence(&self, now: Duration) -> Option<Duration> {
        if self.requests.load(Ordering::Acquire) > 0 || self.standing() != Order::Stay {
            return None;
        }
        Some(now.saturating_sub(Duration::from_millis(self.silent_since.load(Ordering::Acquire))))
    }

    /// Ends the connection where its client takes nothing, or asks for nothing, and resets the streams of HTTP/2 whose data is not taken.
    pub(super) fn look(&self, now: Duration, patience: Duration) -> Look {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(unsent) = self.probe.unsent() {
            let taken = self.written.load(Ordering::Relaxed).wrapping_sub(unsent as u64);
            if unsent == 0 {
                seen.clear_at = now;
            }
            if unsent == 0 || taken != seen.taken {
                (seen.taken, seen.taken_at) = (taken, now);
            } else if now.saturating_sub(seen.taken_at) >= patience {
                return self.end(Order::Abort, Reason::Untaken);
            }
        }
        if let Some((since, allowed)) = seen.retired {
            if now.saturating_sub(since) >= allowed {
                self.order(Order::Abort);
            }
            return Look::default();
        }
        if self.silence(now).is_some_and(|silence| silence >= SILENCE) {
            seen.retired = Some((now, GOODBYE));
            return self.end(Order::Retire, Reason::Silent);
        }
        let (reset, is_stuck) = self.reset_untaken(now, patience, seen.clear_at);
        if is_stuck {
            seen.retired = Some((now, patience));
            return Look { reset, ..self.end(Order::Retire, Reason::Untaken) };
        }
        Look { ended: None, reset }
    }

    fn end(&self, order: Order, reason: Reason) -> Look {
        let is_new = self.standing() < order;
        self.order(order);
        Look { ended: is_new.then_some(reason), reset: 0 }
    }

    /// Resets the streams whose data is not taken. True where that does not do, because all of a response waits in the protocol's own
    /// queue: only the connection's end frees it.
    fn reset_untaken(&self, now: Duration, patience: Duration, clear_at: Duration) -> (usize, bool) {
        let responses: Vec<_> = {
            let responses = self.responses.lock().unwrap_or_else(PoisonError::into_inner);
            responses.iter().filter_map(|(_, response)| response.upgrade()).collect()
        };
        let is_untaken = |response: &&Arc<Response>| {
            response.untaken_since().is_some_and(|since| {
                // A slow client's socket is never clear: there streams wait for their turn.
                now.saturating_sub(since) >= patience && clear_at >= since + patience / 2
            })
        };
        let untaken: Vec<_> = responses.iter().filter(is_untaken).collect();
        let reset = untaken.iter().filter(|response| response.reset()).count();
        (reset, reset < untaken.len())
    }

    /// Lists a response of HTTP/2, and gives its place.
    pub(super) fn add_response(&self, response: Weak<Response>) -> usize {
        self.responses.lock().unwrap_or_else(PoisonError::into_inner).insert(response)
    }

    pub(super) fn remove_response(&self, place: usize) {
        self.responses.lock().unwrap_or_else(PoisonError::into_inner).try_remove(place);
    }

    /// How many responses have bytes that are not framed.
    #[cfg(test)]
    pub(super) fn untaken(&self) -> usize {
        let responses: Vec<_> = {
            let responses = self.responses.lock().unwrap_or_else(PoisonError::into_inner);
            responses.iter().filter_map(|(_, response)| response.upgrade()).collect()
        };
        responses.iter().filter(|response| response.untaken_since().is_some()).count()
    }

    /// Ends the tasks of its streams, once the connection is gone.
    pub(super) fn reset_all(&self) {
        let responses: Vec<_> = {
            let mut responses = self.responses.lock().unwrap_or_else(PoisonError::into_inner);
            responses.drain().filter_map(|response| response.upgrade()).collect()
        };
        responses.iter().for_each(|response| {
            response.reset();
        });
    }
}

/// A request in progress, until it is dropped.
#[derive(Debug)]
pub(super) struct Request(Arc<Connection>);

impl Request {
    pub(super) fn begin(connection: &Arc<Connection>) -> Self {
        connection.requests.fetch_add(1, Ordering::AcqRel);
        Self(connection.clone())
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.0.silent_since.store(self.0.tick.millis(), Ordering::Release);
        self.0.requests.fetch_sub(1, Ordering::AcqRel);
    }
}
