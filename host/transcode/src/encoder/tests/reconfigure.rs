//! Other settings in the middle of a track.

use millrace_codec::Speed;

use super::backends::Habits;
use super::source::{Source, bus, rendition, until};
use super::*;

fn faster(settings: &VideoSettings) -> VideoSettings {
    VideoSettings { speed: Speed::Draft, ..settings.clone() }
}

/// Refuses what [`faster`] gives, when it is opened.
fn refusing() -> Habits {
    Habits { refuses: Some(|settings| settings.speed == Speed::Draft), ..Habits::default() }
}

/// All but the second group is encoded, under one header, and the settings are those of before.
async fn keeps_its_settings(habits: Habits) {
    let bus = bus();
    let mut source = Source::new(&bus);
    let bench = Bench::new(&bus, &source);
    let rung = bench.drive(&rendition("a", 160, 90), Economy::default(), habits.opener());
    let mut written = source.write(10);
    until("a group is encoded", || rung.stats().encoded == 10).await;
    let former = rung.encoder.settings();
    rung.encoder.reconfigure(faster(&former)).unwrap();
    assert_eq!(rung.encoder.settings(), faster(&former));
    written.extend(source.write(10));
    until("the second group is lost", || rung.stats().failed == 10).await;
    assert_eq!(rung.encoder.settings(), former);
    written.extend(source.write(20));
    let track = bench.track("a");
    source.publisher.finish();
    let frames = rung.end(&track).await;
    let expected = written[..10].iter().chain(&written[20..]).map(|one| one.presentation_time);
    assert!(frames.iter().map(|one| one.presentation_time).eq(expected), "{:?}", held(&track));
    assert!(frames.iter().all(|one| one.info() == frames[0].info()));
}

#[tokio::test]
async fn settings_that_no_backend_takes_leave_the_former_ones_in_force() {
    keeps_its_settings(refusing()).await;
}

#[tokio::test]
async fn settings_that_need_other_headers_leave_the_former_ones_in_force() {
    keeps_its_settings(Habits { fickle: Some(|number| number == 1), ..Habits::default() }).await;
}

#[tokio::test]
async fn settings_that_wait_for_an_epoch_outlast_others_that_fail_and_a_failing_backend() {
    let bus = bus();
    let mut source = Source::new(&bus);
    let bench = Bench::new(&bus, &source);
    // Beside the settings that it refuses, it fails in the third group of the source.
    let habits = Habits { fails_at: Some(|number| number == 15), ..refusing() };
    let rung = bench.drive(&rendition("a", 160, 90), Economy::default(), habits.opener());
    source.write(10);
    until("a group is encoded", || rung.stats().encoded == 10).await;
    rung.encoder.reconfigure(faster(&rung.encoder.settings())).unwrap();
    let smaller = VideoSettings { width: 80, height: 46, ..rung.encoder.settings() };
    let smaller = VideoSettings { speed: Speed::Standard, ..smaller };
    rung.encoders.open("a", &SourceTrack { id: 1, ..bench.source() }, smaller.clone()).unwrap();
    source.write(10);
    until("the second group is lost", || rung.stats().failed == 10).await;
    assert_eq!(rung.encoder.settings(), smaller);
    source.write(10);
    until("half of the third is lost", || rung.stats().failed == 15).await;
    assert_eq!(rung.encoder.settings(), smaller);
    source.write(10);
    until("the fourth is encoded", || rung.stats().encoded == 25).await;

    drop(source);
    let mut source = Source::new(&bus);
    source.write(10);
    let track = bench.track("a");
    source.publisher.finish();
    let frames = rung.end(&track).await;
    let sizes: Vec<_> = frames.iter().map(|one| one.info().format.size().unwrap()).collect();
    assert_eq!(sizes, [vec![(160, 90); 25], vec![(80, 46); 10]].concat());
}
