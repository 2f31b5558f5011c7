//! What a sequence parameter set says: ITU-T H.264 7.3.2.1.1 and annex E.

use h264_reader::nal::sps::{ChromaFormat, FrameMbsFlags, PicOrderCntType, SeqParameterSet};
use h264_reader::nal::{Nal as _, RefNal};

use crate::avc::Nal;
use crate::config::ConfigError;
use crate::decode::{DecodeError, DecodeLimits, frame_size};
use crate::picture::{Colour, Size};

/// A coded video sequence that can be decoded here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sequence {
    /// The size of the pictures, cropped.
    pub(crate) size: Size,
    /// The columns and rows of luma samples cropped at left and top. Even.
    pub(crate) offset: (usize, usize),
    /// Luma samples in a row, and rows, before cropping.
    pub(crate) coded: (u32, u32),
    /// What the samples mean, where it is said.
    pub(crate) colour: Option<Colour>,
    /// How many pictures may precede a picture in decoding order and follow it in output order.
    pub(crate) reorder_depth: usize,
}

impl Sequence {
    /// Reads a sequence parameter set, and refuses what the decoder cannot do and what is beyond `limits`.
    pub(crate) fn parse(nal: Nal<'_>, limits: DecodeLimits) -> Result<Self, DecodeError> {
        let sps = SeqParameterSet::from_bits(RefNal::new(nal.bytes(), &[], true).rbsp_bits())
            .map_err(|error| ConfigError::Sequence(format!("{error:?}")))?;
        let profile = u8::from(sps.profile_idc);
        match profile {
            66 | 77 | 100 => {}
            88 => return Err(DecodeError::unsupported("H.264 extended profile")),
            110 => return Err(DecodeError::unsupported("H.264 high 10 profile")),
            122 => return Err(DecodeError::unsupported("H.264 high 4:2:2 profile")),
            44 | 244 => return Err(DecodeError::unsupported("H.264 high 4:4:4 profile")),
            _ => return Err(DecodeError::unsupported(format!("H.264 profile {profile}"))),
        }
        let chroma = &sps.chroma_info;
        if chroma.chroma_format != ChromaFormat::YUV420 {
            return Err(DecodeError::unsupported(format!("H.264 with chroma format {:?}", chroma.chroma_format)));
        }
        if (chroma.bit_depth_luma_minus8, chroma.bit_depth_chroma_minus8) != (0, 0) {
            return Err(DecodeError::unsupported(format!(
                "H.264 with {} bits a luma and {} a chroma sample",
                8 + u16::from(chroma.bit_depth_luma_minus8),
                8 + u16::from(chroma.bit_depth_chroma_minus8)
            )));
        }
        if sps.frame_mbs_flags != FrameMbsFlags::Frames {
            return Err(DecodeError::unsupported("interlaced H.264"));
        }
        if sps.max_num_ref_frames > MAX_REFERENCES {
            let count = sps.max_num_ref_frames;
            return Err(
                ConfigError::Sequence(format!("{count} reference pictures (expected <= {MAX_REFERENCES})")).into()
            );
        }
        let shown = sps.pixel_dimensions().map_err(|error| ConfigError::Sequence(format!("{error:?}")))?;
        let coded = (sps.pic_width_in_mbs().saturating_mul(16), sps.pic_height_in_map_units().saturating_mul(16));
        let size = frame_size("H.264", shown, coded, limits)?;
        limits.check_kept("H.264", sps.max_num_ref_frames, coded)?;
        // The units of cropping are two samples both ways in progressive 4:2:0.
        let offset = sps
            .frame_cropping
            .as_ref()
            .map_or((0, 0), |crop| (2 * crop.left_offset as usize, 2 * crop.top_offset as usize));
        Ok(Self { size, offset, coded, colour: colour(&sps), reorder_depth: reorder_depth(&sps, profile) })
    }
}

/// No level allows more reference pictures, ITU-T H.264 A.3.1.
const MAX_REFERENCES: u32 = 16;

fn colour(sps: &SeqParameterSet) -> Option<Colour> {
    let signal = sps.vui_parameters.as_ref()?.video_signal_type.as_ref()?;
    let unspecified = (2, 2, 2);
    let (primaries, transfer, matrix) = signal
        .colour_description
        .as_ref()
        .map_or(unspecified, |it| (it.colour_primaries, it.transfer_characteristics, it.matrix_coefficients));
    Some(Colour { primaries, transfer, matrix, full_range: signal.video_full_range_flag })
}

/// `max_num_reorder_frames` where it is written. Where it is not, picture order count type 2 and the baseline profile forbid
/// reordering, and otherwise no more pictures are taken out of order than may be kept for reference.
fn reorder_depth(sps: &SeqParameterSet, profile: u8) -> usize {
    let written = sps.vui_parameters.as_ref().and_then(|vui| vui.bitstream_restrictions.as_ref());
    let depth = match written {
        Some(restrictions) => restrictions.max_num_reorder_frames,
        None if profile == 66 || sps.pic_order_cnt == PicOrderCntType::TypeTwo => 0,
        None => sps.max_num_ref_frames.max(1),
    };
    depth.min(16) as usize
}
