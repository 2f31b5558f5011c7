//! The audio of `interface codec`: native audio encoders and what they are asked for.

use millrace_codec::audio::{AudioCodec, AudioError, AudioSettings};
use millrace_transcode::sound::AudioEncoder;
use wasmtime::component::Resource;

use super::{FragmentHandle, Outcome, RenditionHandle, TrackHandle};
use crate::bindings::millrace::plugin::codec::{HostAudioEncoder, HostAudioSettings};
use crate::bindings::millrace::plugin::types::Error;
use crate::state::State;

/// Audio settings that a plugin is working on.
pub struct AudioSettingsHandle(pub(crate) AudioSettings);

/// A handle to an audio encoder.
pub struct AudioEncoderHandle(AudioEncoder);

impl HostAudioSettings for State {
    fn new(&mut self, codec: String, bitrate: u32) -> Outcome<Resource<AudioSettingsHandle>> {
        let settings = codec.parse::<AudioCodec>().and_then(|codec| {
            let settings = AudioSettings { codec, bitrate };
            settings.validate().map(|()| settings)
        });
        Ok(settings.map_err(Error::from).and_then(|settings| self.push(AudioSettingsHandle(settings))))
    }

    fn of(
        &mut self,
        rendition: Resource<RenditionHandle>,
        track: Resource<TrackHandle>,
    ) -> wasmtime::Result<Option<Resource<AudioSettingsHandle>>> {
        let (rendition, track) = (&self.table.get(&rendition)?.0, &self.table.get(&track)?.0);
        let settings = self.purpose().transcode().and_then(|context| context.encoders.audio_settings(rendition, track));
        settings.map(|settings| self.push_or_end(AudioSettingsHandle(settings))).transpose()
    }

    fn codec(&mut self, settings: Resource<AudioSettingsHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&settings)?.0.codec.name().to_owned())
    }

    fn bitrate(&mut self, settings: Resource<AudioSettingsHandle>) -> wasmtime::Result<u32> {
        Ok(self.table.get(&settings)?.0.bitrate)
    }

    fn set_bitrate(&mut self, settings: Resource<AudioSettingsHandle>, bitrate: u32) -> Outcome<()> {
        let settings = &mut self.table.get_mut(&settings)?.0;
        let changed = AudioSettings { bitrate, ..*settings };
        Ok(changed.validate().map(|()| *settings = changed).map_err(Error::from))
    }

    fn drop(&mut self, settings: Resource<AudioSettingsHandle>) -> wasmtime::Result<()> {
        self.table.delete(settings)?;
        Ok(())
    }
}

impl HostAudioEncoder for State {
    fn open(
        &mut self,
        name: String,
        track: Resource<TrackHandle>,
        settings: Resource<AudioSettingsHandle>,
    ) -> Outcome<Resource<AudioEncoderHandle>> {
        let source = self.table.get(&track)?.0.clone();
        let settings = self.table.get(&settings)?.0;
        let most = self.limits.output_tracks;
        let open = self
            .started()
            .and_then(|context| Ok(context.encoders.open_audio_within(&name, &source, settings, most)?));
        Ok(open.and_then(|encoder| self.push(AudioEncoderHandle(encoder))))
    }

    fn settings(&mut self, encoder: Resource<AudioEncoderHandle>) -> wasmtime::Result<Resource<AudioSettingsHandle>> {
        let settings = self.table.get(&encoder)?.0.settings();
        self.push_or_end(AudioSettingsHandle(settings))
    }

    fn reconfigure(
        &mut self,
        encoder: Resource<AudioEncoderHandle>,
        settings: Resource<AudioSettingsHandle>,
    ) -> Outcome<()> {
        let settings = self.table.get(&settings)?.0;
        Ok(self.table.get(&encoder)?.0.reconfigure(settings).map_err(Error::from))
    }

    async fn submit(&mut self, encoder: Resource<AudioEncoderHandle>, source: Resource<FragmentHandle>) -> Outcome<()> {
        let encoder = self.table.get(&encoder)?.0.clone();
        match self.to_be_encoded(&source, encoder.track())? {
            Ok(fragment) => Ok(self.wait(encoder.submit(&fragment)).await?.map_err(Error::from)),
            Err(error) => Ok(Err(error)),
        }
    }

    fn drop(&mut self, encoder: Resource<AudioEncoderHandle>) -> wasmtime::Result<()> {
        self.table.delete(encoder)?;
        Ok(())
    }
}

impl From<AudioError> for Error {
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
