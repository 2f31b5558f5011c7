//! Catalogs, read with the types of the players' own crates.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hang::catalog::Container;
use moq_msf::{Packaging, Role};

use crate::peers::{Server, read};
use crate::source::{AVC, NAME, Object, PICTURES, Source, UNIX};

fn hang(text: &Object) -> hang::Catalog {
    hang::Catalog::from_slice(&text.0).unwrap()
}

fn msf(text: &Object) -> moq_msf::Catalog {
    moq_msf::Catalog::from_str(std::str::from_utf8(&text.0).unwrap()).unwrap()
}

fn names(catalog: &moq_msf::Catalog) -> Vec<&str> {
    catalog.tracks.iter().map(|track| track.name.as_str()).collect()
}

#[tokio::test]
async fn the_hang_catalog_says_what_a_decoder_needs() {
    let mut source = Source::new();
    source.pictures(3);
    let server = Server::new(source.bus.clone());
    let client = server.net().await;
    let broadcast = client.broadcast(NAME).await;
    let mut catalogs = hang::Catalog::<()>::subscribe(&broadcast).await.unwrap();
    let catalog = catalogs.next().await.unwrap().unwrap();
    let video = &catalog.video.renditions["video"];
    assert_eq!(video.codec.to_string(), source.track("video").info().unwrap().codec);
    assert_eq!((video.coded_width, video.coded_height, video.framerate), (Some(640), Some(360), Some(25.0)));
    assert_eq!(video.description.as_deref(), Some(&AVC[..]));
    assert_eq!(video.container, Container::Cmaf { init: source.track("video").info().unwrap().init.clone() });
    let audio = &catalog.audio.renditions["audio"];
    assert_eq!((audio.codec.to_string().as_str(), audio.sample_rate, audio.channel_count), ("opus", 48_000, 2));
    assert!(audio.description.as_ref().unwrap().starts_with(b"OpusHead"));
    assert_eq!((audio.bitrate, audio.jitter), (Some(96_000), Some(Duration::from_millis(100))), "its frames wait");
    assert_eq!((video.bitrate, video.jitter), (None, None), "too little has come, and each picture goes at once");
    source.pictures(PICTURES * 11);
    let catalog = catalogs.next().await.unwrap().unwrap();
    let track = source.track("video");
    let bits = track.held().iter().map(|fragment| fragment.size() * 8).sum::<u64>();
    let measured = catalog.video.renditions["video"].bitrate.unwrap();
    let expected = bits as f64 / (track.held().len() as f64 / 25.0);
    assert!((measured as f64 / expected - 1.0).abs() < 0.01, "{measured} where it is {expected}");
}

#[tokio::test]
async fn the_msf_catalog_says_the_same_and_what_can_be_switched_between() {
    let mut source = Source::new();
    source.pictures(3);
    let _rung = source.rung("180p");
    let server = Server::new(source.bus.clone());
    let mut client = server.transport().await;
    let mut subscription = client.subscribe(NAME, "catalog").await.unwrap();
    let (number, objects) = subscription.read(1).await;
    assert!(u128::from(number) >= UNIX.as_millis(), "it rises across restarts");
    let catalog = msf(&objects[0]);
    assert_eq!(catalog.generated_at, Some(1_800_000_000_000));
    let find = |name: &str| catalog.tracks.iter().find(|track| track.name == name).unwrap();
    let (video, rung, audio) = (find("video"), find("180p"), find("audio"));
    for track in &catalog.tracks {
        assert_eq!((&track.packaging, track.is_live, track.render_group), (&Packaging::Cmaf, true, Some(1)));
        let init = source.track(&track.name).info().unwrap().init.clone();
        assert_eq!(STANDARD.decode(track.init_data.as_ref().unwrap()).unwrap(), init, "{}", track.name);
    }
    assert_eq!((video.role.clone(), audio.role.clone()), (Some(Role::Video), Some(Role::Audio)));
    assert_eq!((video.alt_group, rung.alt_group), (Some(1), Some(1)), "their groups are aligned");
    assert_eq!(audio.alt_group, Some(2));
    assert_eq!((rung.width, rung.height, rung.bitrate), (Some(320), Some(180), Some(300_000)));
    assert_eq!((audio.samplerate, audio.channel_config.as_deref()), (Some(48_000), Some("2")));
    assert_eq!((video.max_grp_sap_starting_type, audio.max_grp_sap_starting_type), (Some(2), Some(1)));
    let text = std::str::from_utf8(&objects[0].0).unwrap();
    assert!(text.contains("initDataList") && text.contains("initRef"), "{text}");
}

