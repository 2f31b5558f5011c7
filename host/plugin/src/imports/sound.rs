//! The sound of `interface codec`: native encoders of sound and what they are asked for.

use millrace_codec::audio::{AudioCodec, AudioError, AudioSettings};
use millrace_transcode::sound::AudioEncoder;
use wasmtime::component::Resource;

use super::{FragmentHandle, Outcome};
use crate::bindings::millrace::plugin::codec::{HostAudioEncoder, HostAudioSettings};
use crate::bindings::millrace::plugin::types::Error;
use crate::state::State;

/// Settings for sound that a plugin is working on.
pub struct AudioSettingsHandle(pub(crate) AudioSettings);

/// A handle to an encoder of sound.
pub struct AudioEncoderHandle(AudioEncoder);

impl HostAudioSettings for State {
    fn new(&mut self, codec: String, bitrate: u32) -> Outcome<Resource<AudioSettingsHandle>> {
        let settings = codec.parse::<AudioCodec>().and_then(|codec| {
            let settings = AudioSettings { codec, bitrate };
            settings.validate().map(|()| settings)
        });
        Ok(settings.map_err(Error::from).and_then(|settings| self.push(AudioSettingsHandle(settings))))
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
    fn open(&mut self, name: String, settings: Resource<AudioSettingsHandle>) -> Outcome<Resource<AudioEncoderHandle>> {
        self.off_clock(|state| {
            let settings = state.table.get(&settings)?.0;
            let open = state.started().and_then(|context| Ok(context.encoders.open_audio(&name, settings)?));
            Ok(open.and_then(|encoder| state.push(AudioEncoderHandle(encoder))))
        })
    }

    async fn submit(&mut self, encoder: Resource<AudioEncoderHandle>, source: Resource<FragmentHandle>) -> Outcome<()> {
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
