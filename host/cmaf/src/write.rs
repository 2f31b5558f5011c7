//! Making CMAF: headers, chunks, and the boxes that go with them.

mod chunk;
pub mod edit;
mod event;
mod init;

pub use chunk::{ChunkWriter, Packet};
pub use event::{Event, emsg, prft, styp, with_event};
pub use init::InitSettings;

use crate::fourcc::FourCC;
use crate::reader::{BeforeZero, ReadError};

/// Why something cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A box would be longer than its size field can say, or has a field that cannot hold its value.
    #[error("{kind} cannot be written: {source}")]
    Encode {
        /// The box.
        kind: FourCC,
        /// What the encoder says.
        source: mp4_atom::Error,
    },
    /// A picture is too large for a sample entry.
    #[error("pictures of {width}x{height} cannot be described: at most 65535 each way")]
    PictureSize {
        /// In pixels.
        width: u32,
        /// In pixels.
        height: u32,
    },
    /// A chunk of no packets.
    #[error("a chunk needs at least one packet")]
    Empty,
    /// A chunk of more bytes than an `mdat` with a 32-bit size holds.
    #[error("{size} bytes of media do not fit a chunk: at most {limit}", limit = u32::MAX - 8)]
    PayloadSize {
        /// Of the whole payload, in bytes.
        size: u64,
    },
    /// There is no such sample.
    #[error("there is no sample {sample}: the fragment has {count}, counted from 0")]
    NoSample {
        /// The index given.
        sample: u32,
        /// How many there are.
        count: usize,
    },
    /// There is no such byte of a sample.
    #[error("offset {offset} lies past sample {sample}, which has {size} bytes")]
    NoOffset {
        /// The sample's index.
        sample: u32,
        /// The offset given, in bytes.
        offset: u32,
        /// The sample's size, in bytes.
        size: u32,
    },
    /// The first sample cannot be left out: no sample before it takes its duration.
    #[error("sample 0 cannot be left out: no sample before it takes its duration")]
    FirstSample,
    /// A sample would last longer than its duration field can say.
    #[error("a sample of {ticks} ticks is too long: at most {limit}", limit = u32::MAX)]
    Duration {
        /// The duration.
        ticks: u64,
    },
    /// The number of samples given is not that of the fragment.
    #[error("data for {given} samples, where the fragment has {expected}")]
    SampleCount {
        /// How many were given.
        given: usize,
        /// How many there are.
        expected: usize,
    },
    /// The head of a fragment is not that of a chunk, or its samples do not lie in its payload.
    #[error("the fragment cannot be edited: {0}")]
    Uneditable(ReadError),
    /// A chunk before the timeline begins.
    #[error(transparent)]
    BeforeZero(#[from] BeforeZero),
    /// What was written does not read back: the codec's configuration is broken.
    #[error("the codec's configuration is refused: {0}")]
    Refused(#[from] ReadError),
}
