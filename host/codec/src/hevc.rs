//! Decoding HEVC.

mod config;
mod decoder;
mod nal;
mod sequence;

pub(crate) use decoder::HevcDecoder;
