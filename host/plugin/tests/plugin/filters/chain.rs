//! What filters make of fragments, alone and one after the other.

use super::*;
use crate::source::Source;

const ALL: u64 = 3 * GROUP;

#[tokio::test]
async fn a_filter_that_says_nothing_changes_nothing() {
    let site = Site::new([told("nothing")]).await;
    let mut source = Source::of_size(&site.bus, 5000);
    source.send(ALL as usize);
    site.settled(&source.track(), ALL).await;
    let held = source.track().held();
    assert!(held.iter().all(|fragment| payload(fragment) == [7; 5000]));
    assert!(held.iter().all(|fragment| millrace_cmaf::events(fragment).is_empty()));
    let stats = site.stats("nothing");
    assert_eq!((stats.passed, stats.by_policy, stats.times.calls), (ALL, 0, ALL));
}

#[tokio::test]
async fn discarded_video_takes_the_rest_of_its_group_with_it() {
    let site = Site::new([told("discard-second"), told("nothing")]).await;
    let mut source = Source::of_size(&site.bus, 1000);
    source.send(ALL as usize);
    site.settled(&source.track(), 3).await;
    until("all are decided", || decided(&site.stats("nothing")) == ALL).await;
    assert_eq!(places(&source.track()), [(0, 0), (1, 0), (2, 0)]);
    let (first, second) = (site.stats("discard-second"), site.stats("nothing"));
    assert_eq!((first.passed, first.discarded, first.missed), (3, 3, 3 * (GROUP - 2)));
    assert_eq!((second.passed, second.missed), (3, 3 * (GROUP - 1)));
}

#[tokio::test]
async fn a_group_that_is_discarded_whole_is_as_if_it_had_not_come() {
    let site = Site::new([told("discard-first-group")]).await;
    let mut source = Source::of_size(&site.bus, 1000);
    source.send(ALL as usize);
    site.settled(&source.track(), 2 * GROUP).await;
    let expected: Vec<_> = (0..2).flat_map(|group| (0..GROUP).map(move |object| (group, object))).collect();
    assert_eq!(places(&source.track()), expected);
}

#[tokio::test]
async fn audio_is_discarded_alone() {
    let site = Site::new([told("discard-at-random")]).await;
    let mut source = Source::sound(&site.bus);
    source.send(500);
    until("all are decided", || decided(&site.stats("discard-at-random")) == 500).await;
    let stats = site.stats("discard-at-random");
    assert!(stats.discarded > 20 && stats.missed == 0, "{stats:?}");
    assert_eq!(source.track().stats().fragments, stats.passed);
}

#[tokio::test]
async fn the_second_filter_sees_what_the_first_made_of_a_fragment() {
    let mark = |name: &str| PluginSettings { name: name.into(), ..told("mark") };
    let site = Site::new([mark("first"), mark("second"), mark("third")]).await;
    let mut source = Source::of_size(&site.bus, 1000);
    source.send(4);
    site.settled(&source.track(), 4).await;
    for fragment in source.track().held() {
        // Events stand before the fragment, the newest first or last: each says how many it has seen.
        let mut seen = events(&fragment, "urn:mark");
        seen.sort();
        assert_eq!(seen, ["0", "1", "2"]);
        assert_eq!(payload(&fragment), [7; 1000]);
    }
    assert_eq!(site.stats("second").replaced, 4);
}

#[tokio::test]
async fn a_filter_takes_the_events_that_another_has_added() {
    let site = Site::new([told("mark"), told("take")]).await;
    let mut source = Source::of_size(&site.bus, 1000);
    source.send(4);
    site.settled(&source.track(), 4).await;
    assert!(source.track().held().iter().all(|fragment| millrace_cmaf::events(fragment).is_empty()));
}

#[tokio::test]
async fn samples_are_changed() {
    let site = Site::new([told("invert")]).await;
    let mut source = Source::of_size(&site.bus, 5000);
    source.send(ALL as usize);
    site.settled(&source.track(), ALL).await;
    assert!(source.track().held().iter().all(|fragment| payload(fragment) == [!7; 5000]));
}

#[tokio::test]
async fn the_last_word_holds() {
    let site = Site::new([told("discard-then-replace")]).await;
    let mut source = Source::of_size(&site.bus, 1000);
    source.send(3);
    site.settled(&source.track(), 3).await;
    assert!(source.track().held().iter().all(|fragment| events(fragment, "urn:mark") == ["last"]));

    let site = Site::new([told("replace-then-discard")]).await;
    let mut source = Source::sound(&site.bus);
    source.send(3);
    until("all are discarded", || site.stats("replace-then-discard").discarded == 3).await;
    assert_eq!(source.track().stats().fragments, 0);
}

#[tokio::test]
async fn only_what_is_made_of_the_fragment_takes_its_place() {
    let site = Site::new([told("another-fragment")]).await;
    let mut source = Source::of_size(&site.bus, 1000);
    source.send(5);
    site.settled(&source.track(), 5).await;
    let stats = site.stats("another-fragment");
    assert_eq!((stats.replaced, stats.fragment_faults), (5, 0));
}

#[tokio::test]
async fn a_declined_track_passes() {
    let site = Site::new([of_broadcast("decline-audio"), told("decline")]).await;
    let mut video = Source::of_size(&site.bus, 1000);
    let mut audio = video.beside("audio");
    video.send(5);
    audio.send(5);
    site.settled(&video.track(), 5).await;
    site.settled(&audio.track(), 5).await;
    let stats = site.stats("decline-audio");
    assert_eq!((stats.passed, stats.by_policy), (5, 0));
    assert_eq!(decided(&site.stats("decline")), 0);
    assert_eq!(site.stats("decline").state.as_str(), "declined");
}

#[tokio::test]
async fn a_filter_gets_the_kinds_it_wants() {
    let site = Site::new([told("video-alone")]).await;
    let mut audio = Source::sound(&site.bus);
    audio.send(5);
    site.settled(&audio.track(), 5).await;
    assert!(site.filters.stats().is_empty());
}

#[tokio::test]
async fn broadcasts_that_no_filter_is_for_are_written_straight() {
    let only = Arc::new(|broadcast: &millrace_media::BroadcastName| broadcast.as_str() == "live/filtered");
    let site = Site::new([PluginSettings { broadcasts: only, ..told("discard-all") }]).await;
    let mut source = Source::named(&site.bus, "live/other", 1000);
    source.write(3);
    assert!(source.broadcast().queued().is_none());
}
