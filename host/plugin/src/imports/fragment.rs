//! `resource fragment` of `interface media`.

use bytes::Bytes;
use millrace_cmaf::write::Event;
use millrace_media::fragment::{Marks, TimedSample};
use millrace_media::{Fragment, Media, Time};
use wasmtime::component::Resource;

use super::Outcome;
use crate::bindings::millrace::plugin::media::{self, HostFragment};
use crate::bindings::millrace::plugin::types::Error;
use crate::state::State;

/// A fragment lent for a call, or kept by the plugin.
#[derive(Default)]
pub struct FragmentHandle {
    /// The track it belongs to, as the plugin knows it.
    track: u32,
    /// None in the entry for lending while nothing is lent.
    source: Option<Fragment>,
    changed: Option<Box<Media>>,
    pinned: u64,
}

impl FragmentHandle {
    pub(crate) fn lent(track: u32, fragment: Fragment) -> Self {
        Self { track, source: Some(fragment), changed: None, pinned: 0 }
    }

    fn kept(track: u32, fragment: Fragment, changed: Option<Box<Media>>) -> Self {
        let pinned = changed.as_deref().unwrap_or(fragment.media()).pinned();
        Self { track, source: Some(fragment), changed, pinned }
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

    /// What it is, or was changed to.
    pub(super) fn into_media(self) -> wasmtime::Result<Box<Media>> {
        match self.changed {
            Some(media) => Ok(media),
            None => Ok(Box::new(self.source()?.media().clone())),
        }
    }

    /// The track it belongs to, as the plugin knows it.
    pub(super) fn of_track(&self) -> u32 {
        self.track
    }

    /// True of a copy that is not the source's any more.
    pub(crate) fn is_edited(&self) -> bool {
        self.changed.is_some()
    }

    /// The source's fragment and its track, to be encoded: decoders read it from the source's track, where an edited copy is not.
    pub(crate) fn to_be_encoded(&self) -> Outcome<(u32, Fragment)> {
        if self.changed.is_some() {
            let text = "an edited copy cannot be encoded: submit the source's fragment";
            return Ok(Err(Error::Invalid(text.into())));
        }
        Ok(Ok((self.track, self.source()?.clone())))
    }
}

impl State {
    fn keep(&mut self, handle: FragmentHandle) -> Result<Resource<FragmentHandle>, Error> {
        let pinned = handle.pinned;
        self.pin(pinned)?;
        self.push(handle).inspect_err(|_| self.unpin(pinned))
    }

    /// Takes a handle that the guest had.
    pub(super) fn delete_fragment(&mut self, fragment: Resource<FragmentHandle>) -> wasmtime::Result<FragmentHandle> {
        let handle = self.table.delete(fragment)?;
        self.unpin(handle.pinned);
        Ok(handle)
    }

    /// A handle to an edited copy.
    fn edited<E: std::fmt::Display>(
        &mut self,
        fragment: &Resource<FragmentHandle>,
        edit: impl FnOnce(&Media) -> Result<Media, E>,
    ) -> Outcome<Resource<FragmentHandle>> {
        let handle = self.table.get(fragment)?;
        let changed = match edit(handle.media()?) {
            Ok(changed) => Box::new(changed),
            Err(error) => return Ok(Err(Error::Invalid(error.to_string()))),
        };
        let kept = FragmentHandle::kept(handle.track, handle.source()?.clone(), Some(changed));
        Ok(self.keep(kept))
    }
}

impl HostFragment for State {
    fn track(&mut self, fragment: Resource<FragmentHandle>) -> wasmtime::Result<u32> {
        Ok(self.table.get(&fragment)?.track)
    }

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
        let media = self.table.get(&fragment)?.media()?;
        Ok(media.timed_samples().map(media::Sample::from).collect())
    }

