//! Decoding AV1.

mod config;
mod decoder;
mod sequence;
mod unit;

pub(crate) use decoder::Av1Decoder;
