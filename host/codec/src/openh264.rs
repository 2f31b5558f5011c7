//! Cisco's OpenH264, built from its vendored source: both ends of H.264 on the CPU.

mod decoder;
mod encoder;
mod raw;

pub(crate) use decoder::H264Decoder;
pub(crate) use encoder::H264Encoder;

/// The name in errors and metrics.
const BACKEND: &str = "openh264";
