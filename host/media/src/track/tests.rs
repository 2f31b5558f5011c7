use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::broadcast::{Broadcast, Publisher};
use crate::bus::{Bus, Settings};
use crate::clock::Clock;
use crate::fragment::{Marks, Media, Sample};
use crate::name::{BroadcastName, TrackName};
use crate::time::{Time, Timescale};

pub(crate) const SCALE: Timescale = match Timescale::new(1_000) {
    Some(scale) => scale,
    None => unreachable!(),
};

pub(crate) fn info() -> Info {
    Info {
        codec: "avc1.64001f".into(),
        timescale: SCALE,
        format: Format::Video { width: 640, height: 360, frame_rate: None },
        language: None,
        bitrate: None,
        init: Bytes::from_static(b"init"),
    }
}

/// A fragment of `size` payload bytes that lasts 100 ms.
pub(crate) fn media(millis: i64, keyframe: bool, size: usize) -> Media {
    let marks = Marks { keyframe, independent: keyframe, discardable: false };
    let at = Time::new(millis, SCALE);
    Media {
        head: Bytes::from_static(b"head"),
        payload: Bytes::from(vec![0; size]).into(),
        samples: Sample { offset: 0, size: size as u32, duration: 100, composition_offset: 0, marks }.into(),
        decode_time: at,
        presentation_time: at,
        duration: Time::new(100, SCALE),
        marks,
        captured_at: None,
    }
}

fn bus(window: Window) -> Bus {
    let clock = Arc::new(Clock::manual(Duration::from_secs(1_800_000_000)));
    Bus::new(Settings { window, ..Settings::default() }, clock)
}

fn publish(bus: &Bus) -> (Publisher, Broadcast, Producer) {
    let publisher = bus.publish(&BroadcastName::new("live/demo").unwrap()).unwrap();
    let producer = publisher.create_track(TrackName::new("video").unwrap(), info()).unwrap();
    let broadcast = publisher.broadcast().clone();
    (publisher, broadcast, producer)
}

/// Ten fragments a group, 100 ms each.
fn write(producer: &mut Producer, fragments: std::ops::Range<i64>) {
    for n in fragments {
        producer.write(media(n * 100, n % 10 == 0, 1_000)).unwrap();
    }
}

fn read(consumer: &mut Consumer) -> Vec<u64> {
    let mut read = Vec::new();
    while let Next::Ready(Event::Fragment(fragment)) = consumer.try_next() {
        read.push(fragment.place().sequence);
    }
    read
}

#[test]
fn every_consumer_has_a_cursor_of_its_own() {
    let bus = bus(Window::default());
    let (_publisher, _, mut producer) = publish(&bus);
    let mut early = producer.track().subscribe(Start::NextGroup);
    write(&mut producer, 0..15);
    assert_eq!(read(&mut early), (0..15).collect::<Vec<_>>());
    let mut late = producer.track().subscribe(Start::NewestGroup);
    let mut all = producer.track().subscribe(Start::OldestGroup);
    assert_eq!(read(&mut late), (10..15).collect::<Vec<_>>());
    assert_eq!(read(&mut all), (0..15).collect::<Vec<_>>());
    write(&mut producer, 15..16);
    assert_eq!((read(&mut early), read(&mut late)), (vec![15], vec![15]));
}

#[test]
fn the_end_of_a_group_may_be_known_before_the_next_begins() {
    let bus = bus(Window::default());
    let (_publisher, _, mut producer) = publish(&bus);
    let mut consumer = producer.track().subscribe(Start::NextGroup);
    let mut later = producer.track().subscribe(Start::NextGroup);
    producer.end_group();
    assert!(matches!(consumer.try_next(), Next::Pending), "there is no group yet");
    write(&mut producer, 0..3);
    producer.end_group();
    assert_eq!(read(&mut consumer), [0, 1, 2]);
    assert!(matches!(consumer.try_next(), Next::Pending), "it is said once");
    let group = producer.track().newest().unwrap().place().group;
    assert_eq!(producer.write(media(300, false, 1_000)).unwrap_err(), WriteError::GroupEnded(group));
    write(&mut producer, 10..12);
    assert_eq!((read(&mut consumer), read(&mut later)), (vec![3, 4], vec![0, 1, 2, 3, 4]), "the next one says as much");
    producer.end_group();
    assert!(matches!(later.try_next(), Next::Ready(Event::GroupEnd)));
}

#[test]
fn one_who_waits_for_the_next_group_sees_none_of_this_one() {
    let bus = bus(Window::default());
    let (_publisher, _, mut producer) = publish(&bus);
    write(&mut producer, 0..5);
    let mut consumer = producer.track().subscribe(Start::NextGroup);
    write(&mut producer, 5..12);
    assert_eq!(read(&mut consumer), [10, 11]);
}

