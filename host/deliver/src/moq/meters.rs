//! What is counted of what is played over MoQ, by the stack that speaks. The counters are looked up once.

use metrics::{Counter, Gauge};

const SUBSCRIPTIONS: &str = "millrace_moq_subscriptions_total";
const REFUSED: &str = "millrace_moq_refused_total";
const ACTIVE: &str = "millrace_moq_subscriptions";
const OBJECTS: &str = "millrace_moq_objects_total";
const BYTES: &str = "millrace_moq_bytes_total";

/// The counters of one stack.
pub(super) struct Meters {
    /// Tracks that were begun to be served.
    subscriptions: Counter,
    /// Requests for what is not there, or for more than there may be.
    refused: Counter,
    /// Tracks that are being served.
    active: Gauge,
    /// Objects and bytes given to the stack. `moq-net` is given a track once for all its sessions.
    objects: Counter,
    bytes: Counter,
}

/// A track that is being served, until it is dropped.
pub(super) struct Active(Gauge);

impl Meters {
    pub(super) fn new(stack: &'static str) -> Self {
        Self {
            subscriptions: metrics::counter!(SUBSCRIPTIONS, "stack" => stack),
            refused: metrics::counter!(REFUSED, "stack" => stack),
            active: metrics::gauge!(ACTIVE, "stack" => stack),
            objects: metrics::counter!(OBJECTS, "stack" => stack),
            bytes: metrics::counter!(BYTES, "stack" => stack),
        }
    }

    /// Counts a track that begins to be served.
    pub(super) fn began(&self) -> Active {
        self.subscriptions.increment(1);
        self.active.increment(1.0);
        Active(self.active.clone())
    }

    /// Counts a request that was refused.
    pub(super) fn refused(&self) {
        self.refused.increment(1);
    }

    /// Counts an object of so many bytes.
    pub(super) fn object(&self, bytes: u64) {
        self.objects.increment(1);
        self.bytes.increment(bytes);
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}
