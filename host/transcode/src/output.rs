//! Where a transcoder's own output goes: tracks of the same broadcast, kept apart from the source's by their provenance.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millrace_media::broadcast::TrackError;
use millrace_media::calendar::Group;
use millrace_media::name::NameError;
use millrace_media::track::{Info, Producer, Provenance, Track, WriteError};
use millrace_media::{Broadcast, Media, TrackName};

use crate::stats::Counters;

/// Why an output could not be made or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutputError {
    /// The name is not one a track can have.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The track could not be added.
    #[error(transparent)]
    Track(#[from] TrackError),
    /// The fragment was not taken.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// The output tracks of one transcoder. They outlive an instance that faults, and end when the transcoder does.
#[derive(Clone)]
pub struct Outputs(Arc<Shared>);

struct Shared {
    broadcast: Broadcast,
    provenance: Provenance,
    counters: Arc<Counters>,
    open: Mutex<HashMap<TrackName, Output>>,
}

impl Outputs {
    pub(crate) fn new(broadcast: Broadcast, provenance: Provenance, counters: Arc<Counters>) -> Self {
        Self(Arc::new(Shared { broadcast, provenance, counters, open: Mutex::default() }))
    }

    fn open_now(&self) -> MutexGuard<'_, HashMap<TrackName, Output>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The broadcast that the outputs are tracks of.
    pub(crate) fn broadcast(&self) -> &Broadcast {
        &self.0.broadcast
    }

    /// Opens an output track, or finds the one of this name that an earlier instance opened.
    ///
    /// # Errors
    /// Where the name is no track's name, or is taken: the error names the owner.
    pub fn open(&self, name: &str) -> Result<Output, OutputError> {
        let name = TrackName::new(name)?;
        let mut open = self.open_now();
        if let Some(output) = open.get(&name) {
            return Ok(output.clone());
        }
        let producer = self.0.broadcast.derive(name.clone(), self.0.provenance.clone())?;
        let output = Output {
            producer: Arc::new(Mutex::new(producer)),
            like_source: Arc::new(AtomicBool::new(false)),
            counters: self.0.counters.clone(),
        };
        open.insert(name, output.clone());
        Ok(output)
    }

    /// The outputs that are open.
    pub(crate) fn all(&self) -> Vec<Output> {
        self.open_now().values().cloned().collect()
    }

    /// Ends every output: readers read what is left.
    pub(crate) fn end(&self) {
        for (_, output) in self.open_now().drain() {
            output.end();
        }
    }
}

impl fmt::Debug for Outputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outputs").field("provenance", &self.0.provenance).finish_non_exhaustive()
    }
}

/// One output track. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Output {
    producer: Arc<Mutex<Producer>>,
    /// It carries what the source's track carries, so that the source's own fragments can stand in for the transcoder's.
    like_source: Arc<AtomicBool>,
    counters: Arc<Counters>,
}

impl Output {
    fn producer(&self) -> MutexGuard<'_, Producer> {
        self.producer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what the track is from the next fragment on. Nothing can be written before.
    pub fn describe(&self, info: Info) {
        self.like_source.store(false, Ordering::Relaxed);
        self.producer().set_info(info);
    }

    /// Says that the track is, from the next fragment on, what the source's track is.
    pub fn describe_like(&self, source: &Info) {
        self.like_source.store(true, Ordering::Relaxed);
        self.producer().set_info(source.clone());
    }

    /// True where the source's own fragments can stand in for the transcoder's.
    pub(crate) fn is_like_source(&self) -> bool {
        self.like_source.load(Ordering::Relaxed)
    }

    /// The track, to be read.
    pub(crate) fn track(&self) -> Track {
        self.producer().track().clone()
    }

    /// What the track is.
    pub fn info(&self) -> Option<Arc<Info>> {
        self.producer().track().info()
    }

    /// Writes a fragment that was derived from `group` of the source.
    ///
    /// # Errors
    /// Where nothing is known of the track, or the group or the decode time goes back.
    pub fn write(&self, group: Group, media: Media) -> Result<(), OutputError> {
        let fragment = self.producer().write_in(group, media).inspect_err(|_| self.counters.output_refused())?;
        self.counters.output(fragment.size());
        Ok(())
    }

    pub(crate) fn end(&self) {
        self.producer().end();
    }
}
