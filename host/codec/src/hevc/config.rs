//! `HEVCDecoderConfigurationRecord`, ISO/IEC 14496-15 8.3.3.1.

use super::nal::{NalKind, kind};
use crate::config::{ConfigError, Reader};
use crate::decode::DecodeError;

/// The part of the record that decoding needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HevcConfig {
    /// Bytes of the length before each NAL unit: 1, 2 or 4.
    pub(super) length_size: usize,
    /// Parameter sets in the order they stand: video, sequence, picture.
    pub(super) sets: Vec<Vec<u8>>,
}

/// The most parameter sets a record may hold: 16 video, 16 sequence and 64 picture parameter sets have numbers.
const MAX_SETS: usize = 96;

impl HevcConfig {
    /// Reads a record, and refuses chroma formats and depths that are not decoded.
    pub(super) fn parse(record: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(record);
        let version = reader.byte("version")?;
        if version != 1 {
            return Err(ConfigError::Version(version).into());
        }
        reader.take(15, "profile, tier and level")?;
        let chroma = reader.byte("chroma format")? & 3;
        let luma_depth = reader.byte("luma bit depth")? & 7;
        let chroma_depth = reader.byte("chroma bit depth")? & 7;
        refuse(chroma, 8 + luma_depth, 8 + chroma_depth)?;
        reader.take(2, "average frame rate")?;
        let length_size = usize::from(reader.byte("NAL length size")? & 3) + 1;
        if length_size == 3 {
            return Err(ConfigError::LengthSize(length_size).into());
        }
        let mut sets = Vec::new();
        for _ in 0..reader.byte("number of arrays")? {
            reader.byte("type of an array")?;
            for _ in 0..reader.number("number of units in an array")? {
                let length = reader.number("length of a parameter set")?;
                let unit = reader.take(length, "parameter set")?;
                if is_set(unit) && sets.len() < MAX_SETS {
                    sets.push(unit.to_vec());
                }
            }
        }
        Ok(Self { length_size, sets })
    }

    /// A parameter set that came in the stream takes the place of the only one of its kind, so that it is there after a loss;
    /// where there are several, the record's stay as they are and the stream has to repeat its own.
    pub(super) fn replace(&mut self, unit: &[u8]) {
        let mut same = self.sets.iter_mut().filter(|set| kind(set) == kind(unit));
        if let (Some(only), None) = (same.next(), same.next())
            && only != unit
        {
            *only = unit.to_vec();
        }
    }
}

fn is_set(unit: &[u8]) -> bool {
    matches!(kind(unit), NalKind::VideoParameters | NalKind::SequenceParameters | NalKind::PictureParameters)
}

/// Refuses what is not 8-bit 4:2:0. `chroma` is `chroma_format_idc`, ITU-T H.265 table 6-1.
pub(super) fn refuse(chroma: u8, luma_depth: u8, chroma_depth: u8) -> Result<(), DecodeError> {
    match chroma {
        0 => return Err(DecodeError::unsupported("monochrome HEVC")),
        1 => {}
        2 => return Err(DecodeError::unsupported("HEVC with chroma 4:2:2")),
        _ => return Err(DecodeError::unsupported("HEVC with chroma 4:4:4")),
    }
    match (luma_depth, chroma_depth) {
        (8, 8) => Ok(()),
        (luma, chroma) if luma == chroma => Err(DecodeError::unsupported(format!("HEVC with {luma} bits a sample"))),
        (luma, chroma) => {
            Err(DecodeError::unsupported(format!("HEVC with {luma} bits a luma and {chroma} a chroma sample")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(chroma: u8, depth: u8, tail: &[u8]) -> Vec<u8> {
        let mut record = vec![1];
        record.extend([0; 15]);
        record.extend([0xfc | chroma, 0xf8 | (depth - 8), 0xf8 | (depth - 8), 0, 0, 0x0f]);
        record.extend(tail);
        record
    }

    #[test]
    fn sets_are_taken_and_other_units_left() {
        // One SPS, one SEI, one PPS.
        let tail = [3, 0x21, 0, 1, 0, 3, 0x42, 1, 9, 0x27, 0, 1, 0, 3, 0x4e, 1, 7, 0x22, 0, 1, 0, 2, 0x44, 1];
        let mut config = HevcConfig::parse(&record(1, 8, &tail)).unwrap();
        assert_eq!(config, HevcConfig { length_size: 4, sets: vec![vec![0x42, 1, 9], vec![0x44, 1]] });
        config.replace(&[0x42, 1, 10]);
        config.replace(&[0x40, 1, 10]);
        assert_eq!(config.sets, [vec![0x42, 1, 10], vec![0x44, 1]]);
        for length in 0..record(1, 8, &tail).len() {
            let error = HevcConfig::parse(&record(1, 8, &tail)[..length]).unwrap_err();
            assert!(matches!(error, DecodeError::Config(ConfigError::Short { .. })), "{length}: {error}");
        }
    }

    #[test]
    fn other_samples_than_8_bit_420_are_named() {
        for (chroma, depth, expected) in
            [(1, 10, "HEVC with 10 bits a sample"), (2, 8, "4:2:2"), (3, 8, "4:4:4"), (0, 8, "monochrome")]
        {
            let message = HevcConfig::parse(&record(chroma, depth, &[0])).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
        assert!(matches!(HevcConfig::parse(&[2; 30]).unwrap_err(), DecodeError::Config(ConfigError::Version(2))));
    }
}
