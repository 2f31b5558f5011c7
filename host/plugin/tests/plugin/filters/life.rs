//! What filters are told of the life of tracks and broadcasts, and what is left of them.

use super::*;
use crate::logs;
use crate::source::Source;

fn diary() -> PluginSettings {
    of_broadcast("diary")
}

/// What the filter noted, fragment by fragment.
fn noted(track: &Track) -> Vec<String> {
    track.held().iter().flat_map(|fragment| events(fragment, "urn:diary")).collect()
}

#[tokio::test]
async fn an_instance_of_a_broadcast_has_all_its_tracks() {
    let site = Site::new([diary()]).await;
    let mut video = Source::of_size(&site.bus, 1000);
    let mut audio = video.beside("audio");
    video.send(2);
    audio.send(2);
    site.settled(&video.track(), 2).await;
    site.settled(&audio.track(), 2).await;
    let (video_noted, audio_noted) = (noted(&video.track()), noted(&audio.track()));
    assert!(video_noted[0].starts_with("start: fresh; track 0: video avc1"), "{video_noted:?}");
    assert!(video_noted[0].ends_with("track 1: audio opus; 0 0 true"), "{video_noted:?}");
    assert_eq!(video_noted[1], "0 1 false");
    assert_eq!(audio_noted, ["1 0 true", "1 1 false"]);
    audio.end();
    video.send(1);
    site.settled(&video.track(), 3).await;
    assert_eq!(noted(&video.track())[2], "end 1: ended; 0 2 false");
}

#[tokio::test]
async fn an_instance_lives_while_the_publisher_is_away() {
    let site = Site::new([diary()]).await;
    let mut source = Source::of_size(&site.bus, 1000);
    source.send(3);
    let mut source = source.come_back(&site.bus);
    source.send(2);
    site.settled(&source.track(), 5).await;
    let noted = noted(&source.track());
    assert!(noted[3].starts_with("end 0: publisher-lost; track 1: video avc1"), "{noted:?}");
    assert!(noted[3].ends_with("; 1 0 true"), "{noted:?}");
}

#[tokio::test]
async fn a_filter_behind_another_is_told_what_that_one_discarded() {
    let site = Site::new([told("discard-second"), diary()]).await;
    let mut source = Source::of_size(&site.bus, 1000);
    source.send(2 * GROUP as usize);
    site.settled(&source.track(), 2).await;
    let noted = noted(&source.track());
    assert_eq!(noted[1], format!("gap 0: {} filter; 0 0 true", GROUP - 1));
}

#[tokio::test]
async fn a_filter_is_stopped_with_its_broadcast() {
    logs::keep();
    let named = |name: &str, settings| PluginSettings { name: name.into(), ..settings };
    let site = Site::new([named("stopped-broadcast", diary()), named("stopped-track", told("nothing"))]).await;
    let mut source = Source::of_size(&site.bus, 1000);
    let audio = source.beside("audio");
    source.send(1);
    // A filter of a track stops with the track.
    audio.end();
    logs::logged("stopped-track", "stop: ended").await;
    source.finish();
    logs::logged("stopped-broadcast", "stop: ended").await;
    site.filters.shutdown().await;
    assert!(site.filters.stats().is_empty());
    let lines = logs::lines("stopped-broadcast");
    let ends = lines.iter().filter(|line| line.contains("end 0: ended") || line.contains("end 1: ended")).count();
    assert_eq!(ends, 2, "{lines:?}");
}

#[tokio::test]
async fn a_filter_is_told_that_the_server_stops() {
    logs::keep();
    let site = Site::new([PluginSettings { name: "shut-down".into(), ..told("nothing") }]).await;
    let mut source = Source::of_size(&site.bus, 1000);
    source.send(1);
    site.settled(&source.track(), 1).await;
    site.filters.announce_shutdown();
    source.finish();
    site.filters.shutdown().await;
    logs::logged("shut-down", "stop: shutdown").await;
}

#[tokio::test]
async fn one_that_loops_at_its_end_keeps_nobody() {
    let limits = Limits { latency: Duration::from_millis(20), ..Limits::default() };
    let site = Site::new([PluginSettings { limits, ..told("loop-at-stop") }]).await;
    let mut source = Source::of_size(&site.bus, 1000);
    source.send(1);
    site.settled(&source.track(), 1).await;
    source.finish();
    site.filters.shutdown().await;
    assert!(site.filters.stats().is_empty());
}

#[tokio::test]
async fn instances_come_back_to_the_pool() {
    // The pool has room for 16.
    let site = Site::new([told("nothing")]).await;
    for n in 0..40 {
        let mut source = Source::named(&site.bus, &format!("live/{n}"), 1000);
        source.send(2);
        site.settled(&source.track(), 2).await;
        assert_eq!(site.stats("nothing").no_room, 0);
        source.finish();
        site.filters.shutdown().await;
    }
    site.clock.advance(Duration::from_secs(60));
    site.bus.expire();
    assert!(site.bus.broadcasts().is_empty());
}
