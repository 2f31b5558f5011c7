//! Filters that fail: the policy decides, and another instance takes over with the next group.

use super::*;
use crate::source::Source;

/// Sends group after group until `enough` holds.
async fn until_groups(
    site: &Site,
    source: &mut Source,
    what: &str,
    plugin: &str,
    enough: impl Fn(&FilterStats) -> bool,
) {
    let mut sent = 0;
    while !enough(&site.stats(plugin)) {
        assert!(sent < 200 * GROUP, "never: {what}: {:?}", site.stats(plugin));
        source.send(GROUP as usize);
        sent += GROUP;
        until("the group is decided", || decided(&site.stats(plugin)) >= sent).await;
    }
}

#[tokio::test]
async fn a_lost_instance_is_followed_by_another_with_the_next_group() {
    let site = Site::new([told("trap-once")]).await;
    let mut source = Source::of_size(&site.bus, 1000);
    source.send(GROUP as usize);
    until("it is lost", || site.stats("trap-once").fragment_faults == 1).await;
    let all = |stats: &FilterStats| stats.passed > GROUP;
    until_groups(&site, &mut source, "another takes over", "trap-once", all).await;
    // The policy has decided the fragment in hand and those until the next group at the least, and passed them.
    let stats = site.stats("trap-once");
    assert!(stats.by_policy >= GROUP - 2, "{stats:?}");
    let written = source.track().stats().fragments;
    assert_eq!(written, decided(&stats));
    assert_eq!(stats.state.as_str(), "running");
}

#[tokio::test]
async fn the_next_instance_is_told_why_and_what_it_has_missed() {
    crate::logs::keep();
    let site = Site::new([told("count")]).await;
    let mut source = Source::of_size(&site.bus, 1000);
    until_groups(&site, &mut source, "it counts on", "count", |stats| stats.replaced > 20).await;
    let counted: Vec<_> = source.track().held().iter().flat_map(|fragment| events(fragment, "urn:count")).collect();
    let counted: Vec<u64> = counted.iter().map(|count| count.parse().unwrap()).collect();
    // Its state outlives it: the count goes on behind the fragment at which it trapped.
    assert_eq!(counted[..7], [0, 1, 2, 3, 4, 6, 7]);
    let stats = site.stats("count");
    let told = crate::logs::lines("count");
    assert!(told.iter().any(|line| line.contains("start: after-fault")), "{told:?}");
    let gap = format!("gap 0: {} fault", stats.by_policy);
    assert!(told.iter().any(|line| line.contains(&gap)), "{gap}: {told:?}");
}

#[tokio::test]
async fn the_policy_drop_discards_to_the_next_group() {
    let site = Site::new([with_policy(told("trap-once"), Policy::Drop)]).await;
    let mut source = Source::of_size(&site.bus, 1000);
    source.send(GROUP as usize);
    until("it is lost", || site.stats("trap-once").fragment_faults == 1).await;
    let all = |stats: &FilterStats| stats.passed > GROUP;
    until_groups(&site, &mut source, "another takes over", "trap-once", all).await;
    let places = places(&source.track());
    assert_eq!(places[..3], [(0, 0), (0, 1), (1, 0)], "{places:?}");
    assert_eq!(source.track().stats().fragments, site.stats("trap-once").passed);
}

#[tokio::test]
async fn the_policy_fail_ends_the_broadcast() {
    let site = Site::new([with_policy(told("trap-once"), Policy::Fail)]).await;
    let mut source = Source::of_size(&site.bus, 1000);
    source.send(3);
    let broadcast = source.broadcast();
    until("it ends", || !broadcast.downgrade().is_live()).await;
    assert_eq!(source.track().stats().fragments, 2);
}

#[tokio::test]
async fn an_error_that_is_returned_costs_one_fragment() {
    let settings = with_policy(told("error-every-third"), Policy::Drop);
    let breaker = Breaker { max_faults: 1000, ..settings.breaker };
    let site = Site::new([PluginSettings { breaker, ..settings }]).await;
    let mut source = Source::sound(&site.bus);
    source.send(30);
    until("all are decided", || decided(&site.stats("error-every-third")) == 30).await;
    let stats = site.stats("error-every-third");
    assert_eq!((stats.passed, stats.by_policy, stats.fragment_faults), (20, 10, 10));
    assert_eq!(source.track().stats().fragments, 20);
}

#[tokio::test]
async fn faults_open_the_breaker() {
    let site = Site::new([told("error-every-third")]).await;
    let mut source = Source::sound(&site.bus);
    source.send(100);
    until("all are decided", || decided(&site.stats("error-every-third")) == 100).await;
    let stats = site.stats("error-every-third");
    assert_eq!((stats.fragment_faults, stats.state.as_str()), (5, "breaker-open"));
    assert_eq!((stats.passed, stats.by_policy), (10, 90));
    assert_eq!(source.track().stats().fragments, 100);
}

#[tokio::test]
async fn a_filter_that_cannot_start_is_tried_again_with_each_group() {
    crate::logs::keep();
    for (what, fault) in [("trap-at-start", "trapped"), ("error-at-start", "not today")] {
        let site = Site::new([told(what)]).await;
        let mut source = Source::of_size(&site.bus, 1000);
        until_groups(&site, &mut source, "the breaker opens", what, |stats| stats.start_faults == 5).await;
        let stats = site.stats(what);
        assert_eq!((stats.passed, stats.state.as_str()), (0, "breaker-open"));
        assert_eq!(source.track().stats().fragments, stats.by_policy);
        crate::logs::logged(what, fault).await;
    }
}

#[tokio::test]
async fn a_replacement_that_is_too_large_is_a_fault() {
    crate::logs::keep();
    let limits = Limits { fragment: 1 << 20, ..patient() };
    let site = Site::new([PluginSettings { limits, ..told("too-large") }]).await;
    let mut source = Source::of_size(&site.bus, 1000);
    source.send(2);
    site.settled(&source.track(), 2).await;
    let stats = site.stats("too-large");
    assert_eq!((stats.refused, stats.fragment_faults, stats.by_policy), (2, 2, 2));
    assert!(source.track().held().iter().all(|fragment| payload(fragment) == [7; 1000]));
    let line = crate::logs::logged("too-large", "is not taken").await;
    assert!(line.contains("expected at most 1048576"), "{line}");
}

#[tokio::test]
async fn one_that_uses_more_than_its_share_is_not_asked() {
    let limits = Limits { cpu: 0.01, ..patient() };
    let site = Site::new([PluginSettings { limits, ..told("busy") }]).await;
    let mut source = Source::of_size(&site.bus, 1000);
    until_groups(&site, &mut source, "it is over its share", "busy", |stats| stats.over_share > 0).await;
    let stats = site.stats("busy");
    assert!(stats.passed > 0 && stats.by_policy >= stats.over_share, "{stats:?}");
    assert_eq!(source.track().stats().fragments, decided(&stats));
    assert_eq!(stats.fragment_faults, 0);
}
