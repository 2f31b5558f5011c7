//! Fields of bits.

use super::Av1Error;

/// Reads from the most significant bit down: `f(n)` of AV1 4.10.2.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next `count` bits, 32 at most.
    pub(super) fn take(&mut self, count: usize) -> Result<u32, Av1Error> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8).ok_or(Av1Error::Short("a sequence header"))?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Ok(value)
    }

    pub(super) fn flag(&mut self) -> Result<bool, Av1Error> {
        Ok(self.take(1)? == 1)
    }

    /// Passes over a `uvlc()`, AV1 4.10.3.
    pub(super) fn skip_uvlc(&mut self) -> Result<(), Av1Error> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
        }
        // Of 32 and more it is agreed that nothing follows.
        if zeros < 32 {
            self.take(zeros)?;
        }
        Ok(())
    }
}
