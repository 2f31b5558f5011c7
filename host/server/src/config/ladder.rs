//! `[[ladder]]`: which renditions a broadcast is offered in.

use millrace_media::TrackName;

use super::fault::Fault;
use super::pattern::BroadcastPattern;
use super::section::{Element, Section};
use super::setting::words;
use super::unit::BitRate;

/// The renditions that some broadcasts are offered in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ladder {
    /// The broadcasts it is for. The first ladder that is for a broadcast is its only one.
    pub broadcasts: Vec<BroadcastPattern>,
    /// From the top rung down; no two of one name. Rungs larger than the source are left out when it is known.
    pub renditions: Vec<Rendition>,
}

/// One rung: a size, bit rates, and how to encode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendition {
    /// The name of its tracks, and of its view: `<broadcast>/<name>`.
    pub name: TrackName,
    /// Pixels, even.
    pub width: u32,
    /// Pixels, even.
    pub height: u32,
    /// What the video encoder aims at.
    pub video_bitrate: BitRate,
    /// What the audio encoder aims at.
    pub audio_bitrate: BitRate,
    /// Of the video.
    pub codec: VideoCodec,
    /// What an encoder that can aim at a quality aims at, beneath the bit rate.
    pub quality: Quality,
    /// How much work the encoder puts into a picture.
    pub speed: Speed,
}

/// A codec that renditions can be encoded in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VideoCodec {
    /// H.264 (AVC).
    #[default]
    H264,
}

words!(VideoCodec, "\"h264\"", "h264" => H264);

/// How near to its source an encoder's picture is to be, in the words of the plugin contract.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quality {
    /// No difference at a normal viewing distance.
    VisuallyLossless,
    /// Differences to be looked for.
    High,
    /// What streaming is used to.
    #[default]
    Standard,
    /// For small pictures and slow lines.
    Low,
}

words!(
    Quality,
    "\"visually-lossless\", \"high\", \"standard\" or \"low\"",
    "visually-lossless" => VisuallyLossless,
    "high" => High,
    "standard" => Standard,
    "low" => Low,
);

/// How much work an encoder puts into a picture, in the words of the plugin contract.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Speed {
    /// As much as helps.
    Archive,
    /// What a live stream can afford.
    #[default]
    Standard,
    /// As little as will do.
    Draft,
}

words!(Speed, "\"archive\", \"standard\" or \"draft\"", "archive" => Archive, "standard" => Standard, "draft" => Draft);

/// The renditions that can be asked for by name: name, width, height, video and audio in kilobits per second.
const PRESETS: &[(&str, u32, u32, u64, u64)] =
    &[("720p", 1280, 720, 2500, 128), ("480p", 854, 480, 1200, 96), ("240p", 426, 240, 400, 64)];
const EXPECTED: &str = "\"720p\", \"480p\", \"240p\" or a table { name, width, height, video_bitrate }";

impl Rendition {
    /// The rendition with one of the names `720p`, `480p` and `240p`.
    pub fn preset(name: &str) -> Option<Self> {
        let &(name, width, height, video, audio) = PRESETS.iter().find(|(preset, ..)| *preset == name)?;
        Some(Self {
            name: TrackName::new(name).ok()?,
            width,
            height,
            video_bitrate: BitRate::kbps(video),
            audio_bitrate: BitRate::kbps(audio),
            codec: VideoCodec::default(),
            quality: Quality::default(),
            speed: Speed::default(),
        })
    }

    /// A table: what it leaves out is the preset's of the same name, if there is one.
    fn read(section: &mut Section<'_, '_>) -> Self {
        let name = section.required("name", TrackName::new("unnamed").expect("a name that is right"));
        let preset = Self::preset(name.as_str());
        let known = preset.is_some();
        let base = preset.or_else(|| Self::preset("480p")).expect("480p is a preset");
        let width = pixels(section, "width", known, base.width);
        let height = pixels(section, "height", known, base.height);
        let video_bitrate = if known {
            section.value("video_bitrate", base.video_bitrate)
        } else {
            section.required("video_bitrate", base.video_bitrate)
        };
        let audio_bitrate = if known { base.audio_bitrate } else { BitRate::kbps(128) };
        Self {
            name,
            width,
            height,
            video_bitrate: section
                .hold("video_bitrate", video_bitrate, &(BitRate::kbps(16)..=BitRate::kbps(200_000)))
                .unwrap_or(base.video_bitrate),
            audio_bitrate: section.within("audio_bitrate", audio_bitrate, BitRate::kbps(6)..=BitRate::kbps(512)),
            codec: section.value("codec", base.codec),
            quality: section.value("quality", base.quality),
            speed: section.value("speed", base.speed),
        }
    }
}

fn pixels(section: &mut Section<'_, '_>, key: &'static str, has_default: bool, default: u32) -> u32 {
    let pixels = if has_default { section.value(key, default) } else { section.required(key, default) };
    if !(16..=8192).contains(&pixels) || pixels % 2 == 1 {
        section.refuse(key, "an even number of pixels, 16 to 8192".into(), false);
    }
    pixels
}

impl Default for Ladder {
    fn default() -> Self {
        let renditions = ["480p", "240p"].into_iter().filter_map(Rendition::preset).collect();
        Self { broadcasts: vec![BroadcastPattern::all()], renditions }
    }
}

impl Ladder {
    /// All the ladders of the file; the default where none is there.
    pub(super) fn read_all(root: &mut Section<'_, '_>) -> Vec<Self> {
        let ladders = root.elements("ladder", "tables, each under `[[ladder]]`", |element| match element {
            Element::Name(_) => Err(Fault::WrongType {
                key: "ladder".into(),
                found: "a string",
                expected: "tables, each under `[[ladder]]`".into(),
            }),
            Element::Table(mut section) => {
                let ladder = Self::read(&mut section);
                section.finish();
                Ok(ladder)
            }
        });
        ladders.map_or_else(|| vec![Self::default()], |ladders| ladders.into_iter().map(|(ladder, _)| ladder).collect())
    }

    fn read(section: &mut Section<'_, '_>) -> Self {
        let broadcasts = section.broadcasts();
        let renditions = section.elements("renditions", EXPECTED, |element| match element {
            Element::Name(name) => Rendition::preset(name).ok_or_else(|| Fault::Invalid {
                key: "renditions".into(),
                given: format!("{name:?}"),
                expected: EXPECTED.into(),
            }),
            Element::Table(mut section) => {
                let rendition = Rendition::read(&mut section);
                section.finish();
                Ok(rendition)
            }
        });
        let Some(renditions) = renditions else {
            let fault = Fault::Missing { key: "renditions".into(), section: "[[ladder]]".into() };
            let place = section.place();
            section.problem(fault, place);
            return Self { broadcasts, renditions: Vec::new() };
        };
        for (i, (rendition, place)) in renditions.iter().enumerate() {
            if let Some((_, first)) = renditions[..i].iter().find(|(other, _)| other.name == rendition.name) {
                let (value, first) = (format!("`{}`", rendition.name), first.in_words());
                section.problem(Fault::Duplicate { what: "the rendition name", value, first }, place.clone());
            }
        }
        Self { broadcasts, renditions: renditions.into_iter().map(|(rendition, _)| rendition).collect() }
    }
}
