//! Sequence headers: AV1 5.5.

use super::Av1Error;
use super::bits::Bits;

/// `color_primaries`, `transfer_characteristics` and `matrix_coefficients`: code points of ITU-T H.273.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColourDescription {
    /// H.273 8.1.
    pub primaries: u8,
    /// H.273 8.2.
    pub transfer: u8,
    /// H.273 8.3.
    pub matrix: u8,
}

/// What a sequence header says of the pictures. The coding tools it lists are read over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceHeader {
    /// `seq_profile`: 0 main, 1 high, 2 professional.
    pub profile: u8,
    /// `seq_level_idx[0]`: four times the major level above 2, and the minor level; 31 says that no level bounds the stream.
    pub level: u8,
    /// `seq_tier[0]`.
    pub high_tier: bool,
    /// `still_picture`.
    pub still_picture: bool,
    /// `reduced_still_picture_header`: every frame is a shown key frame, and does not say so.
    pub reduced_still_picture: bool,
    /// `max_frame_width_minus_1` and one.
    pub max_width: u32,
    /// `max_frame_height_minus_1` and one.
    pub max_height: u32,
    /// Bits of a sample: 8, 10 or 12.
    pub bit_depth: u8,
    /// `mono_chrome`.
    pub monochrome: bool,
    /// `subsampling_x` and `subsampling_y`.
    pub subsampling: (bool, bool),
    /// None where `color_description_present_flag` is not set.
    pub colour: Option<ColourDescription>,
    /// `color_range`.
    pub full_range: bool,
    /// `chroma_sample_position`.
    pub chroma_sample_position: u8,
}

impl SequenceHeader {
    /// Reads the payload of a sequence header OBU.
    ///
    /// # Errors
    /// Where it is cut short, or of a reserved profile.
    pub fn read(payload: &[u8]) -> Result<Self, Av1Error> {
        let bits = &mut Bits::new(payload);
        let profile = bits.take(3)? as u8;
        if profile > 2 {
            return Err(Av1Error::Profile(profile));
        }
        let still_picture = bits.flag()?;
        let reduced = bits.flag()?;
        let (level, high_tier) = if reduced { (bits.take(5)? as u8, false) } else { operating_points(bits)? };
        let width_bits = bits.take(4)? as usize + 1;
        let height_bits = bits.take(4)? as usize + 1;
        let max_width = bits.take(width_bits)? + 1;
        let max_height = bits.take(height_bits)? + 1;
        skip_tools(bits, reduced)?;
        let colour = ColourConfig::read(bits, profile)?;
        Ok(Self {
            profile,
            level,
            high_tier,
            still_picture,
            reduced_still_picture: reduced,
            max_width,
            max_height,
            bit_depth: colour.bit_depth,
            monochrome: colour.monochrome,
            subsampling: colour.subsampling,
            colour: colour.description,
            full_range: colour.full_range,
            chroma_sample_position: colour.chroma_sample_position,
        })
    }
}

/// Timing, decoder model and operating points; gives level and tier of the first, which is the whole stream.
fn operating_points(bits: &mut Bits<'_>) -> Result<(u8, bool), Av1Error> {
    let mut delay_bits = None;
    if bits.flag()? {
        // timing_info()
        bits.take(32)?;
        bits.take(32)?;
        if bits.flag()? {
            bits.skip_uvlc()?;
        }
        if bits.flag()? {
            // decoder_model_info()
            delay_bits = Some(bits.take(5)? as usize + 1);
            bits.take(32)?;
            bits.take(10)?;
        }
    }
    let display_delays = bits.flag()?;
    let count = bits.take(5)? + 1;
    let mut first = None;
    for _ in 0..count {
        bits.take(12)?;
        let level = bits.take(5)? as u8;
        let high_tier = level > 7 && bits.flag()?;
        first.get_or_insert((level, high_tier));
        if let Some(delay_bits) = delay_bits
            && bits.flag()?
        {
            bits.take(delay_bits)?;
            bits.take(delay_bits)?;
            bits.flag()?;
        }
        if display_delays && bits.flag()? {
            bits.take(4)?;
        }
    }
    first.ok_or(Av1Error::Short("operating points"))
}

/// From `frame_id_numbers_present_flag` to `enable_restoration`.
fn skip_tools(bits: &mut Bits<'_>, reduced: bool) -> Result<(), Av1Error> {
    if !reduced && bits.flag()? {
        bits.take(7)?;
    }
    bits.take(3)?;
    if !reduced {
        bits.take(4)?;
        let order_hints = bits.flag()?;
        if order_hints {
            bits.take(2)?;
        }
        let screen_content_tools = bits.flag()? || bits.flag()?;
        if screen_content_tools && !bits.flag()? {
            bits.flag()?;
        }
        if order_hints {
            bits.take(3)?;
        }
    }
    bits.take(3)?;
    Ok(())
}

/// `color_config()`, AV1 5.5.2.
struct ColourConfig {
    bit_depth: u8,
    monochrome: bool,
    subsampling: (bool, bool),
    description: Option<ColourDescription>,
    full_range: bool,
    chroma_sample_position: u8,
}

