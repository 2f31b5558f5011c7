//! How an instance came to be lost, in words.

use std::time::Duration;

use millrace_transcode::factory::Fault;
use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::bindings::millrace::plugin::types::Error;
use crate::limits::Growth;
use crate::text::tidy;

/// A call took longer than it may.
#[derive(Debug, thiserror::Error)]
#[error("took more than its limit of {} ms of processor time", .0.as_millis())]
pub(crate) struct OutOfTime(pub(crate) Duration);

/// A call waited longer than it may.
#[derive(Debug, thiserror::Error)]
#[error("waited in the host's functions for more than its limit of {} ms", .0.as_millis())]
pub(crate) struct OutOfWait(pub(crate) Duration);

/// The most functions that are named, from the innermost on.
const MAX_FRAMES: usize = 6;
/// What wasmtime says of a handle that is not there.
const NO_HANDLE: &str = "unknown handle index";
/// What wasmtime says of a table of handles that is full.
const FULL: &str = "no free keys";
/// What wasmtime says of a call that returns while it holds on to what it was lent.
const BORROWED: &str = "borrow handles still remain";

/// The fault of an instance that cannot go on: `function` is the one it was in.
pub(crate) fn lost(function: &str, error: &wasmtime::Error, growth: &Growth) -> Fault {
    let root = error.root_cause().to_string();
    let mut text = if let Some(out) = error.downcast_ref::<OutOfTime>() {
        format!("`{function}` {out}")
    } else if let Some(out) = error.downcast_ref::<OutOfWait>() {
        format!("`{function}` {out}")
    } else if let Some(I32Exit(status)) = error.downcast_ref::<I32Exit>() {
        format!("`{function}` ended the program with status {status}")
    } else if root.contains(BORROWED) {
        let lent = lent_to(function);
        format!(
            "`{function}` returned without dropping the {lent} it was lent: every call must drop its borrows before it returns (in C: \
             `millrace_plugin_media_{lent}_drop_borrow`)"
        )
    } else if root.contains(NO_HANDLE) {
        format!(
            "`{function}` failed: {root}: it was dropped before, or lent for an earlier call, which only `share` outlasts"
        )
    } else if root.contains(FULL) {
        format!("`{function}` failed: it has as many handles of WASI, such as timers, as it may")
    } else if let Some(trap) = error.downcast_ref::<Trap>() {
        format!("`{function}` trapped: {}", trap.to_string().trim_start_matches("wasm trap: "))
    } else {
        format!("`{function}` failed: {root}")
    };
    if let Some(refusal) = growth.refusal() {
        text.push_str("; ");
        text.push_str(&refusal);
    }
    if let Some(trace) = error.downcast_ref::<WasmBacktrace>() {
        // The function of the contract is named already.
        let names = trace.frames().iter().filter_map(|frame| frame.func_name()).filter(|name| !name.contains('#'));
        let names: Vec<_> =
            names.take(MAX_FRAMES).map(|name| format!("{:#}", rustc_demangle::demangle(name))).collect();
        if !names.is_empty() {
            text.push_str(&format!(" (in {})", names.join(" < ")));
        }
    }
    Fault::Lost(tidy(&text))
}

/// What a function of the contract is lent.
fn lent_to(function: &str) -> &'static str {
    match function {
        "describe" => "description",
        "start" => "context",
        "on-gap" => "loss",
        _ => "fragment",
    }
}

/// The fault of a guest that returned an error.
pub(crate) fn returned(function: &str, error: &Error) -> Fault {
    Fault::Returned(tidy(&format!("`{function}`: {}", in_words(error))))
}

/// An error of the contract, in words.
pub(crate) fn in_words(error: &Error) -> String {
    match error {
        Error::Invalid(text) => format!("invalid: {text}"),
        Error::Denied(text) => format!("denied: {text}"),
        Error::Overloaded(text) => format!("overloaded: {text}"),
        Error::Unsupported(text) => format!("unsupported: {text}"),
        Error::Failed(text) => format!("failed: {text}"),
        Error::Closed => "closed".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Limits;

    #[test]
    fn a_borrow_that_was_not_dropped_names_the_function_to_call() {
        let growth = Growth::new(&Limits::default());
        let text = |function: &str| {
            let error = wasmtime::Error::msg("borrow handles still remain at the end of the call");
            lost(function, &error, &growth).to_string()
        };
        for (function, lent) in
            [("describe", "description"), ("start", "context"), ("on-fragment", "fragment"), ("on-gap", "loss")]
        {
            let text = text(function);
            assert!(text.contains(&format!("`millrace_plugin_media_{lent}_drop_borrow`")), "{text}");
        }
    }
}
