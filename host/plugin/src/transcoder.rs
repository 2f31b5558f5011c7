//! A plugin's instance as a transcoder of the runner.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Instant;

use async_trait::async_trait;
use metrics::Gauge;
use millrace_media::Fragment;
use millrace_transcode::factory::{
    Cause, Context, Decision, Fault, Gap, SourceTrack, Stop, Taken, TrackEnd, Transcoder,
};
use tokio::task::JoinError;

use crate::hook::Purpose;
use crate::inbox::Calls;
use crate::instance::Instance;
use crate::load::Loaded;

/// One instance at work.
pub(crate) struct PluginTranscoder {
    plugin: Arc<Loaded>,
    /// Out while it is called. A call that is given up midway leaves nothing here: such an instance cannot be called again.
    instance: Option<Box<Instance>>,
    /// What the instance is to be called for between its other calls.
    calls: Option<Calls>,
    /// Fragments that were skipped since the last one was given, by track.
    skipped: HashMap<u32, u64>,
    instances: Gauge,
}

/// Runs a call on the plugins' threads and keeps the instance if it survives.
macro_rules! call {
    ($self:ident, $instance:ident => $call:expr) => {{
        let Some(mut $instance) = $self.instance.take() else { return Err(Fault::Lost("it has ended".into())) };
        let work = async move {
            let done = $call.await;
            ($instance, done)
        };
        let (instance, done) = $self.plugin.engine.threads.run(work).await.map_err(|error| unfinished(&error))?;
        if !matches!(done, Err(Fault::Lost(_))) {
            $self.instance = Some(instance);
        }
        done
    }};
}

impl PluginTranscoder {
    /// Starts an instance.
    pub(crate) async fn start(plugin: &Arc<Loaded>, context: Context) -> Result<Self, Fault> {
        let work = {
            let plugin = plugin.clone();
            async move {
                let mut instance = Box::new(Instance::new(&plugin, Purpose::Transcode(Box::new(context))).await?);
                instance.start().await?;
                Ok::<_, Fault>(instance)
            }
        };
        let instance = plugin.engine.threads.run(work).await.map_err(|error| unfinished(&error))??;
        let instances = plugin.metrics.instances.clone();
        instances.increment(1.0);
        let calls = instance.calls();
        Ok(Self { plugin: plugin.clone(), instance: Some(instance), calls, skipped: HashMap::new(), instances })
    }

    /// Whether the fragment is to be skipped: the plugin uses more than its share, or did and no group has begun since.
    fn is_skipped(&mut self, track: u32, fragment: &Fragment) -> bool {
        let skipping = !self.skipped.is_empty() && self.skipped.contains_key(&track) && !fragment.starts_group();
        let skip = skipping || self.plugin.share.is_over(Instant::now());
        if skip {
            *self.skipped.entry(track).or_default() += 1;
        }
        skip
    }
}

#[async_trait]
impl Transcoder for PluginTranscoder {
    async fn track(&mut self, track: &SourceTrack) -> Result<Decision, Fault> {
        let track = track.clone();
        call!(self, instance => instance.track(&track))
    }

    async fn fragment(&mut self, track: u32, fragment: &Fragment) -> Result<Taken, Fault> {
        if self.is_skipped(track, fragment) {
            return Ok(Taken::Skipped);
        }
        let mut told = Ok(());
        if !self.skipped.is_empty()
            && let Some(skipped) = self.skipped.remove(&track)
        {
            let gap = Gap { track, skipped, next: fragment.place().group, cause: Cause::Limit };
            told = call!(self, instance => instance.gap(gap));
            if matches!(told, Err(Fault::Lost(_))) {
                return told.map(|()| Taken::Whole);
            }
        }
        let fragment = fragment.clone();
        // The group's first fragment is given all the same after an error that was returned.
        call!(self, instance => instance.fragment(track, &fragment)).and(told).map(|()| Taken::Whole)
    }

    async fn gap(&mut self, gap: Gap) -> Result<(), Fault> {
        // One that follows what was skipped is told as one.
        let skipped = self.skipped.remove(&gap.track).unwrap_or_default();
        let gap = Gap { skipped: gap.skipped.saturating_add(skipped), ..gap };
        call!(self, instance => instance.gap(gap))
    }

    async fn track_end(&mut self, track: u32, why: TrackEnd) -> Result<(), Fault> {
        self.skipped.remove(&track);
        call!(self, instance => instance.track_end(track, why))
    }

    fn poll_called(&mut self, context: &mut task::Context<'_>) -> Poll<()> {
        match &mut self.calls {
            Some(calls) => calls.poll_ready(context),
            None => Poll::Pending,
        }
    }

    async fn attend(&mut self) -> Result<(), Fault> {
        let Some(call) = self.calls.as_mut().and_then(Calls::take) else { return Ok(()) };
        call!(self, instance => instance.attend(call))
    }

    async fn stop(&mut self, why: Stop) -> Result<(), Fault> {
        call!(self, instance => instance.stop(why))
    }
}

impl Drop for PluginTranscoder {
    fn drop(&mut self) {
        self.instances.decrement(1.0);
    }
}

fn unfinished(error: &JoinError) -> Fault {
    Fault::Lost(if error.is_panic() {
        "the host panicked in it".into()
    } else {
        "the plugins' threads have ended".into()
    })
}
