//! Multivariant playlists: the source and its rungs, with their sound.

use std::fmt::Write;

use millrace_media::TrackName;
use millrace_media::track::{Format, Provenance};

use super::playlist::Measured;

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

impl Rung {
    fn is_video(&self) -> bool {
        matches!(self.measured.info.format, Format::Video { .. })
    }

    fn is_audio(&self) -> bool {
        matches!(self.measured.info.format, Format::Audio { .. })
    }

    fn is_called(&self, name: &str) -> bool {
        self.track.as_str() == name || self.provenance.rendition() == Some(name)
    }

    /// The sound that was made for the same rendition as these pictures.
    fn goes_with(&self, video: &Self) -> bool {
        let rendition = self.provenance.rendition();
        self.is_audio() && rendition.is_some() && rendition == video.provenance.rendition()
    }
}

/// A member of a group of sounds. All groups have the same members, told by the same names and languages, so that a player that changes
/// between them goes on with what it played (rfc8216bis, 4.4.6.1.1).
struct Sound<'a> {
    rung: &'a Rung,
    name: &'a TrackName,
    language: Option<&'a str>,
}

impl<'a> Sound<'a> {
    fn of(rung: &'a Rung) -> Self {
        Self { rung, name: &rung.track, language: rung.measured.info.language.as_deref() }
    }
}

/// The sound that belongs to `video`, and the name of its group: what was made for the same rendition, or else the source's.
fn sound_of<'a>(video: &Rung, rungs: &'a [Rung]) -> (String, Vec<Sound<'a>>) {
    let own: Vec<_> = rungs.iter().filter(|rung| rung.goes_with(video)).collect();
    let source: Vec<_> = rungs.iter().filter(|rung| rung.is_audio() && rung.provenance.is_source()).collect();
    let Some(rendition) = video.provenance.rendition().filter(|_| !own.is_empty()) else {
        return (SOURCE_GROUP.into(), source.into_iter().map(Sound::of).collect());
    };
    let made_from = |rung: &Rung, source: &Rung| matches!(&rung.provenance, Provenance::Derived { from, .. } if *from == source.track);
    let members = source.iter().map(|from| match own.iter().find(|rung| made_from(rung, from)) {
        Some(made) => Sound { rung: made, ..Sound::of(from) },
        // It is not ready yet, or was not wanted.
        None => Sound::of(from),
    });
    let others = own.iter().filter(|rung| !source.iter().any(|from| made_from(rung, from))).map(|rung| Sound::of(rung));
    // A single sound made for the rendition is the rendition's, whatever it was made from.
    let sound = match (own.as_slice(), source.as_slice()) {
        ([made], [from]) => vec![Sound { rung: made, ..Sound::of(from) }],
        _ => members.chain(others).collect(),
    };
    (format!("{SOURCE_GROUP}-{rendition}"), sound)
}

/// The rungs of the view called `name`: its pictures with their sound, or sound alone. None where nothing is called so.
pub(super) fn view(rungs: &[Rung], name: &str) -> Option<Vec<Rung>> {
    if let Some(video) = rungs.iter().find(|rung| rung.is_video() && rung.is_called(name)) {
        let sound = sound_of(video, rungs).1;
        return Some(std::iter::once(video).chain(sound.iter().map(|sound| sound.rung)).cloned().collect());
    }
    rungs.iter().find(|rung| rung.is_called(name)).map(|rung| vec![rung.clone()])
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
    let mut videos: Vec<_> = rungs.iter().filter(|rung| rung.is_video()).collect();
    videos.sort_by_key(|rung| (!rung.provenance.is_source(), std::cmp::Reverse(rung.measured.peak)));
    if videos.is_empty() {
        let mut audios: Vec<_> = rungs.iter().filter(|rung| rung.is_audio()).collect();
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

fn write_sound(text: &mut String, group: &str, sound: &Sound<'_>, first: bool, base: &str) -> std::fmt::Result {
    let (name, info) = (sound.name.as_str(), &sound.rung.measured.info);
    let default = if first { "YES" } else { "NO" };
    write!(text, "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{group}\",NAME=\"{name}\",DEFAULT={default},AUTOSELECT=YES")?;
    if let Some(language) = sound.language {
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
    sound: Option<(&str, &[Sound<'_>])>,
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
