//! `interface media`: the source's track and its fragments.

use std::sync::Arc;

use millrace_cmaf::write::{Event, with_event};
use millrace_media::fragment::{Marks, TimedSample};
use millrace_media::track::{Format, Info};
use millrace_media::{BroadcastName, Fragment, Media, Time, TrackName};
use wasmtime::component::Resource;

use super::Outcome;
use crate::bindings::millrace::plugin::media::{self, Host, HostFragment, HostTrack};
use crate::bindings::millrace::plugin::types::{AudioFormat, Error, TrackKind, VideoFormat};
use crate::state::State;

/// The source's track, as it was when the instance started.
pub struct TrackHandle {
    pub(crate) broadcast: BroadcastName,
    pub(crate) name: TrackName,
    pub(crate) info: Arc<Info>,
}

/// A fragment lent for a call, or kept by the plugin.
#[derive(Default)]
pub struct FragmentHandle {
    /// None in the entry for lending while nothing is lent.
    source: Option<Fragment>,
    changed: Option<Box<Media>>,
    pinned: u64,
}

impl FragmentHandle {
    pub(crate) fn lent(fragment: Fragment) -> Self {
        Self { source: Some(fragment), changed: None, pinned: 0 }
    }

    fn kept(fragment: Fragment, changed: Option<Box<Media>>) -> Self {
        let pinned = changed.as_deref().unwrap_or(fragment.media()).pinned();
        Self { source: Some(fragment), changed, pinned }
    }

    /// The source's fragment that this is, or was made of.
    pub(crate) fn source(&self) -> wasmtime::Result<&Fragment> {
        self.source.as_ref().ok_or_else(|| wasmtime::Error::msg("no fragment is lent"))
    }

    /// What is to be read and written.
    pub(crate) fn media(&self) -> wasmtime::Result<&Media> {
        match &self.changed {
            Some(media) => Ok(media),
            None => Ok(self.source()?.media()),
        }
    }

    /// The source's fragment, to be encoded: decoders read it from the source's track, where a changed copy is not.
    pub(crate) fn to_be_encoded(&self) -> Outcome<Fragment> {
        if self.changed.is_some() {
            let text = "a copy with an event cannot be encoded: submit the source's fragment";
            return Ok(Err(Error::Invalid(text.into())));
        }
        Ok(Ok(self.source()?.clone()))
    }
}

impl Host for State {}

impl HostTrack for State {
    fn broadcast(&mut self, track: Resource<TrackHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&track)?.broadcast.to_string())
    }

    fn name(&mut self, track: Resource<TrackHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&track)?.name.to_string())
    }

    fn kind(&mut self, track: Resource<TrackHandle>) -> wasmtime::Result<TrackKind> {
        Ok(self.table.get(&track)?.info.kind().into())
    }

    fn codec(&mut self, track: Resource<TrackHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&track)?.info.codec.clone())
    }

    fn timescale(&mut self, track: Resource<TrackHandle>) -> wasmtime::Result<u32> {
        Ok(self.table.get(&track)?.info.timescale.get())
    }

    fn video(&mut self, track: Resource<TrackHandle>) -> wasmtime::Result<Option<VideoFormat>> {
        let size = self.table.get(&track)?.info.format.size();
        Ok(size.map(|(width, height)| VideoFormat { width, height }))
    }

    fn audio(&mut self, track: Resource<TrackHandle>) -> wasmtime::Result<Option<AudioFormat>> {
        Ok(match self.table.get(&track)?.info.format {
            Format::Audio { sample_rate, channels } => Some(AudioFormat { sample_rate, channels }),
            Format::Video { .. } | Format::Text | Format::Image { .. } | Format::Data => None,
        })
    }

    fn frame_rate(&mut self, track: Resource<TrackHandle>) -> wasmtime::Result<Option<f32>> {
        Ok(match self.table.get(&track)?.info.format {
            Format::Video { frame_rate, .. } => frame_rate,
            Format::Audio { .. } | Format::Text | Format::Image { .. } | Format::Data => None,
        })
    }

    fn bitrate(&mut self, track: Resource<TrackHandle>) -> wasmtime::Result<Option<u32>> {
        Ok(self.table.get(&track)?.info.bitrate)
    }

    fn language(&mut self, track: Resource<TrackHandle>) -> wasmtime::Result<Option<String>> {
        Ok(self.table.get(&track)?.info.language.clone())
    }

    fn init_segment(&mut self, track: Resource<TrackHandle>) -> wasmtime::Result<Vec<u8>> {
        Ok(self.table.get(&track)?.info.init.to_vec())
    }

    fn drop(&mut self, track: Resource<TrackHandle>) -> wasmtime::Result<()> {
        self.table.delete(track)?;
        Ok(())
    }
}

