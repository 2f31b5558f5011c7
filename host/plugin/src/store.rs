//! The stores of plugins (`interface store`): a few keys and values of each plugin's own, kept on disk.
//!
//! A store is small, so all of it is in memory: reading and writing are work and no waiting, whoever's path they are on. What was written is
//! put on disk by a thread, as a whole: into a new file, that takes the place of the one before. So the file is always one of the states
//! that the store was in, whenever the process or the machine fails. What was written last may be missing then: it is on disk after about
//! [`writer::PAUSE`], or after ten times what writing the file takes where that is longer. [`Stores::flush`] waits for it.
//!
//! The stores share a directory, in which each plugin has one of its own name: `data`, `lock`, and `damaged` where a file was found
//! that no server has written so.

mod entries;
mod file;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::HashMap;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use entries::{Entries, check_key};
use file::StoreFile;
use writer::Writer;

/// The most that may be granted to a store, in bytes: it is in memory, and written as a whole.
pub const MAX_STORE: u64 = 16 << 20;
/// How long the end of the server waits for the disk.
const LAST_MOMENTS: Duration = Duration::from_secs(5);

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another server has it.
    #[error("the store {} is in use by another server: each server needs a directory of its own (`plugin_host.store`)", .0.display())]
    InUse(PathBuf),
    /// The directory or a file.
    #[error("the store {} cannot be used: {reason}", path.display())]
    Io {
        /// The directory or the file.
        path: PathBuf,
        /// What is wrong.
        reason: io::Error,
    },
    /// The plugin's name is none of a directory.
    #[error("the plugin name {0:?} cannot be the name of a directory")]
    Name(String),
    /// There is no directory.
    #[error("there is no directory for stores: set `plugin_host.store`")]
    NoDirectory,
}

/// Why a plugin's wish was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// It cannot be done, ever.
    #[error("{0}")]
    Invalid(String),
    /// The store is full.
    #[error("{0}")]
    Full(String),
    /// The disk.
    #[error("the store cannot be written: {0}")]
    Disk(String),
}

/// The stores of all plugins.
#[derive(Debug)]
pub(crate) struct Stores {
    directory: Option<PathBuf>,
    /// Kept as long as this is: a plugin that is loaded again finds its own.
    open: Mutex<HashMap<String, Arc<Inner>>>,
    writer: Arc<Writer>,
}

/// The store of one plugin. Clones are the same store.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    inner: Arc<Inner>,
    writer: Arc<Writer>,
}

#[derive(Debug)]
struct Inner {
    file: StoreFile,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    entries: Entries,
    quota: u64,
    /// There is something that is not on disk.
    dirty: bool,
    /// It waits for the writer, or is being written.
    queued: bool,
    /// Why the last writing failed.
    failed: Option<String>,
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stores {
    /// Stores in a directory, which is made with the first of them.
    pub(crate) fn new(directory: Option<PathBuf>) -> Self {
        Self { directory, open: Mutex::default(), writer: Arc::default() }
    }

    /// Opens the store of a plugin, which may hold `quota` bytes. What it holds beyond that stays.
    ///
    /// # Errors
    /// Where the directory or the file cannot be used, or another server does.
    pub(crate) fn open(&self, plugin: &str, quota: u64) -> Result<Store, StoreError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let quota = quota.min(MAX_STORE);
        let inner = match open.get(plugin) {
            Some(inner) => {
                inner.state().quota = quota;
                inner.clone()
            }
            None => {
                let directory = self.directory.as_deref().ok_or(StoreError::NoDirectory)?;
                let (file, entries) = StoreFile::open(&of_plugin(directory, plugin)?)?;
                let state = State { entries, quota, dirty: false, queued: false, failed: None };
                let inner = Arc::new(Inner { file, state: Mutex::new(state) });
                open.insert(plugin.to_owned(), inner.clone());
                inner
            }
        };
        Ok(Store { inner, writer: self.writer.clone() })
    }

    /// Waits until all is on disk, and no longer than `within`. False where something is not. Blocks.
    pub(crate) fn flush(&self, within: Duration) -> bool {
        let stores: Vec<_> = {
            let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.values().cloned().collect()
        };
        self.writer.flush(within, || stores.iter().all(|store| !store.state().dirty))
    }
}

impl Drop for Stores {
    fn drop(&mut self) {
        if !self.flush(LAST_MOMENTS) {
            tracing::warn!("what plugins have stored last is not on disk");
        }
        self.writer.close(LAST_MOMENTS);
    }
}

/// The directory of one plugin.
fn of_plugin(directory: &Path, plugin: &str) -> Result<PathBuf, StoreError> {
    let mut components = Path::new(plugin).components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(name)), None) if name == plugin => Ok(directory.join(name)),
        _ => Err(StoreError::Name(plugin.to_owned())),
    }
}

impl Store {
    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Result<Option<Bytes>, Refused> {
        check_key(key)?;
        Ok(self.inner.state().entries.get(key))
    }

    /// Sets the value of a key.
    pub(crate) fn set(&self, key: &str, value: Vec<u8>) -> Result<(), Refused> {
        self.change(|entries, quota| entries.set(key, value.into(), quota))
    }

    /// Removes a key, if it is there.
    pub(crate) fn delete(&self, key: &str) -> Result<(), Refused> {
        check_key(key)?;
        self.change(|entries, _| Ok(entries.delete(key)))
    }

    /// The keys that begin so, in their order.
    pub(crate) fn keys(&self, prefix: &str) -> Vec<String> {
        self.inner.state().entries.keys(prefix)
    }

    /// Does something that says whether it has changed anything.
    fn change(&self, work: impl FnOnce(&mut Entries, u64) -> Result<bool, Refused>) -> Result<(), Refused> {
        let mut state = self.inner.state();
        if let Some(reason) = &state.failed {
            return Err(Refused::Disk(reason.clone()));
        }
        let quota = state.quota;
        if !work(&mut state.entries, quota)? {
            return Ok(());
        }
        state.dirty = true;
        if !std::mem::replace(&mut state.queued, true) {
            drop(state);
            if let Err(error) = self.writer.queue(&self.inner) {
                // The next change tries it again.
                self.inner.state().queued = false;
                return Err(Refused::Disk(error.to_string()));
            }
        }
        Ok(())
    }
}
