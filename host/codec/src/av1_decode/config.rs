//! `AV1CodecConfigurationRecord`, AV1 Codec ISO Media File Format Binding 2.3.3.

use millrace_cmaf::av1::{Obu, obus};

use super::sequence::{Sequence, refuse};
use crate::config::{ConfigError, Reader};
use crate::decode::{DecodeError, DecodeLimits};

/// The part of the record that decoding needs.
pub(super) struct Av1Config {
    /// The sequence header, as a whole unit.
    pub(super) header: Vec<u8>,
    /// What it says.
    pub(super) sequence: Sequence,
}

impl Av1Config {
    /// Reads a record, and refuses a stream that is not decoded.
    pub(super) fn parse(record: &[u8], limits: DecodeLimits) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(record);
        let marker = reader.byte("marker and version")?;
        if marker != 0x81 {
            return Err(ConfigError::Version(marker & 0x7f).into());
        }
        reader.byte("profile and level")?;
        let samples = reader.byte("form of the samples")?;
        reader.byte("initial presentation delay")?;
        let flag = |bit: u8| samples >> bit & 1 == 1;
        let depth = match (flag(6), flag(5)) {
            (false, _) => 8,
            (true, false) => 10,
            (true, true) => 12,
        };
        refuse(depth, flag(4), (flag(3), flag(2)))?;
        for unit in obus(reader.rest()) {
            let unit = unit.map_err(|error| ConfigError::Sequence(error.to_string()))?;
            if unit.kind == Obu::SEQUENCE_HEADER {
                return Ok(Self { header: unit.whole.to_vec(), sequence: Sequence::parse(unit.payload, limits)? });
            }
        }
        Err(ConfigError::Missing("sequence header").into())
    }
}
