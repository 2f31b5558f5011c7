//! What an encoder of sound is asked for.

use super::AudioError;

/// The coding format of sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AudioCodec {
    /// RFC 6716.
    Opus,
}

impl AudioCodec {
    /// The name used in configurations and plugins.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opus => "opus",
        }
    }
}

impl std::str::FromStr for AudioCodec {
    type Err = AudioError;

    fn from_str(name: &str) -> Result<Self, AudioError> {
        match name {
            "opus" => Ok(Self::Opus),
            _ => Err(AudioError::Codec(name.chars().take(40).collect())),
        }
    }
}

/// What an encoder of sound is asked for. Channels are the source's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioSettings {
    /// The coding format.
    pub codec: AudioCodec,
    /// Bits per second to aim at.
    pub bitrate: u32,
}

impl AudioSettings {
    /// Checks every value.
    ///
    /// # Errors
    /// [`AudioError::Bitrate`] out of range.
    pub fn validate(&self) -> Result<(), AudioError> {
        check_bitrate(self.bitrate)
    }
}

/// What libopus takes.
pub(super) fn check_bitrate(bitrate: u32) -> Result<(), AudioError> {
    if (6_000..=510_000).contains(&bitrate) { Ok(()) } else { Err(AudioError::Bitrate(bitrate)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_the_value_and_what_is_expected() {
        let unknown = "flac".parse::<AudioCodec>().unwrap_err().to_string();
        assert_eq!(unknown, "unknown audio codec \"flac\" (expected \"opus\")");
        assert_eq!(AudioCodec::Opus.name().parse(), Ok(AudioCodec::Opus));
        let zero = AudioSettings { codec: AudioCodec::Opus, bitrate: 0 }.validate().unwrap_err().to_string();
        assert_eq!(zero, "invalid audio bitrate 0 bit/s (expected >= 6000, <= 510000)");
    }
}
