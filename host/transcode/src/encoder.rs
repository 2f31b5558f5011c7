//! Native encoders of video, as a transcoder sees them, and the way to those of [sound](crate::sound).
//!
//! An encoder makes one track, the *rung*, from a source's pictures, on a thread of its own. What it is asked for and cannot do:
//!
//! | what | what happens |
//! | --- | --- |
//! | a size that is odd, below 16 or above 8192, a bitrate of 0 | [`Encoders::open`] refuses it, with the value and the range: no track is made |
//! | a size larger than the source | [`Encoders::configured`] gives nothing, so that no rung is made |
//! | a backend that fails | opened anew with the next group, three times; then submissions fail with its reason |
//! | an encoder that is too slow | it skips to its next group; what the ladder's [economy](crate::Economy) says is done before |
//!
//! Nothing of this reaches the source or another rung.

mod attention;
mod coder;
mod load;
mod pending;
mod relief;
mod rung;
mod steering;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millrace_codec::audio::AudioSettings;
use millrace_codec::{VideoSettings, open_video_encoder};
use millrace_media::clock::Clock;
use millrace_media::track::Track;
use millrace_media::{Fragment, Time};
use tokio::sync::watch;

use crate::decode::{Decoders, ReaderId, Source, SourceDecoder};
use crate::ladder::{Economy, Rendition};
use crate::output::{Output, OutputError, Outputs};
use crate::sound::{AudioEncoder, Sounds};
use crate::stats::{Counters, Meter};
use attention::{Attention, Situation, Verdict};
use coder::{Coder, Opener};
use load::Member;
use steering::Schedule;

pub(crate) use load::Load;
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

/// What the encoders of one transcoder work on and with.
pub(crate) struct Wiring {
    /// The source's track.
    pub(crate) track: Track,
    pub(crate) rendition: Option<Arc<Rendition>>,
    /// Of the ladder that the rendition is from.
    pub(crate) economy: Arc<Economy>,
    pub(crate) outputs: Outputs,
    pub(crate) counters: Arc<Counters>,
    pub(crate) decoders: Arc<Decoders>,
    pub(crate) clock: Arc<Clock>,
}

struct Shared {
    wiring: Wiring,
    opener: Opener,
    open: Mutex<HashMap<String, VideoEncoder>>,
    sounds: Sounds,
}

impl Encoders {
    pub(crate) fn new(wiring: Wiring) -> Self {
        Self::with_opener(wiring, Arc::new(open_video_encoder))
    }

    /// Encoders with backends of another make.
    fn with_opener(wiring: Wiring, opener: Opener) -> Self {
        let sounds = Sounds::new(&wiring);
        Self(Arc::new(Shared { wiring, opener, open: Mutex::default(), sounds }))
    }

    fn open_now(&self) -> MutexGuard<'_, HashMap<String, VideoEncoder>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The settings of the transcoder's rendition, with the source's aspect ratio within the rendition's size; none where it works
    /// for no rendition, or the source is smaller.
    pub fn configured(&self) -> Option<VideoSettings> {
        let wiring = &self.0.wiring;
        wiring.rendition.as_ref()?.fit(&wiring.track.info()?.format)
    }

    /// Opens the encoder of the output track `name`, or finds the one that an earlier instance opened. That one takes other settings
    /// up with the source's next epoch, and not within one: a track's headers change only where there is a discontinuity.
    ///
    /// # Errors
    /// Where the name is taken, the settings are out of range, or no backend does the codec, of the source or of the rung.
    pub fn open(&self, name: &str, settings: VideoSettings) -> Result<VideoEncoder, EncodeError> {
        let mut open = self.open_now();
        let Wiring { track, rendition, economy, outputs, counters, decoders, clock } = &self.0.wiring;
        let info = track.info().ok_or_else(|| EncodeError::Invalid("the source has no CMAF header yet".into()))?;
        settings.validate().map_err(millrace_codec::EncodeError::from)?;
        let decoder = match open.get(name) {
            Some(encoder) => encoder.0.decoder.clone(),
            None => {
                let (broadcast, clock) = (outputs.broadcast().clone(), clock.clone());
                decoders.get(&Source { broadcast, track: track.clone(), clock })?
            }
        };
        let settings = VideoSettings { colour: settings.colour.or(decoder.colour(&info)?), ..settings };
        if let Some(encoder) = open.get(name) {
            encoder.0.want(settings);
            return Ok(encoder.clone());
        }
        let backend = (self.0.opener)(&settings)?;
        let output = outputs.open(name)?;
        let encoder = rung::start(rung::Parts {
            decoder,
            coder: Coder::new(self.0.opener.clone(), settings, backend),
            output,
            timescale: info.timescale,
            counters: counters.clone(),
            clock: clock.clone(),
            name: name.to_owned(),
            economy: economy.clone(),
            priority: rendition.as_ref().map_or(0, |rendition| rendition.priority),
        })?;
        open.insert(name.to_owned(), encoder.clone());
        Ok(encoder)
    }

