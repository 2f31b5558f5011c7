//! What a sequence parameter set says: ITU-T H.264 7.3.2.1.1 and annex E.

use h264_reader::nal::sps::{PicOrderCntType, SeqParameterSet};
use h264_reader::nal::{Nal as _, RefNal};

use super::AvcError;

/// No level allows more reference pictures, ITU-T H.264 A.3.1.
const MAX_REFERENCES: u32 = 16;

/// The part of a sequence parameter set that a header is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// In pixels, cropped.
    pub width: u32,
    /// In pixels, cropped.
    pub height: u32,
    /// How many pictures may precede a picture in decoding order and follow it in output order; at most 16.
    pub reorder_depth: usize,
    /// `chroma_format_idc`.
    pub(super) chroma_format: u8,
    /// Bits of a luma sample, less 8.
    pub(super) luma_depth: u8,
    /// Bits of a chroma sample, less 8.
    pub(super) chroma_depth: u8,
}

impl Sequence {
    /// Reads a sequence parameter set, its NAL header included.
    ///
    /// # Errors
    /// Where it is broken.
    pub fn read(unit: &[u8]) -> Result<Self, AvcError> {
        if unit.len() < 4 {
            return Err(AvcError::Short("a sequence parameter set"));
        }
        let broken = |error: &dyn std::fmt::Debug| AvcError::Sequence(format!("{error:?}"));
        let sps = SeqParameterSet::from_bits(RefNal::new(unit, &[], true).rbsp_bits()).map_err(|e| broken(&e))?;
        let (width, height) = sps.pixel_dimensions().map_err(|error| broken(&error))?;
        let chroma = &sps.chroma_info;
        Ok(Self {
            width,
            height,
            reorder_depth: reorder_depth(&sps),
            chroma_format: chroma_format_idc(unit[1], sps.chroma_info.chroma_array_type()),
            luma_depth: chroma.bit_depth_luma_minus8,
            chroma_depth: chroma.bit_depth_chroma_minus8,
        })
    }
}

/// 4:4:4 with separate colour planes decodes like monochrome, and is said to be 4:4:4 all the same.
fn chroma_format_idc(profile: u8, array_type: u8) -> u8 {
    match (profile, array_type) {
        (44 | 244, 0) => 3,
        (_, array_type) => array_type,
    }
}

/// `max_num_reorder_frames` where it is written. Where it is not, picture order count type 2 and the baseline profile forbid
/// reordering, and otherwise no more pictures are taken out of order than may be kept for reference.
fn reorder_depth(sps: &SeqParameterSet) -> usize {
    let written = sps.vui_parameters.as_ref().and_then(|vui| vui.bitstream_restrictions.as_ref());
    let depth = match written {
        Some(restrictions) => restrictions.max_num_reorder_frames,
        None if u8::from(sps.profile_idc) == 66 || sps.pic_order_cnt == PicOrderCntType::TypeTwo => 0,
        None => sps.max_num_ref_frames.max(1),
    };
    depth.min(MAX_REFERENCES) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 320x180, high profile, two B-frames, as x264 writes it.
    const SPS: [u8; 26] = [
        0x67, 0x64, 0, 0x0c, 0xac, 0xd9, 0x41, 0x41, 0x9f, 0x9f, 1, 0x10, 0, 0, 3, 0, 0x10, 0, 0, 3, 3, 0x20, 0xf1,
        0x42, 0x99, 0x60,
    ];

    #[test]
    fn the_size_and_the_reordering_are_read() {
        let read = Sequence::read(&SPS).unwrap();
        assert_eq!((read.width, read.height, read.reorder_depth), (320, 180, 2));
        assert_eq!((read.chroma_format, read.luma_depth, read.chroma_depth), (1, 0, 0));
    }

    #[test]
    fn broken_sets_are_refused() {
        assert_eq!(Sequence::read(&[0x67, 100, 0]), Err(AvcError::Short("a sequence parameter set")));
        assert!(matches!(Sequence::read(&[0x67, 100, 0, 13]), Err(AvcError::Sequence(_))));
        for length in 0..20 {
            assert!(Sequence::read(&SPS[..length]).is_err(), "{length}");
        }
    }
}
