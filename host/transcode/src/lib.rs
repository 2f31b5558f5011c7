//! Transcoder factories on the bus.
//!
//! The runner starts a transcoder for every (factory, rendition, broadcast, track) that a factory accepts. A source is decoded once,
//! however many encoders are fed from it.

#[cfg(test)]
extern crate self as millrace_transcode;

mod breaker;
mod decode;
pub mod encoder;
pub mod factory;
pub mod ladder;
pub mod native;
pub mod output;
mod runner;
pub mod sound;
pub mod stats;
mod threads;

pub use breaker::Faults;
pub use decode::Decoding;
pub use ladder::{Economy, Ladder, Relief, Rendition, Sound};
pub use runner::{LadderError, Runner};