#[tokio::test]
async fn a_rung_that_comes_and_goes_changes_both_in_every_session() {
    let mut source = Source::new();
    source.pictures(PICTURES);
    let server = Server::new(source.bus.clone());
    let (mut transport, net) = (server.transport().await, server.net().await);
    let mut first = transport.subscribe(NAME, "catalog").await.unwrap();
    let mut second = net.subscribe(NAME, "catalog.json").await.unwrap();
    let (number, there) = first.read(1).await;
    assert_eq!(names(&msf(&there[0])), ["audio", "video"]);
    let (other, there) = read(&mut second, 1).await;
    assert_eq!((other, hang(&there[0]).video.renditions.len()), (number, 1));

    let rung = source.rung("180p");
    let (came, there) = first.read(1).await;
    assert_eq!(names(&msf(&there[0])), ["180p", "audio", "video"]);
    let (other, there) = read(&mut second, 1).await;
    assert_eq!((other, hang(&there[0]).video.renditions.len()), (came, 2));
    assert!(came > number);

    drop(rung);
    let (went, there) = first.read(1).await;
    assert_eq!(names(&msf(&there[0])), ["audio", "video"]);
    let (other, there) = read(&mut second, 1).await;
    assert_eq!((other, hang(&there[0]).video.renditions.len()), (went, 1));
    assert!(went > came);
}

#[tokio::test]
async fn the_catalog_of_a_view_has_the_rung_and_its_sound() {
    let mut source = Source::new();
    source.pictures(PICTURES);
    let _rung = source.rung("180p");
    let server = Server::new(source.bus.clone());
    let (mut transport, net) = (server.transport().await, server.net().await);
    let mut subscription = transport.subscribe("live/demo/180p", "catalog").await.unwrap();
    let mut listed = names(&msf(&subscription.read(1).await.1[0])).into_iter().map(String::from).collect::<Vec<_>>();
    listed.sort();
    assert_eq!(listed, ["180p", "audio"]);
    let mut subscription = net.subscribe("live/demo/180p", "catalog.json").await.unwrap();
    let catalog = hang(&read(&mut subscription, 1).await.1[0]);
    assert_eq!(catalog.video.renditions.keys().collect::<Vec<_>>(), ["180p"]);
    assert_eq!(catalog.audio.renditions.keys().collect::<Vec<_>>(), ["audio"]);
}

#[tokio::test]
async fn the_older_catalog_has_the_picture_and_says_where_its_header_is() {
    let mut source = Source::new();
    source.pictures(3);
    let _rung = source.rung("180p");
    let server = Server::new(source.bus.clone());
    let mut client = server.transport().await;
    for (name, track) in [(NAME.to_owned(), "video"), (format!("{NAME}/180p"), "180p")] {
        let mut subscription = client.subscribe(&name, ".catalog").await.unwrap();
        let (_, objects) = subscription.read(1).await;
        let catalog: serde_json::Value = serde_json::from_slice(&objects[0].0).unwrap();
        assert_eq!((&catalog["version"], catalog["tracks"].as_array().unwrap().len()), (&1.into(), 1), "{catalog:#}");
        let listed = &catalog["tracks"][0];
        let info = source.track(track).info().unwrap();
        assert_eq!((&listed["name"], &listed["initTrack"]), (&track.into(), &"0.mp4".into()), "{catalog:#}");
        assert_eq!(listed["selectionParams"]["codec"], info.codec.as_str(), "{catalog:#}");
        let mut subscription = client.subscribe(&name, "0.mp4").await.unwrap();
        let (_, objects) = subscription.read(1).await;
        assert_eq!(objects[0].0, info.init, "the header of {track}");
    }
}

