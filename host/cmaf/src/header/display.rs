//! The size of video as it is shown.

use mp4_atom::{Pasp, Tkhd, Visual};

use super::sample_entry;
use crate::boxes::{BoxRef, Boxes};
use crate::fourcc::{self, FourCC};
use crate::reader::ReadError;

/// The largest size that `tkhd` can say, in pixels.
const LARGEST: u64 = 0xffff;

/// The size at which the first track of a header is shown, width and height in square pixels, after its rotation. None where it is no
/// video, or the header cannot be read.
///
/// `tkhd` says the size with the shape of the pixels applied (ISO/IEC 14496-12, 8.3.2.3). Writers that repeat the coded size there leave it
/// to `pasp` (12.1.4), which is then applied to the width. A `tkhd` without a size, or with the proportions alone, is passed over. Its
/// matrix turns what is shown by quarters; other transformations do not change the size given here.
pub fn display_size(init: &[u8]) -> Option<(u32, u32)> {
    read(init).ok().flatten()
}

fn read(init: &[u8]) -> Result<Option<(u32, u32)>, ReadError> {
    for found in Boxes::new(init, 0, FourCC::new(b"file")) {
        let found = found?;
        if found.kind == fourcc::MOOV {
            return of_track(&found.require(fourcc::TRAK)?);
        }
    }
    Ok(None)
}

fn of_track(trak: &BoxRef<'_>) -> Result<Option<(u32, u32)>, ReadError> {
    let tkhd: Tkhd = trak.require(fourcc::TKHD)?.decode()?;
    let stbl = trak.require(fourcc::MDIA)?.require(fourcc::MINF)?.require(fourcc::STBL)?;
    let Some(entry) = stbl.require(fourcc::STSD)?.children(8).next().transpose()? else { return Ok(None) };
    if !sample_entry::is_visual(&entry) {
        return Ok(None);
    }
    let (visual, children) = sample_entry::fields::<Visual>(&entry)?;
    let coded = (u64::from(visual.width), u64::from(visual.height));
    let pasp = sample_entry::find(children, fourcc::PASP)?.and_then(|pasp| pasp.decode::<Pasp>().ok());
    let declared =
        (rounded(tkhd.width.integer(), tkhd.width.decimal()), rounded(tkhd.height.integer(), tkhd.height.decimal()));
    let says_size = !tkhd.size_is_aspect_ratio && declared.0 > 0 && declared.1 > 0;
    let (width, height) = if says_size && declared != coded { declared } else { squared(coded, pasp) };
    let (width, height) = if is_quarter_turn(&tkhd) { (height, width) } else { (width, height) };
    let size = u32::try_from(width).ok().zip(u32::try_from(height).ok());
    Ok(size.filter(|(width, height)| *width > 0 && *height > 0))
}

/// A fixed-point number to the nearest whole one.
fn rounded(integer: u16, fraction: u16) -> u64 {
    u64::from(integer) + u64::from(fraction >> 15)
}

/// The coded size with pixels made square by another width. Pixels of no shape, or of one that cannot be shown, are taken to be square.
fn squared((width, height): (u64, u64), pasp: Option<Pasp>) -> (u64, u64) {
    let (across, down) = pasp.map_or((1, 1), |pasp| (u64::from(pasp.h_spacing), u64::from(pasp.v_spacing)));
    let shown = (width * across + down / 2).checked_div(down).unwrap_or(0);
    if (1..=LARGEST).contains(&shown) { (shown, height) } else { (width, height) }
}

