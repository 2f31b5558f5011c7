//! A loaded plugin as a transcoder factory of the runner.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use millrace_media::BroadcastName;
use millrace_media::track::Kind;
use millrace_transcode::factory::{Breaker, Context, Factory, Fault, Scope, Transcoder};
use tokio::runtime::Handle;

use crate::load::Loaded;
use crate::settings::BroadcastFilter;
use crate::transcoder::PluginTranscoder;

/// What a plugin says it is. Checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// What it does, in one line. Empty where it does not say.
    pub summary: String,
    /// The kinds of track it wants to be asked about: at least one.
    pub kinds: Vec<Kind>,
    /// What it makes transcoders for.
    pub scope: Scope,
}

/// A loaded plugin. Makes an instance for every transcoder.
pub struct PluginFactory {
    pub(crate) plugin: Arc<Loaded>,
    pub(crate) descriptor: Descriptor,
    pub(crate) broadcasts: BroadcastFilter,
    pub(crate) breaker: Breaker,
}

impl PluginFactory {
    /// What the plugin says it is.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }
}

#[async_trait]
impl Factory for PluginFactory {
    fn name(&self) -> &str {
        &self.plugin.name
    }

    fn scope(&self) -> Scope {
        self.descriptor.scope
    }

    fn kinds(&self) -> &[Kind] {
        &self.descriptor.kinds
    }

    fn wants(&self, broadcast: &BroadcastName) -> bool {
        (self.broadcasts)(broadcast)
    }

    fn breaker(&self) -> Breaker {
        self.breaker
    }

    /// The plugins' own, so that no fragment has to change threads.
    fn threads(&self) -> Option<&Handle> {
        Some(self.plugin.engine.threads.handle())
    }

    async fn start(&self, context: Context) -> Result<Box<dyn Transcoder>, Fault> {
        Ok(Box::new(PluginTranscoder::start(&self.plugin, context).await?))
    }
}

impl fmt::Debug for PluginFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PluginFactory")
            .field("name", &self.plugin.name)
            .field("descriptor", &self.descriptor)
            .field("breaker", &self.breaker)
            .finish_non_exhaustive()
    }
}
