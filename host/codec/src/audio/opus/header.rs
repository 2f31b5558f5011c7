//! `OpusSpecificBox`, Encapsulation of Opus in ISO BMFF 4.3.2: the body of `dOps`.

use bytes::{BufMut, Bytes, BytesMut};

use crate::audio::{AudioConfig, AudioDecodeError};

/// What a decoder must know. `PreSkip` is not among it: it has been taken off the times already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) channels: u8,
    /// To be applied to what is decoded, in 1/256 dB.
    pub(super) gain: i16,
}

impl Header {
    pub(super) fn read(record: &[u8]) -> Result<Self, AudioDecodeError> {
        let Some(&[version, channels, _, _, _, _, _, _, gain_high, gain_low, family]) = record.first_chunk() else {
            let length = record.len();
            return Err(AudioDecodeError::Config(format!("dOps of {length} bytes (expected at least 11)")));
        };
        if version != 0 {
            return Err(AudioDecodeError::Config(format!("dOps of version {version} (expected 0)")));
        }
        if family != 0 || !(1..=2).contains(&channels) {
            let what = format!("Opus of {channels} channels in mapping family {family}");
            return Err(AudioDecodeError::unsupported(what));
        }
        Ok(Self { channels, gain: i16::from_be_bytes([gain_high, gain_low]) })
    }
}

/// The box's body for a stream of one or two channels: mapping family 0, no gain.
pub(in crate::audio) fn write(config: &AudioConfig) -> Bytes {
    let mut body = BytesMut::with_capacity(11);
    body.put_u8(0); // Version
    body.put_u8(config.channels);
    body.put_u16(config.pre_skip);
    body.put_u32(config.sample_rate); // InputSampleRate, for information only
    body.put_i16(0); // OutputGain
    body.put_u8(0); // ChannelMappingFamily
    body.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let config = AudioConfig { channels: 2, sample_rate: 48_000, pre_skip: 312 };
        let body = write(&config);
        assert_eq!(body[..], [0, 2, 1, 0x38, 0, 0, 0xbb, 0x80, 0, 0, 0]);
        assert_eq!(Header::read(&body).unwrap(), Header { channels: 2, gain: 0 });
    }

    #[test]
    fn what_is_not_decoded_is_named() {
        let surround = Header::read(&[0, 6, 0, 0, 0, 0, 0xbb, 0x80, 0, 0, 1, 4, 2]).unwrap_err().to_string();
        assert!(surround.starts_with("cannot decode Opus of 6 channels in mapping family 1; "), "{surround}");
        assert!(matches!(Header::read(&[0, 2, 1]), Err(AudioDecodeError::Config(_))));
        assert!(matches!(Header::read(&[1; 11]), Err(AudioDecodeError::Config(_))));
    }
}
