//! Opus, RFC 6716, by libopus built from its bundled source.

mod decoder;
mod encoder;
mod header;

pub use encoder::OpusEncoder;

pub(super) use decoder::OpusDecoder;
pub(super) use header::write as write_header;

/// Samples of each channel in a second: Opus counts in nothing else.
pub(super) const SAMPLE_RATE: u32 = 48_000;
