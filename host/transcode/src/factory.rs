//! What a transcoder factory is, native or a plugin: the runner knows no difference.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use millrace_media::calendar::Group;
use millrace_media::track::{Info, Kind};
use millrace_media::{BroadcastName, Fragment, TrackName};
use tokio::runtime::Handle;

use crate::encoder::Encoders;
use crate::ladder::Rendition;
use crate::output::Outputs;

/// For what a factory makes transcoders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One for each track of the source.
    PerTrack,
    /// One for each track of the source and each rendition of the ladder that applies to it.
    PerRendition,
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
    /// The publisher has returned, or describes its track anew.
    SourceReturned,
}

/// What a transcoder is given when it starts. The handles in it belong to the transcoder's key, not to the instance: one that follows
/// after a fault finds the outputs and encoders of the one before.
#[derive(Clone, Debug)]
pub struct Context {
    /// The broadcast.
    pub broadcast: BroadcastName,
    /// The source's track.
    pub track: TrackName,
    /// What the track is. Holds as long as the instance lives.
    pub info: Arc<Info>,
    /// The rendition to be made, of a factory that works per rendition.
    pub rendition: Option<Arc<Rendition>>,
    /// Why now.
    pub reason: Reason,
    /// Where its own output goes.
    pub outputs: Outputs,
    /// The native encoders it may use.
    pub encoders: Encoders,
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
}

/// What happens when a factory's transcoders fault again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Policy {
    /// The work goes on without it: encoders it opened are fed every fragment, tracks like the source's get the source's fragments.
    #[default]
    Bypass,
    /// What it made ends; the source goes on.
    Drop,
    /// The broadcast ends.
    Fail,
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

/// Decides, per track, whether to work on it, and makes a transcoder for it.
#[async_trait]
pub trait Factory: Send + Sync {
    /// Its name, unique among the factories of a runner.
    fn name(&self) -> &str;

    /// For what it makes transcoders.
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

    /// Makes a transcoder, or none where it declines the track.
    ///
    /// # Errors
    /// Where it fails at the start: counted, and tried again with the next group.
    async fn start(&self, context: Context) -> Result<Option<Box<dyn Transcoder>>, Fault>;
}

/// Works on one track, fragment by fragment.
#[async_trait]
pub trait Transcoder: Send {
    /// The next fragment in decode order. The first begins a group.
    ///
    /// # Errors
    /// Counted; see [`Fault`] for what follows.
    async fn fragment(&mut self, fragment: &Fragment) -> Result<(), Fault>;

    /// `skipped` fragments were missed; the next begins group `next`.
    ///
    /// # Errors
    /// As for a fragment.
    async fn gap(&mut self, _next: Group, _skipped: u64) -> Result<(), Fault> {
        Ok(())
    }

    /// The source has ended, or this instance's part in it. Encoders drain by themselves.
    ///
    /// # Errors
    /// Counted.
    async fn stop(&mut self) -> Result<(), Fault> {
        Ok(())
    }
}
