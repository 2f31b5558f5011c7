//! The native ladder on real pictures: groups and times as the source has them, one decoder, ends in order.

#[allow(dead_code, reason = "each test uses what it needs")]
mod source;

use std::sync::Arc;
use std::time::Duration;

use millrace_codec::Unlimited;
use millrace_media::track::{Format, Start};
use millrace_transcode::native::NativeLadder;
use millrace_transcode::stats::{LeftOut, State};
use millrace_transcode::{Ladder, LadderError, Runner};
use source::{Source, bus, decoder, ladder, read, rendition, square, until};

async fn track(source: &Source, name: &str) -> millrace_media::track::Track {
    until("the rung's track", || source.publisher.broadcast().track(name).is_some_and(|track| track.info().is_some()))
        .await;
    source.publisher.broadcast().track(name).unwrap()
}

#[tokio::test]
async fn a_rung_has_the_groups_and_the_times_of_its_source() {
    let bus = bus();
    let rungs = [rendition("180p", 160, 90), rendition("small", 80, 46)];
    let _runner = Runner::start(&bus, vec![Arc::new(NativeLadder)], vec![ladder(&rungs)]);
    let mut source = Source::new(&bus);
    // Both encoders are at work before the source has a second group, as on any live source.
    let mut written = source.write(9);
    for (name, size) in [("180p", (160, 90)), ("small", (80, 46))] {
        let track = track(&source, name).await;
        assert_eq!(track.provenance().to_string(), format!("native-ladder ({name})"));
        let Format::Video { width, height, .. } = track.info().unwrap().format else { panic!("not video") };
        assert_eq!((width, height), size);
    }
    written.extend(source.write(61));
    let broadcast = source.publisher.broadcast().clone();
    source.publisher.finish();
    for name in ["180p", "small"] {
        let mut consumer = broadcast.track(name).unwrap().subscribe(Start::OldestGroup);
        let rung = read(&mut consumer, 70).await;
        assert_eq!(rung.len(), 70, "{name}");
        let mut decoder = decoder(rung[0].info());
        let mut pictures = Vec::new();
        for (mine, theirs) in rung.iter().zip(&written) {
            assert_eq!(mine.presentation_time, theirs.presentation_time);
            assert_eq!(mine.duration, theirs.duration);
            assert_eq!(mine.marks.keyframe, theirs.marks.keyframe);
            assert_eq!(mine.captured_at, theirs.captured_at);
            let (here, there) = (mine.place(), theirs.place());
            assert_eq!((here.group, here.object, here.segment), (there.group, there.object, there.segment));
            let sample = mine.payload.contiguous(0, mine.payload.len()).unwrap();
            decoder.decode(&sample, mine.presentation_time, &mut Unlimited, &mut pictures).unwrap();
        }
        decoder.flush(&mut pictures).unwrap();
        assert_eq!(pictures.len(), 70);
        for (frame, picture) in pictures.iter().enumerate() {
            let expected = frame as i64 * 8 % 280;
            assert!((square(picture) - expected).abs() <= 8, "frame {frame}: {} for {expected}", square(picture));
        }
        assert!(consumer.next().await.is_none(), "the rung ends when its source does");
    }
}

#[tokio::test]
async fn rungs_of_one_size_share_what_is_scaled() {
    let bus = bus();
    let mut poor = (*rendition("poor", 160, 90)).clone();
    poor.video.bitrate = Some(100_000);
    let rungs = [rendition("rich", 160, 90), Arc::new(poor), rendition("small", 80, 46), rendition("same", 320, 180)];
    let runner = Runner::start(&bus, vec![Arc::new(NativeLadder)], vec![ladder(&rungs)]);
    let mut source = Source::new(&bus);
    source.write(9);
    for name in ["rich", "poor", "small", "same"] {
        track(&source, name).await;
    }
    source.write(32);
    let stats = |name: &str| {
        let all = runner.stats();
        all.into_iter()
            .find(|(key, _)| key.rendition.as_deref() == Some(name))
            .map(|(_, stats)| stats)
            .unwrap_or_default()
    };
    for name in ["rich", "poor", "small", "same"] {
        until("all is encoded", || stats(name).encoded == 41).await;
        assert_eq!(stats(name).left_out(LeftOut::Overtaken), 0);
        assert!(stats(name).encode_time > Duration::ZERO && stats(name).state == State::Running);
    }
    assert_eq!(stats("rich").scaled + stats("poor").scaled, 41);
    assert_eq!((stats("small").scaled, stats("same").scaled), (41, 0));
}

#[tokio::test]
async fn a_source_smaller_than_the_rendition_gets_no_rung() {
    let bus = bus();
    let rungs = [rendition("480p", 854, 480), rendition("90p", 160, 90)];
    let _runner = Runner::start(&bus, vec![Arc::new(NativeLadder)], vec![ladder(&rungs)]);
    let mut source = Source::new(&bus);
    source.write(20);
    track(&source, "90p").await;
    assert!(source.publisher.broadcast().track("480p").is_none());
}

#[tokio::test]
async fn what_was_derived_is_not_transcoded_again() {
    let bus = bus();
    let runner = Runner::start(
        &bus,
        vec![Arc::new(NativeLadder)],
        vec![ladder(&[rendition("a", 160, 90), rendition("b", 80, 46)])],
    );
    let mut source = Source::new(&bus);
    // Both encoders are at work before the source has a second group, as on any live source.
    source.write(9);
    track(&source, "a").await;
    track(&source, "b").await;
    let keys: Vec<_> =
        runner.stats().into_iter().map(|(key, _)| (key.track.unwrap().to_string(), key.rendition)).collect();
    assert_eq!(keys, [("video".into(), Some("a".into())), ("video".into(), Some("b".into()))]);
}

