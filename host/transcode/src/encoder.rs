//! Native video encoders, as a transcoder sees them.

mod rung;
mod steering;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millrace_codec::{VideoSettings, open_video_encoder};
use millrace_media::clock::Clock;
use millrace_media::track::Track;
use millrace_media::{Fragment, Time};
use tokio::sync::watch;

use crate::decode::{Decoders, ReaderId, SourceDecoder};
use crate::ladder::Rendition;
use crate::output::{OutputError, Outputs};
use crate::stats::Counters;
use steering::Schedule;
pub use steering::Steering;

/// Why an encoder did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// It cannot be done, ever.
    #[error("{0}")]
    Invalid(String),
    /// No backend here does it.
    #[error("{0}")]
    Unsupported(String),
    /// Not now.
    #[error("{0}")]
    Overloaded(String),
    /// The decoder or the encoder failed.
    #[error("{0}")]
    Failed(String),
    /// It has ended.
    #[error("the encoder has ended")]
    Closed,
}

impl From<OutputError> for EncodeError {
    fn from(error: OutputError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<millrace_codec::EncodeError> for EncodeError {
    fn from(error: millrace_codec::EncodeError) -> Self {
        match error {
            millrace_codec::EncodeError::Unsupported { .. } => Self::Unsupported(error.to_string()),
            millrace_codec::EncodeError::Backend { .. } => Self::Failed(error.to_string()),
            _ => Self::Invalid(error.to_string()),
        }
    }
}

/// The native encoders of one transcoder. They outlive an instance that faults.
#[derive(Clone)]
pub struct Encoders(Arc<Shared>);

struct Shared {
    track: Track,
    rendition: Option<Arc<Rendition>>,
    outputs: Outputs,
    counters: Arc<Counters>,
    decoders: Arc<Decoders>,
    clock: Arc<Clock>,
    open: Mutex<HashMap<String, VideoEncoder>>,
}

impl Encoders {
    pub(crate) fn new(
        track: Track,
        rendition: Option<Arc<Rendition>>,
        outputs: Outputs,
        counters: Arc<Counters>,
        decoders: Arc<Decoders>,
        clock: Arc<Clock>,
    ) -> Self {
        Self(Arc::new(Shared { track, rendition, outputs, counters, decoders, clock, open: Mutex::default() }))
    }

    fn open_now(&self) -> MutexGuard<'_, HashMap<String, VideoEncoder>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The settings of the transcoder's rendition, with the source's aspect ratio within the rendition's size; none where it works
    /// for no rendition, or the source is smaller.
    pub fn configured(&self) -> Option<VideoSettings> {
        let source = self.0.track.info()?.format;
        self.0.rendition.as_ref()?.fit(&source)
    }

    /// Opens the encoder of the output track `name`, or finds the one that an earlier instance opened.
    ///
    /// # Errors
    /// Where the name is taken, the settings are out of range, or no backend does the codec.
    pub fn open(&self, name: &str, settings: VideoSettings) -> Result<VideoEncoder, EncodeError> {
        let mut open = self.open_now();
        if let Some(encoder) = open.get(name) {
            return Ok(encoder.clone());
        }
        let info =
            self.0.track.info().ok_or_else(|| EncodeError::Invalid("the source has no CMAF header yet".into()))?;
        let decoder = self.0.decoders.get(&self.0.track)?;
        let settings = VideoSettings { colour: settings.colour.or(decoder.colour()), ..settings };
        let backend = open_video_encoder(&settings)?;
        let output = self.0.outputs.open(name)?;
        let encoder = rung::start(rung::Parts {
            decoder,
            backend,
            settings,
            output,
            timescale: info.timescale,
            counters: self.0.counters.clone(),
            clock: self.0.clock.clone(),
            name: name.to_owned(),
        })?;
        open.insert(name.to_owned(), encoder.clone());
        Ok(encoder)
    }

    /// The encoders that are open.
    pub(crate) fn all(&self) -> Vec<VideoEncoder> {
        self.open_now().values().cloned().collect()
    }

    /// Lets every encoder encode what it has been given, and waits for that. `source_ended` says that the decoder may give up the
    /// pictures it holds back for reordering.
    pub(crate) async fn finish(&self, source_ended: bool) {
        let encoders: Vec<_> = self.open_now().drain().map(|(_, encoder)| encoder).collect();
        for encoder in &encoders {
            if source_ended {
                encoder.0.decoder.finish();
            }
            encoder.0.decoder.close_reader(encoder.0.reader);
        }
        for encoder in encoders {
            let mut running = encoder.0.running.clone();
            // An error means that the thread's end of the channel is gone, which is what is waited for.
            let _ = running.wait_for(|running| !running).await;
        }
    }
}

impl fmt::Debug for Encoders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoders").field("track", &self.0.track).finish_non_exhaustive()
    }
}

/// A running encoder. Cheap to clone. Pictures never pass through here: it is told which fragments' pictures to encode.
#[derive(Clone)]
pub struct VideoEncoder(Arc<Handle>);

struct Handle {
    name: String,
    decoder: Arc<SourceDecoder>,
    reader: ReaderId,
    schedule: Arc<Mutex<Schedule>>,
    failure: Arc<Mutex<Option<String>>>,
    running: watch::Receiver<bool>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.decoder.close_reader(self.reader);
    }
}

impl VideoEncoder {
    /// The pictures of this fragment are to be encoded. Waits while too much is waiting already.
    ///
    /// # Errors
    /// Where the decoder or the encoder has failed or ended.
    pub async fn submit(&self, fragment: &Fragment) -> Result<(), EncodeError> {
        if let Some(reason) = self.0.failure.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Err(EncodeError::Failed(reason));
        }
        if !*self.0.running.borrow() {
            return Err(EncodeError::Closed);
        }
        self.0.decoder.submit(self.0.reader, fragment).await
    }

    /// Applies to the picture presented at `at` and, for a bitrate, to those after it. Ignored once that picture is encoded.
    ///
    /// # Errors
    /// Where a bitrate is out of range, or too much is waiting to be applied.
    pub fn steer(&self, at: Time, steering: Steering) -> Result<(), EncodeError> {
        self.0.schedule.lock().unwrap_or_else(PoisonError::into_inner).add(at, steering)
    }
}

impl fmt::Debug for VideoEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VideoEncoder").field(&self.0.name).finish()
    }
}
