//! Sources that go wrong: what is stated happens, and other streams notice nothing.

#[allow(dead_code, reason = "each test uses what it needs")]
mod source;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millrace_media::fragment::Fragment;
use millrace_media::track::{Format, Info, Track, WriteError};
use millrace_media::{Bus, Payload};
use millrace_transcode::native::NativeLadder;
use millrace_transcode::stats::Stats;
use millrace_transcode::{Rendition, Runner};
use source::{FRAME, SCALE, Source, bus, ladder, rendition, until};

fn run(bus: &Bus, renditions: &[Arc<Rendition>]) -> Runner {
    Runner::start(bus, vec![Arc::new(NativeLadder)], vec![ladder(renditions)])
}

async fn rung(source: &Source, name: &str) -> Track {
    until("the rung's track", || source.publisher.broadcast().track(name).is_some_and(|track| track.info().is_some()))
        .await;
    source.publisher.broadcast().track(name).unwrap()
}

fn stats(runner: &Runner, rendition: &str) -> Stats {
    let all = runner.stats();
    all.into_iter().find(|(key, _)| key.rendition.as_deref() == Some(rendition)).map(|(_, it)| it).unwrap_or_default()
}

/// Waits until the rung has encoded `pictures`.
async fn encoded(runner: &Runner, pictures: &[Fragment]) {
    until("it keeps up", || stats(runner, "a").encoded >= pictures.len() as u64).await;
}

/// Ends the source, and gives what the rung has then.
async fn end(source: Source, rung: &Track) -> Vec<Fragment> {
    source.publisher.finish();
    until("the rung ends", || rung.is_ended()).await;
    rung.held()
}

fn times(fragments: &[Fragment]) -> Vec<i64> {
    fragments.iter().map(|fragment| fragment.presentation_time.ticks()).collect()
}

#[tokio::test]
async fn a_damaged_access_unit_costs_the_rest_of_its_group() {
    let bus = bus();
    let _runner = run(&bus, &[rendition("a", 160, 90)]);
    let mut source = Source::new(&bus);
    let mut written = source.write(14);
    let mut media = source.next();
    let mut bytes = media.payload.contiguous(0, media.payload.len()).unwrap().to_vec();
    bytes[..4].fill(0xff);
    media.payload = Payload::from(Bytes::from(bytes));
    written.push(source.producer.write(media).unwrap());
    written.extend(source.write(25));
    let track = rung(&source, "a").await;
    let rung = end(source, &track).await;
    let expected: Vec<_> = [&written[..14], &written[20..]].concat();
    assert_eq!(times(&rung), times(&expected));
    assert!(rung.iter().all(|one| one.marks.keyframe == one.starts_group()));
}

#[tokio::test]
async fn a_lost_fragment_costs_no_more_than_its_group() {
    let bus = bus();
    let _runner = run(&bus, &[rendition("a", 160, 90)]);
    let mut source = Source::new(&bus);
    let mut written = source.write(14);
    source.next();
    written.extend(source.write(25));
    let track = rung(&source, "a").await;
    let rung = end(source, &track).await;
    let (rung, written) = (times(&rung), times(&written));
    assert_eq!(rung[..14], written[..14]);
    assert_eq!(rung[rung.len() - 20..], written[19..], "from the next group on all is there");
    assert!(rung[14..rung.len() - 20].iter().all(|time| written[14..19].contains(time)));
}

#[tokio::test]
async fn a_rung_keeps_its_size_and_headers_while_its_source_changes_within_an_epoch() {
    let bus = bus();
    let _runner = run(&bus, &[rendition("a", 160, 90)]);
    let mut source = Source::new(&bus);
    let mut written = source.write(20);
    source.change_size(640, 480);
    written.extend(source.write(20));
    source.change_size(320, 180);
    written.extend(source.write(20));
    let track = rung(&source, "a").await;
    let rung = end(source, &track).await;
    assert_eq!(times(&rung), times(&written));
    assert!(rung.iter().all(|one| one.info() == rung[0].info()), "one init segment");
}

#[tokio::test]
async fn a_source_that_returns_in_another_shape_gets_rungs_of_that_shape() {
    let bus = bus();
    let _runner = run(&bus, &[rendition("a", 160, 90)]);
    let mut source = Source::new(&bus);
    source.write(20);
    let track = rung(&source, "a").await;
    until("it is encoded", || track.stats().fragments == 20).await;
    drop(source);
    bus.clock().advance(Duration::from_secs(5));
    let mut source = Source::of_size(&bus, 240, 180);
    source.write(20);
    let rung = end(source, &track).await;
    assert_eq!(rung.len(), 40);
    let sizes: Vec<_> = rung.iter().map(|one| one.info().format.size().unwrap()).collect();
    assert_eq!((&sizes[..20], &sizes[20..]), (&[(160, 90); 20][..], &[(120, 90); 20][..]));
    assert!(rung[20].starts_group() && rung[20].place().epoch > rung[19].place().epoch);
}