#[tokio::test]
async fn renditions_come_and_go_while_the_source_is_live() {
    let bus = bus();
    let runner = Runner::start(&bus, vec![Arc::new(NativeLadder)], vec![ladder(&[rendition("a", 160, 90)])]);
    let mut source = Source::new(&bus);
    source.write(15);
    let first = track(&source, "a").await;
    runner.add_rendition("test", rendition("b", 80, 46)).unwrap();
    let duplicate = LadderError::DuplicateRendition { ladder: "test".into(), rendition: "b".into() };
    assert_eq!(runner.add_rendition("test", rendition("b", 160, 90)), Err(duplicate));
    assert_eq!(runner.add_rendition("none", rendition("c", 160, 90)), Err(LadderError::NoLadder("none".into())));
    source.write(15);
    let second = track(&source, "b").await;
    // It joins with the next group, and does not catch up with what was before.
    assert!(second.held()[0].place().group > first.held()[0].place().group);
    runner.remove_rendition("test", "a").unwrap();
    let missing = LadderError::NoRendition { ladder: "test".into(), rendition: "a".into() };
    assert_eq!(runner.remove_rendition("test", "a"), Err(missing));
    assert!(runner.stats().iter().all(|(key, _)| key.rendition.as_deref() == Some("b")), "{:?}", runner.stats());
    until("the removed rung ends", || first.is_ended()).await;
    let before = second.stats().fragments;
    source.write(20);
    until("the other goes on", || second.stats().fragments > before).await;
    runner.add_rendition("test", rendition("a", 160, 90)).unwrap();
    source.write(10);
    until("it comes back", || {
        source
            .publisher
            .broadcast()
            .track("a")
            .is_some_and(|again| !again.is_same(&first) && again.stats().fragments > 0)
    })
    .await;
}

#[tokio::test]
async fn only_the_first_ladder_that_is_for_a_broadcast_gives_it_rungs() {
    let bus = bus();
    let named = |name: &str, width| Ladder { name: name.into(), ..ladder(&[rendition("a", width, 90)]) };
    let others = Ladder { applies_to: Arc::new(|_| false), ..named("others", 128) };
    let runner = Runner::start(&bus, vec![Arc::new(NativeLadder)], vec![others, named("first", 160)]);
    let mut source = Source::new(&bus);
    source.write(15);
    let first = track(&source, "a").await;
    let size = |track: &millrace_media::track::Track| track.info().unwrap().format.size();
    assert_eq!(size(&first), Some((160, 90)));
    // Two ladders may have a rendition of one name: no broadcast gets both.
    runner.add_ladder(named("second", 120)).unwrap();
    assert_eq!(runner.add_ladder(named("first", 160)), Err(LadderError::DuplicateLadder("first".into())));
    source.write(15);
    assert!(!first.is_ended() && runner.stats().len() == 1, "{:?}", runner.stats());
    runner.remove_ladder("first").unwrap();
    assert_eq!(runner.remove_ladder("first"), Err(LadderError::NoLadder("first".into())));
    until("its rung ends", || first.is_ended()).await;
    source.write(20);
    let next = || source.publisher.broadcast().track("a").filter(|track| !track.is_ended() && track.info().is_some());
    until("the next ladder's takes its place", || next().is_some()).await;
    assert_eq!(size(&next().unwrap()), Some((120, 68)));
    runner.remove_ladder("second").unwrap();
    until("it ends as well", || next().is_none()).await;
    assert!(runner.stats().is_empty());
}

#[tokio::test]
async fn a_publishers_return_brings_its_rungs_back() {
    let bus = bus();
    let _runner = Runner::start(&bus, vec![Arc::new(NativeLadder)], vec![ladder(&[rendition("a", 160, 90)])]);
    let mut source = Source::new(&bus);
    source.write(20);
    let rung = track(&source, "a").await;
    let mut consumer = rung.subscribe(Start::OldestGroup);
    let before = read(&mut consumer, 20).await;
    drop(source);
    bus.clock().advance(Duration::from_secs(5));
    let mut source = Source::new(&bus);
    source.write(20);
    let after = read(&mut consumer, 20).await;
    let (last, first) = (&before[19], &after[0]);
    assert_eq!(last.info().init, first.info().init, "the headers stay");
    assert!(first.place().epoch > last.place().epoch && first.place().group > last.place().group);
    assert!(first.marks.keyframe && first.presentation_time > last.presentation_time);
}

#[tokio::test]
async fn shutting_down_lets_encoders_finish_and_leaves_nothing() {
    let bus = bus();
    let runner = Runner::start(&bus, vec![Arc::new(NativeLadder)], vec![ladder(&[rendition("a", 160, 90)])]);
    let mut source = Source::new(&bus);
    let written = source.write(30);
    let rung = track(&source, "a").await;
    until("everything was submitted", || runner.stats()[0].1.fragments == 30).await;
    runner.shutdown().await;
    assert!(rung.is_ended());
    assert_eq!(rung.stats().fragments, 30);
    assert_eq!(rung.newest().unwrap().presentation_time, written[29].presentation_time);
    assert!(runner.stats().is_empty());
}
