//! Bits, most significant first.

/// Reads bits and knows where it stands. Past the end every read is none.
#[derive(Debug, Clone)]
pub(crate) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bits read so far.
    pub(crate) const fn position(&self) -> usize {
        self.at
    }

    /// The next `count` bits as a number; 32 at most.
    pub(crate) fn read(&mut self, count: u32) -> Option<u32> {
        debug_assert!(count <= 32);
        let mut value = 0;
        for _ in 0..count {
            value = value << 1 | u32::from(self.flag()?);
        }
        Some(value)
    }

    /// The next bit.
    pub(crate) fn flag(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    /// `ue(v)` of ITU-T H.264 9.1, which is `uvlc()` of AV1 4.10.3 as well. None above 2³² − 2.
    pub(crate) fn unsigned_exp_golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros == 32 {
                return None;
            }
        }
        Some((1 << zeros) - 1 + self.read(zeros)?)
    }
}

/// Writes `count` bits of `value` over those at `position`. Nothing happens where that is past the end.
pub(crate) fn overwrite(bytes: &mut [u8], position: usize, count: u32, value: u32) {
    for i in 0..count {
        let at = position + i as usize;
        let Some(byte) = bytes.get_mut(at / 8) else { return };
        let mask = 1 << (7 - at % 8);
        if value >> (count - 1 - i) & 1 == 1 {
            *byte |= mask;
        } else {
            *byte &= !mask;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_to_the_last_bit_and_not_beyond() {
        // 1 | 010 | 011 | 00100 | 101 -> ue 0, 1, 2, 3; then three bits.
        let mut bits = Bits::new(&[0b1010_0110, 0b0100_1010]);
        let codes: Vec<_> = (0..4).map(|_| bits.unsigned_exp_golomb().unwrap()).collect();
        assert_eq!((codes, bits.position()), (vec![0, 1, 2, 3], 12));
        assert_eq!((bits.read(4), bits.flag(), bits.read(1)), (Some(0b1010), None, None));
        assert_eq!(Bits::new(&[0; 5]).unsigned_exp_golomb(), None);
        assert_eq!(Bits::new(&[0, 0, 0, 0, 255, 255, 255, 255]).unsigned_exp_golomb(), None);
    }

    #[test]
    fn what_is_written_over_is_read_back_and_nothing_else_changes() {
        let mut bytes = [0xff, 0, 0xff];
        overwrite(&mut bytes, 6, 6, 0b01_0110);
        assert_eq!(bytes, [0b1111_1101, 0b0110_0000, 0xff]);
        overwrite(&mut bytes, 23, 4, 0);
        assert_eq!(bytes[2], 0xfe);
    }
}
