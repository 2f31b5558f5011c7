//! How the API tells of tracks that a plugin makes.

use bytes::Bytes;
use millrace_media::track::{Format, Info, Listing, Provenance, Role};
use millrace_media::{BroadcastName, Timescale, TrackName};

use super::*;

fn info() -> Info {
    Info {
        codec: "opus".into(),
        timescale: Timescale::MILLIS,
        format: Format::Audio { sample_rate: 48_000, channels: 2 },
        language: Some("en".into()),
        bitrate: None,
        init: Bytes::from_static(b"init"),
    }
}

#[tokio::test]
async fn a_track_is_told_of_with_its_role_its_language_and_what_it_replaces() {
    let site = Site::of_file(None, Reach::Loopback);
    let publisher = site.bus.publish(&BroadcastName::new("live/demo").unwrap()).unwrap();
    let name = |name| TrackName::new(name).unwrap();
    let _source = publisher.create_track(name("audio"), info()).unwrap();
    let made = Provenance::Derived { factory: "plugin".into(), rendition: None, from: None };
    let mut dub = publisher.broadcast().derive(name("dub"), made).unwrap();
    let listing =
        Listing { role: Some(Role::Dub), language: Some("de".into()), listed: false, replaces: Some(name("audio")) };
    dub.set_listing(listing).unwrap();
    dub.set_info(info());
    let answer = site.get("/api/v1/broadcasts").await.json();
    let tracks = answer["broadcasts"][0]["tracks"].as_array().unwrap();
    let told = |track: &Value| ["name", "language", "role", "listed", "replaces"].map(|key| track[key].clone());
    let (no, none) = (Value::Bool(false), Value::Null);
    assert_eq!(told(&tracks[0]), ["audio".into(), "en".into(), none.clone(), true.into(), none]);
    assert_eq!(told(&tracks[1]), ["dub".into(), "de".into(), "dub".into(), no, "audio".into()]);
    let document = site.get("/api/v1/openapi.json").await.json();
    openapi::fits(&document, &document["components"]["schemas"]["Broadcasts"], &answer, "the broadcasts");
}
