//! The plugin's part of the configuration: `settings.schema.json` describes it.

use serde::Deserialize;

/// See the [module](self).
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How far ahead a splice is whose message does not say it, in seconds.
    pub pre_roll: f64,
    /// Cues are written again where groups begin before their time.
    pub repeat: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { pre_roll: 4.0, repeat: true }
    }
}

impl Settings {
    /// Reads a JSON object.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn read(text: &str) -> Result<Self, String> {
        let settings: Self = serde_json::from_str(text).map_err(|error| format!("the settings: {error}"))?;
        if !(0.0..=60.0).contains(&settings.pre_roll) {
            return Err(format!("pre_roll is {}, and should be 0 to 60 seconds", settings.pre_roll));
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_have_defaults_and_bounds() {
        assert_eq!(Settings::read("{}"), Ok(Settings::default()));
        assert_eq!(Settings::read(r#"{"pre_roll":8,"repeat":false}"#), Ok(Settings { pre_roll: 8.0, repeat: false }));
        assert!(Settings::read(r#"{"pre_roll":61}"#).unwrap_err().contains("61"));
        assert!(Settings::read(r#"{"preroll":1}"#).unwrap_err().contains("preroll"));
    }
}
