//! What is counted of requests. The counters of ordinary answers are looked up once: a request for a part takes microseconds, and a
//! look-up by labels would be a good part of them.

use metrics::Counter;

use super::delivery::What;

const REQUESTS: &str = "millrace_hls_requests_total";
const BYTES: &str = "millrace_hls_bytes_total";

/// The counters of one [`Hls`](super::Hls).
pub(super) struct Meters {
    /// Answers of status 200, by what was asked for.
    ok: [Counter; What::ALL.len()],
    bytes: [Counter; What::ALL.len()],
}

impl Meters {
    pub(super) fn new() -> Self {
        Self {
            ok: What::ALL.map(|what| request(what, 200)),
            bytes: What::ALL.map(|what| metrics::counter!(BYTES, "kind" => what.as_str())),
        }
    }

    /// Counts an answer.
    pub(super) fn answered(&self, what: What, status: u16) {
        match status {
            200 => self.ok[what as usize].increment(1),
            _ => request(what, status).increment(1),
        }
    }

    /// The bytes sent of what was asked for.
    pub(super) fn bytes(&self, what: What) -> &Counter {
        &self.bytes[what as usize]
    }
}

fn request(what: What, status: u16) -> Counter {
    metrics::counter!(REQUESTS, "kind" => what.as_str(), "status" => status.to_string())
}
