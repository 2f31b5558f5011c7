//! Where Media over QUIC is spoken, and with which relays.

use super::*;

#[tokio::test]
async fn a_page_learns_where_to_connect() {
    let site = Site::of_file(None, Reach::Network);
    let moq = site.get("/api/v1/moq").await.json();
    assert_eq!(moq["port"], 8080, "that of the page itself: {moq}");
    assert_eq!(moq["path"], "/");
    assert_eq!(moq["certificate_sha256"].as_str().map(str::len), Some(64), "{moq}");
    let protocols = moq["protocols"].as_array().unwrap();
    assert!(protocols.contains(&"moqt-18".into()) && protocols.contains(&"moq-lite-05".into()), "{moq}");
}

#[tokio::test]
async fn relays_are_the_operators_affair() {
    let site = Site::local();
    let relays = site.get("/api/v1/moq/relays").await.json()["relays"].clone();
    assert_eq!((&relays[0]["url"], &relays[0]["connected"]), (&"https://relay.example/live".into(), &false.into()));
    let open = Site::of_file(None, Reach::Network);
    assert_eq!(open.get("/api/v1/moq/relays").await.status, 403);
}