impl ColourConfig {
    fn read(bits: &mut Bits<'_>, profile: u8) -> Result<Self, Av1Error> {
        let high = bits.flag()?;
        let bit_depth = match high {
            false => 8,
            true if profile == 2 && bits.flag()? => 12,
            true => 10,
        };
        let monochrome = profile != 1 && bits.flag()?;
        let description = if bits.flag()? {
            let mut code = || bits.take(8).map(|code| code as u8);
            Some(ColourDescription { primaries: code()?, transfer: code()?, matrix: code()? })
        } else {
            None
        };
        const SRGB: ColourDescription = ColourDescription { primaries: 1, transfer: 13, matrix: 0 };
        let (full_range, subsampling) = if monochrome {
            (bits.flag()?, (true, true))
        } else if description == Some(SRGB) {
            (true, (false, false))
        } else {
            let full_range = bits.flag()?;
            let subsampling = match (profile, bit_depth) {
                (0, _) => (true, true),
                (1, _) => (false, false),
                (_, 12) => {
                    let x = bits.flag()?;
                    (x, x && bits.flag()?)
                }
                _ => (true, false),
            };
            (full_range, subsampling)
        };
        let positioned = !monochrome && subsampling == (true, true);
        let chroma_sample_position = if positioned { bits.take(2)? as u8 } else { 0 };
        Ok(Self { bit_depth, monochrome, subsampling, description, full_range, chroma_sample_position })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bits written one after the other, as the standard's tables list them.
    fn packed(fields: &[(u32, usize)]) -> Vec<u8> {
        let mut bits = Vec::new();
        for &(value, count) in fields {
            bits.extend((0..count).rev().map(|i| value >> i & 1));
        }
        bits.chunks(8)
            .map(|byte| byte.iter().enumerate().fold(0, |all, (i, bit)| all | (*bit as u8) << (7 - i)))
            .collect()
    }

    #[test]
    fn every_optional_part_is_read_over() {
        let payload = packed(&[
            (2, 3), // seq_profile
            (0, 2),
            (1, 1), // timing_info
            (1001, 32),
            (30_000, 32),
            (1, 1),
            (0b00101, 5), // uvlc: 4
            (1, 1),       // decoder_model_info
            (9, 5),
            (1, 32),
            (0, 10),
            (1, 1), // initial_display_delay_present_flag
            (1, 5), // two operating points
            (0x101, 12),
            (13, 5), // level 5.1
            (1, 1),  // high tier
            (1, 1),
            (77, 10),
            (88, 10),
            (1, 1),
            (1, 1),
            (3, 4),
            (0, 12),
            (4, 5), // a level without tier
            (0, 1),
            (0, 1),
            (11, 4),
            (10, 4),
            (3839, 12),
            (2047, 11),
            (1, 1), // frame ids
            (0, 7),
            (0, 3),
            (0, 4),
            (1, 1), // order hints
            (0, 2),
            (0, 1), // no choice of screen content tools
            (1, 1),
            (0, 1), // no choice of integer vectors
            (1, 1),
            (6, 3),
            (0, 3),
            (1, 1), // 12 bits
            (1, 1),
            (0, 1),
            (1, 1), // colour
            (9, 8),
            (16, 8),
            (9, 8),
            (1, 1), // full range
            (1, 1),
            (1, 1),
            (2, 2),
        ]);
        let expected = SequenceHeader {
            profile: 2,
            level: 13,
            high_tier: true,
            still_picture: false,
            reduced_still_picture: false,
            max_width: 3840,
            max_height: 2048,
            bit_depth: 12,
            monochrome: false,
            subsampling: (true, true),
            colour: Some(ColourDescription { primaries: 9, transfer: 16, matrix: 9 }),
            full_range: true,
            chroma_sample_position: 2,
        };
        assert_eq!(SequenceHeader::read(&payload), Ok(expected));
        for length in 0..payload.len() {
            assert_eq!(SequenceHeader::read(&payload[..length]), Err(Av1Error::Short("a sequence header")), "{length}");
        }
    }

    #[test]
    fn a_reduced_still_picture_is_read() {
        let payload = packed(&[
            (0, 3),
            (3, 2),
            (8, 5),
            (5, 4),
            (5, 4),
            (63, 6),
            (31, 6),
            (0, 3),
            (0, 3),
            (0, 2),
            (0, 1),
            (1, 1),
            (0, 2),
        ]);
        let read = SequenceHeader::read(&payload).unwrap();
        assert!(read.still_picture && read.reduced_still_picture && read.full_range && read.colour.is_none());
        assert_eq!((read.level, read.max_width, read.max_height, read.bit_depth), (8, 64, 32, 8));
    }

    #[test]
    fn a_reserved_profile_and_endless_zeros_are_errors() {
        assert_eq!(SequenceHeader::read(&[0xe0; 20]), Err(Av1Error::Profile(7)));
        let mut zeros = packed(&[(0, 5), (1, 1), (1, 32), (1, 32), (1, 1)]);
        zeros.extend([0; 64]);
        assert_eq!(SequenceHeader::read(&zeros), Err(Av1Error::Short("a sequence header")));
    }
}
