//! Work that nobody sees stops, and starts again where a group begins.

use std::time::Duration;

use super::backends::Habits;
use super::source::{Source, bus, rendition, until};
use super::*;
use crate::stats::State;

const TIMEOUT: Duration = Duration::from_secs(10);

fn economy() -> Economy {
    Economy { idle_timeout: Some(TIMEOUT), on_overload: Vec::new() }
}

#[tokio::test]
async fn a_rung_that_nobody_plays_stops_and_so_does_the_decoder_and_neither_catches_up() {
    let bus = bus();
    let mut source = Source::new(&bus);
    let bench = Bench::new(&bus, &source);
    // One holds packets back, and lets go of them when it rests.
    let slow = Habits { delay: 3, ..Habits::default() };
    let rungs = [
        bench.drive(&rendition("a", 160, 90), economy(), slow.opener()),
        bench.drive(&rendition("b", 80, 46), economy(), Habits::default().opener()),
    ];
    let decoder = rungs[0].encoder.0.decoder.clone();
    let first = source.write(20);
    until("both have all", || rungs.iter().all(|rung| rung.stats().encoded == 20)).await;
    bus.clock().advance(TIMEOUT);
    // The third group is the first that is not encoded.
    source.write(10);
    until("both rest", || rungs.iter().all(|rung| rung.stats().state == State::Idle)).await;
    let tracks = [bench.track("a"), bench.track("b")];
    for track in &tracks {
        until("what was asked for is there", || track.stats().fragments == 20).await;
        assert_eq!(track.newest().unwrap().presentation_time, first[19].presentation_time);
    }
    source.write(200);
    until("all is seen", || rungs.iter().all(|rung| rung.seen() == 230)).await;
    assert_eq!(decoder.decoded(), 20, "nothing more was decoded");

    // Somebody comes in the middle of a group: it goes on with the next.
    source.write(5);
    until("all is seen", || rungs.iter().all(|rung| rung.seen() == 235)).await;
    tracks[0].viewed();
    source.write(5);
    until("all is seen", || rungs.iter().all(|rung| rung.seen() == 240)).await;
    let woken = source.write(10);
    until("it goes on", || rungs[0].stats().encoded >= 29 && tracks[0].stats().fragments > 20).await;
    assert_eq!(tracks[0].held()[20].presentation_time, woken[0].presentation_time);
    assert_eq!(tracks[0].held()[20].place().group, woken[0].place().group);
    assert_eq!(tracks[0].held()[20].info().init, tracks[0].held()[0].info().init, "the headers stay");
    assert!(decoder.decoded() <= 30, "what nobody wanted was passed over: {}", decoder.decoded());
    assert_eq!(rungs[0].stats().state, State::Running);
    assert_eq!((rungs[1].stats().state, tracks[1].stats().fragments), (State::Idle, 20));

    // A viewer who holds the other keeps it awake; the first sleeps again.
    let viewer = tracks[1].view();
    source.write(10);
    until("it goes on", || tracks[1].stats().fragments == 30).await;
    bus.clock().advance(TIMEOUT * 2);
    source.write(20);
    until("they have changed places", || {
        rungs.each_ref().map(|rung| rung.stats().state) == [State::Idle, State::Running]
    })
    .await;
    drop(viewer);
    source.publisher.finish();
    for rung in rungs {
        rung.task.await.unwrap();
    }
    let groups: Vec<_> = held(&tracks[1]).into_iter().map(|(_, group)| group).collect();
    assert!(groups.is_sorted());
    let whole = |group: &u64| groups.iter().filter(|known| *known == group).count() == 10;
    assert!(groups.iter().all(whole), "{groups:?}");
}

#[tokio::test]
async fn a_rung_that_rests_leaves_others_undisturbed() {
    let bus = bus();
    let mut source = Source::new(&bus);
    let bench = Bench::new(&bus, &source);
    let sleeper = bench.drive(&rendition("a", 160, 90), economy(), Habits::default().opener());
    let other = bench.drive(&rendition("b", 80, 46), Economy::default(), Habits::default().opener());
    let mut written = source.write(10);
    until("it has all", || sleeper.stats().encoded == 10).await;
    bus.clock().advance(TIMEOUT);
    written.extend(source.write(30));
    until("it rests", || sleeper.stats().state == State::Idle).await;
    bench.track("a").viewed();
    written.extend(source.write(30));
    until("it goes on", || sleeper.stats().encoded > 10).await;
    let (slept, track) = (bench.track("a"), bench.track("b"));
    source.publisher.finish();
    let all: Vec<_> = written.iter().map(|one| one.presentation_time).collect();
    assert_eq!(other.end(&track).await.iter().map(|one| one.presentation_time).collect::<Vec<_>>(), all);
    let slept = sleeper.end(&slept).await;
    assert!(slept.len() >= 20 && slept.len() <= 50, "{}", slept.len());
    assert_eq!(slept.last().unwrap().presentation_time, *all.last().unwrap());
}
