use std::time::Duration;

use bytes::Bytes;
use millrace_media::bus::{Bus, Settings};
use millrace_media::clock::Clock;
use millrace_media::fragment::{Marks, Sample};
use millrace_media::track::{Format, Producer};
use millrace_media::{BroadcastName, Media, Publisher, Time, Timescale, TrackName};

use super::*;

const SCALE: Timescale = Timescale::MILLIS;
/// A fragment lasts this long, in milliseconds.
const LENGTH: i64 = 10;

struct Bench {
    bus: Bus,
    publisher: Publisher,
    new_tracks: Arc<NewTracks>,
    feeds: Feeds,
}

impl Bench {
    fn new() -> Self {
        let bus = Bus::new(Settings::default(), Arc::new(Clock::manual(Duration::from_secs(1_800_000_000))));
        let publisher = bus.publish(&BroadcastName::new("live/test").unwrap()).unwrap();
        let new_tracks = Arc::new(NewTracks::default());
        Self { bus, publisher, feeds: Feeds::of_broadcast(new_tracks.clone()), new_tracks }
    }

    /// A track of the source that the transcoder reads.
    fn track(&self, name: &str) -> Producer {
        let producer = self.untold(name);
        self.new_tracks.add(producer.track(), Start::OldestGroup);
        producer
    }

    fn untold(&self, name: &str) -> Producer {
        let info = Info {
            codec: "opus".into(),
            timescale: SCALE,
            format: Format::Audio { sample_rate: 48_000, channels: 2 },
            language: None,
            bitrate: None,
            init: Bytes::from_static(b"init"),
        };
        self.publisher.create_track(TrackName::new(name).unwrap(), info).unwrap()
    }

    fn write(&self, producer: &mut Producer, number: i64) {
        write(producer, number);
        self.bus.clock().advance(Duration::from_millis(1));
    }

    async fn next(&mut self) -> String {
        let next = tokio::time::timeout(Duration::from_secs(30), self.feeds.next());
        let item = next.await.expect("an item comes");
        describe(&self.feeds, item)
    }
}

fn write(producer: &mut Producer, number: i64) {
    let at = Time::new(number * LENGTH, SCALE);
    let marks = Marks { keyframe: true, independent: true, discardable: false };
    let sample = Sample { offset: 0, size: 4, duration: LENGTH as u32, composition_offset: 0, marks };
    let media = Media {
        head: Bytes::from_static(b"head"),
        payload: Bytes::from_static(b"data").into(),
        samples: sample.into(),
        decode_time: at,
        presentation_time: at,
        duration: Time::new(LENGTH, SCALE),
        marks,
        captured_at: None,
    };
    producer.write(media).unwrap();
}

/// `NAME NUMBER` of a fragment, `NAME ended`.
fn describe(feeds: &Feeds, item: Item) -> String {
    match item {
        Item::Event(index, Event::Fragment(fragment)) => {
            format!("{} {}", feeds.all()[index].track().name(), fragment.decode_time.ticks() / LENGTH)
        }
        Item::Event(_, event) => format!("{event:?}"),
        Item::Ended(feed) => format!("{} ended", feed.track().name()),
    }
}

#[tokio::test]
async fn fragments_of_two_tracks_come_in_the_order_of_their_arrival() {
    let mut bench = Bench::new();
    let (mut a, mut b) = (bench.track("a"), bench.track("b"));
    bench.write(&mut b, 0);
    for number in 0..3 {
        bench.write(&mut a, number);
    }
    bench.write(&mut b, 1);
    bench.write(&mut a, 3);
    for expected in ["b 0", "a 0", "a 1", "a 2", "b 1", "a 3"] {
        assert_eq!(bench.next().await, expected);
    }
}

#[tokio::test]
async fn a_track_that_appears_while_others_are_waited_for_is_read() {
    let mut bench = Bench::new();
    let mut a = bench.track("a");
    bench.write(&mut a, 0);
    assert_eq!(bench.next().await, "a 0");
    let mut late = bench.untold("late");
    write(&mut late, 0);
    let new_tracks = bench.new_tracks.clone();
    let add = async {
        new_tracks.add(late.track(), Start::OldestGroup);
        // It is told of again, as it is when a ladder changes.
        new_tracks.add(late.track(), Start::OldestGroup);
    };
    let (item, ()) = tokio::join!(bench.next(), add);
    assert_eq!(item, "late 0");
    bench.write(&mut a, 1);
    bench.write(&mut late, 1);
    assert_eq!((bench.next().await, bench.next().await), ("a 1".into(), "late 1".into()));
    assert_eq!(bench.feeds.all().len(), 2);
}

#[tokio::test]
async fn a_track_ends_while_another_goes_on() {
    let mut bench = Bench::new();
    let (mut a, mut b) = (bench.track("a"), bench.track("b"));
    bench.write(&mut a, 0);
    bench.write(&mut b, 0);
    a.end();
    assert_eq!((bench.next().await, bench.next().await), ("a 0".into(), "a ended".into()));
    bench.write(&mut b, 1);
    assert_eq!((bench.next().await, bench.next().await), ("b 0".into(), "b 1".into()));
    let end = async { b.end() };
    let (item, ()) = tokio::join!(bench.next(), end);
    assert_eq!((item.as_str(), bench.feeds.all().len()), ("b ended", 0));
}

#[tokio::test]
async fn no_fragment_is_missed_while_another_thread_writes() {
    const FRAGMENTS: i64 = 2_000;
    let mut bench = Bench::new();
    let mut producers = [bench.track("a"), bench.track("b")];
    let writer = std::thread::spawn(move || {
        for number in 0..FRAGMENTS {
            producers.iter_mut().for_each(|producer| write(producer, number));
            // The reader is to be asleep now and then.
            if number % 50 == 0 {
                std::thread::yield_now();
            }
        }
        producers.iter_mut().for_each(Producer::end);
    });
    let (mut a, mut b) = (Vec::new(), Vec::new());
    while !(a.last().is_some_and(|last| last == "a ended") && b.last().is_some_and(|last| last == "b ended")) {
        // Each second wait is given up.
        let item = tokio::select! {
            biased;
            item = bench.next() => item,
            () = tokio::task::yield_now(), if (a.len() + b.len()) % 2 == 0 => continue,
        };
        if item.starts_with('a') { a.push(item) } else { b.push(item) }
    }
    writer.join().unwrap();
    let expected = |name| (0..FRAGMENTS).map(move |n| format!("{name} {n}")).chain([format!("{name} ended")]);
    assert!(a.into_iter().eq(expected("a")));
    assert!(b.into_iter().eq(expected("b")));
}
