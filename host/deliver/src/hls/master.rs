//! Multivariant playlists: the source and its rungs, with their sound.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use millrace_media::TrackName;
use millrace_media::track::{Format, Kind, Listing, Provenance, Role, Track};

use super::playlist::Measured;
use crate::renditions::{self, Place, Rung as _, Sound, Sounds, listed};

/// The group that the source's sound is in.
const SOURCE_GROUP: &str = "audio";
/// Frame rates that differ by less than this part are measurements of one.
const SAME_RATE: f64 = 0.02;

/// A track that can be played.
#[derive(Clone, Debug)]
pub(super) struct Rung {
    pub(super) track: TrackName,
    pub(super) provenance: Provenance,
    pub(super) listing: Arc<Listing>,
    pub(super) opened: Duration,
    pub(super) measured: Measured,
}

impl Rung {
    pub(super) fn new(track: &Track, measured: Measured) -> Self {
        Self {
            track: track.name().clone(),
            provenance: track.provenance().clone(),
            listing: track.listing(),
            opened: track.opened(),
            measured,
        }
    }
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

    fn listing(&self) -> &Listing {
        &self.listing
    }

    fn opened(&self) -> Duration {
        self.opened
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
    // A track that is requested by its name is shown, listed or not.
    let shown = |rung: &Rung| {
        let listing = Listing { listed: true, replaces: None, ..(*rung.listing).clone() };
        Rung { listing: Arc::new(listing), ..rung.clone() }
    };
    renditions::view(rungs, name).map(|rungs| rungs.into_iter().map(shown).collect())
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
    let places = listed(rungs);
    let videos = sorted(&places, Kind::Video);
    if videos.is_empty() {
        let mut audios = sorted(&places, Kind::Audio).into_iter();
        return audios.try_for_each(|audio| write_variant(text, audio.rung, None, None, base));
    }
    let mut written: Vec<String> = Vec::new();
    for video in &videos {
        let (group, sound) = sound_of(video.rung, rungs);
        if written.contains(&group) {
            continue;
        }
        let default = default_of(&sound);
        for (index, audio) in sound.iter().enumerate() {
            write_sound(text, &group, audio, index == default, base)?;
        }
        written.push(group);
    }
    let usual = videos.iter().find(|place| place.is_source()).map(|source| source.rung.measured.sample_rate);
    for video in videos {
        let (group, sound) = sound_of(video.rung, rungs);
        let sound = if sound.is_empty() { None } else { Some((group.as_str(), sound.as_slice())) };
        write_variant(text, video.rung, usual, sound, base)?;
    }
    Ok(())
}

/// Those of a kind: the source's first, then by falling bit rate.
fn sorted<'a>(places: &[Place<'a, Rung>], kind: Kind) -> Vec<Place<'a, Rung>> {
    let mut of_kind: Vec<_> = places.iter().copied().filter(|place| place.rung.kind() == kind).collect();
    of_kind.sort_by_key(|place| (!place.is_source(), std::cmp::Reverse(place.rung.measured.peak)));
    of_kind
}

/// The role of an audio track: its own, or that of the listed track that it is played for.
fn role_of(sound: &Sound<'_, Rung>) -> Option<Role> {
    sound.rung.listing.role.or(sound.place.rung.listing.role)
}

/// The language of an audio track. All groups must state the same one (rfc8216bis, 4.4.6.1.1): the listed track that it is played for counts
/// before its own header.
fn language_of<'a>(sound: &Sound<'a, Rung>) -> Option<&'a str> {
    let Place { rung: place, original } = sound.place;
    let listed = [&sound.rung.listing, &place.listing].into_iter().map(|listing| &listing.language);
    let headers = [place, original].into_iter().map(|rung| &rung.measured.info.language);
    listed.chain(headers).find_map(Option::as_deref)
}

/// The default audio track: the first with the main role, or else the first without a role, or else the first.
fn default_of(sounds: &[Sound<'_, Rung>]) -> usize {
    let first = |role: Option<Role>| sounds.iter().position(|sound| role_of(sound) == role);
    first(Some(Role::Main)).or_else(|| first(None)).unwrap_or(0)
}

/// True of an audio track that a player may choose by itself: by its language, or for a viewer who has asked for what its role offers. A
/// viewer must choose the others.
const fn is_automatic(role: Option<Role>) -> bool {
    matches!(role, None | Some(Role::Main | Role::Dub | Role::Description | Role::Easyreader))
}

/// What a role is called among the characteristics of a rendition (rfc8216bis, 4.4.6.1).
const fn characteristics(role: Role) -> Option<&'static str> {
    match role {
        Role::Description => Some("public.accessibility.describes-video"),
        Role::Easyreader => Some("public.easy-to-read"),
        _ => None,
    }
}

fn write_sound(text: &mut String, group: &str, sound: &Sound<'_, Rung>, default: bool, base: &str) -> std::fmt::Result {
    let (name, info) = (sound.place.original.track.as_str(), &sound.rung.measured.info);
    let role = role_of(sound);
    // A default is always automatic (rfc8216bis, 4.4.6.1).
    let automatic = if default || is_automatic(role) { "YES" } else { "NO" };
    let default = if default { "YES" } else { "NO" };
    write!(text, "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{group}\",NAME=\"{name}\",DEFAULT={default}")?;
    write!(text, ",AUTOSELECT={automatic}")?;
    if let Some(language) = language_of(sound) {
        write!(text, ",LANGUAGE=\"{}\"", quoted(language))?;
    }
    if let Some(characteristics) = role.and_then(characteristics) {
        write!(text, ",CHARACTERISTICS=\"{characteristics}\"")?;
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
