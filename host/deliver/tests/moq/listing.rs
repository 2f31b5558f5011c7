//! What catalogs say of tracks that were made beside the source's, or in their place.

use millrace_media::track::{Listing, Role};
use serde_json::Value;

use crate::peers::{Server, read};
use crate::source::{NAME, Object, PICTURES, Source, newest, objects, track};

fn json(text: &Object) -> Value {
    serde_json::from_slice(&text.0).unwrap()
}

/// The tracks of an MSF catalog: name, role, language, and the set that it is one choice of.
fn told(text: &Object) -> Vec<(String, String, Option<String>, u64)> {
    let text_of = |value: &Value| value.as_str().map(str::to_owned);
    let tracks = json(text)["tracks"].as_array().unwrap().clone();
    let told = tracks.iter().map(|track| {
        let (name, role) = (text_of(&track["name"]).unwrap(), text_of(&track["role"]).unwrap());
        (name, role, text_of(&track["lang"]), track["altGroup"].as_u64().unwrap())
    });
    told.collect()
}

fn row(name: &str, role: &str, language: Option<&str>, choice: u64) -> (String, String, Option<String>, u64) {
    (name.to_owned(), role.to_owned(), language.map(str::to_owned), choice)
}

fn replacing() -> Listing {
    Listing { replaces: Some(track("video")), ..Listing::default() }
}

#[tokio::test]
async fn a_replaced_track_is_in_the_catalogs_again_when_what_replaced_it_ends() {
    let mut source = Source::new();
    source.pictures(3);
    let rung = source.rung("180p");
    let clean = source.made("clean", replacing());
    let server = Server::new(source.bus.clone());
    let (mut transport, net) = (server.transport().await, server.net().await);
    let mut msf = transport.subscribe(NAME, "catalog").await.unwrap();
    let mut hang = net.subscribe(NAME, "catalog.json").await.unwrap();
    let mut older = transport.subscribe(NAME, ".catalog").await.unwrap();
    let (_, texts) = msf.read(1).await;
    let expected = [row("180p", "video", None, 1), row("audio", "audio", None, 2), row("clean", "video", None, 1)];
    let mut there = told(&texts[0]);
    there.sort();
    assert_eq!(there, expected, "the rung and what replaces its source are choices of one set");
    let videos = |texts: &[Object]| -> Vec<String> {
        json(&texts[0])["video"]["renditions"].as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(videos(&read(&mut hang, 1).await.1), ["180p", "clean"]);
    assert_eq!(json(&older.read(1).await.1[0])["tracks"][0]["name"], "clean", "it goes before the rung");
    let mut replaced = transport.subscribe(NAME, "video").await.unwrap();
    assert_eq!(replaced.read(3).await.1.len(), 3, "it is served all the same");

    drop(clean);
    let expected = [row("180p", "video", None, 1), row("audio", "audio", None, 2), row("video", "video", None, 1)];
    let mut there = told(&msf.read(1).await.1[0]);
    there.sort();
    assert_eq!(there, expected);
    assert_eq!(videos(&read(&mut hang, 1).await.1), ["180p", "video"]);
    drop(rung);
}

#[tokio::test]
async fn roles_and_languages_are_told_where_the_format_has_them() {
    let mut source = Source::new();
    source.pictures(3);
    let listing = |role, language: Option<&str>| Listing {
        role: Some(role),
        language: language.map(str::to_owned),
        ..Listing::default()
    };
    let _sign = source.made("signed", listing(Role::Sign, Some("ase")));
    let _alternate = source.made("other", listing(Role::Alternate, None));
    let server = Server::new(source.bus.clone());
    let mut transport = server.transport().await;
    let mut msf = transport.subscribe(NAME, "catalog").await.unwrap();
    let mut there = told(&msf.read(1).await.1[0]);
    there.sort();
    let expected = [
        row("audio", "audio", None, 2),
        row("other", "video", None, 1),
        row("signed", "signlanguage", Some("ase"), 1),
        row("video", "video", None, 1),
    ];
    assert_eq!(there, expected);
}

#[tokio::test]
async fn an_unlisted_track_is_in_no_catalog_and_served_by_its_name() {
    let mut source = Source::new();
    let mut secret = source.made("secret", Listing { listed: false, ..replacing() });
    for _ in 0..PICTURES {
        let picture = source.picture();
        secret.follow(&picture);
    }
    let server = Server::new(source.bus.clone());
    let (mut transport, net) = (server.transport().await, server.net().await);
    for catalog in ["catalog", "catalog.json", ".catalog"] {
        let (_, texts) = transport.subscribe(NAME, catalog).await.unwrap().read(1).await;
        let text = String::from_utf8(texts[0].0.clone()).unwrap();
        assert!(text.contains("video") && !text.contains("secret"), "{text}");
    }
    let there = objects(&source.track("secret"), newest(&source.track("secret")));
    let mut subscription = transport.subscribe(NAME, "secret").await.unwrap();
    assert_eq!(subscription.read(there.len()).await.1, there);
    let mut subscription = net.subscribe(NAME, "secret").await.unwrap();
    assert_eq!(read(&mut subscription, there.len()).await.1, there);
    let view = transport.subscribe(&format!("{NAME}/secret"), "catalog").await;
    assert!(view.is_err(), "no view of it is announced");
}
