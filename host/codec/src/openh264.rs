//! Cisco's OpenH264, built from its vendored source: H.264 on the CPU.

mod encoder;
mod raw;

pub(crate) use encoder::H264Encoder;

/// The name in errors and metrics.
const BACKEND: &str = "openh264";
