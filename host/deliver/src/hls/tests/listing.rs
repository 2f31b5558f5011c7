//! What players are told of tracks that were made beside the source's, or in their place.

use std::sync::Arc;

use axum::http::StatusCode;
use millrace_media::track::{Info, Listing, Producer, Provenance, Role};
use tokio::time::Instant;

use super::bandwidth::rung;
use super::http::{Site, settle};
use super::rest;
use super::rules::{attribute, parse};
use super::source::{Arrival, Pictures, Source, audio_info, track, video_info};
use crate::hls::Settings;
use crate::hls::master::{self, Rung};

const SCALE: u32 = 90_000;

/// A track that a plugin makes of no track in particular.
fn made(name: &str, info: Info, listing: Listing) -> Rung {
    let provenance = Provenance::Derived { factory: "plugin".into(), rendition: None, from: None };
    Rung { provenance, listing: Arc::new(listing), ..rung(name, None, info, 48_000) }
}

fn replacing(name: &str) -> Listing {
    Listing { replaces: Some(track(name)), ..Listing::default() }
}

fn with_role(role: Role) -> Listing {
    Listing { role: Some(role), ..Listing::default() }
}

fn source() -> Vec<Rung> {
    vec![rung("audio", None, audio_info(), 64_000), rung("video", None, video_info(SCALE, "v"), 800_000)]
}

/// The lines of a master that name audio renditions, without what all of them say.
fn audio_lines(rungs: &[Rung]) -> Vec<String> {
    let text = master::text(rungs, "", true);
    let lines = text.lines().filter_map(|line| line.strip_prefix("#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio"));
    lines.map(|line| line.replace(",CHANNELS=\"2\"", "")).collect()
}

