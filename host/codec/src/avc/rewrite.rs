//! Small changes to a stream, that let a decoder begin in the middle of it.

use std::io::Write;

use h264_reader::nal::sps::SeqParameterSet;
use h264_reader::nal::{Nal as _, NalHeader, RefNal, WritableNal};
use h264_reader::rbsp::{ByteWriter, decode_nal};

use super::slice::Slice;
use crate::avc::Nal;
use crate::bits::{Bits, overwrite};

/// The sequence parameter set as the library is to see it.
///
/// Where a stream is joined, the first `frame_num` is not what a decoder expects. That is how a gap looks which
/// `gaps_in_frame_num_value_allowed_flag` permits, and 8.2.5.2 of ITU-T H.264 says what then stands in for the pictures that are
/// not there: grey frames of the right numbers, so that lists and marking work out. Real losses are found before the library sees
/// them. Cropping is left to the caller, and of the VUI nothing is needed.
///
/// None where it cannot be read.
pub(super) fn joinable(sequence: Nal<'_>) -> Option<Vec<u8>> {
    let unit = RefNal::new(sequence.bytes(), &[], true);
    let mut set = SeqParameterSet::from_bits(unit.rbsp_bits()).ok()?;
    set.gaps_in_frame_num_value_allowed_flag = true;
    set.frame_cropping = None;
    set.vui_parameters = None;
    Some(set.to_vec_with_header(NalHeader::new(sequence.bytes()[0]).ok()?))
}

/// A slice with another `pic_order_cnt_lsb`. None where it has none, or cannot be read.
pub(super) fn with_order(nal: Nal<'_>, slice: &Slice, lsb: u32) -> Option<Vec<u8>> {
    let order = slice.order?;
    let mut payload = decode_nal(nal.bytes()).ok()?.into_owned();
    let mut bits = Bits::new(&payload);
    for _ in 0..3 {
        bits.unsigned_exp_golomb()?; // first_mb_in_slice, slice_type, pic_parameter_set_id
    }
    bits.read(slice.frame_num.bits)?;
    let position = bits.position();
    overwrite(&mut payload, position, order.bits, lsb);
    let mut unit = vec![nal.bytes()[0]];
    ByteWriter::new(&mut unit).write_all(&payload).ok()?;
    Some(unit)
}
