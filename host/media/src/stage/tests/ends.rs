//! Ends and returns: of groups, tracks, publishers and broadcasts.

use std::sync::Arc;
use std::time::Duration;

use super::chain::{Outcomes, Site, Step, at, audio_info, held, video, write};
use crate::broadcast::{State, TrackError};
use crate::name::TrackName;
use crate::stage::Verdict;
use crate::track::tests::{info, media};
use crate::track::{Event, Next, Start, WriteError};

#[test]
fn a_publisher_that_goes_can_return_at_once() {
    let site = Site::passing();
    let publisher = site.publish();
    let mut writer = video(&publisher);
    write(&mut writer, 0..12);
    drop(writer);
    drop(publisher);
    let publisher = site.publish();
    let offset = publisher.offset(at(0));
    let mut writer = video(&publisher);
    writer.write(media(offset * 1_000, true, 10)).unwrap();
    publisher.broadcast().settle();
    let places: Vec<_> = writer.track().held().iter().map(|fragment| fragment.place()).collect();
    assert_eq!(places.len(), 13);
    assert_eq!((places[11].epoch.0, places[12].epoch.0), (0, 1));
    assert_eq!(places[12].group.0, places[11].group.0 + 1);
    assert_eq!(site.told()[13..15], ["0 over: PublisherLost", "1 is video avc1.64001f"]);
}

#[test]
fn a_track_that_is_written_again_goes_on_unless_it_has_changed() {
    let site = Site::passing();
    let publisher = site.publish();
    let mut writer = video(&publisher);
    write(&mut writer, 0..1);
    let name = || TrackName::new("video").unwrap();
    let taken = publisher.write_track(name(), info()).unwrap_err();
    assert!(matches!(taken, TrackError::NameTaken { .. }), "{taken}");
    drop(writer);
    let mut writer = video(&publisher);
    write(&mut writer, 1..2);
    drop(writer);
    let changed = crate::track::Info { codec: "avc1.640028".into(), ..info() };
    let mut writer = publisher.write_track(name(), changed).unwrap();
    write(&mut writer, 2..3);
    drop(writer);
    let writer = publisher.write_track(name(), audio_info()).unwrap();
    publisher.broadcast().settle();
    assert_eq!(
        site.told(),
        [
            "0 is video avc1.64001f",
            "0 0 in 0 as 0",
            "0 100 in 0 as 1",
            "0 over: Changed",
            "1 is video avc1.640028",
            "1 200 in 0 as 2",
            "1 over: Ended",
            "2 is video opus"
        ]
    );
    drop(writer);
}

#[test]
fn a_track_cannot_be_written_past_the_chain() {
    let site = Site::passing();
    let publisher = site.publish();
    let refused = publisher.create_track(TrackName::new("video").unwrap(), info()).unwrap_err();
    assert_eq!(refused.to_string(), "the tracks of live/demo are written through its filters, and not straight");
}

#[test]
fn the_end_of_a_group_and_of_a_track_keep_their_order() {
    let site = Site::passing();
    let publisher = site.publish();
    let outcomes = Arc::new(Outcomes::default());
    let mut writer = video(&publisher).with_report(outcomes.clone());
    let mut consumer = writer.track().subscribe(Start::OldestGroup);
    write(&mut writer, 0..2);
    writer.end_group();
    // It would go on with the group that is complete.
    write(&mut writer, 2..3);
    write(&mut writer, 10..11);
    writer.end();
    write(&mut writer, 11..12);
    publisher.broadcast().settle();
    assert_eq!(outcomes.take(), ["written", "written", "refused", "written"]);
    let mut read = Vec::new();
    loop {
        match consumer.try_next() {
            Next::Ready(Event::Fragment(fragment)) => read.push(fragment.decode_time.ticks()),
            Next::Ended => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(read, [0, 100, 1_000]);
    assert_eq!(site.told().last().unwrap(), "0 over: Ended");
}

#[test]
fn a_broadcast_that_is_finished_has_all_that_was_written() {
    let site = Site::passing();
    let publisher = site.publish();
    let broadcast = publisher.broadcast().clone();
    let mut writer = video(&publisher);
    write(&mut writer, 0..500);
    let track = writer.track().clone();
    drop(writer);
    publisher.finish();
    assert!(matches!(broadcast.state(), State::Ended { .. }));
    assert_eq!(track.stats().fragments, 500);
    site.until("stop");
    let told = site.told();
    assert_eq!(told[told.len() - 2..], ["0 over: Ended", "stop"]);
}

#[test]
fn a_chain_lives_while_its_broadcast_waits_for_its_publisher() {
    let site = Site::passing();
    let publisher = site.publish();
    write(&mut video(&publisher), 0..1);
    drop(publisher);
    assert_eq!(site.told().last().unwrap(), "0 0 in 0 as 0");
    site.clock.advance(Duration::from_secs(31));
    site.bus.expire();
    site.until("stop");
}

#[test]
fn a_track_that_the_publisher_does_not_declare_again_is_over() {
    let site = Site::passing();
    let publisher = site.publish();
    write(&mut video(&publisher), 0..1);
    drop(publisher);
    let publisher = site.publish();
    let _audio = super::chain::audio(&publisher);
    site.clock.advance(Duration::from_secs(31));
    site.bus.expire();
    site.until("0 over: Ended");
    assert_eq!(publisher.broadcast().state(), State::Live);
}

#[test]
fn a_chain_can_end_its_broadcast() {
    let site =
        Site::new(|fragment| Step::Say(if fragment.decode_time == at(100) { Verdict::Fail } else { Verdict::Pass }));
    let publisher = site.publish();
    let broadcast = publisher.broadcast().clone();
    let mut writer = video(&publisher);
    write(&mut writer, 0..2);
    site.until("stop");
    assert!(matches!(broadcast.state(), State::Ended { .. }));
    assert_eq!(held(writer.track()), [0]);
    assert_eq!(writer.write(media(200, false, 10)).unwrap_err(), WriteError::Ended);
    // Its publisher finds the name free.
    drop(publisher);
    site.publish();
}

#[test]
fn a_chain_that_fails_ends_its_broadcast_and_nobody_waits_for_it() {
    let site = Site::new(|_| Step::Panic);
    let publisher = site.publish();
    let broadcast = publisher.broadcast().clone();
    let mut writer = video(&publisher);
    writer.write(media(0, true, 10)).unwrap();
    broadcast.settle();
    drop(writer);
    drop(publisher);
    assert!(matches!(broadcast.state(), State::Ended { .. }));
}