fn variants(rungs: &[Rung]) -> Vec<String> {
    let text = master::text(rungs, "", true);
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

#[test]
fn audio_beside_the_source_has_its_role_and_language() {
    let mut rungs = source();
    let german = Listing { language: Some("de".into()), ..with_role(Role::Dub) };
    rungs.push(made("described", audio_info(), with_role(Role::Description)));
    rungs.push(made("german", audio_info(), german));
    rungs.push(made("simple", audio_info(), with_role(Role::Easyreader)));
    rungs.push(made("talk", Info { language: None, ..audio_info() }, with_role(Role::Commentary)));
    let expected = [
        r#"",NAME="audio",DEFAULT=YES,AUTOSELECT=YES,LANGUAGE="en",URI="audio/playlist.m3u8""#,
        r#"",NAME="described",DEFAULT=NO,AUTOSELECT=YES,LANGUAGE="en",CHARACTERISTICS="public.accessibility.describes-video",URI="described/playlist.m3u8""#,
        r#"",NAME="german",DEFAULT=NO,AUTOSELECT=YES,LANGUAGE="de",URI="german/playlist.m3u8""#,
        r#"",NAME="simple",DEFAULT=NO,AUTOSELECT=YES,LANGUAGE="en",CHARACTERISTICS="public.easy-to-read",URI="simple/playlist.m3u8""#,
        r#"",NAME="talk",DEFAULT=NO,AUTOSELECT=NO,URI="talk/playlist.m3u8""#,
    ];
    assert_eq!(audio_lines(&rungs), expected);
    assert_eq!(variants(&rungs), ["video/playlist.m3u8"]);
    // A rung with audio of its own offers the same beside it.
    rungs.push(rung("180p", Some("180p"), video_info(SCALE, "s"), 300_000));
    rungs.push(rung("180p-audio", Some("180p"), audio_info(), 32_000));
    let names = |group: &str| -> Vec<_> {
        let text = master::text(&rungs, "", true);
        let of_group = text.lines().filter(|line| attribute(line, "GROUP-ID").as_deref() == Some(group));
        of_group.map(|line| attribute(line, "NAME").unwrap()).collect()
    };
    assert_eq!(names("audio"), ["audio", "described", "german", "simple", "talk"]);
    assert_eq!(names("audio-180p"), names("audio"));
}

#[test]
fn audio_with_the_main_role_is_the_default() {
    let mut rungs = source();
    rungs.push(made("main", audio_info(), with_role(Role::Main)));
    let lines = audio_lines(&rungs);
    assert!(lines[0].contains(r#"NAME="audio",DEFAULT=NO,AUTOSELECT=YES"#), "{lines:?}");
    assert!(lines[1].contains(r#"NAME="main",DEFAULT=YES,AUTOSELECT=YES"#), "{lines:?}");
    let alone =
        [made("talk", audio_info(), with_role(Role::Commentary)), rung("video", None, video_info(SCALE, "v"), 800_000)];
    assert!(
        audio_lines(&alone)[0].contains(r#"DEFAULT=YES,AUTOSELECT=YES"#),
        "a default is automatic, whatever its role"
    );
}

#[test]
fn what_replaces_a_track_is_listed_where_that_was() {
    let mut rungs = source();
    rungs.insert(0, rung("1080p", Some("1080p"), video_info(SCALE, "l"), 5_000_000));
    rungs.push(made("clean", video_info(SCALE, "c"), replacing("video")));
    let french = Listing { language: Some("fr".into()), ..replacing("audio") };
    rungs.push(made("french", audio_info(), french));
    assert_eq!(variants(&rungs), ["clean/playlist.m3u8", "1080p/playlist.m3u8"], "the source's place is the first");
    let expected = [r#"",NAME="audio",DEFAULT=YES,AUTOSELECT=YES,LANGUAGE="fr",URI="french/playlist.m3u8""#];
    assert_eq!(audio_lines(&rungs), expected);
    let view = master::view(&rungs, "video").unwrap();
    assert_eq!(variants(&view), ["clean/playlist.m3u8"]);
}

#[test]
fn an_unlisted_track_is_in_no_playlist_but_its_own() {
    let mut rungs = source();
    let hidden = || Listing { listed: false, ..Listing::default() };
    rungs.push(made("secret", video_info(SCALE, "s"), hidden()));
    rungs.push(made("secret-audio", audio_info(), hidden()));
    assert!(!master::text(&rungs, "", true).contains("secret"));
    let view = master::view(&rungs, "secret").unwrap();
    assert_eq!(variants(&view), ["secret/playlist.m3u8"]);
    assert_eq!(audio_lines(&view).len(), 1);
}

fn site() -> Site {
    Site::of(Source::new(Some(Pictures::regular(SCALE, 3_000, 60)), Arrival::Steady), Settings::default())
}

fn derive(site: &Site, name: &str, listing: Listing) -> Producer {
    let provenance = Provenance::Derived { factory: "plugin".into(), rendition: None, from: Some(track("video")) };
    let mut producer = site.source.broadcast.derive(track(name), provenance).unwrap();
    producer.set_listing(listing).unwrap();
    producer.set_info(video_info(SCALE, "made"));
    producer
}

async fn run(site: &mut Site, until: f64, made: &mut [&mut Producer]) {
    site.source.run(until, |fragment| {
        for producer in made.iter_mut() {
            if let Some(copy) = rest::copy(fragment) {
                producer.write_in(fragment.place().group, copy).unwrap();
            }
        }
    });
    settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_replaced_track_is_listed_again_when_what_replaced_it_ends() {
    let mut site = site();
    let mut clean = derive(&site, "clean", replacing("video"));
    let mut second = derive(&site, "second", replacing("video"));
    run(&mut site, 5.0, &mut [&mut clean, &mut second]).await;
    let addresses =
        |text: &str| -> Vec<_> { text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect() };
    let master = site.get("/hls/live/demo/master.m3u8").await;
    assert_eq!(addresses(master.text()), ["clean/playlist.m3u8", "second/playlist.m3u8"]);
    let audio = parse(site.get("/hls/live/demo/audio/playlist.m3u8").await.text());
    let reports = audio.reports.join("\n");
    assert!(reports.contains("../clean/") && !reports.contains("../video/"), "{reports}");
    assert_eq!(
        site.get("/hls/live/demo/video/playlist.m3u8").await.status,
        StatusCode::OK,
        "it is served all the same"
    );

    drop(clean);
    settle().await;
    let master = site.get("/hls/live/demo/master.m3u8").await;
    assert_eq!(addresses(master.text()), ["second/playlist.m3u8"], "the other takes the place");
    drop(second);
    settle().await;
    let master = site.get("/hls/live/demo/master.m3u8").await;
    assert_eq!(addresses(master.text()), ["video/playlist.m3u8"]);
    run(&mut site, 7.0, &mut []).await;
    let audio = parse(site.get("/hls/live/demo/audio/playlist.m3u8").await.text());
    assert!(audio.reports.join("\n").contains("../video/"), "{:?}", audio.reports);
}

#[tokio::test(start_paused = true)]
async fn an_unlisted_track_is_not_waited_for_and_served_by_its_name() {
    let mut site = site();
    let hidden = Listing { listed: false, replaces: Some(track("video")), ..Listing::default() };
    let mut secret = derive(&site, "secret", hidden);
    run(&mut site, 5.0, &mut []).await;
    let before = Instant::now();
    let master = site.get("/hls/live/demo/master.m3u8").await;
    assert_eq!(before.elapsed().as_nanos(), 0, "it has nothing to be listed yet");
    assert!(master.text().ends_with("\nvideo/playlist.m3u8\n"), "{}", master.text());
    run(&mut site, 9.0, &mut [&mut secret]).await;
    let master = site.get("/hls/live/demo/master.m3u8").await;
    assert!(!master.text().contains("secret"), "{}", master.text());
    let audio = site.get("/hls/live/demo/audio/playlist.m3u8").await;
    assert!(audio.text().contains("../video/") && !audio.text().contains("secret"), "{}", audio.text());
    let own = parse(site.get("/hls/live/demo/secret/playlist.m3u8").await.text());
    let segment = own.segments.iter().find_map(|segment| segment.uri.as_ref()).unwrap();
    assert_eq!(site.get(&format!("/hls/live/demo/secret/{segment}")).await.status, StatusCode::OK);
    let view = site.get("/hls/live/demo/secret/master.m3u8").await;
    assert!(view.text().ends_with("\n../secret/playlist.m3u8\n"), "{}", view.text());
}
