//! `interface output`: the tracks a plugin writes.

use std::time::Duration;

use bytes::Bytes;
use millrace_cmaf::write::{ChunkWriter, Packet};
use millrace_cmaf::{Limits, TrackHeader};
use millrace_media::broadcast::TrackError;
use millrace_media::calendar::Group;
use millrace_media::track::{Listing, ListingError, Role, WriteError};
use millrace_media::{Media, Time};
use millrace_transcode::output::{Output, OutputError};
use wasmtime::component::Resource;

use super::{FragmentHandle, Outcome, TrackHandle};
use crate::bindings::millrace::plugin::output::{Coded, Host, HostOutputTrack};
use crate::bindings::millrace::plugin::types::Error;
use crate::state::State;
use crate::text::tidy;

/// The most samples of one fragment.
const MAX_SAMPLES: usize = 4096;

/// A handle to an output track.
pub struct OutputHandle {
    output: Output,
    /// What the plugin's own chunks are checked against, and made for; none where the track's header cannot be read.
    header: Option<Header>,
}

/// Who made what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MadeBy {
    Plugin,
    Publisher,
}

struct Header {
    track: TrackHeader,
    chunks: ChunkWriter,
}

impl From<TrackHeader> for Header {
    fn from(track: TrackHeader) -> Self {
        Self { chunks: ChunkWriter::new(track.track_id), track }
    }
}

impl Host for State {}

impl HostOutputTrack for State {
    fn like(&mut self, name: String, track: Resource<TrackHandle>) -> Outcome<Resource<OutputHandle>> {
        let source = self.table.get(&track)?.0.clone();
        Ok(self.open_output(&name, Some(source.track.name())).and_then(|output| {
            output.describe_like(&source)?;
            let header = millrace_cmaf::describe(&source.info.init).ok().map(Header::from);
            self.push(OutputHandle { output, header })
        }))
    }

    fn from_init(&mut self, name: String, init: Vec<u8>) -> Outcome<Resource<OutputHandle>> {
        let header = millrace_cmaf::describe(&init)
            .map_err(|error| Error::Invalid(format!("the CMAF header cannot be read: {error}")));
        Ok(header.and_then(|header| {
            let output = self.open_output(&name, None)?;
            output.describe(header.info.clone())?;
            self.push(OutputHandle { output, header: Some(header.into()) })
        }))
    }

    fn set_role(&mut self, track: Resource<OutputHandle>, role: String) -> Outcome<()> {
        match role.parse::<Role>() {
            Ok(role) => self.list(&track, |listing| listing.role = Some(role)),
            Err(error) => Ok(Err(Error::Unsupported(tidy(&error.to_string())))),
        }
    }

    fn set_language(&mut self, track: Resource<OutputHandle>, language: String) -> Outcome<()> {
        self.list(&track, |listing| listing.language = Some(language))
    }

    fn set_listed(&mut self, track: Resource<OutputHandle>, listed: bool) -> Outcome<()> {
        self.list(&track, |listing| listing.listed = listed)
    }

    fn set_replaces(&mut self, track: Resource<OutputHandle>, source: Resource<TrackHandle>) -> Outcome<()> {
        let source = self.table.get(&source)?.0.track.name().clone();
        self.list(&track, |listing| listing.replaces = Some(source))
    }

    async fn emit(&mut self, track: Resource<OutputHandle>, fragment: Resource<FragmentHandle>) -> Outcome<()> {
        let handle = self.table.get(&fragment)?;
        let (group, media) = (handle.source()?.place().group, handle.media()?.clone());
        let made_by = if handle.is_edited() { MadeBy::Plugin } else { MadeBy::Publisher };
        self.write_media(&track, group, media, made_by).await
    }

    async fn write(
        &mut self,
        track: Resource<OutputHandle>,
        group: u64,
        samples: Vec<Coded>,
        captured_at: Option<u64>,
    ) -> Outcome<()> {
        let captured_at = captured_at.map(Duration::from_micros);
        match self.table.get_mut(&track)?.chunk(samples, captured_at) {
            Ok(media) => self.write_media(&track, Group(group), media, MadeBy::Plugin).await,
            Err(error) => Ok(Err(error)),
        }
    }

