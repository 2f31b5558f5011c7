//! rav1e: AV1 on the CPU, in Rust.

mod encoder;
mod params;

pub(crate) use encoder::Rav1eEncoder;

/// The name in errors and metrics.
const BACKEND: &str = "rav1e";
