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
    /// Delimiters, SEI, filler, reserved types, other layers: nothing a picture of the base layer needs.
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
        36 | 37 => NalKind::End,
        _ => NalKind::Other,
    }
}
