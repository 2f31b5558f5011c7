//! Decoding AV1.

mod config;
mod decoder;
mod sequence;

pub(crate) use decoder::Av1Decoder;
