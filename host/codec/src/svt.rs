//! SVT-AV1: AV1 on the CPU, from the system's library.

mod encoder;
mod rate;
mod raw;

pub(crate) use encoder::SvtEncoder;

/// The name in errors and metrics.
const BACKEND: &str = "svt-av1";
