//! What a slice header says about the order of pictures: ITU-T H.264 7.3.3.

use h264_reader::Context;
use h264_reader::nal::pps::PicParameterSet;
use h264_reader::nal::slice::{DecRefPicMarking, MemoryManagementControlOperation, PicOrderCountLsb, SliceHeader};
use h264_reader::nal::sps::{PicOrderCntType, SeqParameterSet};
use h264_reader::nal::{Nal as _, RefNal};

use crate::avc::Nal;

/// Reads slice headers by the parameter sets seen so far.
#[derive(Default)]
pub(super) struct Headers {
    sets: Context,
}

/// The first slice of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slice {
    /// `frame_num`: counts reference pictures.
    pub(super) frame_num: Counter,
    /// `pic_order_cnt_lsb`, where the stream counts so.
    pub(super) order: Option<Counter>,
    /// True where other pictures may refer to this one.
    pub(super) reference: bool,
    /// True where the picture resets `frame_num` behind it (`memory_management_control_operation` 5).
    pub(super) resets: bool,
    /// True where the stream may leave out values of `frame_num`.
    pub(super) gaps_allowed: bool,
}

/// A number that goes round in a field of fixed length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counter {
    pub(super) value: u32,
    /// The length of the field: 4 to 16.
    pub(super) bits: u32,
}

impl Counter {
    /// How far this is ahead of `earlier`.
    pub(super) const fn ahead_of(self, earlier: u32) -> u32 {
        self.value.wrapping_sub(earlier) & ((1 << self.bits) - 1)
    }
}

impl Headers {
    /// Takes a parameter set. One that cannot be read is left out: slices that want it cannot be read either.
    pub(super) fn take_set(&mut self, nal: Nal<'_>) {
        let unit = RefNal::new(nal.bytes(), &[], true);
        if nal.bytes()[0] & 0x1f == 7 {
            if let Ok(set) = SeqParameterSet::from_bits(unit.rbsp_bits()) {
                self.sets.put_seq_param_set(set);
            }
        } else if let Ok(set) = PicParameterSet::from_bits(&self.sets, unit.rbsp_bits()) {
            self.sets.put_pic_param_set(set);
        }
    }

    /// Reads the header of a slice.
    pub(super) fn read(&self, nal: Nal<'_>) -> Result<Slice, String> {
        let unit = RefNal::new(nal.bytes(), &[], true);
        let kind = unit.header().map_err(|error| format!("{error:?}"))?;
        let (header, sequence, _) = SliceHeader::from_bits(&self.sets, &mut unit.rbsp_bits(), kind, None)
            .map_err(|error| format!("broken slice header: {error:?}"))?;
        let order = match (&sequence.pic_order_cnt, &header.pic_order_cnt_lsb) {
            (
                PicOrderCntType::TypeZero { log2_max_pic_order_cnt_lsb_minus4 },
                Some(
                    PicOrderCountLsb::Frame(value) | PicOrderCountLsb::FieldsAbsolute { pic_order_cnt_lsb: value, .. },
                ),
            ) => Some(Counter { value: *value, bits: u32::from(*log2_max_pic_order_cnt_lsb_minus4) + 4 }),
            _ => None,
        };
        let resets = match &header.dec_ref_pic_marking {
            Some(DecRefPicMarking::Adaptive(operations)) => operations
                .iter()
                .any(|operation| matches!(operation, MemoryManagementControlOperation::AllRefPicturesUnused)),
            _ => false,
        };
        Ok(Slice {
            frame_num: Counter { value: u32::from(header.frame_num), bits: u32::from(sequence.log2_max_frame_num()) },
            order,
            reference: kind.nal_ref_idc() != 0,
            resets,
            gaps_allowed: sequence.gaps_in_frame_num_value_allowed_flag,
        })
    }
}
