//! RFC 6381 codec strings, and what else is read out of codec configurations.

use millrace_media::{Time, Timescale};

use super::CodecConfig;
use crate::av1::{self, ColourDescription, SequenceHeader};
use crate::fourcc::FourCC;

/// Opus counts in 48 kHz whatever it was made from (RFC 7845, 4).
pub(super) const OPUS_RATE: Timescale = Timescale::new(48_000).unwrap();

/// `avc1.PPCCLL`: profile, constraints and level (RFC 6381, 3.3). None of a record that is too short.
pub(super) fn avc(entry: FourCC, record: &[u8]) -> Option<String> {
    let [profile, constraints, level] = record.get(1..)?.first_chunk()?;
    Some(format!("{entry}.{profile:02x}{constraints:02x}{level:02x}"))
}

/// `hvc1.PROFILE.COMPATIBILITY.LEVEL.CONSTRAINTS` (ISO/IEC 14496-15, E.3). None of a record that is too short.
pub(super) fn hevc(entry: FourCC, record: &[u8]) -> Option<String> {
    let profile = *record.get(1)?;
    let compatibility = u32::from_be_bytes(*record.get(2..)?.first_chunk()?).reverse_bits();
    let constraints: [u8; 6] = *record.get(6..)?.first_chunk()?;
    let level = *record.get(12)?;
    let space = ["", "A", "B", "C"][usize::from(profile >> 6)];
    let tier = if profile & 0x20 == 0 { 'L' } else { 'H' };
    let mut codec = format!("{entry}.{space}{}.{compatibility:x}.{tier}{level}", profile & 0x1f);
    let used = constraints.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    for byte in &constraints[..used] {
        codec += &format!(".{byte:X}");
    }
    Some(codec)
}

/// `av01.P.LLT.DD`: profile, level, tier and depth (AV1 in ISOBMFF, 5); with `.M.CCC.PP.TT.MM.F`, monochrome, subsampling, colour and
/// range, where the sequence header says something else than what their absence stands for. None of a record that is too short;
/// `av01` of one that is empty, as ffmpeg writes it where it does not wait for the first packet.
pub(super) fn av1(record: &[u8]) -> Option<String> {
    if record.is_empty() {
        return Some("av01".to_owned());
    }
    let [_, levels, shape, _] = record.first_chunk()?;
    let (profile, level) = (levels >> 5, levels & 0x1f);
    let tier = if shape & 0x80 == 0 { 'M' } else { 'H' };
    let (high, twelve) = (shape & 0x40 != 0, shape & 0x20 != 0);
    let depth = match (high, profile == 2 && twelve) {
        (true, true) => 12,
        (true, false) => 10,
        (false, _) => 8,
    };
    let colour = av1::read_record(record).map(|header| av1_colour(&header)).unwrap_or_default();
    let colour = if colour == AV1_COLOUR { "" } else { &colour };
    Some(format!("av01.{profile}.{level:02}{tier}.{depth:02}{colour}"))
}

/// What the parts of an AV1 codec string that are left out stand for: 4:2:0, BT.709, limited range.
const AV1_COLOUR: &str = ".0.110.01.01.01.0";

/// The parts that may be left out, all together. Colour that is not described counts as BT.709.
fn av1_colour(header: &SequenceHeader) -> String {
    const BT709: ColourDescription = ColourDescription { primaries: 1, transfer: 1, matrix: 1 };
    let ColourDescription { primaries, transfer, matrix } = header.colour.unwrap_or(BT709);
    let (x, y) = (u8::from(header.subsampling.0), u8::from(header.subsampling.1));
    // The third digit is the chroma sample position, where both ways are subsampled and it is known.
    let position = if x & y == 1 { header.chroma_sample_position } else { 0 };
    let (monochrome, range) = (u8::from(header.monochrome), u8::from(header.full_range));
    format!(".{monochrome}.{x}{y}{position}.{primaries:02}.{transfer:02}.{matrix:02}.{range}")
}

/// True where the first OBU of an `av1C` is a sequence header, as it has to be where there is one (AV1 in ISOBMFF, 2.3.4).
pub(super) fn has_sequence_header(record: &[u8]) -> bool {
    const SEQUENCE_HEADER: u8 = 1;
    record.get(4).is_some_and(|header| (header >> 3) & 0xf == SEQUENCE_HEADER)
}

/// What a decoder of Opus drops at the beginning (RFC 7845, 5.1); nothing of the other codecs, whose configurations do not say.
pub(super) fn pre_skip(config: &CodecConfig) -> Time {
    let ticks = match config {
        CodecConfig::Opus(dops) => dops.get(2..).and_then(|b| b.first_chunk()).map_or(0, |b| u16::from_be_bytes(*b)),
        _ => 0,
    };
    Time::new(i64::from(ticks), OPUS_RATE)
}

