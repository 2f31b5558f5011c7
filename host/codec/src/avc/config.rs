//! `AVCDecoderConfigurationRecord`, ISO/IEC 14496-15 5.3.3.1.

use crate::avc::{Nal, NalKind};
use crate::config::{ConfigError, Reader};

/// The part of the record that decoding needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AvcConfig {
    /// Bytes of the length before each NAL unit: 1, 2 or 4.
    pub(crate) length_size: usize,
    /// Sequence parameter sets, at least one.
    pub(crate) sequence: Vec<Vec<u8>>,
    /// Picture parameter sets, at least one.
    pub(crate) picture: Vec<Vec<u8>>,
}

impl AvcConfig {
    /// Reads a record. What stands behind the picture parameter sets repeats the sequence parameter set and is not read.
    pub(crate) fn parse(record: &[u8]) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(record);
        let version = reader.byte("version")?;
        if version != 1 {
            return Err(ConfigError::Version(version));
        }
        reader.take(3, "profile and level")?;
        let length_size = usize::from(reader.byte("NAL length size")? & 3) + 1;
        if length_size == 3 {
            return Err(ConfigError::LengthSize(length_size));
        }
        let count = reader.byte("number of sequence parameter sets")? & 0x1f;
        let sequence = sets(&mut reader, count, "sequence parameter set", NalKind::SequenceParameters)?;
        let count = reader.byte("number of picture parameter sets")?;
        let picture = sets(&mut reader, count, "picture parameter set", NalKind::PictureParameters)?;
        Ok(Self { length_size, sequence, picture })
    }
}

fn sets(reader: &mut Reader<'_>, count: u8, name: &'static str, kind: NalKind) -> Result<Vec<Vec<u8>>, ConfigError> {
    if count == 0 {
        return Err(ConfigError::Missing(name));
    }
    let mut sets = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        let length = reader.number("length of a parameter set")?;
        let bytes = reader.take(length, "parameter set")?;
        if Nal::new(bytes).map(Nal::kind) != Some(kind) {
            let actual = bytes.first().map_or(0, |header| header & 0x1f);
            return Err(ConfigError::WrongUnit { expected: name, actual });
        }
        sets.push(bytes.to_vec());
    }
    Ok(sets)
}

/// Writes the record of a stream with one sequence and one picture parameter set, four-byte lengths, 8-bit 4:2:0.
///
/// None where the sets are too short to be such or too long for their 16-bit lengths.
pub(crate) fn write_avc_config(sequence: &[u8], picture: &[u8]) -> Option<Vec<u8>> {
    let &[_, profile, compatibility, level, ..] = sequence else { return None };
    let sequence_length = u16::try_from(sequence.len()).ok()?;
    let picture_length = u16::try_from(picture.len()).ok()?;
    let mut record = vec![1, profile, compatibility, level, 0xfc | 3, 0xe0 | 1];
    record.extend(sequence_length.to_be_bytes());
    record.extend(sequence);
    record.push(1);
    record.extend(picture_length.to_be_bytes());
    record.extend(picture);
    // These profiles say chroma format and bit depths once more, and list no extensions.
    if !matches!(profile, 66 | 77 | 88) {
        record.extend([0xfc | 1, 0xf8, 0xf8, 0]);
    }
    Some(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPS: [u8; 6] = [0x67, 100, 0, 31, 0xac, 0xd9];
    const PPS: [u8; 3] = [0x68, 0xeb, 0xec];

    #[test]
    fn what_is_written_is_read_again() {
        let record = write_avc_config(&SPS, &PPS).unwrap();
        let config = AvcConfig::parse(&record).unwrap();
        assert_eq!(config, AvcConfig { length_size: 4, sequence: vec![SPS.to_vec()], picture: vec![PPS.to_vec()] });
    }

    #[test]
    fn every_cut_is_an_error() {
        let record = write_avc_config(&SPS, &PPS).unwrap();
        let needed = record.len() - 4;
        for length in 0..needed {
            let error = AvcConfig::parse(&record[..length]).unwrap_err();
            assert!(matches!(error, ConfigError::Short { .. }), "{length}: {error}");
        }
        AvcConfig::parse(&record[..needed]).unwrap();
    }

    #[test]
    fn hostile_records_are_refused_with_the_reason() {
        let record = write_avc_config(&SPS, &PPS).unwrap();
        let with = |at: usize, value: u8| {
            let mut changed = record.clone();
            changed[at] = value;
            AvcConfig::parse(&changed).unwrap_err()
        };
        assert_eq!(with(0, 2), ConfigError::Version(2));
        assert_eq!(with(4, 0xfe), ConfigError::LengthSize(3));
        assert_eq!(with(5, 0xe0), ConfigError::Missing("sequence parameter set"));
        assert_eq!(with(8, 0x65), ConfigError::WrongUnit { expected: "sequence parameter set", actual: 5 });
        assert!(matches!(with(6, 0xff), ConfigError::Short { .. }));
        assert_eq!(with(7, 0), ConfigError::WrongUnit { expected: "sequence parameter set", actual: 0 });
        assert!(matches!(with(5, 0xff), ConfigError::Short { .. } | ConfigError::WrongUnit { .. }));
    }
}
