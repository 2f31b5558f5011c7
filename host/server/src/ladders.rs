//! The ladders of a running server: the configuration's, changed through the API.
//!
//! A change is checked, written to the overlay, and then made: what has been answered with success outlives a restart.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millrace_transcode::{LadderError, Runner};

use crate::config::{ChangeError, Config, Ladder, Overlay, Rendition};
use crate::settings;

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotChanged {
    /// It cannot be.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// It could not be kept.
    #[error("nothing is changed, because {} cannot be written: {error}; `overlay` of [api] names another place", file.display())]
    Unwritten {
        /// The overlay.
        file: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Ladders {
    configured: Vec<Ladder>,
    file: Option<PathBuf>,
    overlay: Mutex<Overlay>,
    runner: Arc<Runner>,
}

impl Ladders {
    /// The ladders that `runner` was started with: `overlay` over those of `config`.
    pub(crate) fn new(config: &Config, overlay: Overlay, runner: Arc<Runner>) -> Self {
        Self {
            configured: config.ladders.clone(),
            file: config.api.overlay.clone(),
            overlay: Mutex::new(overlay),
            runner,
        }
    }

    pub(crate) fn runner(&self) -> &Runner {
        &self.runner
    }

    /// Where changes are kept. None: they are gone with the server.
    pub(crate) fn file(&self) -> Option<&PathBuf> {
        self.file.as_ref()
    }

    /// All of them now, and what of it was changed.
    pub(crate) fn now(&self) -> (Vec<Ladder>, Overlay) {
        let overlay = self.overlay().clone();
        (overlay.apply(&self.configured), overlay)
    }

    /// Adds a ladder behind the others. Waits for the disk.
    pub(crate) fn add(&self, ladder: Ladder) -> Result<Ladder, NotChanged> {
        self.change(
            |overlay, configured| overlay.add_ladder(configured, ladder.clone()).map(|()| ladder.clone()),
            |runner| runner.add_ladder(settings::ladder(&ladder)),
        )
    }

    /// Removes a ladder, and gives what it was. Waits for the disk.
    pub(crate) fn remove(&self, name: &str) -> Result<Ladder, NotChanged> {
        self.change(|overlay, configured| overlay.remove_ladder(configured, name), |runner| runner.remove_ladder(name))
    }

    /// Adds a rendition to a ladder, and gives the ladder as it is then. Waits for the disk.
    pub(crate) fn add_rendition(&self, ladder: &str, rendition: &Rendition) -> Result<Ladder, NotChanged> {
        self.change(
            |overlay, configured| overlay.add_rendition(configured, ladder, rendition.clone()),
            |runner| runner.add_rendition(ladder, settings::rendition(rendition)),
        )
    }

    /// Removes a rendition of a ladder, and gives the ladder as it is then. Waits for the disk.
    pub(crate) fn remove_rendition(&self, ladder: &str, rendition: &str) -> Result<Ladder, NotChanged> {
        self.change(
            |overlay, configured| overlay.remove_rendition(configured, ladder, rendition),
            |runner| runner.remove_rendition(ladder, rendition),
        )
    }

    fn overlay(&self) -> MutexGuard<'_, Overlay> {
        self.overlay.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One at a time: the overlay is locked until the runner has followed.
    fn change(
        &self,
        change: impl FnOnce(&mut Overlay, &[Ladder]) -> Result<Ladder, ChangeError>,
        follow: impl FnOnce(&Runner) -> Result<(), LadderError>,
    ) -> Result<Ladder, NotChanged> {
        let mut overlay = self.overlay();
        let mut changed = overlay.clone();
        let ladder = change(&mut changed, &self.configured)?;
        if let Some(file) = &self.file {
            changed.save(file).map_err(|error| NotChanged::Unwritten { file: file.clone(), error })?;
        }
        *overlay = changed;
        if let Err(error) = follow(&self.runner) {
            // It has the same ladders, so that it has no reason to.
            tracing::error!(%error, "the runner has not followed a change of the ladders");
        }
        Ok(ladder)
    }
}
