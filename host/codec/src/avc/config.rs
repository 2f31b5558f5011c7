//! `AVCDecoderConfigurationRecord`, ISO/IEC 14496-15 5.3.3.1.

use crate::avc::{Nal, NalKind};

/// A decoder configuration record that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AvcConfigError {
    /// The record ends before what it announces.
    #[error("decoder configuration record cut short: {what} expected at byte {at} of {length}")]
    Short {
        /// What should have stood there.
        what: &'static str,
        /// Where.
        at: usize,
        /// The bytes there are.
        length: usize,
    },
    /// A version other than 1.
    #[error("decoder configuration record of version {0} (expected 1)")]
    Version(u8),
    /// NAL lengths of three bytes, which the standard forbids.
    #[error("NAL lengths of {0} bytes (expected 1, 2 or 4)")]
    LengthSize(usize),
    /// There is not a single parameter set of a kind.
    #[error("no {0} parameter set in the decoder configuration record (expected at least 1)")]
    Missing(&'static str),
    /// A NAL unit of another type stands in place of a parameter set.
    #[error("a NAL unit of type {actual} where a {expected} parameter set should stand")]
    WrongUnit {
        /// The kind of parameter set expected.
        expected: &'static str,
        /// The `nal_unit_type` found, or 0 where the unit is empty.
        actual: u8,
    },
    /// The sequence parameter set cannot be parsed.
    #[error("broken sequence parameter set: {0}")]
    Sequence(String),
}

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
    pub(crate) fn parse(record: &[u8]) -> Result<Self, AvcConfigError> {
        let mut reader = Reader { record, at: 0 };
        let version = reader.byte("version")?;
        if version != 1 {
            return Err(AvcConfigError::Version(version));
        }
        reader.take(3, "profile and level")?;
        let length_size = usize::from(reader.byte("NAL length size")? & 3) + 1;
        if length_size == 3 {
            return Err(AvcConfigError::LengthSize(length_size));
        }
        let count = reader.byte("number of sequence parameter sets")? & 0x1f;
        let sequence = reader.sets(count, "sequence", NalKind::SequenceParameters)?;
        let count = reader.byte("number of picture parameter sets")?;
        let picture = reader.sets(count, "picture", NalKind::PictureParameters)?;
        Ok(Self { length_size, sequence, picture })
    }
}

struct Reader<'a> {
    record: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize, what: &'static str) -> Result<&'a [u8], AvcConfigError> {
        let short = AvcConfigError::Short { what, at: self.at, length: self.record.len() };
        let taken = self.record.get(self.at..self.at + length).ok_or(short)?;
        self.at += length;
        Ok(taken)
    }

    fn byte(&mut self, what: &'static str) -> Result<u8, AvcConfigError> {
        Ok(self.take(1, what)?[0])
    }

    fn sets(&mut self, count: u8, name: &'static str, kind: NalKind) -> Result<Vec<Vec<u8>>, AvcConfigError> {
        if count == 0 {
            return Err(AvcConfigError::Missing(name));
        }
        let mut sets = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            let length = self.take(2, "length of a parameter set")?;
            let bytes = self.take(usize::from(length[0]) << 8 | usize::from(length[1]), "parameter set")?;
            if Nal::new(bytes).map(Nal::kind) != Some(kind) {
                let actual = bytes.first().map_or(0, |header| header & 0x1f);
                return Err(AvcConfigError::WrongUnit { expected: name, actual });
            }
            sets.push(bytes.to_vec());
        }
        Ok(sets)
    }
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
            assert!(matches!(error, AvcConfigError::Short { .. }), "{length}: {error}");
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
        assert_eq!(with(0, 2), AvcConfigError::Version(2));
        assert_eq!(with(4, 0xfe), AvcConfigError::LengthSize(3));
        assert_eq!(with(5, 0xe0), AvcConfigError::Missing("sequence"));
        assert_eq!(with(8, 0x65), AvcConfigError::WrongUnit { expected: "sequence", actual: 5 });
        assert!(matches!(with(6, 0xff), AvcConfigError::Short { .. }));
        assert_eq!(with(7, 0), AvcConfigError::WrongUnit { expected: "sequence", actual: 0 });
        assert!(matches!(with(5, 0xff), AvcConfigError::Short { .. } | AvcConfigError::WrongUnit { .. }));
    }
}
