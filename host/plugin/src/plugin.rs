//! A loaded plugin, and its hooks.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millrace_transcode::factory::Breaker;

use crate::access::PluginAuthorizer;
use crate::factory::PluginFactory;
use crate::filter::FilterPlugin;
use crate::grants::{Denial, Grants};
use crate::hook::{Hook, Hooks};
use crate::imports::Described;
use crate::load::Loaded;
use crate::settings::{BroadcastFilter, Limits, PluginSettings};

/// A plugin that is compiled, linked and has described itself.
pub struct Plugin {
    pub(crate) loaded: Arc<Loaded>,
    described: Described,
    path: PathBuf,
    pub(crate) broadcasts: BroadcastFilter,
    pub(crate) breaker: Breaker,
}

impl Plugin {
    pub(crate) fn new(loaded: Arc<Loaded>, mut described: Described, settings: &PluginSettings) -> Self {
        described.transcoder.kinds.sort();
        described.filter.kinds.sort();
        let path = settings.path.clone();
        Self { loaded, described, path, broadcasts: settings.broadcasts.clone(), breaker: settings.breaker }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.loaded.name
    }

    /// What it says it does, in one line. Empty where it does not say.
    pub fn summary(&self) -> &str {
        &self.described.summary
    }

    /// The component's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What each of its instances may take.
    pub fn limits(&self) -> &Limits {
        &self.loaded.limits
    }

    /// What it may reach beyond its own media.
    pub fn grants(&self) -> &Grants {
        &self.loaded.reach.grants
    }

    /// What it has asked for without having the grant.
    pub fn denials(&self) -> Vec<Denial> {
        self.loaded.reach.denials.list()
    }

    /// What it exports.
    pub fn hooks(&self) -> &Hooks {
        &self.loaded.hooks
    }

    /// Its access hook, where it has one. There is one instance of each that is made.
    pub fn access(&self) -> Option<Arc<PluginAuthorizer>> {
        let has = self.hooks().has(Hook::Access);
        has.then(|| Arc::new(PluginAuthorizer::new(self.loaded.clone(), self.broadcasts.clone())))
    }

    /// Its transcoder hook, where it has one.
    pub fn transcoder(&self) -> Option<Arc<PluginFactory>> {
        self.hooks().has(Hook::Transcoder).then(|| {
            Arc::new(PluginFactory {
                plugin: self.loaded.clone(),
                wishes: self.described.transcoder.clone(),
                broadcasts: self.broadcasts.clone(),
                breaker: self.breaker,
            })
        })
    }
}

impl Plugin {
    /// Its filter hook, where it has one.
    pub(crate) fn filter(&self) -> Option<FilterPlugin> {
        self.hooks().has(Hook::Filter).then(|| FilterPlugin {
            loaded: self.loaded.clone(),
            wishes: self.described.filter.clone(),
            broadcasts: self.broadcasts.clone(),
            breaker: self.breaker,
        })
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin")
            .field("name", &self.name())
            .field("hooks", self.hooks())
            .field("described", &self.described)
            .field("breaker", &self.breaker)
            .finish_non_exhaustive()
    }
}
