//! `interface codec`: native video encoders and what they are asked for.

use millrace_codec::{Quality, SettingsError, Speed, VideoCodec, VideoSettings};
use millrace_media::track::Track;
use millrace_media::{Fragment, Time};
use millrace_transcode::encoder::{EncodeError, Steering, VideoEncoder};
use millrace_transcode::stats::Work;
use wasmtime::component::Resource;

use super::{FragmentHandle, Outcome, RenditionHandle, TrackHandle};
use crate::bindings::millrace::plugin::codec::{Host, HostStatistics, HostVideoEncoder, HostVideoSettings};
use crate::bindings::millrace::plugin::types::{Error, Size};
use crate::state::State;
use crate::text::tidy;

/// Settings that a plugin is working on.
pub struct SettingsHandle(VideoSettings);

/// What an encoder had done when it was asked.
pub struct StatisticsHandle(Work);

/// A handle to an encoder.
pub struct EncoderHandle(VideoEncoder);

impl Host for State {}

impl HostVideoSettings for State {
    fn new(&mut self, codec: String, size: Size) -> Outcome<Resource<SettingsHandle>> {
        let Size { width, height } = size;
        let settings = codec.parse::<VideoCodec>().and_then(|codec| {
            let settings = VideoSettings::new(codec, width, height);
            settings.validate().map(|_| settings)
        });
        Ok(settings.map_err(Error::from).and_then(|settings| self.push(SettingsHandle(settings))))
    }

    fn of(
        &mut self,
        rendition: Resource<RenditionHandle>,
        track: Resource<TrackHandle>,
    ) -> wasmtime::Result<Option<Resource<SettingsHandle>>> {
        let settings = self.table.get(&rendition)?.0.fit(&self.table.get(&track)?.0.info.format);
        settings.map(|settings| self.push_or_end(SettingsHandle(settings))).transpose()
    }

    fn codec(&mut self, settings: Resource<SettingsHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&settings)?.0.codec.name().to_owned())
    }

    fn size(&mut self, settings: Resource<SettingsHandle>) -> wasmtime::Result<Size> {
        let settings = &self.table.get(&settings)?.0;
        Ok(Size { width: settings.width, height: settings.height })
    }

    fn bitrate(&mut self, settings: Resource<SettingsHandle>) -> wasmtime::Result<Option<u32>> {
        Ok(self.table.get(&settings)?.0.bitrate)
    }

    fn set_size(&mut self, settings: Resource<SettingsHandle>, size: Size) -> Outcome<()> {
        let Size { width, height } = size;
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

impl HostStatistics for State {
    fn frames_encoded(&mut self, statistics: Resource<StatisticsHandle>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&statistics)?.0.encoded)
    }

    fn bytes(&mut self, statistics: Resource<StatisticsHandle>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&statistics)?.0.bytes)
    }

    fn frames_dropped(&mut self, statistics: Resource<StatisticsHandle>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&statistics)?.0.dropped)
    }

    fn queue(&mut self, statistics: Resource<StatisticsHandle>) -> wasmtime::Result<u32> {
        Ok(u32::try_from(self.table.get(&statistics)?.0.queue).unwrap_or(u32::MAX))
    }

    fn quantizer(&mut self, statistics: Resource<StatisticsHandle>) -> wasmtime::Result<Option<f32>> {
        self.table.get(&statistics)?;
        // None of the encoders here reports it.
        Ok(None)
    }

    fn drop(&mut self, statistics: Resource<StatisticsHandle>) -> wasmtime::Result<()> {
        self.table.delete(statistics)?;
        Ok(())
    }
}

impl HostVideoEncoder for State {
    fn open(
        &mut self,
        name: String,
        track: Resource<TrackHandle>,
        settings: Resource<SettingsHandle>,
    ) -> Outcome<Resource<EncoderHandle>> {
        let source = self.table.get(&track)?.0.clone();
        let settings = self.table.get(&settings)?.0.clone();
        let most = self.limits.output_tracks;
        let open =
            self.started().and_then(|context| Ok(context.encoders.open_within(&name, &source, settings, most)?));
        Ok(open.and_then(|encoder| self.push(EncoderHandle(encoder))))
    }

    fn settings(&mut self, encoder: Resource<EncoderHandle>) -> wasmtime::Result<Resource<SettingsHandle>> {
        let settings = self.table.get(&encoder)?.0.settings();
        self.push_or_end(SettingsHandle(settings))
    }

    fn reconfigure(&mut self, encoder: Resource<EncoderHandle>, settings: Resource<SettingsHandle>) -> Outcome<()> {
        let settings = self.table.get(&settings)?.0.clone();
        Ok(self.table.get(&encoder)?.0.reconfigure(settings).map_err(Error::from))
    }

    async fn submit(&mut self, encoder: Resource<EncoderHandle>, source: Resource<FragmentHandle>) -> Outcome<()> {
        let encoder = self.table.get(&encoder)?.0.clone();
        match self.to_be_encoded(&source, encoder.track())? {
            Ok(fragment) => Ok(self.wait(encoder.submit(&fragment)).await?.map_err(Error::from)),
            Err(error) => Ok(Err(error)),
        }
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

    fn statistics(&mut self, encoder: Resource<EncoderHandle>) -> wasmtime::Result<Resource<StatisticsHandle>> {
        let work = self.table.get(&encoder)?.0.work();
        self.push_or_end(StatisticsHandle(work))
    }

    fn drop(&mut self, encoder: Resource<EncoderHandle>) -> wasmtime::Result<()> {
        self.table.delete(encoder)?;
        Ok(())
    }
}

impl State {
    /// The source's fragment, where it may be submitted to an encoder of this track.
    pub(super) fn to_be_encoded(&self, fragment: &Resource<FragmentHandle>, track: &Track) -> Outcome<Fragment> {
        let (id, fragment) = match self.table.get(fragment)?.to_be_encoded()? {
            Ok(given) => given,
            Err(error) => return Ok(Err(error)),
        };
        Ok(match self.source(id) {
            Some(source) if source.track.is_same(track) => Ok(fragment),
            Some(source) => {
                let (given, of) = (source.track.name(), track.name());
                Err(Error::Invalid(format!("a fragment of the track {given}, where the encoder is on {of}")))
            }
            None => Err(Error::Invalid("a fragment of a track that is over".into())),
        })
    }

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
        let encoder = &self.table.get(encoder)?.0;
        let Some(info) = encoder.track().info() else { return Ok(Err(Error::Closed)) };
        Ok(encoder.steer(Time::new(at, info.timescale), steering).map_err(Error::from))
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
