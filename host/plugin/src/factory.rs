//! The transcoder hook of a plugin, as a factory of the runner.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use millrace_media::BroadcastName;
use millrace_media::track::Kind;
use millrace_transcode::factory::{Breaker, Context, Factory, Fault, Scope, Transcoder};
use tokio::runtime::Handle;

use crate::imports::Wishes;
use crate::load::Loaded;
use crate::settings::BroadcastFilter;
use crate::transcoder::PluginTranscoder;

/// The transcoder hook of a loaded plugin. Makes an instance for every transcoder.
pub struct PluginFactory {
    pub(crate) plugin: Arc<Loaded>,
    /// At least one kind, in their order.
    pub(crate) wishes: Wishes,
    pub(crate) broadcasts: BroadcastFilter,
    pub(crate) breaker: Breaker,
}

#[async_trait]
impl Factory for PluginFactory {
    fn name(&self) -> &str {
        &self.plugin.name
    }

    fn scope(&self) -> Scope {
        self.wishes.scope
    }

    fn kinds(&self) -> &[Kind] {
        &self.wishes.kinds
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
            .field("wishes", &self.wishes)
            .field("breaker", &self.breaker)
            .finish_non_exhaustive()
    }
}
