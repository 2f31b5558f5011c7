//! Backends that fail, and backends that disagree.

use super::backends::Habits;
use super::source::{Source, bus, rendition, until};
use super::*;
use crate::encoder::EncodeError;
use crate::stats::State;

#[tokio::test]
async fn a_backend_that_fails_is_opened_anew_with_the_next_group_under_the_same_headers() {
    let bus = bus();
    let mut source = Source::new(&bus);
    let bench = Bench::new(&bus, &source);
    let habits = Habits { fails_at: Some(|number| number == 13), ..Habits::default() };
    let rung = bench.drive(&rendition("a", 160, 90), Economy::default(), habits.opener());
    let other = bench.drive(&rendition("b", 80, 46), Economy::default(), Habits::default().opener());
    let written = source.write(40);
    let (track, undisturbed) = (bench.track("a"), bench.track("b"));
    source.publisher.finish();
    let counters = rung.counters.clone();
    let pictures = rung.end(&track).await;
    let expected: Vec<_> = (0..13).chain(20..40).map(|frame| written[frame].presentation_time).collect();
    assert_eq!(pictures.iter().map(|one| one.presentation_time).collect::<Vec<_>>(), expected);
    assert!(pictures.iter().all(|one| one.info().init == pictures[0].info().init));
    assert_eq!((counters.read().failed, counters.read().dropped), (7, 7));
    assert_eq!(other.end(&undisturbed).await.len(), 40);
}

#[tokio::test]
async fn a_backend_that_keeps_failing_fails_the_rung_with_its_reason_and_no_other() {
    let bus = bus();
    let mut source = Source::new(&bus);
    let bench = Bench::new(&bus, &source);
    let habits = Habits { fails_at: Some(|number| number >= 5), ..Habits::default() };
    let rung = bench.drive(&rendition("a", 160, 90), Economy::default(), habits.opener());
    let other = bench.drive(&rendition("b", 80, 46), Economy::default(), Habits::default().opener());
    let written = source.write(60);
    until("it has failed", || rung.stats().state == State::Failed).await;
    let error = rung.encoder.submit(&written[59]).await.unwrap_err();
    assert_eq!(error.to_string(), "the encoder failed 4 times, the last time: encoder odd: no picture 8");
    assert!(matches!(error, EncodeError::Failed(_)));
    let track = bench.track("b");
    source.publisher.finish();
    assert_eq!(other.end(&track).await.len(), 60);
}

#[tokio::test]
async fn a_backend_opened_in_mid_stream_whose_headers_differ_is_refused() {
    let bus = bus();
    let mut source = Source::new(&bus);
    let bench = Bench::new(&bus, &source);
    let habits =
        Habits { fails_at: Some(|number| number == 13), fickle: Some(|number| number > 0), ..Habits::default() };
    let rung = bench.drive(&rendition("a", 160, 90), Economy::default(), habits.opener());
    let written = source.write(80);
    until("it has failed", || rung.stats().state == State::Failed).await;
    let error = rung.encoder.submit(&written[79]).await.unwrap_err().to_string();
    assert!(error.contains("colour primaries 9 (expected 2)"), "{error}");
    let track = bench.track("a");
    let first = written[..13].iter().map(|one| one.presentation_time);
    assert!(track.held().iter().map(|one| one.presentation_time).eq(first), "nothing with other headers is written");
}
