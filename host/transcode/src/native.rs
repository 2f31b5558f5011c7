//! The native ladder: the same work as the bundled ladder plugin, without a sandbox around it.

use std::sync::Arc;

use async_trait::async_trait;
use millrace_media::track::Kind;
use millrace_media::{BroadcastName, Fragment};

use crate::encoder::{EncodeError, Encoders, VideoEncoder};
use crate::factory::{Context, Decision, Factory, Fault, Scope, SourceTrack, Taken, Transcoder};
use crate::ladder::Rendition;
use crate::sound::AudioEncoder;

/// Makes every rendition of the ladder that is not larger than its source, and its audio where that is not to be the source's own.
#[derive(Debug, Default)]
pub struct NativeLadder;

#[async_trait]
impl Factory for NativeLadder {
    fn name(&self) -> &str {
        "native-ladder"
    }

    fn scope(&self) -> Scope {
        Scope::Rendition
    }

    fn kinds(&self) -> &[Kind] {
        &[Kind::Video, Kind::Audio]
    }

    async fn start(&self, context: Context) -> Result<Box<dyn Transcoder>, Fault> {
        let Context { broadcast, rendition, encoders, .. } = context;
        let rendition = rendition.ok_or_else(|| Fault::Returned("there is no rendition to be made".into()))?;
        Ok(Box::new(Rung { broadcast, rendition, encoders, encoder: None }))
    }
}

struct Rung {
    broadcast: BroadcastName,
    rendition: Arc<Rendition>,
    encoders: Encoders,
    encoder: Option<Encoder>,
}

enum Encoder {
    Video(VideoEncoder),
    Audio(AudioEncoder),
}

impl Rung {
    fn video(&self, source: &SourceTrack) -> Result<Option<Encoder>, EncodeError> {
        let Some(settings) = self.rendition.fit(&source.info.format) else { return Ok(None) };
        self.encoders.open(&self.rendition.name, source, settings).map(|encoder| Some(Encoder::Video(encoder)))
    }

    /// The rendition's name is its video's; a source may have audio in several languages.
    fn audio(&self, source: &SourceTrack) -> Result<Option<Encoder>, EncodeError> {
        let Some(settings) = self.encoders.audio_settings(&self.rendition, source) else { return Ok(None) };
        let name = format!("{}-{}", self.rendition.name, source.track.name());
        match self.encoders.open_audio(&name, source, settings) {
            Ok(encoder) => Ok(Some(Encoder::Audio(encoder))),
            // No other attempt would go better, and the source's own audio goes with the video instead.
            Err(EncodeError::Unsupported(reason)) => {
                let (broadcast, rendition) = (&self.broadcast, &*self.rendition.name);
                tracing::warn!(%broadcast, rendition, reason, "the source's audio is kept");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl Transcoder for Rung {
    async fn track(&mut self, source: &SourceTrack) -> Result<Decision, Fault> {
        self.encoder = match source.info.kind() {
            Kind::Video => self.video(source)?,
            Kind::Audio => self.audio(source)?,
            _ => None,
        };
        Ok(if self.encoder.is_some() { Decision::Accept } else { Decision::Decline })
    }

    async fn fragment(&mut self, _: u32, fragment: &Fragment) -> Result<Taken, Fault> {
        match &self.encoder {
            Some(Encoder::Video(encoder)) => encoder.submit(fragment).await?,
            Some(Encoder::Audio(encoder)) => encoder.submit(fragment).await?,
            None => {}
        }
        Ok(Taken::Whole)
    }
}

impl From<EncodeError> for Fault {
    fn from(error: EncodeError) -> Self {
        Self::Returned(error.to_string())
    }
}