#[test]
fn a_slow_consumer_is_told_of_the_gap_and_resumes_at_a_group() {
    let bus = bus(Window { duration: Duration::from_secs(2), bytes: u64::MAX });
    let (_publisher, _, mut producer) = publish(&bus);
    let mut slow = producer.track().subscribe(Start::NextGroup);
    let mut quick = producer.track().subscribe(Start::NextGroup);
    write(&mut producer, 0..3);
    assert_eq!(read(&mut slow), [0, 1, 2]);
    write(&mut producer, 3..75);
    assert!(matches!(quick.try_next(), Next::Ready(Event::Gap { .. })));
    match slow.try_next() {
        Next::Ready(Event::Gap { skipped, next }) => {
            let first = producer.track().held()[0].place();
            assert_eq!((skipped, next), (first.sequence - 3, first.group));
        }
        other => panic!("{other:?}"),
    }
    let resumed = read(&mut slow);
    assert_eq!(resumed[0] % 10, 0);
    assert_eq!(*resumed.last().unwrap(), 74);
    assert_eq!(producer.track().stats().skipped, resumed[0] - 3 + resumed[0]);
}

#[test]
fn the_window_is_bounded_by_time_in_whole_groups() {
    let bus = bus(Window { duration: Duration::from_secs(3), bytes: u64::MAX });
    let (_publisher, _, mut producer) = publish(&bus);
    write(&mut producer, 0..200);
    let held = producer.track().held();
    assert!(held[0].starts_group());
    assert!((30..=40).contains(&held.len()), "{}", held.len());
}

#[test]
fn the_window_is_bounded_by_what_it_pins_even_within_a_group() {
    let bus = bus(Window { duration: Duration::from_secs(60), bytes: 20_000 });
    let (_publisher, _, mut producer) = publish(&bus);
    let mut consumer = producer.track().subscribe(Start::NextGroup);
    producer.write(media(0, true, 1_000)).unwrap();
    for n in 1..100 {
        producer.write(media(n * 100, false, 1_000)).unwrap();
        assert!(producer.track().stats().pinned <= 20_000);
    }
    // Its group has lost its beginning: nothing can be read before the next.
    assert!(matches!(consumer.try_next(), Next::Pending));
    producer.write(media(10_000, true, 1_000)).unwrap();
    assert!(matches!(consumer.try_next(), Next::Ready(Event::Gap { skipped: 100, .. })));
    assert_eq!(read(&mut consumer), [100]);
}

#[test]
fn headers_of_the_source_count_as_memory() {
    let bus = bus(Window { duration: Duration::from_secs(60), bytes: 1 << 20 });
    let (_publisher, _, mut producer) = publish(&bus);
    let header = |n: u8| Info { init: Bytes::from(vec![n; 100_000]), ..info() };
    producer.set_info(header(0));
    assert!(producer.track().stats().pinned > 100_000, "it is kept before a fragment comes");
    for n in 0..100 {
        producer.set_info(header(n));
        producer.write(media(i64::from(n) * 100, true, 10)).unwrap();
        assert!(producer.track().stats().pinned <= 1 << 20);
    }
    assert!(producer.track().held().len() < 11, "each fragment keeps a header of its own");
}

#[test]
fn what_cannot_be_written_changes_nothing() {
    let bus = bus(Window::default());
    let (_publisher, _, mut producer) = publish(&bus);
    assert!(matches!(producer.write(media(0, false, 10)), Err(WriteError::NoPlace(_))));
    producer.write(media(500, true, 10)).unwrap();
    assert!(matches!(producer.write(media(400, false, 10)), Err(WriteError::TimeWentBack { .. })));
    let mut other = media(600, false, 10);
    other.decode_time = Time::new(600, Timescale::MICROS);
    assert!(matches!(producer.write(other), Err(WriteError::Timescale { .. })));
    assert_eq!(producer.write(media(600, false, 10)).unwrap().place().object, 1);
}

#[tokio::test]
async fn a_waiting_consumer_is_woken_by_a_fragment_and_by_the_end() {
    let bus = bus(Window::default());
    let (publisher, _, mut producer) = publish(&bus);
    let mut consumer = producer.track().subscribe(Start::NextGroup);
    let reader = tokio::spawn(async move {
        let mut read = 0;
        while let Some(Event::Fragment(_)) = consumer.next().await {
            read += 1;
        }
        read
    });
    tokio::task::yield_now().await;
    write(&mut producer, 0..3);
    tokio::task::yield_now().await;
    publisher.finish();
    assert_eq!(reader.await.unwrap(), 3);
}

fn derive(broadcast: &Broadcast, name: &str) -> Producer {
    let provenance = Provenance::Derived { factory: "plugin".into(), rendition: None, from: None };
    let mut producer = broadcast.derive(TrackName::new(name).unwrap(), provenance).unwrap();
    producer.set_info(info());
    producer
}

