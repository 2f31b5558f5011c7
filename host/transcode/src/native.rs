//! The native ladder: the same work as the bundled ladder plugin, without a sandbox around it.

use async_trait::async_trait;
use millrace_media::Fragment;
use millrace_media::track::Kind;

use crate::encoder::{EncodeError, VideoEncoder};
use crate::factory::{Context, Factory, Fault, Scope, Transcoder};
use crate::ladder::Rendition;
use crate::sound::AudioEncoder;

/// Makes every rendition of the ladder that is not larger than its source, and its sound where that is not to be the source's own.
#[derive(Debug, Default)]
pub struct NativeLadder;

#[async_trait]
impl Factory for NativeLadder {
    fn name(&self) -> &str {
        "native-ladder"
    }

    fn scope(&self) -> Scope {
        Scope::PerRendition
    }

    fn kinds(&self) -> &[Kind] {
        &[Kind::Video, Kind::Audio]
    }

    async fn start(&self, context: Context) -> Result<Option<Box<dyn Transcoder>>, Fault> {
        let Some(rendition) = &context.rendition else { return Ok(None) };
        match context.info.kind() {
            Kind::Video => pictures(&context, rendition),
            Kind::Audio => sound(&context, rendition),
            Kind::Text | Kind::Image | Kind::Data => Ok(None),
        }
    }
}

fn pictures(context: &Context, rendition: &Rendition) -> Result<Option<Box<dyn Transcoder>>, Fault> {
    let Some(settings) = context.encoders.configured() else { return Ok(None) };
    let encoder = context.encoders.open(&rendition.name, settings)?;
    Ok(Some(Box::new(Rung::Pictures(encoder))))
}

/// The rendition's name is its pictures'; a source may have sound in several languages.
fn sound(context: &Context, rendition: &Rendition) -> Result<Option<Box<dyn Transcoder>>, Fault> {
    let Some(settings) = context.encoders.configured_audio() else { return Ok(None) };
    let name = format!("{}-{}", rendition.name, context.track);
    match context.encoders.open_audio(&name, settings) {
        Ok(encoder) => Ok(Some(Box::new(Rung::Sound(encoder)))),
        // No other attempt would go better, and the source's own sound goes with the pictures instead.
        Err(EncodeError::Unsupported(reason)) => {
            tracing::warn!(broadcast = %context.broadcast, rendition = &*rendition.name, reason, "the source's sound is kept");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

enum Rung {
    Pictures(VideoEncoder),
    Sound(AudioEncoder),
}

#[async_trait]
impl Transcoder for Rung {
    async fn fragment(&mut self, fragment: &Fragment) -> Result<(), Fault> {
        match self {
            Self::Pictures(encoder) => encoder.submit(fragment).await?,
            Self::Sound(encoder) => encoder.submit(fragment).await?,
        }
        Ok(())
    }
}

impl From<EncodeError> for Fault {
    fn from(error: EncodeError) -> Self {
        Self::Returned(error.to_string())
    }
}