impl HostFragment for State {
    fn info(&mut self, fragment: Resource<FragmentHandle>) -> wasmtime::Result<media::Info> {
        let handle = self.table.get(&fragment)?;
        let (place, media) = (handle.source()?.place(), handle.media()?);
        Ok(media::Info {
            group: place.group.0,
            object: place.object,
            decode_time: media.decode_time.ticks(),
            presentation_time: media.presentation_time.rescale(media.decode_time.scale()).ticks(),
            duration: media.duration.rescale(media.decode_time.scale()).ticks(),
            marks: media.marks.into(),
            captured_at: media.captured_at.and_then(|at| u64::try_from(at.as_micros()).ok()),
            size: media.payload.len(),
        })
    }

    fn samples(&mut self, fragment: Resource<FragmentHandle>) -> wasmtime::Result<Vec<media::Sample>> {
        self.off_clock(|state| {
            let media = state.table.get(&fragment)?.media()?;
            Ok(media.timed_samples().map(media::Sample::from).collect())
        })
    }

    fn read(&mut self, fragment: Resource<FragmentHandle>, offset: u32, len: u32) -> Outcome<Vec<u8>> {
        self.off_clock(|state| {
            let payload = &state.table.get(&fragment)?.media()?.payload;
            let Some(range) = payload.range(offset, len) else {
                return Ok(Err(Error::Invalid(format!(
                    "{len} bytes from {offset} are not all there: the fragment has {}",
                    payload.len()
                ))));
            };
            let mut bytes = Vec::with_capacity(range.len() as usize);
            range.slices().iter().for_each(|slice| bytes.extend_from_slice(slice));
            Ok(Ok(bytes))
        })
    }

    fn share(&mut self, fragment: Resource<FragmentHandle>) -> Outcome<Resource<FragmentHandle>> {
        self.off_clock(|state| {
            let handle = state.table.get(&fragment)?;
            let kept = FragmentHandle::kept(handle.source()?.clone(), handle.changed.clone());
            Ok(state.keep(kept))
        })
    }

    fn with_event(
        &mut self,
        fragment: Resource<FragmentHandle>,
        event: media::Event,
    ) -> Outcome<Resource<FragmentHandle>> {
        self.off_clock(|state| {
            let handle = state.table.get(&fragment)?;
            let media = handle.media()?;
            let scale = media.decode_time.scale();
            let event = Event {
                scheme: event.scheme_id_uri,
                value: event.value,
                presentation_time: Time::new(event.presentation_time, scale),
                duration: event.duration.map(|ticks| Time::new(ticks.into(), scale)),
                id: event.id,
                data: event.message.into(),
            };
            let changed = match with_event(media, &event) {
                Ok(changed) => Box::new(changed),
                Err(error) => return Ok(Err(Error::Invalid(format!("the event cannot be written: {error}")))),
            };
            let kept = FragmentHandle::kept(handle.source()?.clone(), Some(changed));
            Ok(state.keep(kept))
        })
    }

    fn drop(&mut self, fragment: Resource<FragmentHandle>) -> wasmtime::Result<()> {
        let handle = self.table.delete(fragment)?;
        self.unpin(handle.pinned);
        Ok(())
    }
}

impl State {
    fn keep(&mut self, handle: FragmentHandle) -> Result<Resource<FragmentHandle>, Error> {
        let pinned = handle.pinned;
        self.pin(pinned)?;
        self.push(handle).inspect_err(|_| self.unpin(pinned))
    }
}

impl From<Marks> for media::Marks {
    fn from(marks: Marks) -> Self {
        let flag = |set, flag| if set { flag } else { Self::empty() };
        flag(marks.keyframe, Self::KEYFRAME)
            | flag(marks.independent, Self::INDEPENDENT)
            | flag(marks.discardable, Self::DISCARDABLE)
    }
}

impl From<media::Marks> for Marks {
    fn from(marks: media::Marks) -> Self {
        Self {
            keyframe: marks.contains(media::Marks::KEYFRAME),
            independent: marks.contains(media::Marks::INDEPENDENT),
            discardable: marks.contains(media::Marks::DISCARDABLE),
        }
    }
}

impl From<TimedSample> for media::Sample {
    fn from(timed: TimedSample) -> Self {
        let sample = timed.sample;
        Self {
            offset: sample.offset,
            size: sample.size,
            timing: media::Timing {
                decode_time: timed.decode_time.ticks(),
                composition_offset: sample.composition_offset,
                duration: sample.duration,
                marks: sample.marks.into(),
            },
        }
    }
}
