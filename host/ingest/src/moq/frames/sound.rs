//! AAC and Opus, which say themselves how long their frames are.

use bytes::Bytes;
use millrace_cmaf::CodecConfig;
use millrace_cmaf::aac::{Adts, Config};
use millrace_media::track::Format;
use millrace_media::{Payload, Timescale};

use super::super::catalog::Coding;
use super::{FrameError, Sampled, settings};

/// Opus counts in 48 kHz whatever it was made from (RFC 7845, 4).
const OPUS_RATE: Timescale = Timescale::new(48_000).unwrap();
/// The longest packet of Opus, in ticks: 120 ms (RFC 6716, 3.2.5).
const LONGEST_OPUS: u32 = 5_760;

/// AAC: raw frames with their `AudioSpecificConfig` in the catalog, or frames with ADTS headers.
#[derive(Debug, Default)]
pub(super) struct Aac {
    /// What the header was made of.
    record: Bytes,
    frame: u32,
}

impl Aac {
    pub(super) fn read(&mut self, payload: &Payload, coding: &Coding) -> Result<Option<Sampled>, FrameError> {
        let (record, begins) = match &coding.description {
            Some(record) => (record.clone(), 0),
            None => {
                let head = payload.contiguous(0, payload.len().min(Adts::MOST)).unwrap_or_default();
                let adts = Adts::read(&head);
                let declared = coding.sample_rate.zip(coding.channels);
                let low_complexity = declared.and_then(|(rate, channels)| Config::low_complexity(rate, channels));
                let config = adts.map(|adts| adts.config).or(low_complexity).ok_or(FrameError::NoConfig)?;
                (Bytes::copy_from_slice(&config), adts.map_or(0, |adts| adts.length))
            }
        };
        let mut new = None;
        if record != self.record {
            let config = Config::read(&record).ok_or(FrameError::Config("AAC"))?;
            let timescale = Timescale::new(config.sample_rate).ok_or(FrameError::Config("AAC"))?;
            let channels = config.channels.or(coding.channels).unwrap_or(2);
            let format = Format::Audio { sample_rate: config.sample_rate, channels };
            self.frame = config.frame;
            self.record = record.clone();
            new = Some(settings(timescale, format, CodecConfig::Aac(record), coding));
        }
        let payload = payload.range(begins, payload.len() - begins).ok_or(FrameError::NoConfig)?;
        if payload.is_empty() {
            return Ok(None);
        }
        Ok(Some(Sampled { payload, keyframe: true, settings: new, reorder_depth: 0, duration: Some(self.frame) }))
    }
}

/// Opus packets, with their identification header in the catalog or without.
#[derive(Debug, Default)]
pub(super) struct Opus {
    begun: bool,
}

impl Opus {
    pub(super) fn read(&mut self, payload: &Payload, coding: &Coding) -> Result<Option<Sampled>, FrameError> {
        let head = payload.contiguous(0, payload.len().min(2)).unwrap_or_default();
        let duration = opus_ticks(&head).ok_or(FrameError::Opus(payload.len()))?;
        let mut new = None;
        if !self.begun {
            let record = match &coding.description {
                Some(head) => from_opus_head(head).ok_or(FrameError::Config("Opus"))?,
                None => {
                    let channels = coding.channels.unwrap_or(2);
                    let channels = u8::try_from(channels).ok().filter(|n| matches!(n, 1 | 2));
                    plain_record(channels.ok_or(FrameError::Config("Opus"))?, coding.sample_rate.unwrap_or(48_000))
                }
            };
            let format = Format::Audio { sample_rate: OPUS_RATE.get(), channels: record[1].into() };
            new = Some(settings(OPUS_RATE, format, CodecConfig::Opus(record), coding));
            self.begun = true;
        }
        let payload = payload.clone();
        Ok(Some(Sampled { payload, keyframe: true, settings: new, reorder_depth: 0, duration: Some(duration) }))
    }
}

/// `OpusSpecificBox` of one or two channels (Opus in ISOBMFF, 4.3.2).
fn plain_record(channels: u8, rate: u32) -> Bytes {
    [&[0, channels, 0, 0][..], &rate.to_be_bytes(), &[0, 0, 0]].concat().into()
}

