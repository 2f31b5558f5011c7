//! How much work a source's sound may ask for.
//!
//! A packet of a byte or two may be 120 ms of sound (RFC 6716, 3.1), and a hole in the times of packets is filled with up to a second
//! of silence: what is decoded and encoded is bounded by time that passes, not by what a publisher sends.

use std::sync::Arc;
use std::time::Instant;

use crate::decode::{Bucket, Decoders, Dropped, LastWork, Source, Watched};

/// Sound may come so many times as fast as it is heard, as it does where a publisher sends a file, or what it has kept.
const SPEED: u64 = 20;
/// Samples in a second; those of other rates count as if they were these.
const SAMPLE_RATE: u64 = 48_000;
/// What a packet costs at the least: what is damaged takes work as well.
const PACKET: u64 = 1_024;
/// What it costs to begin anew behind a jump in time, in samples.
const RESTART: u64 = SAMPLE_RATE;

/// The sentence for the operator where it asks for more.
pub(crate) const LIMIT: &str = "it comes more than 20 times as fast as it is heard";

/// What one encoder of sound may do.
pub(super) struct Effort {
    watched: Arc<Watched>,
    decoders: Arc<Decoders>,
    bucket: Bucket,
    last_work: LastWork,
}

impl Effort {
    pub(super) fn new(source: Source, decoders: Arc<Decoders>) -> Self {
        let bucket = Bucket::new(SPEED * SAMPLE_RATE, source.now());
        Self { watched: decoders.watch(source), decoders, bucket, last_work: LastWork::default() }
    }

    fn source(&self) -> &Source {
        &self.watched.source
    }

    /// Why a packet may not be decoded, where it may not: it is counted.
    pub(super) fn refuses(&mut self) -> Option<Dropped> {
        let (now, gone) = (self.source().now(), self.source().is_gone());
        let ended = self.last_work.left(gone).is_zero() || self.decoders.is_stopped(now);
        let limited = !self.bucket.take(0, now);
        let dropped = if ended { Some(Dropped::Ended) } else { limited.then_some(Dropped::Limited) };
        dropped.inspect(|reason| self.watched.tally.add(*reason))
    }

    /// A packet was so many samples of sound and silence together, and took the time since `began`.
    pub(super) fn spend(&mut self, samples: usize, restarted: bool, began: Instant) {
        let samples = (samples as u64).max(PACKET) + if restarted { RESTART } else { 0 };
        let (now, gone) = (self.source().now(), self.source().is_gone());
        self.bucket.take(samples, now);
        self.last_work.spend(gone, began.elapsed());
    }
}
