//! Queues that are full, and chains that stall.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::chain::{Outcomes, Site, Step, at, held, video, write};
use crate::broadcast::State;
use crate::stage::Verdict;
use crate::stage::gate::{ENTRIES, SETTLE};
use crate::track::tests::media;

/// Far more than the bounds that are tested, and far less than for ever.
const SLACK: Duration = Duration::from_secs(20);

fn stalls_at(millis: i64) -> impl Fn(&crate::Fragment) -> Step {
    move |fragment| if fragment.decode_time == at(millis) { Step::Stall } else { Step::Say(Verdict::Pass) }
}

#[test]
fn a_publisher_waits_for_a_chain_that_stalls_no_longer_than_it_must() {
    let site = Site::new(stalls_at(300));
    let publisher = site.publish();
    let mut writer = video(&publisher);
    write(&mut writer, 0..10);
    let track = writer.track().clone();
    drop(writer);
    let began = Instant::now();
    drop(publisher);
    assert!(began.elapsed() < 2 * SETTLE + SLACK);
    let publisher = site.publish();
    assert_eq!(track.stats().fragments, 10);
    let told = site.told();
    // All that waited behind it was decided by the policy.
    assert_eq!(told.iter().filter(|line| line.ends_with("by policy")).count(), 7, "{told:?}");
    drop(publisher);
}

#[test]
fn what_the_policy_discards_leaves_no_hole() {
    let site = Site::with_policy(stalls_at(300), |_| Verdict::Discard);
    let publisher = site.publish();
    let mut writer = video(&publisher);
    write(&mut writer, 0..12);
    let track = writer.track().clone();
    drop(writer);
    drop(publisher);
    // The group after it has been decided in the same hurry.
    assert_eq!(held(&track), [0, 100, 200]);
}

#[test]
fn a_queue_that_is_too_long_is_decided_by_the_policy() {
    let site = Site::new(stalls_at(0));
    let publisher = site.publish();
    let mut writer = video(&publisher);
    let all = ENTRIES as i64 + 10;
    write(&mut writer, 0..all);
    // The chain is asked again once the backlog is gone.
    publisher.broadcast().settle();
    write(&mut writer, all..all + 1);
    publisher.broadcast().settle();
    assert_eq!(writer.track().stats().fragments, all as u64 + 1);
    let told = site.told();
    let by_policy = told.iter().filter(|line| line.ends_with("by policy")).count();
    assert!(by_policy >= ENTRIES, "{by_policy}");
    assert!(told.last().unwrap().starts_with(&format!("0 {} in ", all * 100)), "{:?}", told.last());
}

#[test]
fn media_that_is_too_large_to_wait_is_decided_by_the_policy() {
    let site = Site::new(stalls_at(0));
    let publisher = site.publish();
    let mut writer = video(&publisher);
    for n in 0..70 {
        writer.write(media(n * 100, n == 0, 1 << 20)).unwrap();
    }
    site.until("0 6300 by policy");
    publisher.broadcast().settle();
    assert_eq!(writer.track().stats().fragments, 70);
}

#[test]
fn memory_is_bounded_where_nothing_is_decided() {
    let site = Site::new(|_| Step::Block);
    let publisher = site.publish();
    let outcomes = Arc::new(Outcomes::default());
    let mut writer = video(&publisher).with_report(outcomes.clone());
    let all = 3 * ENTRIES as i64;
    write(&mut writer, 0..all);
    let load = publisher.broadcast().queued().unwrap();
    assert!(load.entries <= 2 * ENTRIES + 8, "{load:?}");
    site.release();
    publisher.broadcast().settle();
    // It goes on with a keyframe.
    write(&mut writer, all / 10 * 10 + 10..all / 10 * 10 + 12);
    publisher.broadcast().settle();
    let outcomes = outcomes.take();
    assert_eq!(outcomes.len(), all as usize + 2);
    let written = outcomes.iter().filter(|outcome| **outcome == "written").count() as u64;
    assert_eq!(writer.track().stats().fragments, written);
    assert!(written < all as u64, "{written}");
    let held = held(writer.track());
    assert!(held.windows(2).all(|pair| pair[1] - pair[0] == 100 || pair[1] % 1_000 == 0), "{held:?}");
    assert_eq!(*held.last().unwrap(), (all / 10 * 10 + 11) * 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_publisher_on_a_runtime_with_one_thread_can_wait() {
    let site = Site::new(stalls_at(100));
    let publisher = site.publish();
    let mut writer = video(&publisher);
    write(&mut writer, 0..5);
    drop(writer);
    let broadcast = publisher.broadcast().clone();
    tokio::spawn(async move { drop(publisher) }).await.unwrap();
    assert!(matches!(broadcast.state(), State::Waiting { .. }));
}

#[tokio::test]
async fn a_publisher_on_a_single_threaded_runtime_can_wait() {
    let site = Site::passing();
    let publisher = site.publish();
    let mut writer = video(&publisher);
    write(&mut writer, 0..5);
    let track = writer.track().clone();
    drop(writer);
    publisher.finish();
    assert_eq!(track.stats().fragments, 5);
}
