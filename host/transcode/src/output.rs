//! Where a transcoder's own output goes: tracks of the same broadcast, kept apart from the source's by their provenance.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millrace_media::broadcast::TrackError;
use millrace_media::calendar::Group;
use millrace_media::name::NameError;
use millrace_media::track::{Info, InfoError, Listing, ListingError, Producer, Provenance, Track, WriteError};
use millrace_media::{Broadcast, Media, TrackName};

use crate::factory::SourceTrack;
use crate::ladder::{self, Rendition};
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
    /// Players cannot be told of the track so.
    #[error(transparent)]
    Listing(#[from] ListingError),
    /// The track's description cannot change so.
    #[error(transparent)]
    Info(#[from] InfoError),
    /// Something else of the same transcoder writes the track.
    #[error("the track {name} is written by {by}: {given} needs another name")]
    Written {
        /// The track.
        name: TrackName,
        /// Who writes it.
        by: Writer,
        /// Who cannot.
        given: Writer,
    },
    /// The transcoder has as many tracks as it may.
    #[error("the plugin has {0} output tracks on this instance already, as many as it may")]
    TooMany(usize),
}

/// Who writes an output track. A track has one writer from its beginning to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// The transcoder itself.
    Transcoder,
    /// A video encoder.
    VideoEncoder,
    /// An audio encoder.
    AudioEncoder,
}

impl fmt::Display for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Transcoder => "the transcoder itself",
            Self::VideoEncoder => "a video encoder",
            Self::AudioEncoder => "an audio encoder",
        })
    }
}

/// The output tracks of one transcoder. They outlive an instance that faults, and end when the transcoder does.
#[derive(Clone)]
pub struct Outputs(Arc<Shared>);

/// Whose outputs they are.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    pub(crate) factory: Arc<str>,
    /// What the outputs are made for.
    pub(crate) rendition: Option<Arc<str>>,
    /// The source's track, where there is only one.
    pub(crate) track: Option<TrackName>,
    /// The ladder that applies to the broadcast.
    pub(crate) renditions: Vec<Arc<Rendition>>,
}

impl Owner {
    /// What is said of an output track: a rung of the ladder by its name, where it was made for no rendition.
    fn provenance(&self, name: &TrackName, from: Option<&TrackName>) -> Provenance {
        let named = || ladder::rung_of(&self.renditions, name.as_str()).map(|rendition| rendition.name.clone());
        Provenance::Derived {
            factory: self.factory.clone(),
            rendition: self.rendition.clone().or_else(named),
            from: from.or(self.track.as_ref()).cloned(),
        }
    }
}

struct Shared {
    broadcast: Broadcast,
    owner: Owner,
    counters: Arc<Counters>,
    open: Mutex<HashMap<TrackName, Output>>,
    /// It went over its output limits.
    exceeded: AtomicBool,
}

impl Outputs {
    pub(crate) fn new(broadcast: Broadcast, owner: Owner, counters: Arc<Counters>) -> Self {
        let (open, exceeded) = (Mutex::default(), AtomicBool::new(false));
        Self(Arc::new(Shared { broadcast, owner, counters, open, exceeded }))
    }

    fn open_now(&self) -> MutexGuard<'_, HashMap<TrackName, Output>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The broadcast that the outputs are tracks of.
    pub(crate) fn broadcast(&self) -> &Broadcast {
        &self.0.broadcast
    }

    /// Opens an output track of the transcoder's own, or finds the one of this name that an earlier instance opened. `from` is the track it is
    /// made from, where that is one.
    ///
    /// # Errors
    /// Where the name is no track's name, or is taken, also by an encoder of this transcoder: the error names the owner.
    pub fn open(&self, name: &str, from: Option<&TrackName>) -> Result<Output, OutputError> {
        self.open_within(name, from, usize::MAX)
    }

    /// As [`Outputs::open`], where the transcoder may have `most` tracks.
    ///
    /// # Errors
    /// Also where it has as many already.
    pub fn open_within(&self, name: &str, from: Option<&TrackName>, most: usize) -> Result<Output, OutputError> {
        self.open_for(Writer::Transcoder, name, from, most)
    }

    /// As [`Outputs::open_within`], for one writer.
    pub(crate) fn open_for(
        &self,
        writer: Writer,
        name: &str,
        from: Option<&TrackName>,
        most: usize,
    ) -> Result<Output, OutputError> {
        let name = TrackName::new(name)?;
        let mut open = self.open_now();
        if let Some(output) = find(&open, writer, &name, most)? {
            return Ok(output.clone());
        }
        let producer = self.0.broadcast.derive(name.clone(), self.0.owner.provenance(&name, from))?;
        let output = Output {
            producer: Arc::new(Mutex::new(producer)),
            writer,
            like: Arc::default(),
            counters: self.0.counters.clone(),
        };
        open.insert(name, output.clone());
        Ok(output)
    }

