//! `interface output`: the tracks a plugin writes.

use bytes::Bytes;
use millrace_cmaf::write::{ChunkWriter, Packet};
use millrace_media::calendar::Group;
use millrace_media::track::WriteError;
use millrace_media::{Media, Time};
use millrace_transcode::output::{Output, OutputError};
use wasmtime::component::Resource;

use super::{FragmentHandle, Outcome};
use crate::bindings::millrace::plugin::output::{Coded, Host, HostOutputTrack};
use crate::bindings::millrace::plugin::types::Error;
use crate::state::State;

/// The most samples of one fragment.
const MAX_SAMPLES: usize = 4096;

/// A handle to an output track.
pub struct OutputHandle {
    output: Output,
    /// Makes chunks of what the plugin writes itself; none where the track's header cannot be read.
    chunks: Option<ChunkWriter>,
}

impl Host for State {}

impl HostOutputTrack for State {
    fn like_source(&mut self, name: String) -> Outcome<Resource<OutputHandle>> {
        Ok(self.off_clock(|state| {
            let context = state.started()?;
            let output = context.outputs.open(&name)?;
            output.describe_like(&context.info);
            let header = millrace_cmaf::describe(&context.info.init).ok();
            state.push(OutputHandle { output, chunks: header.map(|header| ChunkWriter::new(header.track_id)) })
        }))
    }

    fn from_init(&mut self, name: String, init: Vec<u8>) -> Outcome<Resource<OutputHandle>> {
        Ok(self.off_clock(|state| {
            let header = millrace_cmaf::describe(&init)
                .map_err(|error| Error::Invalid(format!("the CMAF header cannot be read: {error}")))?;
            let output = state.started()?.outputs.open(&name)?;
            output.describe(header.info);
            state.push(OutputHandle { output, chunks: Some(ChunkWriter::new(header.track_id)) })
        }))
    }

    async fn emit(&mut self, track: Resource<OutputHandle>, fragment: Resource<FragmentHandle>) -> Outcome<()> {
        self.clock.stop();
        let handle = self.table.get(&fragment)?;
        let (group, media) = (handle.source()?.place().group, handle.media()?.clone());
        let done = self.write_media(&track, group, media).await;
        self.clock.start();
        done
    }

    async fn write(&mut self, track: Resource<OutputHandle>, group: u64, samples: Vec<Coded>) -> Outcome<()> {
        self.clock.stop();
        let done = match self.table.get_mut(&track)?.chunk(samples) {
            Ok(media) => self.write_media(&track, Group(group), media).await,
            Err(error) => Ok(Err(error)),
        };
        self.clock.start();
        done
    }

    fn drop(&mut self, track: Resource<OutputHandle>) -> wasmtime::Result<()> {
        self.table.delete(track)?;
        Ok(())
    }
}

impl State {
    async fn write_media(&mut self, track: &Resource<OutputHandle>, group: Group, media: Media) -> Outcome<()> {
        let wait = self.output_wait(media.size());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        Ok(self.table.get(track)?.output.write(group, media).map_err(Error::from))
    }
}

impl OutputHandle {
    /// A fragment of these samples.
    fn chunk(&mut self, samples: Vec<Coded>) -> Result<Media, Error> {
        let Some(chunks) = &mut self.chunks else {
            return Err(Error::Unsupported(
                "the header of this track is not understood well enough to write to it".into(),
            ));
        };
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
        chunks.chunk(Time::new(first, scale), packets, None).map_err(|error| Error::Invalid(error.to_string()))
    }
}

impl From<OutputError> for Error {
    fn from(error: OutputError) -> Self {
        match error {
            OutputError::Write(WriteError::Ended) => Self::Closed,
            OutputError::Write(WriteError::NoInfo) => Self::Failed(error.to_string()),
            OutputError::Name(_) | OutputError::Track(_) | OutputError::Write(_) => Self::Invalid(error.to_string()),
        }
    }
}
