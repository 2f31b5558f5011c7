//! `[moq]`: Media over QUIC, in and out.

mod relay;

use std::net::SocketAddr;
use std::time::Duration;

pub use relay::{Jwt, Relay, RelayTrust, RelayUrl};

use super::http::{self, Tls};
use super::section::Section;
use super::unit::ByteSize;

/// Media over QUIC, in and out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moq {
    /// Whether it is spoken at all.
    pub enabled: bool,
    /// UDP addresses to listen on. None: the addresses and ports of `[http]`.
    pub listen: Option<Vec<SocketAddr>>,
    /// The certificate. None: that of `[http]`, or one made at the start.
    pub tls: Option<Tls>,
    /// Connections at once.
    pub max_connections: usize,
    /// How long a handshake and a session's set-up may take.
    pub setup_timeout: Duration,
    /// A connection that says nothing for so long is gone.
    pub idle_timeout: Duration,
    /// A stream that takes no byte for so long is given up.
    pub patience: Duration,
    /// Streams that a client may have open at once, of each direction.
    pub max_streams: u32,
    /// What a client may send before it is read, over all its streams.
    pub receive_window: ByteSize,
    /// What may be on its way to a client, or wait to be, over all its streams.
    pub send_window: ByteSize,
    /// Subscriptions and fetches that a session may have at once.
    pub max_subscriptions: usize,
    /// Broadcasts that a session may publish at once.
    pub max_broadcasts: usize,
    /// The longest catalog that a publisher may send.
    pub max_catalog: ByteSize,
    /// Relays that broadcasts are announced to.
    pub relays: Vec<Relay>,
}

impl Default for Moq {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: None,
            tls: None,
            max_connections: 1_000,
            setup_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            patience: Duration::from_secs(2),
            max_streams: 256,
            receive_window: ByteSize::mib(16),
            send_window: ByteSize::mib(8),
            max_subscriptions: 100,
            max_broadcasts: 16,
            max_catalog: ByteSize::mib(1),
            relays: Vec::new(),
        }
    }
}

impl Moq {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        let seconds = Duration::from_secs;
        let mib = ByteSize::mib;
        Self {
            enabled: section.value("enabled", default.enabled),
            listen: http::listeners(section),
            tls: section.optional_table("tls", Tls::read),
            max_connections: section.within("max_connections", default.max_connections, 1..=1_000_000),
            setup_timeout: section.within("setup_timeout", default.setup_timeout, seconds(1)..=seconds(60)),
            idle_timeout: section.within("idle_timeout", default.idle_timeout, seconds(5)..=seconds(600)),
            patience: section.within("patience", default.patience, Duration::from_millis(100)..=seconds(60)),
            max_streams: section.within("max_streams", default.max_streams, 8..=65_536),
            receive_window: section.within("receive_window", default.receive_window, mib(1)..=mib(1024)),
            send_window: section.within("send_window", default.send_window, mib(1)..=mib(1024)),
            // The library lets no session have more than 128 requests.
            max_subscriptions: section.within("max_subscriptions", default.max_subscriptions, 1..=127),
            max_broadcasts: section.within("max_broadcasts", default.max_broadcasts, 1..=10_000),
            max_catalog: section.within("max_catalog", default.max_catalog, ByteSize::new(1024)..=mib(16)),
            relays: Relay::read_all(section),
        }
    }
}
