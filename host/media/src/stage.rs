//! What stands between publishers and the bus: a stage that may discard and replace fragments before anybody else sees them.
//!
//! A bus is made [with a stage](crate::Bus::with_stage). When a broadcast is published for the first time, the stage is asked for a
//! [`Chain`]. Without one, publishers write straight to the tracks. With one, a [`Writer`] puts everything into one bounded queue for the
//! broadcast, in the order of arrival over all tracks, and never waits; one task takes it out, asks the chain, and writes to the tracks.
//! The chain lives as long as the broadcast, also while its publisher is away.
//!
//! **Order.** Ends of groups and tracks travel in the same queue. A publisher that creates a track, finishes or goes waits until the queue
//! is empty, so that the calendar and the names of tracks are up to date for what it does next. That wait is bounded: see
//! [`SETTLE`](gate::SETTLE).
//!
//! **Overload.** A queue that is too long, too large or too old is decided by the [policy](Chain::decide) of the chain, without calling
//! anybody: memory is bounded and latency recovers.
//!
//! **Groups.** A group never has a hole. Where video that others depend on is discarded, the rest of its group is discarded too, up to the
//! next keyframe. To readers of the track this looks like a source that has lost these fragments.

mod gate;
mod lane;
#[cfg(test)]
mod tests;
mod work;
mod writer;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::runtime::Handle;

use crate::broadcast::Broadcast;
use crate::fragment::{Fragment, Media};
use crate::track::{Info, Track, WriteError};

pub(crate) use gate::Gate;
pub use gate::Load;
pub(crate) use work::Work;
pub use writer::Writer;

/// Makes the chains of a bus. A chain must not keep its broadcast.
pub trait Stage: Send + Sync {
    /// The chain of a broadcast that is published for the first time; none where its publisher writes straight to the bus. Must not wait.
    fn chain(&self, broadcast: &Broadcast) -> Option<Box<dyn Chain>>;

    /// The threads that chains run on.
    fn threads(&self) -> &Handle;
}

/// What becomes of a fragment.
#[derive(Debug)]
pub enum Verdict {
    /// It goes on unchanged.
    Pass,
    /// This goes on in its place.
    Replace(Media),
    /// Nobody gets it.
    Discard,
    /// The broadcast ends.
    Fail,
}

/// Why fragments do not come to a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The source lost them, or the bus refused what they depend on.
    Source,
    /// What they depend on was discarded.
    Discarded,
}

/// Why a track is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackEnd {
    /// The source has ended it.
    Ended,
    /// The source describes it anew.
    Changed,
    /// Its publisher was away, and has returned.
    PublisherLost,
}

/// Decides what becomes of the fragments of one broadcast.
///
/// Its futures must not block their thread. Each may be dropped before it is done: then the queue is too long, or somebody cannot wait
/// any longer. The chain is used again all the same.
#[async_trait]
pub trait Chain: Send {
    /// A track, before its first fragment. `id` tells it from others of the broadcast, and from what the same track was before.
    fn track(&mut self, id: u32, track: &Track, info: &Arc<Info>);

    /// A track is over.
    fn track_end(&mut self, id: u32, why: TrackEnd);

    /// So many fragments of a track do not come.
    fn missing(&mut self, id: u32, fragments: u64, why: Missing);

    /// Does what the tracks that came and went, and nothing else, ask for.
    async fn settle(&mut self);

    /// Decides about the next fragment of a track, in decode order. It has the place that it gets if it is written.
    async fn fragment(&mut self, id: u32, fragment: &Fragment) -> Verdict;

    /// Decides about a fragment by the policy alone: the queue is too long. Where [`Chain::fragment`] was dropped, it is the same fragment.
    fn decide(&mut self, id: u32, fragment: &Fragment) -> Verdict;

    /// Does what comes of itself while no fragment does. Dropped when one comes. Need not end.
    async fn idle(&mut self) {
        std::future::pending().await
    }

    /// The broadcast has ended. Its tracks are [over](Self::track_end).
    async fn stop(&mut self);
}

/// What became of a fragment that was queued.
#[derive(Debug)]
pub enum Outcome<'a> {
    /// It was written, or another in its place.
    Written,
    /// It was discarded, or depends on one that was.
    Discarded,
    /// The track has refused it.
    Refused(&'a WriteError),
    /// It depends on one that was refused.
    AfterRefused,
}

/// Is told what became of queued fragments.
pub trait Report: Send + Sync {
    /// Of a fragment of so many bytes. Must not wait.
    fn settled(&self, bytes: u64, outcome: Outcome<'_>);
}
