//! The native ladder: the same work as the bundled ladder plugin, without a sandbox around it.

use async_trait::async_trait;
use millrace_media::Fragment;
use millrace_media::track::Kind;

use crate::encoder::{EncodeError, VideoEncoder};
use crate::factory::{Context, Factory, Fault, Scope, Transcoder};

/// Makes every rendition of the ladder that is not larger than its source.
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
        &[Kind::Video]
    }

    async fn start(&self, context: Context) -> Result<Option<Box<dyn Transcoder>>, Fault> {
        let (Some(rendition), Some(settings)) = (&context.rendition, context.encoders.configured()) else {
            return Ok(None);
        };
        let encoder = context.encoders.open(&rendition.name, settings)?;
        Ok(Some(Box::new(Rung(encoder))))
    }
}

struct Rung(VideoEncoder);

#[async_trait]
impl Transcoder for Rung {
    async fn fragment(&mut self, fragment: &Fragment) -> Result<(), Fault> {
        Ok(self.0.submit(fragment).await?)
    }
}

impl From<EncodeError> for Fault {
    fn from(error: EncodeError) -> Self {
        Self::Returned(error.to_string())
    }
}
