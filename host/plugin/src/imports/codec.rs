//! `interface codec`: native encoders of pictures and what they are asked for; renditions.

use std::sync::Arc;

use millrace_codec::{Quality, SettingsError, Speed, VideoCodec, VideoSettings};
use millrace_media::Time;
use millrace_transcode::encoder::{EncodeError, Steering, VideoEncoder};
use millrace_transcode::ladder::Rendition;
use wasmtime::component::Resource;

use super::{AudioSettingsHandle, FragmentHandle, Outcome};
use crate::bindings::millrace::plugin::codec::{Host, HostRendition, HostVideoEncoder, HostVideoSettings};
use crate::bindings::millrace::plugin::types::Error;
use crate::state::State;
use crate::text::tidy;

/// Settings that a plugin is working on.
pub struct SettingsHandle(VideoSettings);

/// The rendition an instance is for.
pub struct RenditionHandle(pub(crate) Arc<Rendition>);

/// A handle to an encoder.
pub struct EncoderHandle(VideoEncoder);

impl Host for State {}

impl HostVideoSettings for State {
    fn new(&mut self, codec: String, width: u32, height: u32) -> Outcome<Resource<SettingsHandle>> {
        let settings = codec.parse::<VideoCodec>().and_then(|codec| {
            let settings = VideoSettings::new(codec, width, height);
            settings.validate().map(|_| settings)
        });
        Ok(settings.map_err(Error::from).and_then(|settings| self.push(SettingsHandle(settings))))
    }

    fn codec(&mut self, settings: Resource<SettingsHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&settings)?.0.codec.name().to_owned())
    }

    fn width(&mut self, settings: Resource<SettingsHandle>) -> wasmtime::Result<u32> {
        Ok(self.table.get(&settings)?.0.width)
    }

    fn height(&mut self, settings: Resource<SettingsHandle>) -> wasmtime::Result<u32> {
        Ok(self.table.get(&settings)?.0.height)
    }

    fn bitrate(&mut self, settings: Resource<SettingsHandle>) -> wasmtime::Result<Option<u32>> {
        Ok(self.table.get(&settings)?.0.bitrate)
    }

    fn set_size(&mut self, settings: Resource<SettingsHandle>, width: u32, height: u32) -> Outcome<()> {
        self.change(&settings, |settings| VideoSettings { width, height, ..settings })
    }

    fn set_bitrate(&mut self, settings: Resource<SettingsHandle>, bitrate: Option<u32>) -> Outcome<()> {
        self.change(&settings, |settings| VideoSettings { bitrate, ..settings })
    }

    fn set_quality(&mut self, settings: Resource<SettingsHandle>, quality: String) -> Outcome<()> {
        let quality = match quality.as_str() {
            "visually-lossless" => Quality::VisuallyLossless,
            "high" => Quality::High,
            "standard" => Quality::Standard,
            "low" => Quality::Low,
            other => return Ok(Err(unknown("quality", other, "visually-lossless, high, standard or low"))),
        };
        self.change(&settings, |settings| VideoSettings { quality, ..settings })
    }

    fn set_speed(&mut self, settings: Resource<SettingsHandle>, speed: String) -> Outcome<()> {
        let speed = match speed.as_str() {
            "archive" => Speed::Archive,
            "standard" => Speed::Standard,
            "draft" => Speed::Draft,
            other => return Ok(Err(unknown("speed", other, "archive, standard or draft"))),
        };
        self.change(&settings, |settings| VideoSettings { speed, ..settings })
    }

    fn drop(&mut self, settings: Resource<SettingsHandle>) -> wasmtime::Result<()> {
        self.table.delete(settings)?;
        Ok(())
    }
}

