//! What plugins import: one file for each interface of `wit/`, and one for the sound of `codec`.
//!
//! What a guest gives is wrong until shown to be right: the answer is an error of the contract. A handle that the table does not know is a
//! fault of the host, and ends the instance.

#![allow(unreachable_pub, reason = "the generated bindings export the types of handles again")]

mod codec;
mod host;
mod media;
mod output;
mod sound;

pub use codec::{EncoderHandle, RenditionHandle, SettingsHandle};
pub(crate) use host::LogLine;
pub use host::{CounterHandle, GaugeHandle};
pub use media::{FragmentHandle, TrackHandle};
pub use output::OutputHandle;
pub use sound::{AudioEncoderHandle, AudioSettingsHandle};

use crate::bindings::millrace::plugin::types::{self, Error};
use crate::state::State;

/// What a function of the contract that may fail gives; the outer error ends the instance.
type Outcome<T> = wasmtime::Result<Result<T, Error>>;

impl types::Host for State {}
