//! The plugin's part of the configuration.

use serde::Deserialize;

/// What the operator asks for.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// So many groups of the source are measured before the rungs are chosen.
    pub observe: u32,
    /// The least share of the ladder's bitrate that a rung is given.
    pub floor: f64,
    /// A rung has at least so many times the bitrate of the one below it.
    pub step: f64,
    /// The most rungs.
    pub rungs: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { observe: 2, floor: 0.4, step: 1.3, rungs: 8 }
    }
}

impl Settings {
    /// Reads the settings from a JSON object.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn parse(json: &str) -> Result<Self, String> {
        let settings: Self = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let Self { observe, floor, step, rungs } = settings;
        if !(1..=100).contains(&observe) {
            return Err(format!("observe is {observe} (expected 1 to 100 groups)"));
        }
        if !(0.05..=1.0).contains(&floor) {
            return Err(format!("floor is {floor} (expected 0.05 to 1)"));
        }
        if !(1.0..=10.0).contains(&step) {
            return Err(format!("step is {step} (expected 1 to 10)"));
        }
        if rungs == 0 {
            return Err("rungs is 0 (expected at least 1)".into());
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(Settings::parse("{}"), Ok(Settings::default()));
        for (json, expected) in [
            (r#"{ "observe": 0 }"#, "observe is 0"),
            (r#"{ "floor": 1.5 }"#, "floor is 1.5"),
            (r#"{ "step": 0.5 }"#, "step is 0.5"),
            (r#"{ "rungs": 0 }"#, "rungs is 0"),
            (r#"{ "rung": 3 }"#, "unknown field `rung`"),
        ] {
            let error = Settings::parse(json).unwrap_err();
            assert!(error.contains(expected), "{json}: {error}");
        }
    }
}
