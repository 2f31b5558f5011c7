//! What a transcoder factory is, native or a plugin: the runner knows no difference.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{self, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use millrace_media::calendar::Group;
use millrace_media::track::{Info, Kind, Track};
use millrace_media::{BroadcastName, Fragment, broadcast};
use tokio::runtime::Handle;

use crate::encoder::Encoders;
use crate::ladder::Rendition;
use crate::output::Outputs;

/// What a factory makes transcoders for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Scope {
    /// Each track of a source.
    #[default]
    Track,
    /// Each track of a source and each rendition of the ladder that applies to it.
    Rendition,
    /// Each broadcast, with all its tracks.
    Broadcast,
}

/// Why a transcoder is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// For the first time.
    Fresh,
    /// The one before it was lost to a fault.
    AfterFault,
    /// A new version of the factory has taken over.
    Reloaded,
}

/// A value that outlives a transcoder's instances. Cheap to clone: clones share the value.
#[derive(Clone, Debug, Default)]
pub struct Slot(Arc<Mutex<Option<Bytes>>>);

impl Slot {
    /// Saves a value in place of the one before.
    pub fn save(&self, value: Bytes) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
    }

    /// The value that was saved last.
    pub fn load(&self) -> Option<Bytes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What a transcoder is given when it starts. The handles in it belong to the transcoder's key, not to the instance: one that follows
/// after a fault finds the outputs, encoders and state of the one before.
#[derive(Clone, Debug)]
pub struct Context {
    /// The broadcast.
    pub broadcast: BroadcastName,
    /// The source's track, of a factory that works per track or rendition.
    pub track: Option<Track>,
    /// The rendition to be made, of a factory that works per rendition.
    pub rendition: Option<Arc<Rendition>>,
    /// The ladder that applies to the broadcast.
    pub renditions: Vec<Arc<Rendition>>,
    /// Why now.
    pub reason: Reason,
    /// Where its own output goes.
    pub outputs: Outputs,
    /// The native encoders it may use.
    pub encoders: Encoders,
    /// Kept for this transcoder.
    pub state: Slot,
    /// Lives as long as the transcoder, over all its instances.
    pub life: Arc<()>,
    /// Whether the broadcast lives.
    pub broadcast_life: broadcast::Weak,
}

/// A track of the source, as it is from [`Transcoder::track`] to [`Transcoder::track_end`].
#[derive(Clone, Debug)]
pub struct SourceTrack {
    /// Tells it from the other tracks of a transcoder, and from what the same track was before it changed.
    pub id: u32,
    /// The track.
    pub track: Track,
    /// What it is.
    pub info: Arc<Info>,
}

/// Whether a transcoder works on a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Its fragments follow.
    Accept,
    /// Its fragments are not given.
    Decline,
}

/// What became of a fragment that a transcoder was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It was worked on.
    Whole,
    /// It was skipped, because the factory's transcoders use more than their share of the processor.
    Skipped,
}

/// Why fragments are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The transcoder was too slow.
    Behind,
    /// The factory's transcoders used more than their share of the processor.
    Limit,
    /// Of a filter: the policy decided them.
    Fault,
    /// Of a filter: one before it has discarded them, or what they depend on was discarded.
    Filter,
    /// Of a filter: the source lost them.
    Source,
}

impl Cause {
    /// The word for it in the plugin contract.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Behind => "behind",
            Self::Limit => "limit",
            Self::Fault => "fault",
            Self::Filter => "filter",
            Self::Source => "source",
        }
    }
}

/// Fragments that are missing. The next one starts a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The [`SourceTrack::id`] they belong to.
    pub track: u32,
    /// How many.
    pub skipped: u64,
    /// The group that the next fragment starts.
    pub next: Group,
    /// Why.
    pub cause: Cause,
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

impl TrackEnd {
    /// The word for it in the plugin contract.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Changed => "changed",
            Self::PublisherLost => "publisher-lost",
        }
    }
}

/// Why a transcoder stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// What it was made for has ended.
    Ended,
    /// Its rendition or ladder was removed.
    Removed,
    /// The server stops.
    Shutdown,
}

impl Stop {
    /// The word for it in the plugin contract.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Removed => "removed",
            Self::Shutdown => "shutdown",
        }
    }
}

