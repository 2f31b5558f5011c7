//! A plugin's instance as a transcoder of the runner.

use std::sync::Arc;

use async_trait::async_trait;
use metrics::Gauge;
use millrace_media::Fragment;
use millrace_media::calendar::Group;
use millrace_transcode::factory::{Context, Fault, Transcoder};
use tokio::task::JoinError;

use crate::instance::Instance;
use crate::load::Loaded;

/// One instance at work.
pub(crate) struct PluginTranscoder {
    plugin: Arc<Loaded>,
    /// Out while it is called. A call that is given up midway leaves nothing here: such an instance cannot be called again.
    instance: Option<Box<Instance>>,
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
    /// Starts an instance; none where it declines.
    pub(crate) async fn start(plugin: &Arc<Loaded>, context: Context) -> Result<Option<Self>, Fault> {
        let work = {
            let plugin = plugin.clone();
            async move {
                let mut instance = Box::new(Instance::new(&plugin, Some(context)).await?);
                Ok::<_, Fault>(instance.start().await?.then_some(instance))
            }
        };
        let started = plugin.engine.threads.run(work).await.map_err(|error| unfinished(&error))??;
        Ok(started.map(|instance| {
            let instances = plugin.metrics.instances();
            instances.increment(1.0);
            Self { plugin: plugin.clone(), instance: Some(instance), instances }
        }))
    }
}

#[async_trait]
impl Transcoder for PluginTranscoder {
    async fn fragment(&mut self, fragment: &Fragment) -> Result<(), Fault> {
        let fragment = fragment.clone();
        call!(self, instance => instance.fragment(&fragment))
    }

    async fn gap(&mut self, next: Group, skipped: u64) -> Result<(), Fault> {
        call!(self, instance => instance.gap(next, skipped))
    }

    async fn stop(&mut self) -> Result<(), Fault> {
        call!(self, instance => instance.stop())
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
