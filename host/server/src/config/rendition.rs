//! One rendition of a ladder, by a preset's name or as a table.

use millrace_codec::{EncoderLibrary, Quality, Speed, VideoCodec};
use millrace_media::TrackName;

use super::fault::Fault;
use super::section::{Element, Section};
use super::setting::words;
use super::unit::BitRate;

/// One rung: a size, bit rates, and how to encode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendition {
    /// The name of its tracks, and of its view: `<broadcast>/<name>`.
    pub name: TrackName,
    /// Pixels, even.
    pub width: u32,
    /// Pixels, even.
    pub height: u32,
    /// What the video encoder aims at; none where it is to hold a quality.
    pub video_bitrate: Option<BitRate>,
    /// The sound that goes with it.
    pub audio: Audio,
    /// What the audio encoder aims at, where there is one.
    pub audio_bitrate: BitRate,
    /// Of the video.
    pub codec: VideoCodec,
    /// The library that encodes the video.
    pub encoder: EncoderLibrary,
    /// Threads that the video encoder may use.
    pub threads: u16,
    /// What the encoder holds where there is no bit rate.
    pub quality: Quality,
    /// How much work the encoder puts into a picture.
    pub speed: Speed,
    /// Where rungs have to be given up, the lowest goes first.
    pub priority: u32,
}

/// The sound of a rendition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Audio {
    /// The source's own.
    #[default]
    Source,
    /// Opus, of the rendition's bit rate.
    Opus,
}

words!(VideoCodec, "\"h264\" or \"av1\"", "h264" => H264, "av1" => Av1);

words!(
    EncoderLibrary,
    "\"auto\", \"rav1e\" or \"svt-av1\"",
    "auto" => Auto,
    "rav1e" => Rav1e,
    "svt-av1" => SvtAv1,
);

words!(
    Quality,
    "\"visually-lossless\", \"high\", \"standard\" or \"low\"",
    "visually-lossless" => VisuallyLossless,
    "high" => High,
    "standard" => Standard,
    "low" => Low,
);

words!(Speed, "\"archive\", \"standard\" or \"draft\"", "archive" => Archive, "standard" => Standard, "draft" => Draft);

words!(Audio, "\"source\" or \"opus\"", "source" => Source, "opus" => Opus);

/// The renditions that can be asked for by name: name, width, height, video and audio in kilobits per second.
const PRESETS: &[(&str, u32, u32, u64, u64)] =
    &[("720p", 1280, 720, 2500, 128), ("480p", 854, 480, 1200, 96), ("240p", 426, 240, 400, 64)];
const EXPECTED: &str = "\"720p\", \"480p\", \"240p\" or a table { name, width, height, video_bitrate or quality }";
/// The most renditions of a ladder.
pub(super) const MAX_RENDITIONS: usize = 16;
const MAX_PRIORITY: u32 = 1000;
/// More than that no encoder here has a use for.
const MAX_THREADS: u16 = 16;

impl Rendition {
    /// The rendition with one of the names `720p`, `480p` and `240p`.
    pub fn preset(name: &str) -> Option<Self> {
        let &(name, width, height, video, audio) = PRESETS.iter().find(|(preset, ..)| *preset == name)?;
        Some(Self {
            name: TrackName::new(name).ok()?,
            width,
            height,
            video_bitrate: Some(BitRate::kbps(video)),
            audio: Audio::Source,
            audio_bitrate: BitRate::kbps(audio),
            codec: VideoCodec::H264,
            encoder: EncoderLibrary::Auto,
            threads: 1,
            quality: Quality::default(),
            speed: Speed::default(),
            priority: 0,
        })
    }

    /// All the presets, from the top down.
    pub(super) fn presets() -> Vec<Self> {
        PRESETS.iter().filter_map(|(name, ..)| Self::preset(name)).collect()
    }

