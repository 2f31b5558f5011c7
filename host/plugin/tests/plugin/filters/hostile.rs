//! Hostile filters beside a healthy stream, which is filtered on the same single thread and loses nothing.

use super::*;
use crate::source::Source;

const GROUPS: u64 = 5;

fn impatient() -> Limits {
    Limits { latency: Duration::from_millis(20), cpu: 1000.0, ..Limits::default() }
}

/// Runs a filter on one broadcast, and another that marks fragments on a healthy one beside it. Gives what was counted of the first, and
/// the track it has left.
async fn beside_a_healthy_stream(plugin: Arc<Plugin>, what: &str) -> (FilterStats, Track) {
    let engine = engine();
    let healthy = Arc::new(|broadcast: &millrace_media::BroadcastName| broadcast.as_str() == "live/healthy");
    let marking = load(&engine, PluginSettings { broadcasts: healthy, ..told("mark") }).await;
    let site = Site::of(&[plugin, marking]);
    let mut hostile = Source::of_size(&site.bus, 1000);
    let mut healthy = Source::named(&site.bus, "live/healthy", 1000);
    for _ in 0..GROUPS * GROUP {
        hostile.send(1);
        healthy.send(1);
    }
    let all = GROUPS * GROUP;
    site.settled(&healthy.track(), all).await;
    let held = healthy.track().held();
    assert!(held.iter().all(|fragment| events(fragment, "urn:mark") == ["0"]), "one was not filtered");
    let stats = site.stats("mark");
    assert_eq!((stats.replaced, stats.by_policy, stats.missed), (all, 0, 0));
    until("all are decided", || decided(&site.stats(what)) == all).await;
    let places = places(&hostile.track());
    // No group has a hole, whatever was discarded.
    for pair in places.windows(2) {
        let ((group, object), next) = (pair[0], pair[1]);
        assert!(next == (group, object + 1) || next == (group + 1, 0), "{pair:?}");
    }
    (site.stats(what), hostile.track())
}

fn on_live_test(settings: PluginSettings) -> PluginSettings {
    let broadcasts = Arc::new(|broadcast: &millrace_media::BroadcastName| broadcast.as_str() == "live/test");
    PluginSettings { broadcasts, ..settings }
}

async fn hostile(what: &str) -> (FilterStats, Track) {
    let settings = on_live_test(PluginSettings { limits: impatient(), ..told(what) });
    let plugin = load(&engine(), settings).await;
    beside_a_healthy_stream(plugin, what).await
}

#[tokio::test]
async fn discarding_at_random() {
    let (stats, track) = hostile("discard-at-random").await;
    assert!(stats.discarded > 0 && stats.missed > 0, "{stats:?}");
    assert_eq!(track.stats().fragments, stats.passed + stats.by_policy);
}

#[tokio::test]
async fn broken_media() {
    let (stats, track) = hostile("broken").await;
    assert!(stats.replaced > 0, "{stats:?}");
    assert_eq!(track.stats().fragments, GROUPS * GROUP);
}

#[tokio::test]
async fn looping() {
    let (stats, track) = hostile("loop").await;
    assert!(stats.fragment_faults > 0 && stats.passed == 0, "{stats:?}");
    assert_eq!(track.stats().fragments, GROUPS * GROUP);
}

#[tokio::test]
async fn looping_at_the_start() {
    let (stats, track) = hostile("loop-at-start").await;
    assert!(stats.start_faults > 0 && stats.passed == 0, "{stats:?}");
    assert_eq!(track.stats().fragments, GROUPS * GROUP);
}

#[tokio::test]
async fn trapping_on_every_third_fragment() {
    let (stats, track) = hostile("trap-every-third").await;
    assert!(stats.fragment_faults > 0 && stats.passed >= 2, "{stats:?}");
    assert_eq!(track.stats().fragments, GROUPS * GROUP);
}

#[tokio::test]
async fn doubling_events() {
    let (stats, track) = hostile("double").await;
    assert!(stats.replaced > 0, "{stats:?}");
    assert_eq!(track.stats().fragments, GROUPS * GROUP);
}

#[tokio::test]
async fn a_flood_of_events() {
    let (stats, track) = hostile("flood-events").await;
    assert!(stats.fragment_faults > 0, "{stats:?}");
    assert_eq!(track.stats().fragments, GROUPS * GROUP);
}

#[tokio::test]
async fn hoarding() {
    let (stats, track) = hostile("hoard").await;
    assert!(stats.fragment_faults > 0 && stats.passed == 0, "{stats:?}");
    assert_eq!(track.stats().fragments, GROUPS * GROUP);
}

#[tokio::test]
async fn sleeping() {
    // Clocks stand still for a plugin, and its sleep is over at once.
    let settings = on_live_test(PluginSettings { limits: impatient(), ..told("sleep") });
    let plugin = engine().load_bytes(settings, component("filter-wasip2")).await.unwrap();
    let (_, track) = beside_a_healthy_stream(plugin, "sleep").await;
    assert_eq!(track.stats().fragments, GROUPS * GROUP);
}

#[tokio::test]
async fn so_many_that_each_is_kept_waiting_by_the_others() {
    // On one thread, none gets the processor time of its call before the path has waited ten times as long.
    let plugin = load(&engine(), PluginSettings { limits: impatient(), ..told("loop-once") }).await;
    let site = Site::of(&[plugin]);
    let mut sources: Vec<_> = (0..14).map(|n| Source::named(&site.bus, &format!("live/{n}"), 1000)).collect();
    let late = |site: &Site| site.filters.stats().iter().map(|(_, stats)| stats.late).sum::<u64>();
    sources.iter_mut().for_each(|source| source.send(GROUP as usize));
    for source in &sources {
        site.settled(&source.track(), GROUP).await;
    }
    assert!(late(&site) > 0, "{:?}", site.filters.stats());
    // What was beside the path is over by and by, and filters are at work again.
    for source in &mut sources {
        let mut sent = GROUP;
        let name = source.broadcast().name().clone();
        let passed = |site: &Site| {
            let stats = site.filters.stats().into_iter().find(|(key, _)| key.broadcast == name);
            stats.map_or(0, |(_, stats)| stats.passed)
        };
        while passed(&site) <= 2 {
            assert!(sent < 200 * GROUP, "{:?}", site.filters.stats());
            source.send(GROUP as usize);
            sent += GROUP;
            site.settled(&source.track(), sent).await;
        }
    }
}
