//! Native encoders of video, as a transcoder sees them, and the way to those of [sound](crate::sound).
//!
//! An encoder makes one track, the *rung*, from a source's pictures, on a thread of its own. What it is asked for and cannot do:
//!
//! | what | what happens |
//! | --- | --- |
//! | a size that is odd, below 16 or above 8192, a bitrate of 0 | [`Encoders::open`] refuses it, with the value and the range: no track is made |
//! | a size larger than the source | [`Rendition::fit`] gives nothing, so that no rung is made |
//! | a backend that fails | opened anew with the next group, three times; then submissions fail with its reason |
//! | an encoder that is too slow | it skips to its next group; what the ladder's [economy](crate::Economy) says is done before |
//!
//! Nothing of this reaches the source or another rung.

mod attention;
mod coder;
mod load;
mod pending;
mod relief;
mod requested;
mod rung;
mod steering;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millrace_codec::audio::AudioSettings;
use millrace_codec::{VideoEncoder as Backend, VideoSettings, open_video_encoder};
use millrace_media::clock::Clock;
use millrace_media::track::Track;
use millrace_media::{Fragment, Time};
use tokio::sync::watch;

use crate::decode::{Decoders, ReaderId, Source, SourceDecoder};
use crate::factory::SourceTrack;
use crate::ladder::{self, Economy, Rendition};
use crate::output::{Output, OutputError, Outputs, Writer};
use crate::sound::{AudioEncoder, Sounds};
use crate::stats::{Counters, Meter, Work};
use attention::{Attention, Situation, Verdict};
use coder::{Coder, Opener};
use load::Member;
use requested::RequestedSettings;
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

impl EncodeError {
    pub(crate) fn elsewhere(name: &str, track: &Track) -> Self {
        Self::Invalid(format!("the encoder {name} is on the track {}", track.name()))
    }
}