/// Something went wrong in a transcoder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It returned an error. It is still there, and the next fragment follows.
    #[error("returned an error: {0}")]
    Returned(String),
    /// It is lost: it trapped, ran for too long, or went over a limit. Another takes its place.
    #[error("was lost: {0}")]
    Lost(String),
    /// There is no room for it now, through no fault of its own. It is tried again with the next group, and the breaker does not count it.
    #[error("has no room: {0}")]
    NoRoom(String),
}

/// What happens when a factory's transcoders fault again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Policy {
    /// The work goes on without it. Its encoders get every fragment, and outputs that are described like a track of the source get that
    /// track's fragments. Where the source changes, such an output is described like it anew. Encoders keep their settings: frames of
    /// another size are scaled to the encoder's size, and are distorted where their shape differs. A transcoder that went over its output
    /// limits is excepted: its encoders and outputs get nothing.
    #[default]
    Bypass,
    /// What it made ends; the source goes on.
    Drop,
    /// The broadcast ends.
    Fail,
}

impl Policy {
    /// The word for it in configurations, the API and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Drop => "drop",
            Self::Fail => "fail",
        }
    }
}

/// When the breaker opens, and what then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// So many faults of one transcoder within the window open it: errors returned, instances lost, failed starts.
    pub max_faults: u32,
    /// The window.
    pub window: Duration,
    /// What happens then.
    pub policy: Policy,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { max_faults: 5, window: Duration::from_secs(60), policy: Policy::default() }
    }
}

/// Makes transcoders.
#[async_trait]
pub trait Factory: Send + Sync {
    /// Its name, unique among the factories of a runner.
    fn name(&self) -> &str;

    /// What it makes transcoders for.
    fn scope(&self) -> Scope;

    /// The kinds of track it wants to be asked about.
    fn kinds(&self) -> &[Kind];

    /// True of a broadcast it wants to be asked about.
    fn wants(&self, _broadcast: &BroadcastName) -> bool {
        true
    }

    /// When its breaker opens.
    fn breaker(&self) -> Breaker {
        Breaker::default()
    }

    /// The threads that its transcoders are driven from; none for the runner's own.
    fn threads(&self) -> Option<&Handle> {
        None
    }

    /// Makes a transcoder, before it is told of any track.
    ///
    /// # Errors
    /// Where it fails at the start: counted, and tried again with the next group; [`Fault::NoRoom`] where no other transcoder fits now.
    async fn start(&self, context: Context) -> Result<Box<dyn Transcoder>, Fault>;
}

/// Works on one track, or on all of a broadcast, fragment by fragment.
#[async_trait]
pub trait Transcoder: Send {
    /// A track, before its first fragment. A transcoder for one track that declines it ends without [`Transcoder::stop`]; another is made
    /// should the track change.
    ///
    /// # Errors
    /// Counted, and tried again with the track's next group.
    async fn track(&mut self, track: &SourceTrack) -> Result<Decision, Fault>;

    /// The next fragment of the track with this [id](SourceTrack::id), in decode order. The first starts a group.
    ///
    /// # Errors
    /// Counted; see [`Fault`] for what follows.
    async fn fragment(&mut self, track: u32, fragment: &Fragment) -> Result<Taken, Fault>;

    /// Fragments are missing.
    ///
    /// # Errors
    /// As for a fragment.
    async fn gap(&mut self, _gap: Gap) -> Result<(), Fault> {
        Ok(())
    }

    /// A track is over.
    ///
    /// # Errors
    /// As for a fragment.
    async fn track_end(&mut self, _track: u32, _why: TrackEnd) -> Result<(), Fault> {
        Ok(())
    }

    /// Ready once the transcoder is to be called for something else than media: a time it has asked for, a message. Then
    /// [`attend`](Self::attend) is called, between the other calls, also while the publisher is away. It is asked again and again, and wakes
    /// whoever asked last.
    fn poll_called(&mut self, _context: &mut task::Context<'_>) -> Poll<()> {
        Poll::Pending
    }

    /// Does one of the things that it is to be called for. Nothing where there is none.
    ///
    /// # Errors
    /// As for a fragment.
    async fn attend(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    /// It is over. Encoders drain by themselves.
    ///
    /// # Errors
    /// Counted.
    async fn stop(&mut self, _why: Stop) -> Result<(), Fault> {
        Ok(())
    }
}