/// `OpusSpecificBox` of an identification header (RFC 7845, 5.1), whose numbers are little-endian; or of one that is such a box.
fn from_opus_head(head: &[u8]) -> Option<Bytes> {
    let Some(head) = head.strip_prefix(b"OpusHead") else {
        return (head.len() >= 11 && head[0] == 0 && head[1] > 0).then(|| Bytes::copy_from_slice(head));
    };
    let [_, channels, a, b, c, d, e, f, g, h, rest @ ..] = head else { return None };
    // Family 0 has no table behind it; the others have counts and a channel each.
    let family = *rest.first()?;
    let table = if family == 0 { &[][..] } else { rest.get(1..3 + usize::from(*channels))? };
    (*channels > 0).then(|| [&[0, *channels, *b, *a, *f, *e, *d, *c, *h, *g, family][..], table].concat().into())
}

/// How long a packet is, in ticks of 48 kHz, after its first two bytes (RFC 6716, 3.1 and 3.2); none of one that cannot be.
fn opus_ticks(head: &[u8]) -> Option<u32> {
    let first = *head.first()?;
    let config = first >> 3;
    let frame = match config {
        0..=11 => [480, 960, 1_920, 2_880][usize::from(config & 3)],
        12..=15 => [480, 960][usize::from(config & 1)],
        _ => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let count = match first & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(head.get(1)? & 0x3f),
    };
    Some(frame * count).filter(|ticks| (1..=LONGEST_OPUS).contains(ticks))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moq::catalog::Codec;

    fn coding(codec: Codec, description: Option<&'static [u8]>) -> Coding {
        let description = description.map(Bytes::from_static);
        Coding { codec, description, sample_rate: Some(48_000), channels: Some(2), frame_rate: None, bitrate: None }
    }

    fn payload(bytes: &'static [u8]) -> Payload {
        Payload::from(Bytes::from_static(bytes))
    }

    #[test]
    fn opus_packets_say_how_long_they_are() {
        // The examples of RFC 6716, 3.1: 20 ms of SILK, two times 10 ms of hybrid, six frames of 2.5 ms.
        assert_eq!(opus_ticks(&[1 << 3]), Some(960));
        assert_eq!(opus_ticks(&[12 << 3 | 1]), Some(960));
        assert_eq!(opus_ticks(&[16 << 3 | 3, 6]), Some(720));
        assert_eq!(opus_ticks(&[3 << 3 | 3, 3]), None, "180 ms");
        assert_eq!(opus_ticks(&[3 << 3 | 3]), None);
        assert_eq!(opus_ticks(&[]), None);
    }

    #[test]
    fn the_identification_header_of_opus_is_turned_round() {
        let head = b"OpusHead\x01\x02\x38\x01\x80\xbb\x00\x00\x00\x00\x00";
        let record = from_opus_head(head).unwrap();
        assert_eq!(record[..], [0, 2, 0x01, 0x38, 0, 0, 0xbb, 0x80, 0, 0, 0]);
        assert_eq!(from_opus_head(&record), Some(record.clone()), "it may be turned already");
        assert_eq!(from_opus_head(&head[..18]), None);
        let sampled = Opus::default().read(&payload(&[0x08, 1]), &coding(Codec::Opus, Some(head))).unwrap().unwrap();
        let track = sampled.settings.unwrap().track().unwrap();
        assert_eq!(track.info.codec, "opus");
        assert_eq!(track.timeline_shift.ticks(), -312);
    }

    #[test]
    fn aac_comes_raw_or_with_adts() {
        let raw =
            Aac::default().read(&payload(&[0x21, 0x10]), &coding(Codec::Aac, Some(&[0x12, 0x10]))).unwrap().unwrap();
        assert_eq!(raw.settings.unwrap().timescale.get(), 44_100);
        let mut aac = Aac::default();
        let adts = payload(&[0xff, 0xf1, 0x50, 0x80, 0x01, 0x3f, 0xfc, 0x21, 0x10]);
        let framed = aac.read(&adts, &coding(Codec::Aac, None)).unwrap().unwrap();
        assert_eq!(framed.payload.slices().concat(), [0x21, 0x10]);
        assert_eq!(framed.settings.unwrap().timescale.get(), 44_100, "what the stream says goes before the catalog");
        assert!(aac.read(&adts, &coding(Codec::Aac, None)).unwrap().unwrap().settings.is_none());
        let plain = Aac::default().read(&payload(&[0x21, 0x10]), &coding(Codec::Aac, None)).unwrap().unwrap();
        assert_eq!((plain.settings.unwrap().timescale.get(), plain.duration), (48_000, Some(1_024)));
    }
}
