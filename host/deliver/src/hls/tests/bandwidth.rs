//! What multivariant playlists say.

use std::sync::Arc;
use std::time::Duration;

use millrace_media::track::{Format, Info, Provenance};
use millrace_media::{TrackName, track};

use super::playlist::watch;
use super::rules::attribute;
use super::source::{Arrival, Pictures, Source, audio_info, video_info};
use crate::hls::Settings;
use crate::hls::master::{self, Rung};
use crate::hls::playlist::Measured;

pub(super) fn rung(name: &str, rendition: Option<&str>, info: Info, peak: u64) -> Rung {
    let provenance = match rendition {
        None => Provenance::Source,
        Some(rendition) => track::Provenance::Derived {
            factory: "ladder".into(),
            rendition: Some(rendition.into()),
            from: Some(TrackName::new("video").unwrap()),
        },
    };
    let measured = Measured { info: Arc::new(info), peak, average: peak / 2, sample_rate: 30_000.0 / 1_001.0 };
    let (track, listing) = (TrackName::new(name).unwrap(), Arc::default());
    Rung { track, provenance, listing, opened: Duration::ZERO, measured }
}

fn rungs() -> Vec<Rung> {
    let small = Info { format: Format::Video { width: 320, height: 180, frame_rate: None }, ..video_info(90_000, "s") };
    vec![
        rung("180p", Some("180p"), small, 300_000),
        rung("360p", Some("360p"), video_info(90_000, "m"), 900_000),
        rung("audio", None, audio_info(), 64_000),
        rung("low-sound", Some("180p"), Info { codec: "mp4a.40.2".into(), language: None, ..audio_info() }, 32_000),
        rung("video", None, video_info(90_000, "v"), 800_000),
    ]
}

#[test]
fn the_source_comes_first_and_rungs_follow_with_their_sound() {
    let text = master::text(&rungs(), "", true);
    let expected = "#EXTM3U
#EXT-X-VERSION:9
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"audio\",DEFAULT=YES,AUTOSELECT=YES,LANGUAGE=\"en\",CHANNELS=\"2\",URI=\"audio/playlist.m3u8\"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio-180p\",NAME=\"audio\",DEFAULT=YES,AUTOSELECT=YES,LANGUAGE=\"en\",CHANNELS=\"2\",URI=\"low-sound/playlist.m3u8\"
#EXT-X-STREAM-INF:BANDWIDTH=864000,AVERAGE-BANDWIDTH=432000,CODECS=\"avc1.64001f,opus\",RESOLUTION=640x360,FRAME-RATE=29.970,AUDIO=\"audio\"
video/playlist.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=964000,AVERAGE-BANDWIDTH=482000,CODECS=\"avc1.64001f,opus\",RESOLUTION=640x360,FRAME-RATE=29.970,AUDIO=\"audio\"
360p/playlist.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=332000,AVERAGE-BANDWIDTH=166000,CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=320x180,FRAME-RATE=29.970,AUDIO=\"audio-180p\"
180p/playlist.m3u8
";
    assert_eq!(text, expected);
}

/// A sound made for the rendition 180p from `from`.
fn made(name: &str, from: &str) -> Rung {
    let mut made = rung(name, Some("180p"), Info { language: None, ..audio_info() }, 24_000);
    if let Provenance::Derived { from: made_from, .. } = &mut made.provenance {
        *made_from = TrackName::new(from).ok();
    }
    made
}

/// The names, languages and addresses of the sounds of a group.
fn group(rungs: &[Rung], id: &str) -> Vec<(String, Option<String>, String)> {
    let text = master::text(rungs, "", true);
    let members = text.lines().filter(|line| attribute(line, "GROUP-ID").as_deref() == Some(id));
    let facts = members
        .map(|line| (attribute(line, "NAME").unwrap(), attribute(line, "LANGUAGE"), attribute(line, "URI").unwrap()));
    facts.collect()
}

