//! What a sequence header says: AV1 bitstream specification 5.5.

use crate::bits::Bits;
use crate::config::ConfigError;
use crate::decode::{DecodeError, picture_size};
use crate::picture::{Colour, Size};

/// A coded video sequence that can be decoded here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sequence {
    /// The largest size of its frames.
    pub(super) size: Size,
    /// What the samples mean, where it is said.
    pub(super) colour: Option<Colour>,
    /// `reduced_still_picture_header`: every frame is a shown key frame and does not say so.
    pub(super) reduced: bool,
}

/// `seq_force_screen_content_tools` where each frame says it for itself.
const SELECT_SCREEN_CONTENT_TOOLS: u32 = 2;

impl Sequence {
    /// Reads the payload of a sequence header, and refuses what is not decoded.
    pub(super) fn parse(payload: &[u8]) -> Result<Self, DecodeError> {
        let short = || ConfigError::Sequence("the AV1 sequence header is cut short".to_owned());
        let fields = Fields::read(&mut Bits::new(payload)).ok_or_else(short)?;
        refuse(fields.depth, fields.mono, fields.subsampling)?;
        let size = picture_size("AV1", fields.width, fields.height)?;
        Ok(Self { size, colour: fields.colour, reduced: fields.reduced })
    }
}

/// Refuses samples that are not 8-bit 4:2:0.
pub(super) fn refuse(depth: u8, mono: bool, subsampling: (bool, bool)) -> Result<(), DecodeError> {
    if depth != 8 {
        return Err(DecodeError::unsupported(format!("AV1 with {depth} bits a sample")));
    }
    if mono {
        return Err(DecodeError::unsupported("monochrome AV1"));
    }
    match subsampling {
        (true, true) => Ok(()),
        (true, false) => Err(DecodeError::unsupported("AV1 with chroma 4:2:2")),
        _ => Err(DecodeError::unsupported("AV1 with chroma 4:4:4")),
    }
}

struct Fields {
    reduced: bool,
    width: u32,
    height: u32,
    depth: u8,
    mono: bool,
    subsampling: (bool, bool),
    colour: Option<Colour>,
}

impl Fields {
    fn read(bits: &mut Bits<'_>) -> Option<Self> {
        let profile = bits.read(3)?;
        bits.flag()?; // still_picture
        let reduced = bits.flag()?;
        if reduced {
            bits.read(5)?; // seq_level_idx
        } else {
            skip_operating_points(bits)?;
        }
        let (width_bits, height_bits) = (bits.read(4)? + 1, bits.read(4)? + 1);
        let (width, height) = (bits.read(width_bits)? + 1, bits.read(height_bits)? + 1);
        if !reduced && bits.flag()? {
            bits.read(7)?; // lengths of frame ids
        }
        bits.read(3)?; // 128x128 superblocks, filter intra, intra edge filter
        if !reduced {
            skip_tools(bits)?;
        }
        bits.read(3)?; // superres, CDEF, restoration
        Self { reduced, width, height, depth: 8, mono: false, subsampling: (true, true), colour: None }
            .read_colour(bits, profile)
    }

    /// `color_config()`, AV1 5.5.2.
    fn read_colour(mut self, bits: &mut Bits<'_>, profile: u32) -> Option<Self> {
        let high = bits.flag()?;
        self.depth = match (high, profile) {
            (false, _) => 8,
            (true, 2) if bits.flag()? => 12,
            (true, _) => 10,
        };
        self.mono = profile != 1 && bits.flag()?;
        let described = bits.flag()?;
        let mut code = || if described { bits.read(8).map(|code| code as u8) } else { Some(2) };
        let (primaries, transfer, matrix) = (code()?, code()?, code()?);
        let full_range = if (primaries, transfer, matrix) == (1, 13, 0) && !self.mono {
            self.subsampling = (false, false);
            true
        } else {
            let full_range = bits.flag()?;
            self.subsampling = match (profile, self.depth) {
                _ if self.mono => (true, true),
                (0, _) => (true, true),
                (1, _) => (false, false),
                (_, 12) => {
                    let x = bits.flag()?;
                    (x, x && bits.flag()?)
                }
                _ => (true, false),
            };
            full_range
        };
        if described || full_range {
            self.colour = Some(Colour { primaries, transfer, matrix, full_range });
        }
        Some(self)
    }
}

/// From `timing_info_present_flag` to the last operating point.
fn skip_operating_points(bits: &mut Bits<'_>) -> Option<()> {
    let mut delay_bits = None;
    if bits.flag()? {
        bits.read(32)?;
        bits.read(32)?;
        if bits.flag()? {
            bits.unsigned_exp_golomb()?; // num_ticks_per_picture_minus_1
        }
        if bits.flag()? {
            delay_bits = Some(bits.read(5)? + 1);
            bits.read(32)?;
            bits.read(10)?;
        }
    }
    let initial_display_delay = bits.flag()?;
    for _ in 0..=bits.read(5)? {
        bits.read(12)?; // operating_point_idc
        if bits.read(5)? > 7 {
            bits.flag()?; // seq_tier
        }
        if let Some(delay_bits) = delay_bits
            && bits.flag()?
        {
            bits.read(delay_bits)?;
            bits.read(delay_bits)?;
            bits.flag()?;
        }
        if initial_display_delay && bits.flag()? {
            bits.read(4)?;
        }
    }
    Some(())
}

/// From `enable_interintra_compound` to `order_hint_bits_minus_1`.
fn skip_tools(bits: &mut Bits<'_>) -> Option<()> {
    bits.read(4)?;
    let order_hint = bits.flag()?;
    if order_hint {
        bits.read(2)?;
    }
    let screen_content = if bits.flag()? { SELECT_SCREEN_CONTENT_TOOLS } else { bits.read(1)? };
    if screen_content > 0 && !bits.flag()? {
        bits.flag()?; // seq_force_integer_mv
    }
    if order_hint {
        bits.read(3)?;
    }
    Some(())
}
