//! The rung's codec invariant: what the headers of all encoders of a rung must agree on, so that one init segment fits them all.

use std::fmt;

use h264_reader::nal::sps::SeqParameterSet;
use h264_reader::nal::{Nal as _, RefNal};
use millrace_cmaf::av1::{Av1Error, read_record};

use crate::avc::AvcConfig;
use crate::config::ConfigError;
use crate::encode::VideoConfig;
use crate::settings::VideoCodec;

/// What a rung's headers say. Two encoders with the same may take turns within a rung.
///
/// For H.264 it is of the sequence parameter set: profile, level, chroma format, bit depths, size, colour. For AV1 of the sequence
/// header: profile, level, tier, still picture, greatest size, bit depth, monochrome, subsampling, colour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invariant {
    codec: VideoCodec,
    /// In an order of their own for each codec, the same for every stream of it.
    fields: Vec<Field>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    name: &'static str,
    value: String,
}

fn field(name: &'static str, value: impl fmt::Display) -> Field {
    Field { name, value: value.to_string() }
}

/// A configuration whose headers cannot be read, so that nothing can be said of their agreement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvariantError {
    /// The `avcC` is broken.
    #[error("the headers of a rung cannot be read: {0}")]
    Avc(#[from] ConfigError),
    /// The `av1C` is broken, or without a sequence header.
    #[error("the headers of a rung cannot be read: {0}")]
    Av1(#[from] Av1Error),
}

impl Invariant {
    /// What the headers of a configuration say.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn of(config: &VideoConfig) -> Result<Self, InvariantError> {
        let fields = match config.codec {
            VideoCodec::H264 => h264(&config.record)?,
            VideoCodec::Av1 => av1(&config.record)?,
        };
        Ok(Self { codec: config.codec, fields })
    }

    /// Where `other`, an encoder that comes later, says something else; none where it may go on.
    pub fn disagreement(&self, other: &Self) -> Option<Disagreement> {
        let differing = if self.codec == other.codec {
            let pairs = self.fields.iter().zip(&other.fields);
            pairs.filter(|(ours, theirs)| ours != theirs).map(|(ours, theirs)| differing(ours, theirs)).collect()
        } else {
            vec![differing(&field("codec", self.codec.name()), &field("codec", other.codec.name()))]
        };
        if differing.is_empty() { None } else { Some(Disagreement(differing)) }
    }
}

fn differing(ours: &Field, theirs: &Field) -> Differing {
    Differing { name: ours.name, expected: ours.value.clone(), actual: theirs.value.clone() }
}

/// What the headers of two encoders of a rung do not agree on: every field that differs, with both values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreement(Vec<Differing>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Differing {
    name: &'static str,
    expected: String,
    actual: String,
}

impl std::error::Error for Disagreement {}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, Differing { name, expected, actual }) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            write!(f, "{separator}{name} {actual} (expected {expected})")?;
        }
        Ok(())
    }
}

fn h264(record: &[u8]) -> Result<Vec<Field>, InvariantError> {
    let config = AvcConfig::parse(record)?;
    let sequence = config.sequence.first().ok_or(ConfigError::Missing("sequence"))?;
    let broken = |error: &dyn fmt::Debug| ConfigError::Sequence(format!("{error:?}"));
    let sps = SeqParameterSet::from_bits(RefNal::new(sequence, &[], true).rbsp_bits()).map_err(|it| broken(&it))?;
    let (width, height) = sps.pixel_dimensions().map_err(|it| broken(&it))?;
    let chroma = &sps.chroma_info;
    let signal = sps.vui_parameters.as_ref().and_then(|vui| vui.video_signal_type.as_ref());
    let colour = signal
        .and_then(|signal| signal.colour_description.as_ref())
        .map(|it| (it.colour_primaries, it.transfer_characteristics, it.matrix_coefficients));
    let [primaries, transfer, matrix] = colour_fields(colour);
    Ok(vec![
        field("profile", u8::from(sps.profile_idc)),
        field("constraints", format_args!("{:#04x}", u8::from(sps.constraint_flags))),
        field("level", sps.level_idc),
        field("chroma format", format_args!("{:?}", chroma.chroma_format)),
        field("luma depth", u16::from(chroma.bit_depth_luma_minus8) + 8),
        field("chroma depth", u16::from(chroma.bit_depth_chroma_minus8) + 8),
        field("size", format_args!("{width}x{height}")),
        primaries,
        transfer,
        matrix,
        field("full range", signal.is_some_and(|signal| signal.video_full_range_flag)),
        field("NAL length size", config.length_size),
    ])
}

