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

/// A slice, and what it says of its picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slice {
    /// `first_mb_in_slice`.
    pub(super) first_block: u32,
    /// Luma samples of the coded frame, by the parameter set that this slice is decoded with: there may be several.
    pub(super) luma_samples: u64,
    /// `redundant_pic_cnt` is not 0: the slice repeats a part of the picture that another slice has, and decoders pass over it.
    pub(super) redundant: bool,
    /// `pic_parameter_set_id` and `idr_pic_id`.
    pub(super) ids: (u32, Option<u32>),
    /// `delta_pic_order_cnt_bottom`, or `delta_pic_order_cnt`.
    pub(super) order_deltas: [i32; 2],
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

impl Slice {
    /// True of a slice of the same picture: ITU-T H.264 7.4.1.2.4, but for what only fields have. The kinds of their NAL units are
    /// compared by the caller.
    pub(super) fn is_of_same_picture(&self, other: &Self) -> bool {
        let picture = |slice: &Self| (slice.frame_num, slice.order, slice.order_deltas, slice.reference, slice.ids);
        picture(self) == picture(other)
    }
}

/// Bytes of a slice that its header may take. A real one takes less than a hundred.
const MAX_HEADER: usize = 2_048;

impl Headers {
    /// Takes a parameter set. One that cannot be read is left out: slices that want it cannot be read either. True where it was taken.
    pub(super) fn take_set(&mut self, nal: Nal<'_>) -> bool {
        let unit = RefNal::new(nal.bytes(), &[], true);
        if nal.bytes()[0] & 0x1f == 7 {
            SeqParameterSet::from_bits(unit.rbsp_bits()).map(|set| self.sets.put_seq_param_set(set)).is_ok()
        } else {
            PicParameterSet::from_bits(&self.sets, unit.rbsp_bits()).map(|set| self.sets.put_pic_param_set(set)).is_ok()
        }
    }

    /// Reads the header of a slice.
    pub(super) fn read(&self, nal: Nal<'_>) -> Result<Slice, String> {
        // What the parser reads in lists grows with the header, and so it must not be given more than one.
        let header = &nal.bytes()[..nal.bytes().len().min(MAX_HEADER)];
        let unit = RefNal::new(header, &[], true);
        let kind = unit.header().map_err(|error| format!("{error:?}"))?;
        let (header, sequence, picture) = SliceHeader::from_bits(&self.sets, &mut unit.rbsp_bits(), kind, None)
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
        let order_deltas = match header.pic_order_cnt_lsb {
            Some(PicOrderCountLsb::FieldsAbsolute { delta_pic_order_cnt_bottom, .. }) => {
                [delta_pic_order_cnt_bottom, 0]
            }
            Some(PicOrderCountLsb::FieldsDelta(deltas)) => deltas,
            _ => [0, 0],
        };
        let resets = match &header.dec_ref_pic_marking {
            Some(DecRefPicMarking::Adaptive(operations)) => operations
                .iter()
                .any(|operation| matches!(operation, MemoryManagementControlOperation::AllRefPicturesUnused)),
            _ => false,
        };
        Ok(Slice {
            first_block: header.first_mb_in_slice,
            luma_samples: u64::from(sequence.pic_width_in_mbs()) * u64::from(sequence.pic_height_in_map_units()) * 256,
            redundant: header.redundant_pic_cnt.is_some_and(|count| count > 0),
            ids: (picture.pic_parameter_set_id.id().into(), header.idr_pic_id),
            order_deltas,
            frame_num: Counter { value: u32::from(header.frame_num), bits: u32::from(sequence.log2_max_frame_num()) },
            order,
            reference: kind.nal_ref_idc() != 0,
            resets,
            gaps_allowed: sequence.gaps_in_frame_num_value_allowed_flag,
        })
    }
}
