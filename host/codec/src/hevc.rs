//! Decoding HEVC.

mod config;
mod decoder;
mod nal;
mod sequence;
mod sets;

pub(crate) use decoder::HevcDecoder;