#[test]
fn all_groups_of_sound_have_the_same_members() {
    let mut rungs = rungs();
    rungs.retain(|rung| rung.track.as_str() != "low-sound");
    let german = Info { language: Some("de".into()), ..audio_info() };
    rungs.push(rung("audio-de", None, german, 64_000));
    let source = group(&rungs, "audio");
    assert_eq!(source.len(), 2);
    assert!(group(&rungs, "audio-180p").is_empty(), "without sound of its own a rung has the source's");
    rungs.push(made("180p-de", "audio-de"));
    let own = group(&rungs, "audio-180p");
    assert_eq!(
        own.iter().map(|(.., uri)| uri.as_str()).collect::<Vec<_>>(),
        ["audio/playlist.m3u8", "180p-de/playlist.m3u8"]
    );
    let told = |members: &[(String, Option<String>, String)]| {
        members.iter().map(|(name, language, _)| (name.clone(), language.clone())).collect::<Vec<_>>()
    };
    assert_eq!(told(&own), told(&source), "players go on with the sound of the same name and language");
}

#[test]
fn codecs_may_be_mixed() {
    let mut rungs = rungs();
    rungs[0].measured.info = Arc::new(Info { codec: "av01.0.04M.08".into(), ..(*rungs[0].measured.info).clone() });
    let text = master::text(&rungs, "", true);
    let codecs: Vec<_> = text.lines().filter_map(|line| attribute(line, "CODECS")).collect();
    assert_eq!(codecs, ["avc1.64001f,opus", "avc1.64001f,opus", "av01.0.04M.08,mp4a.40.2"]);
}

#[test]
fn frame_rates_that_are_one_are_written_as_one() {
    let mut rungs = rungs();
    rungs[1].measured.sample_rate = 30.004;
    rungs[0].measured.sample_rate = 14.9;
    let text = master::text(&rungs, "", true);
    let rates: Vec<_> = text.lines().filter_map(|line| attribute(line, "FRAME-RATE")).collect();
    assert_eq!(rates, ["29.970", "29.970", "14.900"], "source, 360p, and 180p, which has every second picture");
}

#[test]
fn a_view_is_one_rung_with_its_sound() {
    let view = |name| master::view(&rungs(), name).map(|rungs| rungs.iter().map(|r| r.track.to_string()).collect());
    assert_eq!(view("180p"), Some(vec!["180p".into(), "low-sound".into()]));
    assert_eq!(view("360p"), Some(vec!["360p".into(), "audio".into()]));
    assert_eq!(view("audio"), Some(vec!["audio".to_string()]));
    assert_eq!(view("720p"), None);
    let text = master::text(&master::view(&rungs(), "360p").unwrap(), "../", true);
    assert!(text.contains("\n../360p/playlist.m3u8\n") && text.contains("URI=\"../audio/playlist.m3u8\""), "{text}");
}

#[test]
fn sound_alone_is_a_variant() {
    let sound = vec![rung("audio", None, Info { codec: "o\"pus\n".into(), ..audio_info() }, 64_000)];
    let text = master::text(&sound, "", false);
    let expected = "#EXTM3U
#EXT-X-VERSION:9
#EXT-X-STREAM-INF:BANDWIDTH=64000,AVERAGE-BANDWIDTH=32000,CODECS=\"opus\"
audio/playlist.m3u8
";
    assert_eq!(text, expected);
}

#[test]
fn bandwidth_and_frame_rate_are_what_flows() {
    let mut source = Source::new(Some(Pictures::regular(30_000, 1_001, 60)), Arrival::Steady);
    let watched = watch(&mut source, 20.0, &Settings::default());
    let measured = watched["video"].playlist.measure().unwrap();
    assert!((measured.sample_rate - 29.970).abs() < 0.001, "{}", measured.sample_rate);
    // A keyframe of 9000 bytes and 59 pictures of 1500 in 2.002 s, and their heads.
    let least = (9_000 + 59 * 1_500) * 8 * 1_000 / 2_002;
    assert!((least..least + least / 20).contains(&measured.peak), "{} and {least}", measured.peak);
    assert!(measured.average <= measured.peak && measured.average > measured.peak * 8 / 10);
}
