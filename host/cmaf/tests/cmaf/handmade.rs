//! Boxes made by hand.

use crate::ffmpeg::{read, stream};

/// A box around a body.
pub(crate) fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len() + 8).unwrap();
    [&size.to_be_bytes()[..], kind, body].concat()
}

/// A header of one track of pictures, out of a real stream.
pub(crate) fn header() -> Vec<u8> {
    let (header, _) = read(&stream("h264, picture alone").bytes).unwrap();
    header.known().next().unwrap().info.init.to_vec()
}

/// The body of a full box of 32-bit fields.
pub(crate) fn full(version: u8, flags: u32, fields: &[u32]) -> Vec<u8> {
    let first = u32::from(version) << 24 | flags;
    [first].iter().chain(fields).flat_map(|field| field.to_be_bytes()).collect()
}

/// A `moof` with one `traf`.
pub(crate) fn moof_at(tfhd: &[u8], tfdt: &[u8], trun: &[u8]) -> Vec<u8> {
    let traf = [boxed(b"tfhd", tfhd), boxed(b"tfdt", tfdt), boxed(b"trun", trun)].concat();
    boxed(b"moof", &[boxed(b"mfhd", &full(0, 0, &[1])), boxed(b"traf", &traf)].concat())
}

pub(crate) const DEFAULT_BASE_IS_MOOF: u32 = 0x02_0000;
pub(crate) const TRACK: u32 = 1;

/// A `moof` with one `traf`, decoded at zero.
pub(crate) fn moof(tfhd: &[u8], trun: &[u8]) -> Vec<u8> {
    moof_at(tfhd, &full(1, 0, &[0, 0]), trun)
}