fn av1(record: &[u8]) -> Result<Vec<Field>, InvariantError> {
    let header = read_record(record)?;
    let (x, y) = header.subsampling;
    let [primaries, transfer, matrix] = colour_fields(header.colour.map(|it| (it.primaries, it.transfer, it.matrix)));
    Ok(vec![
        field("profile", header.profile),
        field("level", header.level),
        field("tier", if header.high_tier { "high" } else { "main" }),
        field("still picture", header.still_picture),
        field("size", format_args!("{}x{}", header.max_width, header.max_height)),
        field("depth", header.bit_depth),
        field("monochrome", header.monochrome),
        field("subsampling", format_args!("{},{}", u8::from(x), u8::from(y))),
        primaries,
        transfer,
        matrix,
        field("full range", header.full_range),
    ])
}

/// Code points of ITU-T H.273. Not to describe them is to leave them unspecified.
fn colour_fields(described: Option<(u8, u8, u8)>) -> [Field; 3] {
    let (primaries, transfer, matrix) = described.unwrap_or((2, 2, 2));
    [field("colour primaries", primaries), field("transfer", transfer), field("matrix", matrix)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::{Colour, Picture, Size};
    use crate::settings::VideoSettings;
    use crate::{Plane, open_video_encoder};
    use millrace_media::time::Time;

    /// The configuration that an encoder with these settings ends up with.
    fn config(settings: &VideoSettings) -> VideoConfig {
        let size = Size::new(settings.width, settings.height).unwrap();
        let mut encoder = open_video_encoder(settings).unwrap();
        let grey = Picture::from_i420(size, Time::from_millis(0), vec![128; size.bytes()]).unwrap();
        assert_eq!(grey.plane(Plane::Y).len(), size.luma_bytes());
        encoder.encode(&grey, grey.time(), true, &mut Vec::new()).unwrap();
        encoder.flush(&mut Vec::new()).unwrap();
        encoder.config().unwrap().clone()
    }

    fn invariant(settings: &VideoSettings) -> Invariant {
        Invariant::of(&config(settings)).unwrap()
    }

    #[test]
    fn encoders_of_the_same_settings_agree_and_others_say_where_they_do_not() {
        let colour = Colour { primaries: 9, transfer: 16, matrix: 9, full_range: true };
        for codec in [VideoCodec::H264, VideoCodec::Av1] {
            let settings = VideoSettings { bitrate: Some(200_000), ..VideoSettings::new(codec, 64, 64) };
            let first = invariant(&settings);
            assert_eq!(first.disagreement(&invariant(&settings)), None);
            let wider = VideoSettings { width: 96, colour: Some(colour), ..settings.clone() };
            let said = first.disagreement(&invariant(&wider)).unwrap().to_string();
            let expected = "size 96x64 (expected 64x64), colour primaries 9 (expected 2), transfer 16 (expected 2), \
                            matrix 9 (expected 2), full range true (expected false)";
            assert_eq!(said, expected, "{codec:?}");
        }
    }

    #[test]
    fn another_codec_is_a_disagreement() {
        let av1 = invariant(&VideoSettings::new(VideoCodec::Av1, 64, 64));
        let h264 = invariant(&VideoSettings::new(VideoCodec::H264, 64, 64));
        assert_eq!(av1.disagreement(&h264).unwrap().to_string(), "codec h264 (expected av1)");
    }

    #[test]
    fn headers_that_cannot_be_read_are_errors() {
        for codec in [VideoCodec::H264, VideoCodec::Av1] {
            let whole = config(&VideoSettings::new(codec, 64, 64));
            for length in 0..whole.record.len() {
                // Cut anywhere it must not panic, and without the sequence headers it is an error.
                let cut = Invariant::of(&VideoConfig { record: whole.record.slice(..length), ..whole.clone() });
                assert!(length > 16 || cut.is_err(), "{codec:?} {length}");
            }
        }
    }
}
