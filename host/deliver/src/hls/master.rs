//! Multivariant playlists: the source and its rungs, with their sound.

use std::fmt::Write;

use millrace_media::TrackName;
use millrace_media::track::{Format, Kind, Provenance};

use super::playlist::Measured;
use crate::renditions::{self, Rung as _, Sound, Sounds};

/// The group that the source's sound is in.
const SOURCE_GROUP: &str = "audio";
/// Frame rates that differ by less than this part are measurements of one.
const SAME_RATE: f64 = 0.02;

/// A track that can be played.
#[derive(Clone, Debug)]
pub(super) struct Rung {
    pub(super) track: TrackName,
    pub(super) provenance: Provenance,
    pub(super) measured: Measured,
}

impl renditions::Rung for Rung {
    fn name(&self) -> &TrackName {
        &self.track
    }

    fn provenance(&self) -> &Provenance {
        &self.provenance
    }

    fn kind(&self) -> Kind {
        self.measured.info.kind()
    }
}

/// The sounds that belong to `video`, and the name of their group. All groups have the same members, told by the same names and
/// languages, so that a player that changes between them goes on with what it played (rfc8216bis, 4.4.6.1.1).
fn sound_of<'a>(video: &'a Rung, rungs: &'a [Rung]) -> (String, Vec<Sound<'a, Rung>>) {
    let Sounds { rendition, sounds } = renditions::sound_of(video, rungs);
    (rendition.map_or_else(|| SOURCE_GROUP.into(), |rendition| format!("{SOURCE_GROUP}-{rendition}")), sounds)
}

/// The rungs of the view called `name`: its pictures with their sound, or sound alone. None where nothing is called so.
pub(super) fn view(rungs: &[Rung], name: &str) -> Option<Vec<Rung>> {
    renditions::view(rungs, name).map(|rungs| rungs.into_iter().cloned().collect())
}

/// Text for a quoted string: what the source says must not end it.
fn quoted(text: &str) -> String {
    text.chars().filter(|c| *c != '"' && !c.is_control()).collect()
}

/// The playlist of `rungs`. `base` leads from it to the broadcast's tracks.
pub(super) fn text(rungs: &[Rung], base: &str, independent: bool) -> String {
    let mut text = String::from("#EXTM3U\n#EXT-X-VERSION:9\n");
    if independent {
        text.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
    }
    // Writing to a string does not fail.
    let _ = write_rungs(&mut text, rungs, base);
    text
}

fn write_rungs(text: &mut String, rungs: &[Rung], base: &str) -> std::fmt::Result {
    let mut videos: Vec<_> = rungs.iter().filter(|rung| rung.kind() == Kind::Video).collect();
    videos.sort_by_key(|rung| (!rung.provenance.is_source(), std::cmp::Reverse(rung.measured.peak)));
    if videos.is_empty() {
        let mut audios: Vec<_> = rungs.iter().filter(|rung| rung.kind() == Kind::Audio).collect();
        audios.sort_by_key(|rung| (!rung.provenance.is_source(), std::cmp::Reverse(rung.measured.peak)));
        return audios.into_iter().try_for_each(|audio| write_variant(text, audio, None, None, base));
    }
    let mut written: Vec<String> = Vec::new();
    for video in &videos {
        let (group, sound) = sound_of(video, rungs);
        if written.contains(&group) {
            continue;
        }
        for (index, audio) in sound.iter().enumerate() {
            write_sound(text, &group, audio, index == 0, base)?;
        }
        written.push(group);
    }
    let usual = videos.iter().find(|rung| rung.provenance.is_source()).map(|source| source.measured.sample_rate);
    for video in videos {
        let (group, sound) = sound_of(video, rungs);
        let sound = if sound.is_empty() { None } else { Some((group.as_str(), sound.as_slice())) };
        write_variant(text, video, usual, sound, base)?;
    }
    Ok(())
}

fn write_sound(text: &mut String, group: &str, sound: &Sound<'_, Rung>, first: bool, base: &str) -> std::fmt::Result {
    let (name, info) = (sound.stands_for.track.as_str(), &sound.rung.measured.info);
    let default = if first { "YES" } else { "NO" };
    write!(text, "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{group}\",NAME=\"{name}\",DEFAULT={default},AUTOSELECT=YES")?;
    if let Some(language) = &sound.stands_for.measured.info.language {
        write!(text, ",LANGUAGE=\"{}\"", quoted(language))?;
    }
    if let Format::Audio { channels, .. } = info.format {
        write!(text, ",CHANNELS=\"{channels}\"")?;
    }
    writeln!(text, ",URI=\"{base}{}/playlist.m3u8\"", sound.rung.track)
}

/// The measured frame rate, where it is not `usual` but for the length of what was measured. To players that do not change between frame
/// rates, 30.000 and 29.999 are two.
fn frame_rate(measured: f64, usual: Option<f64>) -> f64 {
    usual.filter(|usual| (measured - usual).abs() < usual * SAME_RATE).unwrap_or(measured)
}

fn write_variant(
    text: &mut String,
    rung: &Rung,
    usual: Option<f64>,
    sound: Option<(&str, &[Sound<'_, Rung>])>,
    base: &str,
) -> std::fmt::Result {
    let (info, audios) = (&rung.measured.info, sound.map_or(&[][..], |(_, audios)| audios));
    let loudest = |of: fn(&Measured) -> u64| audios.iter().map(|audio| of(&audio.rung.measured)).max().unwrap_or(0);
    let peak = rung.measured.peak + loudest(|measured| measured.peak);
    let average = rung.measured.average + loudest(|measured| measured.average);
    write!(text, "#EXT-X-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={}", peak.max(1), average.max(1))?;
    let mut codecs = vec![quoted(&info.codec)];
    for audio in audios {
        let codec = quoted(&audio.rung.measured.info.codec);
        if !codecs.contains(&codec) {
            codecs.push(codec);
        }
    }
    write!(text, ",CODECS=\"{}\"", codecs.join(","))?;
    if let Some((width, height)) = info.format.size() {
        write!(text, ",RESOLUTION={width}x{height},FRAME-RATE={:.3}", frame_rate(rung.measured.sample_rate, usual))?;
    }
    if let Some((group, _)) = sound {
        write!(text, ",AUDIO=\"{group}\"")?;
    }
    let name = rung.track.as_str();
    writeln!(text, "\n{base}{name}/playlist.m3u8")
}
