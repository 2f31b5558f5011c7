//! AAC outside of files: `AudioSpecificConfig` (ISO/IEC 14496-3, 1.6.2.1) and the ADTS headers that stand in its place in a stream
//! (1.A.2.2).

use crate::header::AudioSpecificConfig;

/// Samples of a frame, ISO/IEC 14496-3, 4.5.2.1.1: 960 where the configuration says so.
const FRAME: u32 = 1_024;

/// What a configuration says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Of the core codec, in Hz; never 0.
    pub sample_rate: u32,
    /// None where they are described at length.
    pub channels: Option<u16>,
    /// Samples of the core codec in a frame.
    pub frame: u32,
}

impl Config {
    /// Reads an `AudioSpecificConfig`; none of one that is too short or has no sample rate.
    pub fn read(record: &[u8]) -> Option<Self> {
        let [first, second, ..] = *record else { return None };
        let config = AudioSpecificConfig::read(record);
        // The two bytes hold all of it where neither object type nor sample rate is written at length: `frameLengthFlag` follows.
        let plain = first >> 3 != 31 && (first & 7, second >> 7) != (7, 1);
        let frame = if plain && second & 4 != 0 { 960 } else { FRAME };
        (config.sample_rate > 0).then_some(Self { sample_rate: config.sample_rate, channels: config.channels, frame })
    }

    /// An `AudioSpecificConfig` of AAC-LC; none where the rate or the number of channels has no code.
    pub fn low_complexity(sample_rate: u32, channels: u16) -> Option<[u8; 2]> {
        const LOW_COMPLEXITY: u8 = 2;
        let channels = match channels {
            1..=6 => channels as u8,
            8 => 7,
            _ => return None,
        };
        let record = |index: u8| [LOW_COMPLEXITY << 3 | index >> 1, index << 7 | channels << 3];
        (0..13).map(record).find(|record| AudioSpecificConfig::read(record).sample_rate == sample_rate)
    }
}

/// An ADTS header of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adts {
    /// Its own length, in bytes: 7, or 9 with a checksum.
    pub length: u32,
    /// The `AudioSpecificConfig` that says the same.
    pub config: [u8; 2],
}

impl Adts {
    /// Bytes to be looked at.
    pub const MOST: u32 = 9;

    /// Reads the header at the beginning of `bytes`; none where there is no such thing.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let [0xff, second, third, fourth, ..] = *bytes else { return None };
        // The sync word goes on, and the layer is 0.
        if second & 0xf6 != 0xf0 {
            return None;
        }
        let length = if second & 1 == 0 { 9 } else { 7 };
        let object_type = (third >> 6) + 1;
        let index = third >> 2 & 0xf;
        let channels = (third & 1) << 2 | fourth >> 6;
        let config = [object_type << 3 | index >> 1, index << 7 | channels << 3];
        (bytes.len() >= length as usize && index < 13).then_some(Self { length, config })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_are_read_and_made() {
        let config = Config::read(&[0x11, 0x90]).unwrap();
        assert_eq!(config, Config { sample_rate: 48_000, channels: Some(2), frame: 1_024 });
        assert_eq!(Config::read(&[0x12, 0x14]).unwrap().frame, 960);
        assert_eq!(Config::low_complexity(48_000, 2), Some([0x11, 0x90]));
        assert_eq!(Config::low_complexity(44_100, 1), Some([0x12, 0x08]));
        assert_eq!(Config::low_complexity(44_101, 1), None);
        assert_eq!(Config::read(&[0x11]), None);
        assert_eq!(Config::read(&[0x17, 0]), None, "a reserved rate");
    }

    #[test]
    fn adts_says_what_a_configuration_says() {
        // AAC-LC at 44.1 kHz, stereo, without a checksum, as ffmpeg writes it.
        let header = [0xff, 0xf1, 0x50, 0x80, 0x02, 0x1f, 0xfc];
        assert_eq!(Adts::read(&header), Some(Adts { length: 7, config: [0x12, 0x10] }));
        assert_eq!(Adts::read(&header[..6]), None);
        assert_eq!(Adts::read(&[0x21, 0x10, 0x04, 0x60, 0x8c, 0x1c, 0]), None, "a raw frame");
    }
}
