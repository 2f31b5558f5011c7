//! A machine that is too slow for a ladder.

use std::time::Duration;

use super::backends::{Gate, Habits};
use super::source::{Source, bus, rendition, until};
use super::*;
use crate::ladder::Relief;
use crate::stats::State;

const STEPS: [Relief; 3] = [Relief::SkipNonReference, Relief::HalveFrameRate, Relief::DropRung];

fn ranked(name: &str, width: u32, height: u32, priority: u32) -> Arc<Rendition> {
    Arc::new(Rendition { priority, ..(*rendition(name, width, height)).clone() })
}

#[tokio::test]
async fn steps_are_taken_in_order_until_the_ladder_fits_and_taken_back_when_there_is_room() {
    let bus = bus();
    let mut source = Source::new(&bus);
    // Every second picture is one that nothing depends on.
    source.needed = 2;
    let bench = Bench::new(&bus, &source);
    let economy = Economy { idle_timeout: None, on_overload: STEPS.to_vec() };
    let gate = Arc::new(Gate::default());
    gate.let_through(Some(0));
    let slow = Habits { gate: Some(gate.clone()), ..Habits::default() };
    let low = bench.drive(&ranked("low", 160, 90, 0), economy.clone(), slow.opener());
    let high = bench.drive(&ranked("high", 80, 46, 1), economy, Habits::default().opener());
    let mut steps = Vec::new();
    // The decoder holds the last picture back.
    let follows = |rung: &Driven, written: u64| {
        let Stats { encoded, relieved, overtaken, late, .. } = rung.stats();
        rung.seen() == written && encoded + relieved + overtaken + late + 1 >= written
    };
    // The encoder manages one picture in the time of eight. The source writes on, and is taken at once.
    for written in 1..3_000 {
        source.write(1);
        bus.clock().advance(Duration::from_millis(33));
        if written % 8 == 0 && gate.is_used_up() {
            gate.let_through(Some(1));
            // Where the rung skips, it takes none until a group begins.
            until("it takes a picture", || gate.is_used_up() || low.stats().queue == 0).await;
        }
        until("the quick one keeps up", || follows(&high, written)).await;
        let reliefs = low.stats().state.reliefs();
        steps.extend(reliefs.iter().filter(|step| !steps.contains(step)).collect::<Vec<_>>());
        if matches!(low.stats().state, State::GivenUp(_)) {
            break;
        }
    }
    assert_eq!(steps, STEPS);
    assert!(matches!(high.stats().state, State::Relieved(_) | State::Running), "{:?}", high.stats());
    assert!(low.stats().relieved > 0 && low.stats().overtaken + low.stats().late > 0, "{:?}", low.stats());
    assert_eq!(high.stats().overtaken, 0, "{:?}", high.stats());

    // There is room again.
    gate.let_through(None);
    let track = bench.track("low");
    let before = track.stats().fragments;
    for _ in 0..3_000 {
        source.write(1);
        bus.clock().advance(Duration::from_millis(33));
        let written = bench.source.stats().fragments;
        until("both keep up", || low.seen() == written && low.stats().queue <= 2 && follows(&high, written)).await;
        if low.stats().state == State::Running && high.stats().state == State::Running {
            break;
        }
    }
    assert_eq!((low.stats().state, high.stats().state), (State::Running, State::Running));
    assert!(track.stats().fragments > before);
    // It came back where a group began, and what is there is gapless but for whole stretches left out.
    let fragments = track.held();
    assert!(fragments.iter().filter(|one| one.starts_group()).all(|one| one.marks.keyframe));
    let inside = fragments.windows(2).filter(|pair| pair[0].place().group == pair[1].place().group);
    for pair in inside {
        assert_eq!(pair[0].presentation_time + pair[0].duration, pair[1].presentation_time, "{:?}", pair[1].place());
    }
    source.publisher.finish();
    low.task.await.unwrap();
    high.task.await.unwrap();
}

#[tokio::test]
async fn without_steps_a_slow_rung_skips_to_its_next_group() {
    let bus = bus();
    let mut source = Source::new(&bus);
    let bench = Bench::new(&bus, &source);
    let gate = Arc::new(Gate::default());
    gate.let_through(Some(0));
    let slow = Habits { gate: Some(gate.clone()), ..Habits::default() };
    let low = bench.drive(&rendition("low", 160, 90), Economy::default(), slow.opener());
    let high = bench.drive(&rendition("high", 80, 46), Economy::default(), Habits::default().opener());
    let mut written = source.write(30);
    until("the quick one has them", || high.stats().encoded >= 29).await;
    bus.clock().advance(Duration::from_secs(5));
    written.extend(source.write(10));
    gate.let_through(None);
    until("it has caught up", || low.stats().queue == 0 && low.stats().encoded > 0).await;
    written.extend(source.write(20));
    let (track, quick) = (bench.track("low"), bench.track("high"));
    source.publisher.finish();
    let counters = low.counters.clone();
    let fragments = low.end(&track).await;
    assert!(counters.read().late > 0 && counters.read().state != State::Failed);
    // What there is of each group is its beginning, without a hole.
    for (index, one) in fragments.iter().enumerate() {
        if !one.starts_group() {
            let before = &fragments[index - 1];
            assert_eq!(before.presentation_time + before.duration, one.presentation_time);
        }
    }
    assert_eq!(fragments.last().unwrap().presentation_time, written.last().unwrap().presentation_time);
    assert_eq!(high.end(&quick).await.len(), 60);
}
