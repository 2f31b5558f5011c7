//! What the decoder configuration records of the codecs have in common.

/// A decoder configuration record that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
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
    /// There is not a single parameter set of a kind, or no sequence header.
    #[error("no {0} in the decoder configuration record (expected at least 1)")]
    Missing(&'static str),
    /// A NAL unit of another type stands in place of a parameter set.
    #[error("a NAL unit of type {actual} where a {expected} should stand")]
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

/// Reads a record from its first byte on.
pub(crate) struct Reader<'a> {
    record: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(record: &'a [u8]) -> Self {
        Self { record, at: 0 }
    }

    /// The next `length` bytes; `what` names them in the error.
    pub(crate) fn take(&mut self, length: usize, what: &'static str) -> Result<&'a [u8], ConfigError> {
        let short = ConfigError::Short { what, at: self.at, length: self.record.len() };
        let taken = self.record.get(self.at..self.at + length).ok_or(short)?;
        self.at += length;
        Ok(taken)
    }

    /// The next byte.
    pub(crate) fn byte(&mut self, what: &'static str) -> Result<u8, ConfigError> {
        Ok(self.take(1, what)?[0])
    }

    /// The next two bytes as a number.
    pub(crate) fn number(&mut self, what: &'static str) -> Result<usize, ConfigError> {
        let bytes = self.take(2, what)?;
        Ok(usize::from(bytes[0]) << 8 | usize::from(bytes[1]))
    }

    /// What is left.
    pub(crate) fn rest(self) -> &'a [u8] {
        &self.record[self.at..]
    }
}
