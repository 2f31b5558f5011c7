use std::sync::Mutex;

use super::*;
use crate::broadcast::TrackError;
use crate::calendar::Epoch;
use crate::name::TrackName;
use crate::track::tests::{info, media};
use crate::track::{Provenance, Start};

fn bus() -> Bus {
    Bus::new(Settings::default(), Arc::new(Clock::manual(Duration::from_secs(1_800_000_000))))
}

fn name(name: &str) -> BroadcastName {
    BroadcastName::new(name).unwrap()
}

fn track(name: &str) -> TrackName {
    TrackName::new(name).unwrap()
}

fn rung(rendition: &str) -> Provenance {
    Provenance::Derived { factory: "ladder".into(), rendition: Some(rendition.into()), from: Some(track("video")) }
}

#[test]
fn a_live_name_has_one_publisher() {
    let bus = bus();
    let _publisher = bus.publish(&name("live/demo")).unwrap();
    assert_eq!(bus.publish(&name("live/demo")).unwrap_err(), PublishError::Live(name("live/demo")));
    assert!(bus.publish(&name("live/other")).is_ok());
}

#[test]
fn a_publisher_that_returns_in_time_continues_in_a_new_epoch() {
    let bus = bus();
    let publisher = bus.publish(&name("live/demo")).unwrap();
    let mut producer = publisher.create_track(track("video"), info()).unwrap();
    let mut consumer = producer.track().subscribe(Start::OldestGroup);
    let before = producer.write(media(10_000, true, 10)).unwrap().place();
    drop((producer, publisher));
    bus.clock().advance(Duration::from_secs(29));
    bus.expire();
    let publisher = bus.publish(&name("live/demo")).unwrap();
    let mut producer = publisher.create_track(track("video"), info()).unwrap();
    let after = producer.write(media(20_000, true, 10)).unwrap().place();
    assert_eq!((before.epoch, after.epoch), (Epoch(0), Epoch(1)));
    assert!(after.group > before.group && after.segment > before.segment && after.sequence == before.sequence + 1);
    let mut places = Vec::new();
    while let crate::track::Next::Ready(crate::track::Event::Fragment(fragment)) = consumer.try_next() {
        places.push(fragment.place());
    }
    assert_eq!(places, [before, after]);
}

#[test]
fn a_publisher_that_does_not_return_leaves_nothing() {
    let bus = bus();
    let publisher = bus.publish(&name("live/demo")).unwrap();
    let producer = publisher.create_track(track("video"), info()).unwrap();
    let mut consumer = producer.track().subscribe(Start::OldestGroup);
    let rung = publisher.broadcast().derive(track("480p"), rung("480p")).unwrap();
    drop((producer, publisher));
    bus.clock().advance(Duration::from_secs(30));
    bus.expire();
    assert!(matches!(consumer.try_next(), crate::track::Next::Ended));
    // What is derived has yet to end, so the broadcast can still be read.
    bus.clock().advance(Duration::from_secs(30));
    bus.expire();
    assert_eq!(bus.broadcasts().len(), 1);
    drop(rung);
    bus.expire();
    assert!(bus.broadcasts().is_empty());
}

#[test]
fn an_ended_name_can_be_published_anew_with_higher_groups() {
    let bus = bus();
    let publisher = bus.publish(&name("live/demo")).unwrap();
    let first = publisher.create_track(track("video"), info()).unwrap().write(media(0, true, 1)).unwrap().place();
    publisher.finish();
    bus.clock().advance(Duration::from_secs(1));
    let publisher = bus.publish(&name("live/demo")).unwrap();
    let second = publisher.create_track(track("video"), info()).unwrap().write(media(0, true, 1)).unwrap().place();
    assert!(second.group > first.group);
}

#[test]
fn a_track_that_the_returned_publisher_does_not_declare_ends() {
    let bus = bus();
    let publisher = bus.publish(&name("live/demo")).unwrap();
    let video = publisher.create_track(track("video"), info()).unwrap();
    let second = publisher.create_track(track("video-2"), info()).unwrap();
    drop((video, second, publisher));
    let publisher = bus.publish(&name("live/demo")).unwrap();
    let _video = publisher.create_track(track("video"), info()).unwrap();
    bus.expire();
    assert_eq!(publisher.broadcast().tracks().len(), 2);
    bus.clock().advance(Duration::from_secs(30));
    bus.expire();
    let left: Vec<_> = publisher.broadcast().tracks().iter().map(|t| t.name().clone()).collect();
    assert_eq!(left, [track("video")]);
}

#[test]
fn a_taken_name_is_refused_with_its_owner() {
    let bus = bus();
    let publisher = bus.publish(&name("live/demo")).unwrap();
    let broadcast = publisher.broadcast();
    let _video = publisher.create_track(track("video"), info()).unwrap();
    assert!(broadcast.derive(track("video"), rung("video")).unwrap_err().to_string().contains("the publisher"));
    let first = broadcast.derive(track("480p"), rung("480p")).unwrap();
    let error = broadcast.derive(track("480p"), rung("480p")).unwrap_err();
    assert!(error.to_string().contains("ladder (480p)"), "{error}");
    assert!(bus.publish(&name("live/demo/480p")).unwrap_err().to_string().contains("ladder (480p)"));
    drop(first);
    assert!(broadcast.derive(track("480p"), rung("480p")).is_ok());
    let _view = bus.publish(&name("live/demo/240p")).unwrap();
    assert!(matches!(broadcast.derive(track("240p"), rung("240p")), Err(TrackError::NameTaken { .. })));
}

#[test]
fn there_are_no_more_broadcasts_and_tracks_than_allowed() {
    let clock = Arc::new(Clock::manual(Duration::ZERO));
    let bus = Bus::new(Settings { max_broadcasts: 2, max_tracks: 1, ..Settings::default() }, clock);
    let publisher = bus.publish(&name("a")).unwrap();
    let _b = bus.publish(&name("b")).unwrap();
    assert_eq!(bus.publish(&name("c")).unwrap_err(), PublishError::TooMany(2));
    let _video = publisher.create_track(track("video"), info()).unwrap();
    assert_eq!(publisher.create_track(track("audio"), info()).unwrap_err(), TrackError::TooMany(1));
}

#[test]
fn an_observer_is_told_of_every_track_before_its_first_fragment() {
    #[derive(Default)]
    struct Seen(Mutex<Vec<(String, u64, bool)>>);
    impl Observer for Seen {
        fn track_added(&self, _: &Broadcast, track: &Track) {
            let seen = (track.name().to_string(), track.stats().fragments, track.info().is_some());
            self.0.lock().unwrap().push(seen);
        }
    }
    let bus = bus();
    let publisher = bus.publish(&name("live/demo")).unwrap();
    let _early = publisher.create_track(track("early"), info()).unwrap();
    let seen = Arc::new(Seen::default());
    let observation = bus.observe(seen.clone());
    let _late = publisher.create_track(track("late"), info()).unwrap();
    drop(observation);
    let _unseen = publisher.create_track(track("unseen"), info()).unwrap();
    assert_eq!(*seen.0.lock().unwrap(), [("early".into(), 0, true), ("late".into(), 0, true)]);
}
