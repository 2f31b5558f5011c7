//! Transcoder factories on the bus.
//!
//! The runner starts a transcoder for every (factory, rendition, broadcast, track) that a factory accepts. A source is decoded once,
//! however many encoders are fed from it.

pub mod encoder;
pub mod factory;
pub mod ladder;
pub mod output;
pub mod stats;
