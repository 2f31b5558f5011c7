//! Decoding AV1.

mod config;
mod decoder;
mod obu;
mod sequence;

pub(crate) use decoder::Av1Decoder;
