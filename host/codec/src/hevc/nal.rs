//! NAL units: ITU-T H.265 7.3.1.

/// What a NAL unit carries, as far as it matters here: `nal_unit_type`, ITU-T H.265 table 7-1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NalKind {
    /// A slice segment of a picture that others may have to precede.
    Slice,
    /// A slice segment of an IDR picture: nothing presented before it is decoded after it, but its own leading pictures.
    IdrSlice,
    /// A slice segment of a CRA or BLA picture.
    RandomAccessSlice,
    VideoParameters,
    SequenceParameters,
    PictureParameters,
    /// The end of a coded video sequence or of the bitstream.
    End,
    /// A delimiter, prefix SEI or a type that is reserved as they are: behind a frame's slices, the next access unit begins with it
    /// (7.4.2.4.4).
    Opening,
    /// Suffix SEI, filler, other reserved types, other layers: nothing a picture of the base layer needs.
    Other,
}

/// The kind of a unit with its header. A unit that ends within its header is [`NalKind::Other`].
pub(super) fn kind(unit: &[u8]) -> NalKind {
    let &[first, second, ..] = unit else { return NalKind::Other };
    let layer = (first & 1) << 5 | second >> 3;
    if layer != 0 {
        return NalKind::Other;
    }
    match first >> 1 & 0x3f {
        0..=9 => NalKind::Slice,
        19 | 20 => NalKind::IdrSlice,
        16..=18 | 21 => NalKind::RandomAccessSlice,
        32 => NalKind::VideoParameters,
        33 => NalKind::SequenceParameters,
        34 => NalKind::PictureParameters,
        35 | 39 | 41..=44 | 48..=55 => NalKind::Opening,
        36 | 37 => NalKind::End,
        _ => NalKind::Other,
    }
}

/// True of a slice of a picture that no other of its temporal sub-layer refers to: the types of even numbers up to `RSV_VCL_N14`.
pub(super) fn is_sub_layer_non_reference(unit: &[u8]) -> bool {
    unit.first().is_some_and(|first| first >> 1 & 0x3f <= 14 && first >> 1 & 1 == 0)
}