#[tokio::test]
async fn frames_that_last_no_time_leave_the_catalogs_as_they_are() {
    let mut source = Source::new();
    source.pictures(3);
    source.instants(2);
    let server = Server::new(source.bus.clone());
    let net = server.net().await;
    let mut subscription = net.subscribe(NAME, "catalog.json").await.unwrap();
    let (_, texts) = read(&mut subscription, 1).await;
    let catalog = hang(&texts[0]);
    assert_eq!(catalog.video.renditions["video"].jitter, None, "the format has no word for a wait of no time");
    let mut transport = server.transport().await;
    let mut subscription = transport.subscribe(NAME, "catalog").await.unwrap();
    let (_, texts) = subscription.read(1).await;
    assert_eq!(msf(&texts[0]).tracks.len(), 2);
}

/// The records of an event timeline.
fn records(text: &Object) -> Vec<serde_json::Value> {
    serde_json::from_slice(&text.0).unwrap()
}

#[tokio::test]
async fn events_are_a_timeline_of_their_own_on_both_stacks() {
    let mut source = Source::new();
    source.pictures(3);
    let server = Server::new(source.bus.clone());
    let mut client = server.transport().await;
    let mut catalogs = client.subscribe(NAME, "catalog").await.unwrap();
    assert!(!names(&msf(&catalogs.read(1).await.1[0])).contains(&"events"), "there are none yet");
    let mut timeline = client.subscribe(NAME, "events").await.unwrap();
    let (none, objects) = timeline.read(1).await;
    assert!(records(&objects[0]).is_empty());

    let event = |id: u32, at: i64| millrace_cmaf::write::Event {
        scheme: "urn:example".into(),
        value: "v".into(),
        presentation_time: millrace_media::Time::from_millis(at),
        duration: Some(millrace_media::Time::from_millis(1_500)),
        id,
        data: b"what happens".as_slice().into(),
    };
    source.event = Some(event(7, 12_345));
    source.pictures(4);
    let (number, objects) = timeline.read(1).await;
    assert!(number > none);
    let data = serde_json::json!({
        "scheme": "urn:example", "value": "v", "id": 7, "duration": 1_500, "message": STANDARD.encode("what happens"),
    });
    let first = serde_json::json!({ "m": 12_345, "data": data });
    assert_eq!(records(&objects[0]), std::slice::from_ref(&first));
    // The catalog lists it from now on, with what it needs.
    let text = catalogs.read(1).await.1.remove(0);
    let catalog: serde_json::Value = serde_json::from_slice(&text.0).unwrap();
    let listed = catalog["tracks"].as_array().unwrap().iter().find(|track| track["name"] == "events").unwrap();
    assert_eq!((&listed["packaging"], &listed["mimeType"]), (&"eventtimeline".into(), &"application/json".into()));
    assert_eq!(listed["eventType"], "io.github.millrace.emsg");
    assert_eq!(listed["depends"], serde_json::json!(["audio", "video"]));
    assert!(names(&msf(&text)).contains(&"events"), "other players can read the catalog");

    // Repeats say nothing, and what is new comes with what was.
    source.event = Some(event(7, 12_345));
    source.pictures(5);
    source.event = Some(event(8, 13_000));
    source.pictures(6);
    let (_, objects) = timeline.read(1).await;
    let both = records(&objects[0]);
    assert_eq!((both.len(), &both[0], &both[1]["data"]["id"]), (2, &first, &8.into()));

    let client = server.net().await;
    let mut subscription = client.subscribe(NAME, "events").await.unwrap();
    let (_, objects) = read(&mut subscription, 1).await;
    assert_eq!(records(&objects[0]), both);
}