/// The beginning of an `AudioSpecificConfig` (ISO/IEC 14496-3, 1.6.2.1).
pub(crate) struct AudioSpecificConfig {
    object_type: u8,
    /// In Hz; 0 where it is reserved.
    pub(crate) sample_rate: u32,
    /// None where the configuration describes them at length.
    pub(crate) channels: Option<u16>,
}

impl AudioSpecificConfig {
    pub(crate) fn read(record: &[u8]) -> Self {
        const RATES: [u32; 13] =
            [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];
        let mut bits = Bits { bytes: record, at: 0 };
        let object_type = match bits.take(5) {
            31 => 32 + bits.take(6),
            short => short,
        };
        let sample_rate = match bits.take(4) {
            15 => bits.take(24),
            index => RATES.get(index as usize).copied().unwrap_or(0),
        };
        let channels = match bits.take(4) {
            n @ 1..=6 => Some(n as u16),
            7 => Some(8),
            _ => None,
        };
        Self { object_type: object_type as u8, sample_rate, channels }
    }

    /// `mp4a.40.N`, N being the audio object type; or the MPEG-2 object type alone (RFC 6381, 3.3).
    pub(super) fn codec(&self, object_type_indication: u8) -> String {
        match object_type_indication {
            0x40 => format!("mp4a.40.{}", self.object_type),
            other => format!("mp4a.{other:02x}"),
        }
    }
}

/// Bits from the most significant down; zeros past the end.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> u32 {
        (0..count).fold(0, |value, _| {
            let byte = self.bytes.get(self.at / 8).copied().unwrap_or(0);
            let bit = byte >> (7 - self.at % 8) & 1;
            self.at += 1;
            value << 1 | u32::from(bit)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codec_strings_as_the_standards_give_them() {
        assert_eq!(avc(FourCC::new(b"avc1"), &[1, 0x64, 0, 0x1f]).unwrap(), "avc1.64001f");
        // Main profile, level 3.1, progressive and non-packed: the example of ISO/IEC 14496-15, E.3 with its bits.
        let record = [1, 0x01, 0x60, 0, 0, 0, 0xb0, 0, 0, 0, 0, 0, 93];
        assert_eq!(hevc(FourCC::new(b"hev1"), &record).unwrap(), "hev1.1.6.L93.B0");
        assert_eq!(av1(&[0x81, 0x04, 0x0c, 0]).unwrap(), "av01.0.04M.08");
        assert_eq!(av1(&[0x81, 0x48, 0xec, 0]).unwrap(), "av01.2.08H.12");
        assert_eq!(av1(&[]).unwrap(), "av01");
    }

    #[test]
    fn av1_says_its_colour_where_it_is_not_what_silence_means() {
        let header = SequenceHeader {
            profile: 0,
            level: 4,
            high_tier: false,
            still_picture: false,
            reduced_still_picture: false,
            max_width: 640,
            max_height: 360,
            bit_depth: 8,
            monochrome: false,
            subsampling: (true, true),
            colour: None,
            full_range: false,
            chroma_sample_position: 0,
        };
        assert_eq!(av1_colour(&header), AV1_COLOUR);
        let described = |primaries, transfer, matrix| Some(ColourDescription { primaries, transfer, matrix });
        let bt709 = SequenceHeader { colour: described(1, 1, 1), ..header };
        assert_eq!(av1_colour(&bt709), AV1_COLOUR);
        let hdr = SequenceHeader { colour: described(9, 16, 9), chroma_sample_position: 2, ..header };
        assert_eq!(av1_colour(&hdr), ".0.112.09.16.09.0");
        let grey = SequenceHeader { monochrome: true, full_range: true, ..header };
        assert_eq!(av1_colour(&grey), ".1.110.01.01.01.1");
    }

    #[test]
    fn audio_configurations() {
        let lc = AudioSpecificConfig::read(&[0x11, 0x90]);
        assert_eq!((lc.codec(0x40).as_str(), lc.sample_rate, lc.channels), ("mp4a.40.2", 48_000, Some(2)));
        let he = AudioSpecificConfig::read(&[0x2b, 0x11, 0x88, 0]);
        assert_eq!(he.codec(0x40), "mp4a.40.5");
        assert_eq!(lc.codec(0x67), "mp4a.67");
    }

    #[test]
    fn short_records_are_no_codecs() {
        assert!(avc(FourCC::new(b"avc1"), &[1, 2, 3]).is_none());
        assert!(hevc(FourCC::new(b"hvc1"), &[0; 12]).is_none());
        assert!(av1(&[0; 3]).is_none());
    }
}
