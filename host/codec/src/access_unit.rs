//! One access unit a sample: the rule that H.264 and HEVC share.
//!
//! A sample of a track is one access unit (ISO/IEC 14496-15 4.3, 5.3.4.2 and 8.3.4), and one access unit has one coded frame of the
//! base layer. Decoders do not look: they decode all frames of a sample, and keep them. So a sample is counted before a decoder sees
//! it, and one with a second frame, or with more units than any encoder writes, is refused as a whole.

/// Slices, or slice segments, of a frame: the most of any level of HEVC (ITU-T H.265 table A.8).
const MAX_SLICES: usize = 600;
/// Parameter sets in a sample. An encoder writes each once, in front of a frame that decoding may begin at.
const MAX_SETS: usize = 64;
/// Other units in a sample: delimiters, supplemental information, filler, layers that are not decoded.
const MAX_OTHERS: usize = 1_024;
/// Bytes of a parameter set: its length has 16 bits in a decoder configuration record (ISO/IEC 14496-15 5.3.3.1).
const MAX_SET: usize = 0xffff;

/// What a NAL unit is for the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// A slice that continues a frame, or begins one.
    Slice {
        /// It begins at the frame's first block.
        first: bool,
        /// Where in the frame it begins, in blocks.
        address: u32,
    },
    /// A parameter set of so many bytes. Behind a frame's slices it begins the next access unit.
    Set(usize),
    /// Another unit that begins the next access unit behind a frame's slices.
    Opening,
    /// Any other unit.
    Other,
}

/// Counts the units of a sample.
#[derive(Debug, Default)]
pub(crate) struct Census {
    /// Where the last slice begins.
    address: Option<u32>,
    slices: usize,
    sets: usize,
    others: usize,
    /// The next access unit has begun.
    over: bool,
}

impl Census {
    /// Counts a unit.
    ///
    /// # Errors
    /// What is wrong with the sample.
    pub(crate) fn count(&mut self, part: Part) -> Result<(), String> {
        match part {
            Part::Slice { first, address } => return self.slice(first, address),
            Part::Set(length) if length > MAX_SET => {
                return Err(format!("a parameter set of {length} bytes (expected <= {MAX_SET})"));
            }
            Part::Set(_) => limited(&mut self.sets, MAX_SETS, "parameter sets")?,
            Part::Opening | Part::Other => limited(&mut self.others, MAX_OTHERS, "units beside its slices")?,
        }
        self.over |= self.slices > 0 && part != Part::Other;
        Ok(())
    }

    /// Slices stand in the order of their blocks, so that none decodes the frame once more.
    fn slice(&mut self, first: bool, address: u32) -> Result<(), String> {
        if self.over || (first && self.slices > 0) {
            return Err("a second frame in the sample (expected one access unit)".to_owned());
        }
        if self.address.is_some_and(|before| address <= before) {
            return Err(format!("a slice at block {address} behind one at {}", self.address.unwrap_or(0)));
        }
        self.address = Some(address);
        limited(&mut self.slices, MAX_SLICES, "slices")
    }
}

fn limited(count: &mut usize, most: usize, what: &str) -> Result<(), String> {
    *count += 1;
    if *count > most { Err(format!("more than {most} {what} in the sample")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(parts: &[Part]) -> Result<(), String> {
        let mut census = Census::default();
        parts.iter().try_for_each(|part| census.count(*part))
    }

    const fn slice(address: u32) -> Part {
        Part::Slice { first: address == 0, address }
    }

    #[test]
    fn one_frame_of_several_slices_is_taken() {
        count(&[Part::Opening, Part::Set(9), Part::Other, slice(0), slice(40), Part::Other, slice(80), Part::Opening])
            .unwrap();
    }

    #[test]
    fn a_second_frame_is_refused_however_it_begins() {
        let second = "a second frame in the sample (expected one access unit)";
        assert_eq!(count(&[slice(0), slice(0)]).unwrap_err(), second);
        assert_eq!(count(&[slice(0), Part::Opening, slice(40)]).unwrap_err(), second);
        assert_eq!(count(&[slice(0), Part::Set(9), slice(40)]).unwrap_err(), second);
        assert!(count(&[slice(0), slice(40), slice(40)]).unwrap_err().contains("block 40 behind one at 40"));
        assert!(count(&[slice(0), slice(40), slice(20)]).unwrap_err().contains("block 20 behind one at 40"));
    }

    #[test]
    fn floods_are_refused() {
        let slices: Vec<_> = (0..=MAX_SLICES as u32).map(slice).collect();
        count(&slices[..MAX_SLICES]).unwrap();
        assert!(count(&slices).unwrap_err().contains("600 slices"));
        assert!(count(&[Part::Set(9); MAX_SETS + 1]).unwrap_err().contains("64 parameter sets"));
        assert!(count(&[Part::Other; MAX_OTHERS + 1]).unwrap_err().contains("1024 units"));
        assert!(count(&[Part::Set(MAX_SET + 1)]).unwrap_err().contains("65536 bytes"));
    }
}