    /// Checks whether [`Outputs::open_for`] would succeed now.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn check(&self, writer: Writer, name: &str, most: usize) -> Result<(), OutputError> {
        let name = TrackName::new(name)?;
        if find(&self.open_now(), writer, &name, most)?.is_none() {
            self.0.broadcast.check_derived(&name)?;
        }
        Ok(())
    }

    /// The transcoder went over its output limits: [bypass](crate::factory::Policy::Bypass) gives its outputs and encoders nothing.
    pub fn exceeded(&self) {
        self.0.exceeded.store(true, Ordering::Relaxed);
    }

    /// Whether it did.
    pub(crate) fn has_exceeded(&self) -> bool {
        self.0.exceeded.load(Ordering::Relaxed)
    }

    /// The outputs that are described like a track of the source, as that was then.
    pub(crate) fn like(&self, track: &Track) -> Vec<(Output, SourceTrack)> {
        let open = self.open_now();
        let like = open.values().filter_map(|output| Some((output.clone(), output.like().clone()?)));
        like.filter(|(_, source)| source.track.is_same(track)).collect()
    }

    /// Ends one output: readers read what is left.
    pub(crate) fn end_one(&self, name: &str) {
        let output = TrackName::new(name).ok().and_then(|name| self.open_now().remove(&name));
        if let Some(output) = output {
            output.end();
        }
    }

    /// Ends every output: readers read what is left.
    pub(crate) fn end(&self) {
        for (_, output) in self.open_now().drain() {
            output.end();
        }
    }
}

/// The open output of this name, where the writer may write it; none where one may be added.
fn find<'a>(
    open: &'a HashMap<TrackName, Output>,
    writer: Writer,
    name: &TrackName,
    most: usize,
) -> Result<Option<&'a Output>, OutputError> {
    match open.get(name) {
        Some(output) if output.writer == writer => Ok(Some(output)),
        Some(output) => Err(OutputError::Written { name: name.clone(), by: output.writer, given: writer }),
        None if open.len() >= most => Err(OutputError::TooMany(most)),
        None => Ok(None),
    }
}

impl fmt::Debug for Outputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outputs").field("owner", &self.0.owner).finish_non_exhaustive()
    }
}

/// One output track. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Output {
    producer: Arc<Mutex<Producer>>,
    writer: Writer,
    /// The source's track that it is described like: the source's own fragments can stand in for the transcoder's.
    like: Arc<Mutex<Option<SourceTrack>>>,
    counters: Arc<Counters>,
}

impl Output {
    fn producer(&self) -> MutexGuard<'_, Producer> {
        self.producer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn like(&self) -> MutexGuard<'_, Option<SourceTrack>> {
        self.like.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what the track is from the next fragment on. Nothing can be written before.
    ///
    /// # Errors
    /// Where the track has another description, and keeps it: see [`Producer::describe`].
    pub fn describe(&self, info: Info) -> Result<(), OutputError> {
        let mut like = self.like();
        self.producer().describe(info, false)?;
        *like = None;
        Ok(())
    }

    /// Says that the track is, from the next fragment on, what a track of the source is. Where that has changed since the track was last
    /// described like it, the track changes with it.
    ///
    /// # Errors
    /// As for [`Output::describe`].
    pub fn describe_like(&self, source: &SourceTrack) -> Result<(), OutputError> {
        let mut like = self.like();
        let changed = like.as_ref().is_some_and(|like| like.track.is_same(&source.track) && like.id != source.id);
        self.producer().describe(source.info.as_ref().clone(), changed)?;
        *like = Some(source.clone());
        Ok(())
    }

    /// The track, to be read.
    pub fn track(&self) -> Track {
        self.producer().track().clone()
    }

    /// What the track is.
    pub fn info(&self) -> Option<Arc<Info>> {
        self.producer().track().info()
    }

    /// How players are told of the track.
    pub fn listing(&self) -> Listing {
        self.producer().track().listing().as_ref().clone()
    }

    /// Says how players are told of the track. Before its first fragment; later, where that changes nothing.
    ///
    /// # Errors
    /// Where it would change something after the first fragment, or is not well formed.
    pub fn set_listing(&self, listing: Listing) -> Result<(), OutputError> {
        Ok(self.producer().set_listing(listing)?)
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
