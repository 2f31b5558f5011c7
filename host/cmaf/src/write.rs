//! Making CMAF: headers, chunks, and the boxes that go with them.

mod chunk;
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
    #[error("a chunk's packets are longer than {limit} bytes together", limit = u32::MAX)]
    TooLong,
    /// A chunk before the timeline begins.
    #[error(transparent)]
    BeforeZero(#[from] BeforeZero),
    /// What was written does not read back: the codec's configuration is broken.
    #[error("the codec's configuration is refused: {0}")]
    Refused(#[from] ReadError),
}