impl From<OutputError> for EncodeError {
    fn from(error: OutputError) -> Self {
        match error {
            OutputError::TooMany(_) => Self::Overloaded(error.to_string()),
            _ => Self::Invalid(error.to_string()),
        }
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
    /// The ladder that applies to the broadcast.
    pub(crate) renditions: Vec<Arc<Rendition>>,
    /// Of that ladder.
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

    /// Opens the encoder of the output track `name` on a track of the source, or finds the one that is open under this name. An open encoder
    /// keeps its settings. Where the source's track has changed since, it takes `settings` when the source's next epoch begins: the headers
    /// of a track change only at a discontinuity.
    ///
    /// # Errors
    /// Where the name is taken, the settings are out of range, the encoder that is found is on another track, or no backend does the codec,
    /// of the source or of the rung.
    pub fn open(&self, name: &str, source: &SourceTrack, settings: VideoSettings) -> Result<VideoEncoder, EncodeError> {
        self.open_within(name, source, settings, usize::MAX)
    }

    /// As [`Encoders::open`], where the transcoder may have `most` output tracks.
    ///
    /// # Errors
    /// Also where it has as many already.
    pub fn open_within(
        &self,
        name: &str,
        source: &SourceTrack,
        settings: VideoSettings,
        most: usize,
    ) -> Result<VideoEncoder, EncodeError> {
        let mut open = self.open_now();
        let Wiring { renditions, economy, outputs, counters, decoders, clock } = &self.0.wiring;
        settings.validate().map_err(millrace_codec::EncodeError::from)?;
        let track = &source.track;
        if let Some(encoder) = open.get(name) {
            encoder.on(track)?;
            if encoder.0.source.load(Ordering::Relaxed) != source.id {
                let colour = settings.colour.or(encoder.0.decoder.colour(&source.info)?);
                encoder.0.requested.lock().request_for_epoch(VideoSettings { colour, ..settings });
                encoder.0.source.store(source.id, Ordering::Relaxed);
            }
            return Ok(encoder.clone());
        }
        outputs.check(Writer::VideoEncoder, name, most)?;
        let (broadcast, of) = (outputs.broadcast().clone(), track.clone());
        let threads = decoders.threads();
        let decoder = decoders.get(&Source { broadcast, track: of, clock: clock.clone() })?;
        let settings = VideoSettings { colour: settings.colour.or(decoder.colour(&source.info)?), ..settings };
        let backend = self.open_backend(&settings)?;
        let output = outputs.open_for(Writer::VideoEncoder, name, Some(track.name()), most)?;
        let encoder = rung::start(rung::Parts {
            decoder,
            coder: Coder::new(self.0.opener.clone(), settings, backend),
            output,
            source: source.clone(),
            counters: counters.clone(),
            clock: clock.clone(),
            name: name.to_owned(),
            economy: economy.clone(),
            priority: ladder::rung_of(renditions, name).map_or(0, |rendition| rendition.priority),
            threads,
        })?;
        open.insert(name.to_owned(), encoder.clone());
        Ok(encoder)
    }

    /// Opens a backend on a thread of normal priority: the threads that a library makes then have it too.
    fn open_backend(&self, settings: &VideoSettings) -> Result<Box<dyn Backend>, EncodeError> {
        let (opener, settings) = (self.0.opener.clone(), settings.clone());
        let opened = self.0.wiring.decoders.threads().run("open encoder", move || opener(&settings));
        Ok(opened.map_err(|error| EncodeError::Overloaded(format!("no thread for the encoder: {error}")))??)
    }

    /// The settings for the audio of a rendition. None where the track is not audio, where the rendition has the source's own audio, or where
    /// the source's video, as far as it is known, is smaller than the rendition.
    pub fn audio_settings(&self, rendition: &Rendition, source: &SourceTrack) -> Option<AudioSettings> {
        self.0.sounds.settings(rendition, source)
    }

    /// Opens the audio encoder of the output track `name` on a track of the source, or finds the one that is open under this name, which keeps
    /// its settings.
    ///
    /// # Errors
    /// Where the name is taken, the settings are out of range, the encoder that is found is on another track, or nothing here decodes the
    /// source as it is now.
    pub fn open_audio(
        &self,
        name: &str,
        source: &SourceTrack,
        settings: AudioSettings,
    ) -> Result<AudioEncoder, EncodeError> {
        self.0.sounds.open(name, source, settings, usize::MAX)
    }

    /// As [`Encoders::open_audio`], where the transcoder may have `most` output tracks.
    ///
    /// # Errors
    /// Also where it has as many already.
    pub fn open_audio_within(
        &self,
        name: &str,
        source: &SourceTrack,
        settings: AudioSettings,
        most: usize,
    ) -> Result<AudioEncoder, EncodeError> {
        self.0.sounds.open(name, source, settings, most)
    }

    /// Gives a fragment to every encoder that is open on its track. Returns how many refused it.
    pub(crate) async fn submit_all(&self, track: &Track, fragment: &Fragment) -> u64 {
        let video: Vec<_> = self.open_now().values().filter(|encoder| encoder.is_on(track)).cloned().collect();
        let mut refused = 0;
        for encoder in video {
            refused += u64::from(encoder.submit(fragment).await.is_err());
        }
        for encoder in self.0.sounds.on(track) {
            refused += u64::from(encoder.submit(fragment).await.is_err());
        }
        refused
    }

    /// Lets every encoder encode what it has been given, and waits for that.
    pub(crate) async fn finish(&self) {
        self.finish_those(|_| true).await;
    }

    /// Lets the encoders on a track that has ended encode what they have been given, waits for that, and ends their tracks.
    pub(crate) async fn finish_on(&self, track: &Track) {
        for name in self.finish_those(|on| on.is_same(track)).await {
            self.0.wiring.outputs.end_one(&name);
        }
    }

    /// The names of those that have finished.
    async fn finish_those(&self, which: impl Fn(&Track) -> bool) -> Vec<String> {
        let encoders: Vec<_> = self.open_now().extract_if(|_, encoder| which(encoder.track())).collect();
        for (_, encoder) in &encoders {
            // The decoder may give up the frames it holds back for reordering.
            if encoder.track().is_ended() {
                encoder.0.decoder.finish(encoder.0.reader, self.0.wiring.clock.now().monotonic);
            }
            encoder.0.decoder.close_reader(encoder.0.reader);
        }
        let mut names = Vec::new();
        for (name, encoder) in encoders {
            let mut running = encoder.0.running.clone();
            // An error means that the thread's end of the channel is gone, which is what is waited for.
            let _ = running.wait_for(|running| !running).await;
            names.push(name);
        }
        names.extend(self.0.sounds.finish(which).await);
        names
    }
}

impl fmt::Debug for Encoders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoders").field("outputs", &self.0.wiring.outputs).finish_non_exhaustive()
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
    track: Track,
    /// The [id](SourceTrack::id) of what the track is, as the transcoder last opened it.
    source: AtomicU32,
    schedule: Arc<Mutex<Schedule>>,
    requested: RequestedSettings,
    idle_timeout: Option<Duration>,
    attention: Mutex<Attention>,
    member: Arc<Member>,
    meter: Arc<Meter>,
    clock: Arc<Clock>,
    failure: Arc<Mutex<Option<String>>>,
    running: watch::Receiver<bool>,
}

impl Handle {
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
    /// The track whose frames it encodes.
    pub fn track(&self) -> &Track {
        &self.0.track
    }

    fn is_on(&self, track: &Track) -> bool {
        self.0.track.is_same(track)
    }

    fn on(&self, track: &Track) -> Result<(), EncodeError> {
        if self.is_on(track) { Ok(()) } else { Err(EncodeError::elsewhere(&self.0.name, &self.0.track)) }
    }

    /// The settings in force, or those requested for the next group or, where the source has changed, for its next epoch.
    pub fn settings(&self) -> VideoSettings {
        self.0.requested.lock().newest().clone()
    }

    /// Asks for other settings, from the next group on.
    ///
    /// # Errors
    /// Where they are out of range, or of another codec or size: that would be another track.
    pub fn reconfigure(&self, settings: VideoSettings) -> Result<(), EncodeError> {
        settings.validate().map_err(millrace_codec::EncodeError::from)?;
        self.0.requested.lock().request_for_group(settings)
    }

    /// What it has done so far.
    pub fn work(&self) -> Work {
        self.0.meter.work()
    }

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
