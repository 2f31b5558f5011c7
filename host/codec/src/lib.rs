//! Pixels and samples: decode, scale, encode.
//!
//! Each kind of work is one trait, and what does the work stands behind it: [`VideoDecoder`] turns the coded pictures of a track
//! into [`Picture`]s, a [`Scaler`] makes them another size, [`VideoEncoder`] turns them into [`Packet`]s, [`audio::AudioEncoder`]
//! turns samples into packets of sound. Backends are chosen by [`open_video_decoder`] and [`open_video_encoder`] from what a track
//! is and what a rung wants; who calls never names one.
//!
//! Nothing here does I/O, reads a clock or spawns a task. Calls take as long as the work takes: make them on a thread that may be
//! busy. Times go in with a picture and come out with it, tick for tick.

mod access_unit;
pub mod audio;
mod av1;
mod av1_decode;
mod avc;
mod bits;
mod cadence;
mod config;
mod decode;
mod encode;
mod hevc;
mod invariant;
mod openh264;
mod picture;
mod rate;
mod rav1e;
mod reorder;
mod scale;
mod settings;
#[cfg(feature = "svt-av1")]
mod svt;

pub use config::ConfigError;
pub use decode::{Allowance, DecodeError, DecodeLimits, Unlimited, VideoDecoder, open_video_decoder};
pub use encode::{EncodeError, Packet, VideoConfig, VideoEncoder, open_video_encoder};
pub use invariant::{Disagreement, Invariant, InvariantError};
pub use picture::{Colour, MAX_DIMENSION, MIN_DIMENSION, Picture, Plane, Size, SizeError};
pub use scale::{ScaleError, Scaler};
pub use settings::{EncoderLibrary, Quality, SettingsError, Speed, VideoCodec, VideoSettings};
