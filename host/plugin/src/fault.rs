//! How an instance came to be lost, in words.

use std::time::Duration;

use millrace_transcode::factory::Fault;
use wasmtime::Trap;

use crate::bindings::millrace::plugin::types::Error;
use crate::limits::Growth;
use crate::text::tidy;

/// A call took longer than it may.
#[derive(Debug, thiserror::Error)]
#[error("took more than its limit of {} ms of CPU time", .0.as_millis())]
pub(crate) struct OutOfTime(pub(crate) Duration);

/// The fault of an instance that cannot go on: `function` is the one it was in.
pub(crate) fn lost(function: &str, error: &wasmtime::Error, growth: &Growth) -> Fault {
    let mut text = match (error.downcast_ref::<OutOfTime>(), error.downcast_ref::<Trap>()) {
        (Some(out_of_time), _) => format!("`{function}` {out_of_time}"),
        (None, Some(trap)) => {
            let trap = trap.to_string();
            format!("`{function}` trapped: {}", trap.trim_start_matches("wasm trap: "))
        }
        (None, None) => format!("`{function}` failed: {}", error.root_cause()),
    };
    if let Some(refusal) = growth.refusal() {
        text.push_str("; ");
        text.push_str(&refusal);
    }
    Fault::Lost(tidy(&text))
}

/// The fault of a guest that returned an error.
pub(crate) fn returned(function: &str, error: &Error) -> Fault {
    Fault::Returned(tidy(&format!("`{function}`: {}", in_words(error))))
}

/// An error of the contract, in words.
pub(crate) fn in_words(error: &Error) -> String {
    match error {
        Error::Invalid(text) => format!("invalid: {text}"),
        Error::Overloaded(text) => format!("overloaded: {text}"),
        Error::Unsupported(text) => format!("unsupported: {text}"),
        Error::Failed(text) => format!("failed: {text}"),
        Error::Closed => "closed".into(),
    }
}
