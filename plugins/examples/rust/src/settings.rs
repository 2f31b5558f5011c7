//! The plugin's part of the configuration.

use serde_json::Value;

use crate::millrace::plugin::types::Error;

/// Longest GOP without an alarm, in seconds, where the settings do not say.
const MAX_GOP_SECONDS: f64 = 4.0;

/// What the operator asks for.
#[derive(Clone)]
pub struct Settings {
    /// Longest GOP without an alarm, in seconds.
    pub max_gop_seconds: f64,
}

impl Settings {
    /// Reads the settings from a JSON object. `invalid` where `max_gop_seconds` is not a positive number.
    pub fn parse(json: &str) -> Result<Self, Error> {
        let settings: Value = serde_json::from_str(json)
            .map_err(|error| Error::Invalid(format!("the settings are not JSON: {error}")))?;
        let max_gop_seconds = match settings.get("max_gop_seconds") {
            None => MAX_GOP_SECONDS,
            Some(value) => value.as_f64().filter(|seconds| *seconds > 0.0).ok_or_else(|| {
                Error::Invalid(format!("max_gop_seconds is {value}, and must be a positive number of seconds"))
            })?,
        };
        Ok(Self { max_gop_seconds })
    }
}
