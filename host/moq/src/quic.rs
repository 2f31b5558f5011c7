//! What a connection may take.

use std::time::Duration;

use quinn::{IdleTimeout, TransportConfig, VarInt};

/// How often a connection says that it is there, at least: well within what routers and browsers take for silence.
const KEEP_ALIVE: Duration = Duration::from_secs(4);

/// What each connection may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once; one more is refused.
    pub max_connections: usize,
    /// How long the handshake and the session's set-up may take.
    pub setup_timeout: Duration,
    /// A connection that says nothing for so long is gone.
    pub idle_timeout: Duration,
    /// Streams that the client may have open at once, of each direction.
    pub max_streams: u32,
    /// Bytes that the client may send without their being read, over all its streams.
    pub receive_window: u32,
    /// The same for each stream.
    pub stream_receive_window: u32,
    /// Bytes that may be on their way to the client, or wait to be, over all its streams.
    pub send_window: u32,
    /// A stream that could not be written to for so long is given up: what the client has of its group stays, the rest is dropped.
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 1_000,
            setup_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            max_streams: 256,
            receive_window: 16 << 20,
            stream_receive_window: 4 << 20,
            send_window: 8 << 20,
            patience: Duration::from_secs(2),
        }
    }
}

impl Limits {
    pub(crate) fn transport(&self) -> TransportConfig {
        let mut config = TransportConfig::default();
        let streams = VarInt::from_u32(self.max_streams);
        config
            .max_concurrent_uni_streams(streams)
            .max_concurrent_bidi_streams(streams)
            .receive_window(VarInt::from_u32(self.receive_window))
            .stream_receive_window(VarInt::from_u32(self.stream_receive_window))
            .send_window(self.send_window.into())
            // A packet or two may be lost before silence is taken for the end.
            .keep_alive_interval(Some(KEEP_ALIVE.min(self.idle_timeout / 3)))
            // Longer than a variable-length integer holds is for ever.
            .max_idle_timeout(IdleTimeout::try_from(self.idle_timeout).ok());
        config
    }
}