    /// The renditions under `key`, no two of one name; none where the key is not there.
    pub(super) fn read_all(section: &mut Section<'_, '_>, key: &'static str) -> Option<Vec<Self>> {
        let renditions = section.elements(key, EXPECTED, |element| match element {
            Element::Name(name) => Self::preset(name).ok_or_else(|| Fault::Invalid {
                key: key.into(),
                given: format!("{name:?}"),
                expected: EXPECTED.into(),
            }),
            Element::Table(mut section) => {
                let rendition = Self::read(&mut section);
                section.finish();
                Ok(rendition)
            }
        })?;
        if renditions.len() > MAX_RENDITIONS {
            section.conflict(key, format!("`{key}` has {}, expected at most {MAX_RENDITIONS}", renditions.len()));
        }
        for (i, (rendition, place)) in renditions.iter().enumerate() {
            if let Some((_, first)) = renditions[..i].iter().find(|(other, _)| other.name == rendition.name) {
                let (value, first) = (format!("`{}`", rendition.name), first.in_words());
                section.problem(Fault::Duplicate { what: "the rendition name", value, first }, place.clone());
            }
        }
        Some(renditions.into_iter().map(|(rendition, _)| rendition).collect())
    }

    /// A table: what it leaves out is the preset's of the same name, if there is one.
    fn read(section: &mut Section<'_, '_>) -> Self {
        let name = section.required("name", TrackName::new("unnamed").expect("a name that is right"));
        let preset = Self::preset(name.as_str());
        let known = preset.is_some();
        let base = preset.or_else(|| Self::preset("480p")).expect("480p is a preset");
        let width = pixels(section, "width", known, base.width);
        let height = pixels(section, "height", known, base.height);
        let quality = section.optional("quality");
        let video_bitrate = video_bitrate(section, quality.is_some(), base.video_bitrate.filter(|_| known));
        let codec = section.value("codec", base.codec);
        let audio_bitrate = if known { base.audio_bitrate } else { BitRate::kbps(128) };
        Self {
            name,
            width,
            height,
            video_bitrate,
            audio: section.value("audio", base.audio),
            audio_bitrate: section.within("audio_bitrate", audio_bitrate, BitRate::kbps(6)..=BitRate::kbps(510)),
            codec,
            encoder: encoder(section, codec),
            threads: section.within("threads", base.threads, 1..=MAX_THREADS),
            quality: quality.unwrap_or(base.quality),
            speed: section.value("speed", base.speed),
            priority: section.within("priority", base.priority, 0..=MAX_PRIORITY),
        }
    }
}

/// The bit rate to aim at, or none where a quality is to be held. One of the two has to be said, unless a preset has a bit rate.
fn video_bitrate(section: &mut Section<'_, '_>, has_quality: bool, default: Option<BitRate>) -> Option<BitRate> {
    const KEY: &str = "video_bitrate";
    let given = section.optional_within(KEY, BitRate::kbps(16)..=BitRate::kbps(200_000));
    match (section.has(KEY), has_quality) {
        (true, true) => {
            section.conflict(
                "quality",
                "a quality is held only without a bit rate: expected `quality` or `video_bitrate`".into(),
            );
        }
        (false, true) => return None,
        (false, false) if default.is_none() => section.missing("`video_bitrate` or `quality`"),
        (_, false) => {}
    }
    given.or(default)
}

fn encoder(section: &mut Section<'_, '_>, codec: VideoCodec) -> EncoderLibrary {
    const KEY: &str = "encoder";
    let encoder = section.value(KEY, EncoderLibrary::Auto);
    if codec != VideoCodec::Av1 && encoder != EncoderLibrary::Auto {
        let (encoder, codec) = (encoder.name(), codec.name());
        section.conflict(KEY, format!("`encoder` \"{encoder}\" does not encode \"{codec}\", expected \"auto\""));
    } else if encoder == EncoderLibrary::SvtAv1 && !cfg!(feature = "svt-av1") {
        let sentence = "this build is without SVT-AV1 (the feature `svt-av1`), expected \"auto\" or \"rav1e\"";
        section.conflict(KEY, sentence.into());
    }
    encoder
}

fn pixels(section: &mut Section<'_, '_>, key: &'static str, has_default: bool, default: u32) -> u32 {
    let pixels = if has_default { section.value(key, default) } else { section.required(key, default) };
    if !(16..=8192).contains(&pixels) || pixels % 2 == 1 {
        section.refuse(key, "an even number of pixels, 16 to 8192".into(), false);
    }
    pixels
}
