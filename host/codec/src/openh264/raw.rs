//! The only unsafe code of the crate: owned handles on OpenH264's encoder.
//!
//! The library hands out tables of functions in the manner of COM. A handle here exists from a successful creation to its drop,
//! the table is checked when a function is taken from it, and no pointer of the library outlives the call that gave it.

mod encoder;

pub(super) use encoder::{RawEncoder, default_params};

/// A call that OpenH264 refused, with its return code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{call} returned {code}")]
pub(super) struct RawError {
    /// The function of the library.
    pub(super) call: &'static str,
    /// Its return code.
    pub(super) code: i64,
}

/// Turns a return code into a result.
fn check(call: &'static str, code: impl Into<i64>) -> Result<(), RawError> {
    match code.into() {
        0 => Ok(()),
        code => Err(RawError { call, code }),
    }
}

/// Takes a function out of a table, which a library of another version might lack.
macro_rules! function {
    ($handle:expr, $name:ident) => {{
        // SAFETY: the handle was checked not to be null when it was created, is not destroyed before its owner is dropped, and
        // points at a pointer to the library's static table.
        let function = unsafe { (**$handle).$name };
        function.ok_or($crate::openh264::raw::RawError { call: concat!(stringify!($name), " (absent)"), code: -1 })
    }};
}
use function;
