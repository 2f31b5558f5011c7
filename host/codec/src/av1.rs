//! What encoders of AV1 have in common: the level, the colour that can be said, and samples made of temporal units.

mod colour;
mod level;
mod samples;

pub(crate) use colour::describable;
pub(crate) use level::Level;
pub(crate) use samples::Samples;
