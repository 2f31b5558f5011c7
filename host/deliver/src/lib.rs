//! Playing broadcasts out: one module a protocol.
//!
//! All of them read the same stored fragments. Parts and segments are runs of whole fragments, written from the slices in which they
//! arrived, so that memory grows with streams and not with viewers or protocols.

pub mod hls;
pub mod moq;
mod renditions;
