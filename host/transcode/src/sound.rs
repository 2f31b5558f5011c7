//! Native encoders of sound, as a transcoder sees them.
//!
//! Each decodes the source's track itself, which costs a small part of what encoding does, and brings it to Opus at 48 kHz on a
//! thread of its own. Two renditions of the same bitrate are two encoders: each has a track of its own.
//!
//! What comes out stands where the source's sound does, to the sample (see [`timeline`]), in chunks of about 100 ms in the source's
//! groups (see [`chunks`]). Encoder delay is taken off the times, as it is of every track here, and stands in the header as Opus's
//! pre-skip: the first packets begin by so much before the source's first sample.

mod chunks;
mod effort;
mod rung;
mod timeline;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millrace_codec::audio::{
    AudioCodec, AudioDecodeError, AudioDecoder, AudioError, AudioSettings, open_audio_decoder,
};
use millrace_media::Fragment;
use millrace_media::clock::Clock;
use millrace_media::track::{Info, Kind, Track};
use tokio::sync::{mpsc, watch};

use effort::Effort;
pub(crate) use effort::LIMIT;

use crate::decode::{Decoders, Source};
use crate::encoder::{EncodeError, Wiring};
use crate::factory::SourceTrack;
use crate::ladder::{Rendition, Sound};
use crate::output::{Outputs, Writer};
use crate::stats::Counters;

/// How many fragments may wait to be encoded. When it is full a submission waits: the transcoder falls behind and is told of the gap,
/// and the source is never delayed.
const QUEUE: usize = 32;

/// The encoders of sound of one transcoder.
pub(crate) struct Sounds {
    clock: Arc<Clock>,
    decoders: Arc<Decoders>,
    outputs: Outputs,
    counters: Arc<Counters>,
    open: Mutex<HashMap<String, AudioEncoder>>,
}

impl Sounds {
    pub(crate) fn new(wiring: &Wiring) -> Self {
        Self {
            clock: wiring.clock.clone(),
            decoders: wiring.decoders.clone(),
            outputs: wiring.outputs.clone(),
            counters: wiring.counters.clone(),
            open: Mutex::default(),
        }
    }

    fn open_now(&self) -> MutexGuard<'_, HashMap<String, AudioEncoder>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The settings for the audio of a rendition. None where the rendition has the source's own audio, or is larger than the source's video, as
    /// far as that is known.
    pub(crate) fn settings(&self, rendition: &Rendition, source: &SourceTrack) -> Option<AudioSettings> {
        let Sound::Opus { bitrate } = rendition.audio else { return None };
        if source.info.kind() != Kind::Audio {
            return None;
        }
        let tracks = self.outputs.broadcast().tracks();
        let infos = tracks.iter().filter(|track| track.provenance().is_source()).filter_map(Track::info);
        let mut video = infos.filter(|info| info.kind() == Kind::Video).peekable();
        let fits = video.peek().is_none() || video.any(|info| rendition.fit(&info.format).is_some());
        fits.then_some(AudioSettings { codec: AudioCodec::Opus, bitrate })
    }

    /// Opens the encoder of the output track `name`, or finds the one that an earlier instance opened. The transcoder may have `most` output
    /// tracks.
    ///
    /// # Errors
    /// Where the name is taken, the settings are out of range, the encoder that is found is on another track, or nothing here decodes the
    /// source as it is now.
    pub(crate) fn open(
        &self,
        name: &str,
        source: &SourceTrack,
        settings: AudioSettings,
        most: usize,
    ) -> Result<AudioEncoder, EncodeError> {
        let mut open = self.open_now();
        let track = &source.track;
        settings.validate()?;
        self.outputs.check(Writer::AudioEncoder, name, most)?;
        // Opened once here so that a track nobody can decode is refused at once, with the reason.
        open_decoder(&source.info)?;
        if let Some(encoder) = open.get(name) {
            return if encoder.track().is_same(track) {
                Ok(encoder.clone())
            } else {
                Err(EncodeError::elsewhere(name, encoder.track()))
            };
        }
        let output = self.outputs.open_for(Writer::AudioEncoder, name, Some(track.name()), most)?;
        let (broadcast, of, clock) = (self.outputs.broadcast().clone(), track.clone(), self.clock.clone());
        let effort = Effort::new(Source { broadcast, track: of, clock }, self.decoders.clone());
        let encoder = rung::start(rung::Parts {
            name: name.to_owned(),
            track: track.clone(),
            settings,
            output,
            counters: self.counters.clone(),
            effort,
            threads: self.decoders.threads(),
        })?;
        open.insert(name.to_owned(), encoder.clone());
        Ok(encoder)
    }