    async fn write_chunk(&mut self, track: Resource<OutputHandle>, group: u64, chunk: Vec<u8>) -> Outcome<()> {
        let media = match &self.table.get(&track)?.header {
            None => Err(not_understood()),
            Some(header) => millrace_cmaf::chunk_of(chunk.into(), &header.track, &Limits::default())
                .map_err(|error| Error::Invalid(format!("this is not one chunk of the track: {error}"))),
        };
        match media {
            Ok(media) => self.write_media(&track, Group(group), media, MadeBy::Plugin).await,
            Err(error) => Ok(Err(error)),
        }
    }

    fn drop(&mut self, track: Resource<OutputHandle>) -> wasmtime::Result<()> {
        self.table.delete(track)?;
        Ok(())
    }
}

impl State {
    fn open_output(&mut self, name: &str, from: Option<&millrace_media::TrackName>) -> Result<Output, Error> {
        let most = self.limits.output_tracks;
        let outputs = &self.started()?.outputs;
        Ok(outputs.open_within(name, from, most)?)
    }

    fn list(&mut self, track: &Resource<OutputHandle>, change: impl FnOnce(&mut Listing)) -> Outcome<()> {
        let output = &self.table.get(track)?.output;
        let mut listing = output.listing();
        change(&mut listing);
        Ok(output.set_listing(listing).map_err(Error::from))
    }

    /// Writes what is within the limits, as soon as those on the rate let it.
    async fn write_media(
        &mut self,
        track: &Resource<OutputHandle>,
        group: Group,
        media: Media,
        made_by: MadeBy,
    ) -> Outcome<()> {
        let (size, most) = (media.size(), self.limits.fragment);
        if size > most {
            self.exceeded(made_by);
            return Ok(Err(Error::Overloaded(format!("a fragment of {size} bytes (expected <= {most})"))));
        }
        let wait = self.output_wait(size);
        if !wait.is_zero()
            && let Err(error) = self.wait(tokio::time::sleep(wait)).await
        {
            self.exceeded(made_by);
            return Err(error);
        }
        let written = self.table.get(track)?.output.write(group, media);
        Ok(written.map_err(Error::from))
    }

    /// The instance went over its output limits. What a publisher made too large or too fast is no fault of the plugin's.
    fn exceeded(&self, made_by: MadeBy) {
        if let (MadeBy::Plugin, Some(context)) = (made_by, self.purpose().transcode()) {
            context.outputs.exceeded();
        }
    }
}

fn not_understood() -> Error {
    Error::Unsupported("the header of this track is not understood well enough to write to it".into())
}

impl OutputHandle {
    /// A fragment of these samples.
    fn chunk(&mut self, samples: Vec<Coded>, captured_at: Option<Duration>) -> Result<Media, Error> {
        let Some(Header { chunks, .. }) = &mut self.header else { return Err(not_understood()) };
        let scale = self.output.info().ok_or(Error::Closed)?.timescale;
        let first = match samples.first() {
            Some(first) if samples.len() <= MAX_SAMPLES => first.timing.decode_time,
            _ => {
                let given = samples.len();
                return Err(Error::Invalid(format!("{given} samples in a fragment (expected >= 1, <= {MAX_SAMPLES})")));
            }
        };
        let mut next = first;
        let mut packets = Vec::with_capacity(samples.len());
        for (index, Coded { timing, data }) in samples.into_iter().enumerate() {
            if timing.decode_time != next {
                return Err(Error::Invalid(format!(
                    "sample {index} is decoded at {} where those before it end at {next}",
                    timing.decode_time
                )));
            }
            next = next.saturating_add(timing.duration.into());
            packets.push(Packet {
                data: Bytes::from(data),
                duration: timing.duration,
                composition_offset: timing.composition_offset,
                marks: timing.marks.into(),
            });
        }
        chunks.chunk(Time::new(first, scale), packets, captured_at).map_err(|error| Error::Invalid(error.to_string()))
    }
}

impl From<OutputError> for Error {
    fn from(error: OutputError) -> Self {
        match error {
            OutputError::Write(WriteError::Ended) => Self::Closed,
            OutputError::Write(WriteError::NoInfo) => Self::Failed(error.to_string()),
            OutputError::Track(TrackError::Ended) | OutputError::Listing(ListingError::Ended) => Self::Closed,
            OutputError::TooMany(_) | OutputError::Track(TrackError::TooMany(_)) => Self::Overloaded(error.to_string()),
            _ => Self::Invalid(error.to_string()),
        }
    }
}