/// True of a matrix that exchanges across and down: a turn by 90 or 270 degrees, mirrored or not.
fn is_quarter_turn(tkhd: &Tkhd) -> bool {
    let matrix = &tkhd.matrix;
    matrix.a == 0 && matrix.d == 0 && matrix.b != 0 && matrix.c != 0
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use millrace_media::Timescale;
    use millrace_media::track::Format;

    use super::*;
    use crate::header::CodecConfig;
    use crate::write::InitSettings;

    const UPRIGHT: [i32; 4] = [1 << 16, 0, 0, 1 << 16];
    const QUARTER_LEFT: [i32; 4] = [0, -(1 << 16), 1 << 16, 0];
    const QUARTER_RIGHT: [i32; 4] = [0, 1 << 16, -(1 << 16), 0];
    const HALF: [i32; 4] = [-(1 << 16), 0, 0, -(1 << 16)];

    fn header(coded: (u32, u32)) -> Vec<u8> {
        let settings = InitSettings {
            track_id: 1,
            timescale: Timescale::MILLIS,
            format: Format::Video { width: coded.0, height: coded.1, frame_rate: None },
            config: CodecConfig::Avc(Bytes::from_static(&[1, 0x64, 0, 0x1f, 0xff, 0xe0, 0])),
            language: None,
            bitrate: None,
        };
        settings.init_segment().unwrap().to_vec()
    }

    fn at(init: &[u8], name: &[u8; 4]) -> usize {
        init.windows(4).position(|window| window == name).unwrap()
    }

    /// Puts `tkhd`'s size, in 65536ths of a pixel, and the corner of its matrix into a header.
    fn with_tkhd(mut init: Vec<u8>, size: (u32, u32), [a, b, c, d]: [i32; 4]) -> Vec<u8> {
        // Version 1: 36 bytes of times, track and duration, 16 up to the matrix of 36.
        let matrix = at(&init, b"tkhd") + 4 + 52;
        for (field, value) in [(0, a), (1, b), (3, c), (4, d)] {
            init[matrix + field * 4..][..4].copy_from_slice(&value.to_be_bytes());
        }
        init[matrix + 36..][..4].copy_from_slice(&size.0.to_be_bytes());
        init[matrix + 40..][..4].copy_from_slice(&size.1.to_be_bytes());
        init
    }

    /// Puts a `pasp` at the end of the sample entry.
    fn with_pasp(mut init: Vec<u8>, across: u32, down: u32) -> Vec<u8> {
        let entry = at(&init, b"avc1") - 4;
        let end = entry + u32::from_be_bytes(*init[entry..].first_chunk().unwrap()) as usize;
        let pasp = [&16u32.to_be_bytes()[..], b"pasp", &across.to_be_bytes(), &down.to_be_bytes()].concat();
        init.splice(end..end, pasp);
        for name in [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"] {
            let size = at(&init, name) - 4;
            let grown = u32::from_be_bytes(*init[size..].first_chunk().unwrap()) + 16;
            init[size..size + 4].copy_from_slice(&grown.to_be_bytes());
        }
        init
    }

    const fn pixels(width: u32, height: u32) -> (u32, u32) {
        (width << 16, height << 16)
    }

    #[test]
    fn square_pixels_are_shown_as_coded() {
        assert_eq!(display_size(&header((1920, 1080))), Some((1920, 1080)));
        assert_eq!(display_size(&with_pasp(header((1920, 1080)), 1, 1)), Some((1920, 1080)));
    }

    #[test]
    fn pixels_of_another_shape_widen_the_frame_once() {
        let wide = with_pasp(header((720, 576)), 64, 45);
        assert_eq!(display_size(&wide), Some((1024, 576)), "tkhd repeats the coded size");
        let applied = with_tkhd(wide.clone(), pixels(1024, 576), UPRIGHT);
        assert_eq!(display_size(&applied), Some((1024, 576)), "tkhd applies it");
        assert_eq!(display_size(&with_tkhd(wide, (0, 0), UPRIGHT)), Some((1024, 576)), "tkhd says nothing");
        // As ffmpeg writes NTSC at 16:9: 720x480 with pixels of 32:27, 853.33 across.
        let ntsc = with_tkhd(with_pasp(header((720, 480)), 32, 27), (55_924_053, 480 << 16), UPRIGHT);
        assert_eq!(display_size(&ntsc), Some((853, 480)));
        assert_eq!(display_size(&with_pasp(header((720, 480)), 8, 9)), Some((640, 480)));
    }

    #[test]
    fn a_phone_held_upright_films_upright() {
        for quarter in [QUARTER_LEFT, QUARTER_RIGHT] {
            assert_eq!(display_size(&with_tkhd(header((1920, 1080)), pixels(1920, 1080), quarter)), Some((1080, 1920)));
        }
        assert_eq!(display_size(&with_tkhd(header((1920, 1080)), pixels(1920, 1080), HALF)), Some((1920, 1080)));
        let turned = with_tkhd(with_pasp(header((720, 576)), 64, 45), pixels(720, 576), QUARTER_LEFT);
        assert_eq!(display_size(&turned), Some((576, 1024)), "pixels are widened as coded, then turned");
    }

    #[test]
    fn shapes_that_cannot_be_shown_are_passed_over() {
        for (across, down) in [(0, 0), (0, 1), (1, 0), (u32::MAX, 1), (1, u32::MAX), (100, 1)] {
            assert_eq!(display_size(&with_pasp(header((720, 576)), across, down)), Some((720, 576)), "{across}:{down}");
        }
        assert_eq!(display_size(&with_pasp(header((720, 576)), u32::MAX, u32::MAX)), Some((720, 576)));
        assert_eq!(display_size(&header((0, 0))), None);
    }

    #[test]
    fn what_is_no_video_has_no_size() {
        let audio = InitSettings {
            track_id: 1,
            timescale: Timescale::MILLIS,
            format: Format::Audio { sample_rate: 48_000, channels: 2 },
            config: CodecConfig::Opus(Bytes::from_static(&[0, 2, 0, 0, 0, 0, 0xbb, 0x80, 0, 0, 0])),
            language: None,
            bitrate: None,
        };
        assert_eq!(display_size(&audio.init_segment().unwrap()), None);
        assert_eq!(display_size(b"not a header"), None);
        let init = header((1920, 1080));
        for len in 0..init.len() {
            assert_eq!(display_size(&init[..len]), None, "{len}");
        }
    }
}
