//! The hang catalog (doc.moq.dev/concept/layer/hang), with CMAF in its container.

use std::str::FromStr;

use bytes::{BufMut, Bytes, BytesMut};
use hang::Catalog;
use hang::catalog::{AudioCodec, AudioConfig, Container, VideoCodec, VideoConfig};
use millrace_cmaf::CodecConfig;
use millrace_media::track::{Format, Info};

use super::WriteError;
use super::measured::Listed;
use crate::renditions::Rung as _;

/// The catalog of `tracks`.
///
/// # Errors
/// Where the format cannot say what a track is.
pub(super) fn write(tracks: &[Listed]) -> Result<Bytes, WriteError> {
    let mut catalog = Catalog::<()>::default();
    for track in tracks {
        let name = track.part.name().to_string();
        match track.part.info.format {
            Format::Video { .. } => drop(catalog.video.renditions.insert(name, video(track))),
            Format::Audio { .. } => drop(catalog.audio.renditions.insert(name, audio(track))),
            Format::Text | Format::Image { .. } | Format::Data => {}
        }
    }
    Ok(catalog.to_vec()?.into())
}

fn video(track: &Listed) -> VideoConfig {
    let info = &track.part.info;
    let codec = VideoCodec::from_str(&info.codec).unwrap_or_else(|_| VideoCodec::Unknown(info.codec.clone()));
    let mut config = VideoConfig::new(codec);
    if let Format::Video { width, height, frame_rate } = info.format {
        (config.coded_width, config.coded_height) = (Some(width), Some(height));
        config.framerate = frame_rate.map(f64::from);
    }
    (config.bitrate, config.jitter) = (track.bitrate, track.held_back);
    config.description = description(info);
    config.container = Container::Cmaf { init: info.init.clone() };
    config
}

fn audio(track: &Listed) -> AudioConfig {
    let info = &track.part.info;
    let codec = AudioCodec::from_str(&info.codec).unwrap_or_else(|_| AudioCodec::Unknown(info.codec.clone()));
    let (sample_rate, channels) = match info.format {
        Format::Audio { sample_rate, channels } => (sample_rate, channels),
        _ => (0, 0),
    };
    let mut config = AudioConfig::new(codec, sample_rate, channels.into());
    (config.bitrate, config.jitter) = (track.bitrate, track.held_back);
    config.description = description(info);
    config.container = Container::Cmaf { init: info.init.clone() };
    config
}

/// What WebCodecs calls the description: the codec's configuration record. Players for browsers find it in the header; others do not
/// look there.
fn description(info: &Info) -> Option<Bytes> {
    match millrace_cmaf::describe(&info.init).ok()?.config {
        CodecConfig::Opus(record) => opus_head(&record),
        other => Some(other.record().clone()),
    }
}

/// The identification header of Ogg (RFC 7845, 5.1) of an `OpusSpecificBox` (Opus in ISOBMFF, 4.3.2): the same fields, the other way
/// round.
fn opus_head(record: &[u8]) -> Option<Bytes> {
    let (fixed, mapping) = record.split_at_checked(10)?;
    let mut head = BytesMut::with_capacity(19 + mapping.len());
    head.put_slice(b"OpusHead");
    head.put_u8(1);
    head.put_u8(fixed[1]);
    head.put_u16_le(u16::from_be_bytes([fixed[2], fixed[3]]));
    head.put_u32_le(u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]));
    head.put_i16_le(i16::from_be_bytes([fixed[8], fixed[9]]));
    // The channel mapping family, and its table where it has one, are single bytes.
    head.put_slice(mapping);
    Some(head.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opus_record_is_turned_round() {
        let record = [0, 2, 0x01, 0x38, 0, 0, 0xbb, 0x80, 0xff, 0xfe, 0];
        let head = opus_head(&record).unwrap();
        assert_eq!(head, b"OpusHead\x01\x02\x38\x01\x80\xbb\x00\x00\xfe\xff\x00"[..]);
        assert_eq!(opus_head(&record[..9]), None);
    }
}