#[test]
fn decode_times_of_a_derived_track_rise_strictly() {
    let bus = bus(Window::default());
    let (_publisher, broadcast, mut source) = publish(&bus);
    let group = source.write(media(0, true, 10)).unwrap().place().group;
    let mut derived = derive(&broadcast, "derived");
    // Two samples of 100 ms: the second is decoded at 100.
    let one = media(0, true, 10);
    let samples = [0, 10].map(|offset| Sample { offset, ..one.samples[0] });
    let two = Media {
        payload: Bytes::from(vec![0; 20]).into(),
        samples: samples.into_iter().collect(),
        duration: Time::new(200, SCALE),
        ..one
    };
    derived.write_in(group, two).unwrap();
    for given in [-1, 0, 99, 100] {
        let error = derived.write_in(group, media(given, false, 10)).unwrap_err();
        let last = Time::new(100, SCALE);
        assert_eq!(error, WriteError::TimeNotRising { last, given: Time::new(given, SCALE) });
        let expected =
            format!("decode time {given} is not past 100, that of the last sample written, in ticks of 1000 a second");
        assert_eq!(error.to_string(), expected);
    }
    assert_eq!(
        derived.write_in(group, media(101, false, 10)).unwrap().place().object,
        1,
        "a hole or an overlap is allowed"
    );
    // A sample that lasts no time does not let two be decoded at once.
    let instant = Sample { duration: 0, ..media(0, false, 10).samples[0] };
    let instant = Media { samples: instant.into(), duration: Time::zero(SCALE), ..media(300, false, 10) };
    derived.write_in(group, instant.clone()).unwrap();
    assert!(matches!(derived.write_in(group, instant.clone()), Err(WriteError::TimeNotRising { .. })));
    // The source's may.
    source.write(Media { decode_time: Time::new(100, SCALE), ..media(100, false, 10) }).unwrap();
    source.write(instant.clone()).unwrap();
    source.write(instant).unwrap();
}

#[test]
fn a_listing_is_set_before_the_first_fragment() {
    let bus = bus(Window::default());
    let (_publisher, broadcast, mut source) = publish(&bus);
    let mut derived = derive(&broadcast, "derived");
    assert_eq!(*derived.track().listing(), Listing::default());
    assert!(derived.track().listing().listed);
    let mut changes = broadcast.changes();
    changes.mark_unchanged();
    let listing = Listing {
        role: Some(Role::Description),
        language: Some("pt-BR".into()),
        listed: true,
        replaces: Some(TrackName::new("audio").unwrap()),
    };
    derived.set_listing(listing.clone()).unwrap();
    assert!(changes.has_changed().unwrap(), "who lists tracks is told");
    let refused = derived.set_listing(Listing { language: Some("de\"".into()), ..Listing::default() });
    assert_eq!(refused, Err(ListingError::Language("de\"".into())));
    assert_eq!(*derived.track().listing(), listing);

    let group = source.write(media(0, true, 10)).unwrap().place().group;
    derived.write_in(group, media(0, true, 10)).unwrap();
    derived.set_listing(listing.clone()).unwrap();
    let hidden = Listing { listed: false, ..listing.clone() };
    let refused = derived.set_listing(hidden.clone());
    assert_eq!(refused, Err(ListingError::TooLate { kept: listing.clone().into(), given: hidden.into() }));
    assert_eq!(*derived.track().listing(), listing);
    derived.end();
    derived.set_listing(listing).unwrap();
    assert_eq!(derived.set_listing(Listing::default()), Err(ListingError::Ended));
}

#[test]
fn a_derived_track_keeps_its_kind_and_has_one_header_for_each_epoch() {
    let bus = bus(Window::default());
    let (publisher, broadcast, mut source) = publish(&bus);
    let mut derived = derive(&broadcast, "derived");
    let other = |init: &'static str| Info { init: Bytes::from_static(init.as_bytes()), ..info() };
    let audio = Info { format: Format::Audio { sample_rate: 48_000, channels: 2 }, ..info() };
    derived.describe(other("before the first fragment"), false).unwrap();
    derived.describe(info(), false).unwrap();

    let first = source.write(media(0, true, 10)).unwrap().place().group;
    derived.write_in(first, media(0, true, 10)).unwrap();
    derived.describe(info(), false).unwrap();
    assert_eq!(derived.describe(other("another"), false), Err(InfoError::Written));
    let kinds = InfoError::Kind { kept: Kind::Video, given: Kind::Audio };
    assert_eq!(derived.describe(audio.clone(), true), Err(kinds));
    assert_eq!(kinds.to_string(), "the track carries video, and cannot carry audio from now on");
    assert_eq!(derived.track().info().unwrap().init, info().init);

    // What repeats its source changes with it.
    derived.describe(other("the source's"), true).unwrap();
    derived.write_in(first, media(100, false, 10)).unwrap();
    assert_eq!(derived.describe(info(), false), Err(InfoError::Written));

    drop((source, publisher));
    let publisher = bus.publish(&BroadcastName::new("live/demo").unwrap()).unwrap();
    let mut source = publisher.create_track(TrackName::new("video").unwrap(), info()).unwrap();
    let second = source.write(media(1_000, true, 10)).unwrap().place().group;
    assert_eq!(derived.describe(audio, false), Err(kinds));
    derived.describe(other("of the second epoch"), false).unwrap();
    // A writer that is behind cannot use it for what is left of the first.
    assert_eq!(derived.write_in(first, media(200, false, 10)).unwrap_err(), WriteError::Described);
    derived.write_in(second, media(1_000, true, 10)).unwrap();
    assert_eq!(derived.describe(other("another"), false), Err(InfoError::Written));
}