#[tokio::test]
async fn a_codec_that_nothing_decodes_leaves_a_hole_and_the_rung_goes_on_behind_it() {
    let bus = bus();
    let runner = run(&bus, &[rendition("a", 160, 90)]);
    let mut source = Source::new(&bus);
    let mut written = source.write(20);
    encoded(&runner, &written).await;
    let known = (*source.producer.track().info().unwrap()).clone();
    // A `free` box more makes it another header.
    let init = [&known.init[..], &[0, 0, 0, 8], b"free"].concat();
    source.producer.set_info(Info { codec: "vp09.00.10.08".into(), init: init.into(), ..known.clone() });
    source.write(20);
    until("it says so", || stats(&runner, "a").start_faults == 2).await;
    source.producer.set_info(known);
    written.extend(source.write(20));
    let track = rung(&source, "a").await;
    let rung = end(source, &track).await;
    assert_eq!(times(&rung), times(&written));
    assert!(rung.iter().all(|one| one.info() == rung[0].info()));
}

#[tokio::test]
async fn times_that_jump_ahead_are_followed_and_times_that_go_back_never_come() {
    let bus = bus();
    let runner = run(&bus, &[rendition("a", 160, 90)]);
    let mut source = Source::new(&bus);
    let hour = 3_600 * i64::from(SCALE.get());
    let mut written = source.write(20);
    encoded(&runner, &written).await;
    source.time += hour;
    written.extend(source.write(14));
    encoded(&runner, &written).await;
    // In mid-group as well.
    source.time += hour;
    written.extend(source.write(10));
    encoded(&runner, &written).await;
    source.time -= hour;
    for _ in 0..6 {
        let media = source.next();
        assert!(matches!(source.producer.write(media), Err(WriteError::TimeWentBack { .. })));
    }
    source.time += hour;
    written.extend(source.write(10));
    let track = rung(&source, "a").await;
    let rung = end(source, &track).await;
    // The window holds the last minute.
    let written: Vec<_> =
        written.into_iter().filter(|one| one.presentation_time >= rung[0].presentation_time).collect();
    assert!(written.len() >= 16);
    assert_eq!(times(&rung), times(&written));
    for (mine, theirs) in rung.iter().zip(&written) {
        assert_eq!((mine.duration, mine.place().group), (theirs.duration, theirs.place().group));
        assert!(mine.duration.ticks() <= 2 * FRAME, "no picture lasts an hour");
    }
}

#[tokio::test]
async fn a_source_without_a_keyframe_for_half_a_minute_is_one_long_group() {
    let bus = bus();
    let runner = run(&bus, &[rendition("a", 160, 90)]);
    let mut source = Source::new(&bus);
    source.gop = 800;
    let mut written = Vec::new();
    for _ in 0..9 {
        written.extend(source.write(100));
        encoded(&runner, &written).await;
    }
    assert!(source.publisher.broadcast().forced_cuts() > 0);
    let track = rung(&source, "a").await;
    let rung = end(source, &track).await;
    assert_eq!(times(&rung), times(&written));
    for (mine, theirs) in rung.iter().zip(&written) {
        let (here, there) = (mine.place(), theirs.place());
        assert_eq!(
            (here.group, here.segment, mine.marks.keyframe),
            (there.group, there.segment, theirs.marks.keyframe)
        );
    }
    assert_eq!(rung.iter().filter(|one| one.marks.keyframe).count(), 2);
}

#[tokio::test]
async fn renditions_that_cannot_be_are_refused_and_the_others_are_made() {
    let bus = bus();
    let mut broke = (*rendition("broke", 160, 90)).clone();
    broke.video.bitrate = Some(0);
    let renditions = [
        rendition("odd", 161, 91),
        rendition("dot", 1, 1),
        rendition("wide", 16_384, 9_216),
        Arc::new(broke),
        rendition("good", 160, 90),
    ];
    let runner = run(&bus, &renditions);
    let mut source = Source::new(&bus);
    source.write(31);
    until("the good one is made", || stats(&runner, "good").encoded == 31).await;
    for name in ["odd", "dot", "broke"] {
        until("each group tries again", || stats(&runner, name).start_faults == 4).await;
    }
    assert_eq!(stats(&runner, "wide").start_faults, 0, "larger than its source: not wanted");
    for name in ["odd", "dot", "wide", "broke"] {
        assert!(source.publisher.broadcast().track(name).is_none(), "{name}");
    }
    let Format::Video { width, height, .. } = rung(&source, "good").await.info().unwrap().format else { panic!() };
    assert_eq!((width, height), (160, 90));
}
