//! H.264 as it stands in ISO files: ISO/IEC 14496-15 clause 5.

mod config;
mod decoder;
mod nal;
mod recovery;
mod rewrite;
mod sequence;
mod slice;
mod unit;

pub(crate) use config::{AvcConfig, write_avc_config};
pub(crate) use decoder::H264Decoder;
pub(crate) use nal::{Nal, NalKind, split_length_prefixed};
pub(crate) use sequence::Sequence;
