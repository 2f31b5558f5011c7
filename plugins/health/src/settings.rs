//! The plugin's part of the configuration: `settings.schema.json` describes it.

use serde::Deserialize;

/// What is fine. Lengths of time are in seconds, rates in bits or frames per second; a rate of 0 asks for nothing.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The longest group of video.
    pub max_gop: f64,
    /// The longest hole in the decode times of a track.
    pub max_gap: f64,
    /// The lowest bit rate of video.
    pub min_bitrate: f64,
    /// The highest bit rate of video.
    pub max_bitrate: f64,
    /// The lowest frame rate of video.
    pub min_frame_rate: f64,
    /// Frames may be shown out of decode order.
    pub b_frames: bool,
    /// How long nothing may come of any track.
    pub stalled: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_gop: 4.0,
            max_gap: 0.5,
            min_bitrate: 0.0,
            max_bitrate: 0.0,
            min_frame_rate: 0.0,
            b_frames: true,
            stalled: 3.0,
        }
    }
}

impl Settings {
    /// Reads a JSON object.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn read(text: &str) -> Result<Self, String> {
        let settings: Self = serde_json::from_str(text).map_err(|error| format!("the settings: {error}"))?;
        let Self { max_gop, max_gap, stalled, min_bitrate, max_bitrate, min_frame_rate, .. } = settings;
        for (name, value, least, most) in [
            ("max_gop", max_gop, 0.1, 600.0),
            ("max_gap", max_gap, 0.05, 60.0),
            ("stalled", stalled, 1.0, 600.0),
            ("min_bitrate", min_bitrate, 0.0, 1e9),
            ("max_bitrate", max_bitrate, 0.0, 1e9),
            ("min_frame_rate", min_frame_rate, 0.0, 1e3),
        ] {
            if !(least..=most).contains(&value) {
                return Err(format!("{name} is {value}, and should be {least} to {most}"));
            }
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
        assert!(Settings::read(r#"{"max_gop":0}"#).unwrap_err().contains("max_gop is 0"));
        assert!(Settings::read(r#"{"stalled":0.5}"#).unwrap_err().contains("stalled is 0.5"));
        assert!(Settings::read(r#"{"gop":1}"#).unwrap_err().contains("gop"));
    }
}