    /// What the transcoder's rendition wants of its sound; none where it works for no rendition or its track is no sound, where the
    /// source's own sound goes with the rendition, or the source's pictures, as far as they are known, are smaller than it.
    pub fn configured_audio(&self) -> Option<AudioSettings> {
        self.0.sounds.configured()
    }

    /// Opens the encoder of sound of the output track `name`, or finds the one that an earlier instance opened.
    ///
    /// # Errors
    /// Where the name is taken, the settings are out of range, or nothing here decodes the source as it is now.
    pub fn open_audio(&self, name: &str, settings: AudioSettings) -> Result<AudioEncoder, EncodeError> {
        self.0.sounds.open(name, settings)
    }

    /// The encoders of sound that are open.
    pub(crate) fn all_audio(&self) -> Vec<AudioEncoder> {
        self.0.sounds.all()
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
                encoder.0.decoder.finish(encoder.0.reader, self.0.wiring.clock.now().monotonic);
            }
            encoder.0.decoder.close_reader(encoder.0.reader);
        }
        for encoder in encoders {
            let mut running = encoder.0.running.clone();
            // An error means that the thread's end of the channel is gone, which is what is waited for.
            let _ = running.wait_for(|running| !running).await;
        }
        self.0.sounds.finish().await;
    }
}

impl fmt::Debug for Encoders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoders").field("track", &self.0.wiring.track).finish_non_exhaustive()
    }
}

/// A running encoder. Cheap to clone. Pictures never pass through here: it is told which fragments' pictures to encode.
#[derive(Clone)]
pub struct VideoEncoder(Arc<Handle>);

struct Handle {
    name: String,
    decoder: Arc<SourceDecoder>,
    reader: ReaderId,
    output: Output,
    schedule: Arc<Mutex<Schedule>>,
    /// The settings that the transcoder last asked for.
    wanted: Arc<Mutex<VideoSettings>>,
    idle_timeout: Option<Duration>,
    attention: Mutex<Attention>,
    member: Arc<Member>,
    meter: Arc<Meter>,
    clock: Arc<Clock>,
    failure: Arc<Mutex<Option<String>>>,
    running: watch::Receiver<bool>,
}

impl Handle {
    fn want(&self, settings: VideoSettings) {
        *self.wanted.lock().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    fn decide(&self, fragment: &Fragment) -> Verdict {
        let now = self.clock.now().monotonic;
        let reliefs = self.member.in_force(now);
        let verdict = self.attention.lock().unwrap_or_else(PoisonError::into_inner).decide(Situation {
            starts_group: fragment.starts_group(),
            now,
            viewed: self.idle_timeout.is_none_or(|timeout| self.output.track().is_viewed(timeout)),
            described: self.output.info().is_some(),
            given_up: reliefs.contains(crate::Relief::DropRung),
        });
        if verdict == Verdict::Sleep {
            self.meter.set_state(rung::asleep(reliefs));
        }
        verdict
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.decoder.close_reader(self.reader);
    }
}

impl VideoEncoder {
    /// The pictures of this fragment are to be encoded. Waits while too much is waiting already: a second of media before the decoder,
    /// or some pictures before the encoder. While nobody plays the rung, or it is given up, nothing is done with them.
    ///
    /// # Errors
    /// Where the decoder cannot decode it, or the encoder has failed or ended.
    pub async fn submit(&self, fragment: &Fragment) -> Result<(), EncodeError> {
        if let Some(reason) = self.0.failure.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Err(EncodeError::Failed(reason));
        }
        if !*self.0.running.borrow() {
            return Err(EncodeError::Closed);
        }
        match self.0.decide(fragment) {
            Verdict::Encode => self.0.decoder.submit(self.0.reader, fragment).await,
            Verdict::FallAsleep => {
                self.0.decoder.rest(self.0.reader, self.0.clock.now().monotonic);
                Ok(())
            }
            Verdict::Sleep => Ok(()),
        }
    }

    /// Applies to the picture presented at `at` and, for a bitrate, to those after it. Ignored once that picture is encoded.
    ///
    /// A picture left out makes the one before it last longer, where it was asked for before that one was encoded, or another was left out
    /// shortly before; else there is a hole of a picture in the track.
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
