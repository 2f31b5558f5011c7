//! What plugins import: one file for each interface of `wit/`, and one for the audio of `codec`.
//!
//! What a guest gives is wrong until shown to be right: the answer is an error of the contract. A handle that the table does not know is a
//! fault of the host, and ends the instance.

#![allow(unreachable_pub, reason = "the generated bindings export the types of handles again")]

mod audio;
mod clock;
mod codec;
mod fragment;
mod http;
mod log;
mod media;
mod metrics;
mod output;
mod state;
mod store;
mod timers;
mod verdict;

pub use audio::{AudioEncoderHandle, AudioSettingsHandle};
pub use codec::{EncoderHandle, SettingsHandle, StatisticsHandle};
pub use fragment::FragmentHandle;
pub use http::{PendingHandle, ResponseHandle};
pub(crate) use log::LogLines;
pub use media::{ContextHandle, DescriptionHandle, LossHandle, RenditionHandle, TrackHandle};
pub(crate) use media::{Described, Wishes};
pub use output::OutputHandle;
pub use state::SlotHandle;
pub(crate) use verdict::Verdict;
pub use verdict::VerdictHandle;

use crate::bindings::millrace::plugin::types::{self, Error};
use crate::state::State;

/// What a function of the contract that may fail gives; the outer error ends the instance.
type Outcome<T> = wasmtime::Result<Result<T, Error>>;

impl types::Host for State {}
