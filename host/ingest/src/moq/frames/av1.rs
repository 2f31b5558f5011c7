//! AV1: temporal units of OBUs that say their sizes, with the sequence header before each keyframe.

use bytes::Bytes;
use millrace_cmaf::CodecConfig;
use millrace_cmaf::av1::{Av1Error, Obu, obus, read_record, write_record};
use millrace_media::track::Format;
use millrace_media::{Payload, Timescale};

use super::super::catalog::Coding;
use super::{FrameError, Sampled, settings};

/// The longest header and size of an OBU, and the first byte behind them, in bytes.
const HEAD: u32 = 11;
/// The longest sequence header that is looked at, in bytes: a real one has a few dozen.
const MAX_SEQUENCE: u32 = 4_096;
/// More than any encoder cuts a picture into.
const MAX_UNITS: usize = 4_096;

/// What is known of the stream.
#[derive(Debug, Default)]
pub(super) struct Av1 {
    /// The record that the header was made of.
    record: Bytes,
    reduced: bool,
}

impl Av1 {
    pub(super) fn read(&mut self, payload: &Payload, coding: &Coding) -> Result<Option<Sampled>, FrameError> {
        let (mut sample, mut keyframe, mut changed, mut has_frame) = (Payload::default(), false, false, false);
        if self.record.is_empty()
            && let Some(record) = coding.description.as_ref().filter(|record| read_record(record).is_ok())
        {
            changed = self.take(record.clone())?;
        }
        let (mut at, mut count) = (0, 0);
        while at < payload.len() {
            count += 1;
            if count > MAX_UNITS {
                return Err(Av1Error::Short("a temporal unit in too many pieces").into());
            }
            let head = payload.contiguous(at, (payload.len() - at).min(HEAD)).unwrap_or_default();
            let size = unit_size(&head, payload.len() - at)?;
            let kind = head[0] >> 3 & 0xf;
            let unit = payload.range(at, size).ok_or(Av1Error::Short("an OBU"))?;
            at += size;
            match kind {
                Obu::TEMPORAL_DELIMITER | Obu::PADDING => continue,
                Obu::SEQUENCE_HEADER if size <= MAX_SEQUENCE => {
                    let header = unit.contiguous(0, size).unwrap_or_default();
                    let record = Bytes::from(write_record(&header)?);
                    changed |= record != self.record && self.take(record)?;
                }
                Obu::FRAME_HEADER | Obu::FRAME if !has_frame => {
                    has_frame = true;
                    // The head alone is looked at: as an OBU without a size it reaches to its end.
                    let head = unsized_head(&head);
                    keyframe = obus(&head).flatten().any(|obu| obu.begins_shown_key_frame(self.reduced));
                }
                _ => {}
            }
            for slice in unit.slices() {
                // No longer than what came.
                let _ = sample.push(slice.clone());
            }
        }
        if self.record.is_empty() || !has_frame {
            return Ok(None);
        }
        let settings = if changed { Some(self.settings(coding)?) } else { None };
        Ok(Some(Sampled { payload: sample, keyframe, settings, reorder_depth: 0, duration: None }))
    }

    fn take(&mut self, record: Bytes) -> Result<bool, Av1Error> {
        self.reduced = read_record(&record)?.reduced_still_picture;
        self.record = record;
        Ok(true)
    }

    fn settings(&self, coding: &Coding) -> Result<millrace_cmaf::write::InitSettings, FrameError> {
        let header = read_record(&self.record)?;
        let format = Format::Video { width: header.max_width, height: header.max_height, frame_rate: None };
        Ok(settings(Timescale::MICROS, format, CodecConfig::Av1(self.record.clone()), coding))
    }
}

/// The bytes of the OBU that begins with `head`, of `left` bytes that there are (AV1, 5.3).
fn unit_size(head: &[u8], left: u32) -> Result<u32, Av1Error> {
    const SHORT: Av1Error = Av1Error::Short("an OBU header");
    let first = *head.first().ok_or(SHORT)?;
    if first & 0x80 != 0 {
        return Err(Av1Error::Forbidden(first));
    }
    let start = 1 + usize::from(first & 4 != 0);
    if first & 2 == 0 {
        return Ok(left);
    }
    let mut size = 0u64;
    for (i, byte) in head.get(start..).ok_or(SHORT)?.iter().take(8).enumerate() {
        size |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            let whole = (start + i + 1) as u64 + size;
            return u32::try_from(whole).ok().filter(|whole| *whole <= left).ok_or(Av1Error::Short("an OBU"));
        }
    }
    Err(Av1Error::Short("the size of an OBU"))
}

/// The beginning of an OBU as one that says no size.
fn unsized_head(head: &[u8]) -> Vec<u8> {
    let (first, start) = (head[0], 1 + usize::from(head[0] & 4 != 0));
    let length = match first & 2 {
        0 => 0,
        _ => head.iter().skip(start).take_while(|byte| **byte & 0x80 != 0).count() + 1,
    };
    let (before, behind) = (head.get(1..start).unwrap_or_default(), head.get(start + length..).unwrap_or_default());
    [&[first & !2], before, behind].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moq::catalog::Codec;

    /// 640x360, as SVT-AV1 writes it.
    const SEQUENCE: [u8; 13] = [0x0a, 0x0b, 0, 0, 0, 0x0c, 0xc4, 0xff, 0x67, 0x3e, 0xfe, 0x40, 0x10];

    fn coding() -> Coding {
        Coding {
            codec: Codec::Av1,
            description: None,
            sample_rate: None,
            channels: None,
            frame_rate: None,
            bitrate: None,
        }
    }

    fn payload(parts: &[&[u8]]) -> Payload {
        Payload::from(Bytes::from(parts.concat()))
    }

    #[test]
    fn the_header_comes_with_the_first_keyframe() {
        let mut av1 = Av1::default();
        let inter = payload(&[&[0x12, 0, 0x32, 2, 0x30, 9]]);
        assert!(av1.read(&inter, &coding()).unwrap().is_none());
        let key = payload(&[&[0x12, 0], &SEQUENCE, &[0x32, 2, 0x10, 9]]);
        let sampled = av1.read(&key, &coding()).unwrap().unwrap();
        assert!(sampled.keyframe);
        let track = sampled.settings.unwrap().track().unwrap();
        assert_eq!(track.info.format.size(), Some((640, 360)));
        assert_eq!(sampled.payload.slices().concat(), [&SEQUENCE[..], &[0x32, 2, 0x10, 9]].concat());
        let sampled = av1.read(&inter, &coding()).unwrap().unwrap();
        assert!(!sampled.keyframe && sampled.settings.is_none());
        assert_eq!(sampled.payload.slices().concat(), [0x32, 2, 0x30, 9]);
        assert!(av1.read(&key, &coding()).unwrap().unwrap().settings.is_none(), "the same header again");
    }

    #[test]
    fn hostile_units_are_refused() {
        for bytes in [&[0x8a_u8, 0][..], &[0x0a, 5, 0], &[0x32], &[0x36], &[0x32, 0xff, 0xff]] {
            assert!(Av1::default().read(&payload(&[bytes]), &coding()).is_err(), "{bytes:x?}");
        }
        assert!(Av1::default().read(&payload(&[&[0x12, 0].repeat(5_000)]), &coding()).is_err());
    }
}
