//! Keeps video below a bit rate by discarding: frames that nothing depends on first, whole groups where that is not enough.

pub mod cap;
mod plugin;
