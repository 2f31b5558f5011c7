//! Playlists of tracks that lose media early, because all tracks together hold too much.

use axum::http::StatusCode;
use millrace_media::track::Track;
use millrace_media::{Bus, bus};

use super::http::{Site, settle};
use super::playlist::roomy;
use super::rules::Parsed;
use super::source::{Arrival, Pictures, Source, media, name, track, video_info};
use crate::hls::Settings;

/// Holds a whole window of the source's sound, and some fifteen seconds of its pictures.
const TOTAL: u64 = 3 << 19;

fn site() -> Site {
    let settings = bus::Settings { total: TOTAL, ..roomy() };
    Site::of(Source::on(settings, Some(Pictures::regular(90_000, 3_000, 60)), Arrival::Steady), Settings::default())
}

fn pictures(site: &Site) -> Track {
    site.source.broadcast.track("video").unwrap()
}

/// Every file that a playlist names can be fetched.
async fn expect_all_there(site: &Site, playlist: &Parsed) {
    let parts = playlist.segments.iter().flat_map(|segment| segment.parts.iter().map(|part| &part.uri));
    let segments = playlist.segments.iter().filter_map(|segment| segment.uri.as_ref());
    for uri in segments.chain(parts) {
        let answer = site.get(&format!("/hls/live/demo/video/{uri}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{uri}");
    }
}

/// Another publisher's track, which writes so many bytes in groups of one fragment each.
fn write_elsewhere(bus: &Bus, bytes: usize) {
    let publisher = bus.publish(&name("live/other")).unwrap();
    let mut producer = publisher.create_track(track("video"), video_info(90_000, "other header")).unwrap();
    for n in 0..bytes / 10_000 {
        producer.write(media(n as i64 * 9_000, 90_000, &[9_000], true, 10_000)).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_listed_can_be_fetched_while_media_leaves_early() {
    let mut site = site();
    let mut last = 0;
    for second in 8..60 {
        site.run(f64::from(second)).await;
        let playlist = site.playlist("").await;
        let first = playlist.segments[0].number;
        assert!(first >= last, "the media sequence went back from {last} to {first}");
        expect_all_there(&site, &playlist).await;
        // What leaves the list can still be fetched for a while.
        if second > 45 && first > last {
            let uri = format!("{}/{last}.m4s", playlist.segments[1].uri.as_ref().unwrap().split('/').next().unwrap());
            let answer = site.get(&format!("/hls/live/demo/video/{uri}")).await;
            assert_eq!(answer.status, StatusCode::OK, "segment {last} has just left the list");
        }
        last = first;
    }
    assert!(pictures(&site).stats().given_up > 0);
    let listed: f64 = site.playlist("").await.segments.iter().map(|segment| segment.duration).sum();
    assert!((6.0..12.0).contains(&listed), "{listed} s are listed");
}

#[tokio::test(start_paused = true)]
async fn a_list_follows_when_another_track_makes_room_for_itself() {
    let mut site = site();
    site.run(18.0).await;
    let before = site.playlist("").await;
    assert_eq!(pictures(&site).stats().given_up, 0);
    write_elsewhere(&site.source.bus, 1_000_000);
    settle().await;
    assert!(pictures(&site).stats().given_up > 0, "the source has written nothing since");
    let after = site.playlist("").await;
    assert!(after.segments[0].number > before.segments[0].number);
    expect_all_there(&site, &after).await;
}
