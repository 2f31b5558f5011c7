//! What one plugin reaches beyond its own media: its grants, and what stands behind them.

use std::sync::Arc;
use std::time::Duration;

use crate::bindings::millrace::plugin::types::Error;
use crate::engine::Shared;
use crate::grants::{Denials, Grant, Grants};
use crate::http::PluginHttp;
use crate::inbox::Inboxes;
use crate::load::LoadFault;
use crate::store::Store;

/// See the [module](self). All instances of the plugin share it.
#[derive(Debug)]
pub(crate) struct Reach {
    pub(crate) grants: Arc<Grants>,
    pub(crate) denials: Arc<Denials>,
    /// None where no host is granted.
    pub(crate) http: Option<PluginHttp>,
    /// None where no store is granted.
    pub(crate) store: Option<Store>,
    /// Of its instances that can be called between their other calls.
    pub(crate) inboxes: Inboxes,
}

impl Reach {
    /// Opens what is granted. Blocks: a store is read, and certificates are.
    pub(crate) fn open(shared: &Shared, plugin: &str, grants: Grants, http_time: Duration) -> Result<Self, LoadFault> {
        let grants = Arc::new(grants);
        let denials = Arc::new(Denials::new(plugin));
        let store = grants.store.map(|quota| shared.stores.open(plugin, quota)).transpose()?;
        let http = if grants.has(Grant::Http) {
            Some(PluginHttp::new(shared.http()?, grants.clone(), denials.clone(), http_time))
        } else {
            None
        };
        Ok(Self { grants, denials, http, store, inboxes: Inboxes::default() })
    }

    /// Passes where a grant is given.
    ///
    /// # Errors
    /// As the plugin is told: denied. It is counted.
    pub(crate) fn check(&self, grant: Grant) -> Result<(), Error> {
        self.denials.check(&self.grants, grant).map_err(Error::Denied)
    }
}