impl HostRendition for State {
    fn name(&mut self, rendition: Resource<RenditionHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&rendition)?.0.name.to_string())
    }

    fn width(&mut self, rendition: Resource<RenditionHandle>) -> wasmtime::Result<u32> {
        Ok(self.table.get(&rendition)?.0.video.width)
    }

    fn height(&mut self, rendition: Resource<RenditionHandle>) -> wasmtime::Result<u32> {
        Ok(self.table.get(&rendition)?.0.video.height)
    }

    fn video(&mut self, rendition: Resource<RenditionHandle>) -> wasmtime::Result<Option<Resource<SettingsHandle>>> {
        self.table.get(&rendition)?;
        let configured = self.context().and_then(|context| context.encoders.configured());
        // This function cannot fail in the contract: a guest that has filled its table with handles ends here.
        Ok(configured.map(|settings| self.table.push(SettingsHandle(settings))).transpose()?)
    }

    fn audio(
        &mut self,
        rendition: Resource<RenditionHandle>,
    ) -> wasmtime::Result<Option<Resource<AudioSettingsHandle>>> {
        self.table.get(&rendition)?;
        let configured = self.context().and_then(|context| context.encoders.configured_audio());
        // As for the pictures.
        Ok(configured.map(|settings| self.table.push(AudioSettingsHandle(settings))).transpose()?)
    }

    fn drop(&mut self, rendition: Resource<RenditionHandle>) -> wasmtime::Result<()> {
        self.table.delete(rendition)?;
        Ok(())
    }
}

impl HostVideoEncoder for State {
    fn open(&mut self, name: String, settings: Resource<SettingsHandle>) -> Outcome<Resource<EncoderHandle>> {
        self.off_clock(|state| {
            let settings = state.table.get(&settings)?.0.clone();
            let open = state.started().and_then(|context| Ok(context.encoders.open(&name, settings)?));
            Ok(open.and_then(|encoder| state.push(EncoderHandle(encoder))))
        })
    }

    async fn submit(&mut self, encoder: Resource<EncoderHandle>, source: Resource<FragmentHandle>) -> Outcome<()> {
        self.clock.stop();
        let done = match self.table.get(&source)?.to_be_encoded()? {
            Ok(fragment) => {
                let encoder = self.table.get(&encoder)?.0.clone();
                encoder.submit(&fragment).await.map_err(Error::from)
            }
            Err(error) => Err(error),
        };
        self.clock.start();
        Ok(done)
    }

    fn keyframe(&mut self, encoder: Resource<EncoderHandle>, at: i64) -> Outcome<()> {
        self.steer(&encoder, at, Steering::Keyframe)
    }

    fn set_bitrate(&mut self, encoder: Resource<EncoderHandle>, at: i64, bitrate: u32) -> Outcome<()> {
        self.steer(&encoder, at, Steering::Bitrate(bitrate))
    }

    fn skip(&mut self, encoder: Resource<EncoderHandle>, at: i64) -> Outcome<()> {
        self.steer(&encoder, at, Steering::Skip)
    }

    fn drop(&mut self, encoder: Resource<EncoderHandle>) -> wasmtime::Result<()> {
        self.table.delete(encoder)?;
        Ok(())
    }
}

impl State {
    /// Changes settings where what comes of it is valid.
    fn change(
        &mut self,
        settings: &Resource<SettingsHandle>,
        change: impl FnOnce(VideoSettings) -> VideoSettings,
    ) -> Outcome<()> {
        let settings = &mut self.table.get_mut(settings)?.0;
        let changed = change(settings.clone());
        Ok(match changed.validate() {
            Ok(_) => {
                *settings = changed;
                Ok(())
            }
            Err(error) => Err(error.into()),
        })
    }

    fn steer(&mut self, encoder: &Resource<EncoderHandle>, at: i64, steering: Steering) -> Outcome<()> {
        self.off_clock(|state| {
            let encoder = &state.table.get(encoder)?.0;
            Ok(state.started().and_then(|context| {
                let at = Time::new(at, context.info.timescale);
                Ok(encoder.steer(at, steering)?)
            }))
        })
    }
}

fn unknown(what: &str, given: &str, expected: &str) -> Error {
    Error::Unsupported(format!("unknown {what} {:?} (expected {expected})", tidy(given)))
}

impl From<SettingsError> for Error {
    fn from(error: SettingsError) -> Self {
        match error {
            SettingsError::Codec(_) => Self::Unsupported(error.to_string()),
            _ => Self::Invalid(error.to_string()),
        }
    }
}

impl From<EncodeError> for Error {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::Invalid(text) => Self::Invalid(text),
            EncodeError::Unsupported(text) => Self::Unsupported(text),
            EncodeError::Overloaded(text) => Self::Overloaded(text),
            EncodeError::Failed(text) => Self::Failed(text),
            EncodeError::Closed => Self::Closed,
        }
    }
}
