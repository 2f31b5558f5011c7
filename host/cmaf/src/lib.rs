//! CMAF in and out (ISO/IEC 23000-19, on the boxes of ISO/IEC 14496-12): bytes in, values out, no I/O.
//!
//! A [`Reader`] takes the bytes of an endless stream in pieces of any size and gives a [`Header`] and the [`Chunk`]s that follow it,
//! one for each track of a fragment. A chunk knows its times on the source's presentation timeline; [placing](Chunk::place) it on
//! a broadcast's timeline makes it [`Media`](millrace_media::Media). What need not change is passed on byte for byte, and media
//! bytes are never copied.
//!
//! [`split`] cuts media at sample boundaries, [`with_event`] puts an event message before it, [`mod@write::edit`] changes its samples, and
//! [`mod@write`] makes CMAF from what an encoder gives.
//!
//! ```
//! use bytes::Bytes;
//! use millrace_cmaf::{Item, Limits, ReadError, Reader};
//! use millrace_media::{Media, Time};
//!
//! /// What a publisher sends, on a timeline that begins ten seconds in: time enough for priming and reordering before its zero.
//! fn fragments(sent: impl Iterator<Item = Bytes>) -> Result<Vec<Media>, ReadError> {
//!     let mut reader = Reader::new(Limits::default());
//!     let mut fragments = Vec::new();
//!     for bytes in sent {
//!         reader.push(bytes);
//!         while let Some(item) = reader.next()? {
//!             if let Item::Chunk(chunk) = item {
//!                 fragments.extend(chunk.place(Time::from_millis(10_000)));
//!             }
//!         }
//!     }
//!     reader.finish()?;
//!     Ok(fragments)
//! }
//! # assert!(fragments([Bytes::from_static(b"hello")].into_iter()).is_err());
//! ```

pub mod aac;
pub mod av1;
pub mod avc;
mod boxes;
mod fourcc;
mod gather;
mod header;
mod join;
mod marks;
mod moof;
mod ntp;
mod reader;
mod split;
pub mod write;

pub use fourcc::FourCC;
pub use header::{CodecConfig, EVENT_MESSAGES, Header, Note, Track, TrackHeader, describe, display_size};
pub use join::{carries_events, join, rewrite};
pub use reader::{BeforeZero, Chunk, Item, Limits, ReadError, Reader, SegmentType, chunk_of, sample_events};
pub use split::split;
pub use write::edit::{events, insert, with_samples, without_events, without_samples};
pub use write::{WriteError, with_event};
