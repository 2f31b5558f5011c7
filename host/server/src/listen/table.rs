//! All connections of the listeners: how many there are, from where, and which may stay.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use slab::Slab;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::connection::{Connection, Order, Reason};
use super::seldom::Seldom;
use super::socket::{Held, Socket};
use super::unsent::Probe;

/// At the limit of connections, one that has been silent for so long gives its place to a new one. Players ask more often.
const SPARE: Duration = Duration::from_secs(10);
/// So many are looked for at a time, when places or descriptors are short.
const SOUGHT: usize = 64;

/// What connections may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// A client that takes no byte for so long is gone.
    pub(super) patience: Duration,
    /// Of all clients at once. 0: no limit.
    pub(super) connections: usize,
    /// Of one address at once. 0: no limit.
    pub(super) connections_per_address: usize,
}

/// Why a connection was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// There are as many as may be.
    Total,
    /// The address has as many as it may.
    Address,
}

/// The time of the last sweep, since the table was made. Cheap to read, and as exact as silence and patience need.
#[derive(Clone, Debug, Default)]
pub(super) struct Tick(Arc<AtomicU64>);

impl Tick {
    pub(super) fn get(&self) -> Duration {
        Duration::from_millis(self.millis())
    }

    pub(super) fn millis(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is counted as one address: IPv6 hands out a /64 to a subscriber, who can use any address in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Origin {
    V4(Ipv4Addr),
    V6([u16; 4]),
}

impl Origin {
    /// None of loopback, which is exempt.
    fn of(peer: SocketAddr) -> Option<Self> {
        match peer.ip().to_canonical() {
            ip if ip.is_loopback() => None,
            IpAddr::V4(ip) => Some(Self::V4(ip)),
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.segments();
                Some(Self::V6([a, b, c, d]))
            }
        }
    }
}

/// All connections.
#[derive(Debug)]
pub(super) struct Table {
    limits: Limits,
    begun: Instant,
    tick: Tick,
    rows: Mutex<Rows>,
    /// Told when a connection has gone.
    left: Notify,
    refusals: [Seldom; 2],
}

#[derive(Debug, Default)]
struct Rows {
    connections: Slab<Arc<Connection>>,
    /// How many have been taken so far.
    taken: u64,
    by_origin: HashMap<Origin, usize>,
    /// Sockets that were closed here, while the client has not taken everything.
    lingering: Vec<Held>,
    /// Silent connections, the longest silent last, as they were at a time.
    spare: Vec<Arc<Connection>>,
    spare_at: Option<Duration>,
    /// The listeners have stopped.
    is_closed: bool,
}

impl Table {
    pub(super) fn new(limits: Limits, now: Instant) -> Self {
        metrics::gauge!("millrace_http_connections").set(0);
        Self {
            limits,
            begun: now,
            tick: Tick::default(),
            rows: Mutex::default(),
            left: Notify::new(),
            refusals: Default::default(),
        }
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often it has to be [swept](Self::sweep).
    pub(super) fn tick(&self) -> Duration {
        (self.limits.patience / 8).clamp(Duration::from_millis(10), Duration::from_secs(1))
    }

    /// How many connections there are.
    pub(super) fn len(&self) -> usize {
        self.rows().connections.len()
    }

    /// Takes a connection, where it is within the limits.
    pub(super) fn admit(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr) -> Result<Socket, Refused> {
        let probe = Probe::new(&stream);
        match self.take_slot(peer, probe) {
            Ok(slot) => Ok(Socket::new(stream, slot)),
            Err(refused) => {
                self.note(refused, peer);
                // A reset leaves nothing behind, here or in the system.
                let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
                Err(refused)
            }
        }
    }

    pub(super) fn take_slot(self: &Arc<Self>, peer: SocketAddr, probe: Probe) -> Result<Slot, Refused> {
        let origin = Origin::of(peer);
        let (connection, place, count) = {
            let mut rows = self.rows();
            if let Some(origin) = origin {
                let limit = self.limits.connections_per_address;
                let count = rows.by_origin.get(&origin).copied().unwrap_or(0);
                if limit > 0 && count >= limit {
                    return Err(Refused::Address);
                }
            }
            let limit = self.limits.connections;
            if limit > 0 && rows.connections.len() >= limit && !rows.make_room(self.tick.get()) {
                return Err(Refused::Total);
            }
            if let Some(origin) = origin {
                *rows.by_origin.entry(origin).or_default() += 1;
            }
            let connection = Arc::new(Connection::new(peer, rows.taken, probe, self.tick.clone()));
            rows.taken += 1;
            let place = rows.connections.insert(connection.clone());
            (connection, place, rows.connections.len())
        };
        metrics::gauge!("millrace_http_connections").set(count as f64);
        Ok(Slot { table: self.clone(), connection, place, origin })
    }

    fn note(&self, refused: Refused, peer: SocketAddr) {
        let (reason, key, limit) = match refused {
            Refused::Total => ("total", "max_connections", self.limits.connections),
            Refused::Address => ("address", "max_connections_per_address", self.limits.connections_per_address),
        };
        metrics::counter!("millrace_http_connections_refused_total", "reason" => reason).increment(1);
        if let Some(more) = self.refusals[refused as usize].due(Instant::now()) {
            tracing::warn!(%peer, limit, more, "a connection is refused: there are as many as `http.{key}` allows");
        }
    }

    /// Ends silent connections, so that their descriptors are free: the longest silent first. Gives how many.
    pub(super) fn let_go(&self, count: usize) -> usize {
        let gone = self.rows().spare(self.tick.get(), Duration::ZERO, count);
        end_all(&gone)
    }

    /// Waits until a connection has gone, from now on.
    pub(super) fn left(&self) -> Notified<'_> {
        self.left.notified()
    }

