//! What a sequence header says: AV1 bitstream specification 5.5.

use millrace_cmaf::av1::{ColourDescription, SequenceHeader};

use crate::config::ConfigError;
use crate::decode::{DecodeError, DecodeLimits, frame_size};
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

impl Sequence {
    /// Reads the payload of a sequence header, and refuses what is not decoded and what is beyond `limits`.
    pub(super) fn parse(payload: &[u8], limits: DecodeLimits) -> Result<Self, DecodeError> {
        let header = SequenceHeader::read(payload).map_err(|error| ConfigError::Sequence(error.to_string()))?;
        refuse(header.bit_depth, header.monochrome, header.subsampling)?;
        let largest = (header.max_width, header.max_height);
        let size = frame_size("AV1", largest, largest, limits)?;
        let unspecified = ColourDescription { primaries: 2, transfer: 2, matrix: 2 };
        let ColourDescription { primaries, transfer, matrix } = header.colour.unwrap_or(unspecified);
        let said = header.colour.is_some() || header.full_range;
        let colour = said.then_some(Colour { primaries, transfer, matrix, full_range: header.full_range });
        Ok(Self { size, colour, reduced: header.reduced_still_picture })
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
