//! What a decoder decodes, and whether anybody publishes it.

use std::sync::Arc;
use std::time::Duration;

use millrace_media::clock::Clock;
use millrace_media::track::Track;
use millrace_media::{Broadcast, broadcast};

/// A track of a source.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) broadcast: Broadcast,
    pub(crate) track: Track,
    /// The bus's.
    pub(crate) clock: Arc<Clock>,
}

impl Source {
    /// True where its publisher has gone, for good or not: what is left of it is worth a second's work and no more.
    pub(crate) fn is_gone(&self) -> bool {
        self.track.is_ended() || self.broadcast.state() != broadcast::State::Live
    }

    /// On the bus's monotonic clock.
    pub(crate) fn now(&self) -> Duration {
        self.clock.now().monotonic
    }
}