    /// Looks at every connection, and ends those whose clients take nothing or ask for nothing.
    pub(super) fn sweep(&self, now: Instant) {
        let now = now.saturating_duration_since(self.begun);
        self.tick.0.store(u64::try_from(now.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        // Each is asked without the lock, so that no new one waits for it.
        let connections: Vec<_> = self.rows().connections.iter().map(|(_, connection)| connection.clone()).collect();
        for connection in connections {
            let look = connection.look(now, self.limits.patience);
            if let Some(reason) = look.ended {
                tracing::debug!(peer = %connection.peer(), ?reason, "a connection is ended");
                count_ended(reason, 1);
            }
            if look.reset > 0 {
                tracing::debug!(peer = %connection.peer(), streams = look.reset, "streams that were not taken are reset");
                metrics::counter!("millrace_http_streams_reset_total").increment(look.reset as u64);
            }
        }
        let over: Vec<_> = self.rows().lingering.extract_if(.., |held| held.is_over()).collect();
        drop(over);
    }

    /// Keeps a socket until its client has taken everything.
    pub(super) fn linger(&self, held: Held) {
        let mut rows = self.rows();
        if rows.is_closed {
            drop(rows);
            drop(held);
        } else {
            rows.lingering.push(held);
        }
    }

    /// Leaves what clients have not taken to the system. It is swept no more.
    pub(super) fn close(&self) {
        let lingering = {
            let mut rows = self.rows();
            rows.is_closed = true;
            std::mem::take(&mut rows.lingering)
        };
        drop(lingering);
    }

    /// Tells every connection to end after its last answer.
    pub(super) fn retire_all(&self) {
        self.rows().connections.iter().for_each(|(_, connection)| connection.order(Order::Retire));
    }

    /// Waits until there is no connection.
    pub(super) async fn emptied(&self) {
        loop {
            let left = self.left();
            if self.len() == 0 {
                return;
            }
            // Lingering ones are looked at by the sweep.
            left.await;
        }
    }
}

#[cfg(test)]
impl Table {
    /// The connection, where there is one.
    pub(super) fn only(&self) -> Arc<Connection> {
        let rows = self.rows();
        assert_eq!(rows.connections.len(), 1);
        rows.connections.iter().next().expect("one").1.clone()
    }

    pub(super) fn lingering(&self) -> usize {
        self.rows().lingering.len()
    }
}

impl Rows {
    /// Ends a connection that has long been silent; false where there is none.
    fn make_room(&mut self, now: Duration) -> bool {
        if self.spare.is_empty() && self.spare_at != Some(now) {
            // Once a tick: all of them are looked at.
            self.spare_at = Some(now);
            self.spare = self.spare(now, SPARE, SOUGHT);
            self.spare.reverse();
        }
        while let Some(connection) = self.spare.pop() {
            if connection.silence(now).is_some_and(|silence| silence >= SPARE) {
                end_all(&[connection]);
                return true;
            }
        }
        false
    }

    /// Connections that have been silent for so long, the longest silent first.
    fn spare(&self, now: Duration, at_least: Duration, count: usize) -> Vec<Arc<Connection>> {
        let silent = |connection: &Arc<Connection>| {
            let silence = connection.silence(now).filter(|silence| *silence >= at_least)?;
            Some((silence, connection.clone()))
        };
        let mut spare: Vec<_> = self.connections.iter().filter_map(|(_, connection)| silent(connection)).collect();
        // Silence is known by the tick: of those that fell silent within one, the newest may be about to ask.
        spare.sort_by_key(|(silence, connection)| (std::cmp::Reverse(*silence), connection.number()));
        spare.into_iter().take(count).map(|(_, connection)| connection).collect()
    }
}

fn end_all(connections: &[Arc<Connection>]) -> usize {
    connections.iter().for_each(|connection| connection.order(Order::Abort));
    count_ended(Reason::Room, connections.len());
    connections.len()
}

fn count_ended(reason: Reason, count: usize) {
    metrics::counter!("millrace_http_connections_ended_total", "reason" => reason.label()).increment(count as u64);
}

/// A connection's place in the table, until it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    table: Arc<Table>,
    connection: Arc<Connection>,
    place: usize,
    origin: Option<Origin>,
}

impl Slot {
    pub(super) const fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    pub(super) const fn table(&self) -> &Arc<Table> {
        &self.table
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let count = {
            let mut rows = self.table.rows();
            rows.connections.try_remove(self.place);
            if let Some(origin) = self.origin
                && let Some(count) = rows.by_origin.get_mut(&origin)
            {
                *count -= 1;
                if *count == 0 {
                    rows.by_origin.remove(&origin);
                }
            }
            rows.connections.len()
        };
        metrics::gauge!("millrace_http_connections").set(count as f64);
        self.table.left.notify_waiters();
    }
}