    /// The encoders that are open on a track.
    pub(crate) fn on(&self, track: &Track) -> Vec<AudioEncoder> {
        self.open_now().values().filter(|encoder| encoder.track().is_same(track)).cloned().collect()
    }

    /// Lets every encoder on these tracks encode what it has been given, and waits for that. Gives their names.
    pub(crate) async fn finish(&self, which: impl Fn(&Track) -> bool) -> Vec<String> {
        let encoders: Vec<_> = self.open_now().extract_if(|_, encoder| which(encoder.track())).collect();
        for (_, encoder) in &encoders {
            encoder.0.queue().take();
        }
        let mut names = Vec::new();
        for (name, encoder) in encoders {
            let mut running = encoder.0.running.clone();
            // An error means that the thread's end of the channel is gone, which is what is waited for.
            let _ = running.wait_for(|running| !running).await;
            names.push(name);
        }
        names
    }
}

/// A running encoder of sound. Cheap to clone. Samples never pass through here: it is told which fragments to encode.
#[derive(Clone)]
pub struct AudioEncoder(Arc<Handle>);

struct Handle {
    name: String,
    track: Track,
    /// The settings that the transcoder requested.
    requested: Arc<Mutex<AudioSettings>>,
    /// None once nothing more is to come.
    queue: Mutex<Option<mpsc::Sender<Fragment>>>,
    failure: Arc<Mutex<Option<String>>>,
    running: watch::Receiver<bool>,
}

impl Handle {
    fn queue(&self) -> MutexGuard<'_, Option<mpsc::Sender<Fragment>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AudioEncoder {
    /// The track whose audio it encodes.
    pub fn track(&self) -> &Track {
        &self.0.track
    }

    /// The settings in force, or to be in force with the next group.
    pub fn settings(&self) -> AudioSettings {
        *self.0.requested.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for another bitrate, from the next group on.
    ///
    /// # Errors
    /// Where it is out of range, or the codec is another.
    pub fn reconfigure(&self, settings: AudioSettings) -> Result<(), EncodeError> {
        settings.validate()?;
        let mut requested = self.0.requested.lock().unwrap_or_else(PoisonError::into_inner);
        if settings.codec != requested.codec {
            let (given, now) = (settings.codec.name(), requested.codec.name());
            return Err(EncodeError::Invalid(format!(
                "{given} where the encoder makes {now}: another codec is another track"
            )));
        }
        *requested = settings;
        Ok(())
    }

    /// The sound of this fragment is to be encoded. Waits while too much is waiting already.
    ///
    /// # Errors
    /// Where the encoder has failed or ended.
    pub async fn submit(&self, fragment: &Fragment) -> Result<(), EncodeError> {
        let queue = self.0.queue().clone().ok_or(EncodeError::Closed)?;
        if queue.send(fragment.clone()).await.is_ok() {
            return Ok(());
        }
        let failure = self.0.failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Err(failure.map_or(EncodeError::Closed, EncodeError::Failed))
    }
}

impl fmt::Debug for AudioEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AudioEncoder").field(&self.0.name).finish()
    }
}

/// Opens a decoder for what a track is.
fn open_decoder(info: &Info) -> Result<Box<dyn AudioDecoder>, EncodeError> {
    if info.kind() != Kind::Audio {
        return Err(EncodeError::Invalid(format!("the source's track is no sound but {}", info.kind().as_str())));
    }
    let header = millrace_cmaf::describe(&info.init).map_err(|error| EncodeError::Invalid(error.to_string()))?;
    open_audio_decoder(&info.codec, header.config.record()).map_err(|error| match error {
        AudioDecodeError::Unsupported { .. } => EncodeError::Unsupported(error.to_string()),
        _ => EncodeError::Invalid(error.to_string()),
    })
}

impl From<AudioError> for EncodeError {
    fn from(error: AudioError) -> Self {
        match error {
            AudioError::Codec(_) => Self::Unsupported(error.to_string()),
            AudioError::Backend { .. } => Self::Failed(error.to_string()),
            AudioError::Channels(_) | AudioError::Bitrate(_) | AudioError::Partial { .. } => {
                Self::Invalid(error.to_string())
            }
        }
    }
}