    fn events(&mut self, fragment: Resource<FragmentHandle>) -> wasmtime::Result<Vec<media::Event>> {
        let handle = self.table.get(&fragment)?;
        let media = handle.media()?;
        let scale = media.decode_time.scale();
        let mut events = millrace_cmaf::events(media);
        if handle.source()?.info().codec == millrace_cmaf::EVENT_MESSAGES {
            events.extend(millrace_cmaf::sample_events(media));
        }
        Ok(events
            .into_iter()
            .map(|event| media::Event {
                scheme_id_uri: event.scheme,
                value: event.value,
                id: event.id,
                presentation_time: event.presentation_time.rescale(scale).ticks(),
                duration: event.duration.and_then(|time| u32::try_from(time.rescale(scale).ticks()).ok()),
                message: event.data.to_vec(),
            })
            .collect())
    }

    fn read(&mut self, fragment: Resource<FragmentHandle>, offset: u32, len: u32) -> Outcome<Vec<u8>> {
        let payload = &self.table.get(&fragment)?.media()?.payload;
        let Some(range) = payload.range(offset, len) else {
            let size = payload.len();
            let text = format!("{len} bytes from {offset} are not all there: the fragment has {size}");
            return Ok(Err(Error::Invalid(text)));
        };
        let mut bytes = Vec::with_capacity(range.len() as usize);
        range.slices().iter().for_each(|slice| bytes.extend_from_slice(slice));
        Ok(Ok(bytes))
    }

    fn share(&mut self, fragment: Resource<FragmentHandle>) -> Outcome<Resource<FragmentHandle>> {
        let handle = self.table.get(&fragment)?;
        let kept = FragmentHandle::kept(handle.track, handle.source()?.clone(), handle.changed.clone());
        Ok(self.keep(kept))
    }

    fn with_event(
        &mut self,
        fragment: Resource<FragmentHandle>,
        event: media::Event,
    ) -> Outcome<Resource<FragmentHandle>> {
        if event.presentation_time < 0 {
            let text = format!("an event at {} (expected a presentation time >= 0)", event.presentation_time);
            return Ok(Err(Error::Invalid(text)));
        }
        for (field, text) in [("scheme-id-uri", &event.scheme_id_uri), ("value", &event.value)] {
            if text.contains('\0') {
                return Ok(Err(Error::Invalid(format!("an event with a zero byte in its {field}"))));
            }
        }
        self.edited(&fragment, |media| {
            let scale = media.decode_time.scale();
            let event = Event {
                scheme: event.scheme_id_uri,
                value: event.value,
                presentation_time: Time::new(event.presentation_time, scale),
                duration: event.duration.map(|ticks| Time::new(ticks.into(), scale)),
                id: event.id,
                data: event.message.into(),
            };
            millrace_cmaf::with_event(media, &event).map_err(|error| format!("the event cannot be written: {error}"))
        })
    }

    fn without_events(
        &mut self,
        fragment: Resource<FragmentHandle>,
        scheme_id_uri: String,
    ) -> Outcome<Resource<FragmentHandle>> {
        self.edited(&fragment, |media| millrace_cmaf::without_events(media, &scheme_id_uri))
    }

    fn insert(
        &mut self,
        fragment: Resource<FragmentHandle>,
        sample: u32,
        offset: u32,
        bytes: Vec<u8>,
    ) -> Outcome<Resource<FragmentHandle>> {
        self.edited(&fragment, |media| millrace_cmaf::insert(media, sample, offset, Bytes::from(bytes)))
    }

    fn without_samples(
        &mut self,
        fragment: Resource<FragmentHandle>,
        samples: Vec<u32>,
    ) -> Outcome<Resource<FragmentHandle>> {
        self.edited(&fragment, |media| millrace_cmaf::without_samples(media, &samples))
    }

    fn with_samples(
        &mut self,
        fragment: Resource<FragmentHandle>,
        data: Vec<Vec<u8>>,
    ) -> Outcome<Resource<FragmentHandle>> {
        let data = data.into_iter().map(Bytes::from).collect();
        self.edited(&fragment, |media| millrace_cmaf::with_samples(media, data))
    }

    fn drop(&mut self, fragment: Resource<FragmentHandle>) -> wasmtime::Result<()> {
        self.delete_fragment(fragment)?;
        Ok(())
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
