//! What a sequence parameter set says: ITU-T H.265 7.3.2.2 and annex E.

use rusty_h265::nal::unescape;
use rusty_h265::ps::{Sps, Vui, parse_sps};

use super::config::refuse;
use crate::config::ConfigError;
use crate::decode::{DecodeError, DecodeLimits, contained, frame_size};
use crate::picture::{Colour, Size};

/// A coded video sequence that can be decoded here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sequence {
    /// The size of the pictures, cropped.
    pub(super) size: Size,
    /// Its size before cropping.
    pub(super) coded: (u32, u32),
    /// What the samples mean, where it is said.
    pub(super) colour: Option<Colour>,
    /// How many pictures may precede a picture in decoding order and follow it in output order.
    pub(super) reorder_depth: usize,
}

impl Sequence {
    /// Reads a sequence parameter set with its header, and refuses what the decoder cannot do and what is beyond `limits`.
    pub(super) fn parse(unit: &[u8], limits: DecodeLimits) -> Result<Self, DecodeError> {
        let payload = unit.get(2..).unwrap_or_default();
        let sps = contained(|| parse_sps(&unescape(payload).data).map_err(|error| error.to_string()))
            .map_err(ConfigError::Sequence)?;
        refuse(sps.chroma_format_idc, sps.bit_depth_luma, sps.bit_depth_chroma)?;
        refuse_tools(&sps)?;
        let coded = (sps.width, sps.height);
        let size = frame_size("HEVC", sps.output_size(), coded, limits)?;
        let ordering = sps.ordering[usize::from(sps.max_sub_layers_minus1).min(7)];
        limits.check_kept("HEVC", ordering.max_dec_pic_buffering_minus1, coded)?;
        Ok(Self {
            size,
            coded,
            colour: sps.vui.as_ref().and_then(colour),
            reorder_depth: ordering.max_num_reorder_pics as usize,
        })
    }
}

fn refuse_tools(sps: &Sps) -> Result<(), DecodeError> {
    let profile = sps.ptl.profile();
    if !matches!(profile, 1..=3) {
        return Err(DecodeError::unsupported(format!("HEVC profile {profile} (expected Main)")));
    }
    if sps.range_extension || sps.multilayer_extension || sps.ext_3d || sps.scc_extension {
        return Err(DecodeError::unsupported("HEVC with extensions of its tools"));
    }
    if sps.ptl.interlaced_source_flag && !sps.ptl.progressive_source_flag {
        return Err(DecodeError::unsupported("interlaced HEVC"));
    }
    Ok(())
}

/// The parser leaves zeros, which are reserved or mean RGB, where nothing is said.
fn colour(vui: &Vui) -> Option<Colour> {
    let (primaries, transfer, matrix) = match (vui.colour_primaries, vui.transfer_characteristics, vui.matrix_coeffs) {
        (0, 0, 0) if !vui.video_full_range_flag => return None,
        (0, 0, 0) => (2, 2, 2),
        described => described,
    };
    Some(Colour { primaries, transfer, matrix, full_range: vui.video_full_range_flag })
}
