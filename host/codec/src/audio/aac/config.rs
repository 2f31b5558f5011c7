//! `AudioSpecificConfig`, ISO/IEC 14496-3 1.6.2.1.

use crate::audio::AudioDecodeError;

/// What the configuration says of AAC-LC that can be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Config {
    pub(super) sample_rate: u32,
    pub(super) channels: u8,
    rate_index: u8,
}

/// By `samplingFrequencyIndex`, table 1.18.
const RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];
/// Audio object types, table 1.17.
const AAC_LC: u32 = 2;
const SBR: u32 = 5;
const PS: u32 = 29;
/// Announces an extension after the configuration of the core, 1.6.5.2.
const SYNC_SBR: u32 = 0x2b7;
const SYNC_PS: u32 = 0x548;

impl Config {
    pub(super) fn read(record: &[u8]) -> Result<Self, AudioDecodeError> {
        let unreadable =
            || AudioDecodeError::Config(format!("AudioSpecificConfig of {} bytes ends early", record.len()));
        let mut bits = Bits { bytes: record, at: 0 };
        let object_type = object_type(&mut bits).ok_or_else(unreadable)?;
        match object_type {
            AAC_LC => {}
            SBR => return Err(AudioDecodeError::unsupported("HE-AAC (AAC with spectral band replication)")),
            PS => return Err(AudioDecodeError::unsupported("HE-AAC v2 (AAC with parametric stereo)")),
            other => return Err(AudioDecodeError::unsupported(format!("MPEG-4 audio of object type {other}"))),
        }
        let (rate_index, sample_rate) = sample_rate(&mut bits).ok_or_else(unreadable)?;
        let Some(rate_index) = rate_index else {
            return Err(AudioDecodeError::unsupported(format!("AAC-LC at {sample_rate} Hz")));
        };
        let channels = bits.take(4).ok_or_else(unreadable)?;
        let [short, core_coder, extension] = [bits.take(1), bits.take(1), bits.take(1)];
        if short == Some(1) {
            return Err(AudioDecodeError::unsupported("AAC-LC of 960 samples a packet"));
        }
        if core_coder == Some(1) || extension == Some(1) {
            return Err(AudioDecodeError::unsupported("AAC-LC on top of another coder"));
        }
        match channels {
            1 | 2 => {}
            0 => return Err(AudioDecodeError::unsupported("AAC-LC with channels of a configuration of its own")),
            _ => {
                let channels = if channels == 7 { 8 } else { channels };
                return Err(AudioDecodeError::unsupported(format!("AAC-LC of {channels} channels")));
            }
        }
        if let Some(extended) = extended(&mut bits) {
            return Err(AudioDecodeError::unsupported(extended));
        }
        Ok(Self { sample_rate, channels: channels as u8, rate_index })
    }

    /// The configuration of this and no more.
    pub(super) fn minimal(&self) -> [u8; 2] {
        let bits = (AAC_LC as u16) << 11 | u16::from(self.rate_index) << 7 | u16::from(self.channels) << 3;
        bits.to_be_bytes()
    }
}

fn object_type(bits: &mut Bits<'_>) -> Option<u32> {
    Some(match bits.take(5)? {
        31 => 32 + bits.take(6)?,
        short => short,
    })
}

/// The index of the rate, where it has one, and the rate.
fn sample_rate(bits: &mut Bits<'_>) -> Option<(Option<u8>, u32)> {
    let rate = match bits.take(4)? {
        15 => bits.take(24)?,
        index => RATES.get(index as usize).copied().unwrap_or(0),
    };
    Some((RATES.iter().position(|known| *known == rate).map(|index| index as u8), rate))
}

/// What is announced after the core's configuration so that old decoders do not see it.
fn extended(bits: &mut Bits<'_>) -> Option<&'static str> {
    if bits.take(11)? != SYNC_SBR || object_type(bits)? != SBR || bits.take(1)? == 0 {
        return None;
    }
    sample_rate(bits);
    let parametric = bits.take(11) == Some(SYNC_PS) && bits.take(1) == Some(1);
    Some(if parametric {
        "HE-AAC v2 (AAC with parametric stereo)"
    } else {
        "HE-AAC (AAC with spectral band replication)"
    })
}

/// Bits from the highest of the first byte on.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    /// The next bits, at most 32; none past the end.
    fn take(&mut self, count: usize) -> Option<u32> {
        (0..count).try_fold(0, |value, _| {
            let bit = self.bytes.get(self.at / 8)? >> (7 - self.at % 8) & 1;
            self.at += 1;
            Some(value << 1 | u32::from(bit))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(record: &[u8]) -> String {
        Config::read(record).unwrap_err().to_string()
    }

    #[test]
    fn aac_lc_is_read() {
        let stereo = Config::read(&[0x12, 0x10]).unwrap();
        assert_eq!((stereo.sample_rate, stereo.channels), (44_100, 2));
        // As ffmpeg writes it, with the extension that says there is none.
        let mono = Config::read(&[0x11, 0x88, 0x56, 0xe5, 0x00]).unwrap();
        assert_eq!((mono.sample_rate, mono.channels), (48_000, 1));
        assert_eq!(mono.minimal(), [0x11, 0x88]);
    }

    #[test]
    fn a_rate_written_out_is_read_where_it_is_one_of_the_table() {
        // 00010 1111, then 24 bits of the rate, 0010 channels, 000.
        let written_out = |rate: u64| {
            let bits = (((2 << 4 | 15) << 24 | rate) << 4 | 2) << 3;
            (bits << 24).to_be_bytes()[..5].to_vec()
        };
        assert_eq!(Config::read(&written_out(22_050)).unwrap().minimal(), [0x13, 0x90]);
        assert!(refused(&written_out(44_099)).starts_with("cannot decode AAC-LC at 44099 Hz; "));
    }

    #[test]
    fn what_is_not_decoded_is_refused_by_its_name() {
        // Signalled before the core, and after it so that it does not show.
        assert!(refused(&[0x2b, 0x92, 0x08, 0x00]).contains("HE-AAC (AAC with spectral band replication)"));
        assert!(refused(&[0xeb, 0x8a, 0x08, 0x00]).contains("HE-AAC v2"));
        assert!(refused(&[0x13, 0x10, 0x56, 0xe5, 0x98]).contains("HE-AAC (AAC with spectral band replication)"));
        assert!(refused(&[0x13, 0x08, 0x56, 0xe5, 0x9d, 0x48, 0x80]).contains("HE-AAC v2"));
        assert!(refused(&[0x11, 0xb0]).contains("AAC-LC of 6 channels"));
        assert!(refused(&[0x11, 0x94]).contains("960 samples"));
        assert!(refused(&[0x0a, 0x10]).contains("object type 1"));
        assert!(refused(&[0x11, 0x80]).contains("a configuration of its own"));
    }

    #[test]
    fn anything_may_be_given() {
        assert!(refused(&[]).contains("ends early"));
        assert!(refused(&[0x17, 0xff]).contains("ends early"));
        for first in 0..=u16::MAX {
            let [a, b] = first.to_be_bytes();
            let _ = Config::read(&[a, b, 0x56, 0xe5, 0x9d, 0x48, 0x80]);
            let _ = Config::read(&[a, b]);
        }
    }
}
