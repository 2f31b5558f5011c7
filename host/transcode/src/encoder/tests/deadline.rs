//! How decoding ends when the server does.

use std::time::Duration;

use millrace_codec::open_video_encoder;

use super::source::{Source, bus, rendition, until};
use super::*;

#[tokio::test]
async fn past_the_deadline_nothing_is_decoded_and_the_rung_ends() {
    let bus = bus();
    let mut source = Source::new(&bus);
    let bench = Bench::new(&bus, &source);
    let rung = bench.drive(&rendition("a", 160, 90), Economy::default(), Arc::new(open_video_encoder));
    let mut written = source.write(20);
    until("they are encoded", || rung.stats().encoded == 20).await;
    bench.decoders.stop_by(bus.clock().now().monotonic + Duration::from_secs(1));
    written.extend(source.write(10));
    until("what comes in time is encoded", || rung.stats().encoded == 30).await;
    bus.clock().advance(Duration::from_secs(1));
    source.write(20);
    let track = bench.track("a");
    let broadcast = source.publisher.broadcast().clone();
    source.publisher.finish();
    let held = rung.end(&track).await;
    let times = |fragments: &[Fragment]| fragments.iter().map(|one| one.presentation_time.ticks()).collect::<Vec<_>>();
    assert_eq!(times(&held), times(&written));
    let notes = bench.decoders.notes(&broadcast);
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].contains("renditions: 20,"), "{notes:?}");
}
