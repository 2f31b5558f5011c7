//! Sources that ask for too much: what is stated is dropped, counted and noted, and the rest goes on.

#[allow(dead_code, reason = "each test uses what it needs")]
mod source;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millrace_cmaf::write::{ChunkWriter, Packet};
use millrace_codec::Size;
use millrace_media::{Bus, Fragment, Media};
use millrace_transcode::native::NativeLadder;
use millrace_transcode::stats::{LeftOut, Stats};
use millrace_transcode::{Decoding, Runner};
use source::{Source, bus, ladder, rendition, until};

/// Luma samples of a coded frame of 320x180.
const FRAME: u64 = 320 * 192;

fn run(bus: &Bus, decoding: Decoding) -> Runner {
    let ladder = ladder(&[rendition("a", 160, 90)]);
    Runner::start_within(bus, vec![Arc::new(NativeLadder)], vec![ladder], decoding)
}

fn stats(runner: &Runner) -> Stats {
    runner.stats().first().map(|(_, stats)| *stats).unwrap_or_default()
}

fn times(fragments: &[Fragment]) -> Vec<i64> {
    fragments.iter().map(|fragment| fragment.presentation_time.ticks()).collect()
}

/// Ends the source, and gives what the rung has then.
async fn end(source: Source) -> Vec<Fragment> {
    let track = source.publisher.broadcast().track("a").expect("the rung was made");
    source.publisher.finish();
    until("the rung ends", || track.is_ended()).await;
    track.held()
}

/// The sample of a fragment, so many times over in one.
fn repeated(media: &Media, count: usize) -> Media {
    let data = media.payload.contiguous(0, media.payload.len()).unwrap().repeat(count);
    let sample = media.timed_samples().next().unwrap().sample;
    let packet =
        Packet { data: Bytes::from(data), duration: sample.duration, composition_offset: 0, marks: sample.marks };
    ChunkWriter::new(1).chunk(media.decode_time, [packet], None).unwrap()
}

#[tokio::test]
async fn a_sample_with_many_frames_costs_the_rest_of_its_group_and_no_work() {
    let bus = bus();
    // What all that is honest takes, and a frame more.
    let runner = run(&bus, Decoding { max_rate: 35 * FRAME, ..Decoding::default() });
    let mut source = Source::new(&bus);
    let broadcast = source.publisher.broadcast().clone();
    let mut written = source.write(14);
    let bomb = repeated(&source.next(), 1_000);
    source.producer.write(bomb).unwrap();
    let rest = source.write(5);
    written.extend(source.write(20));
    until("it says so", || !runner.notes(&broadcast).is_empty()).await;
    let rung = end(source).await;
    assert_eq!(times(&rung), times(&written), "{} frames of the group are lost", rest.len());
    let notes = runner.notes(&broadcast);
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(
        notes[0].starts_with("samples of video")
            && notes[0].contains("renditions: 1,")
            && notes[0].contains("more than one access unit"),
        "{notes:?}"
    );
}

#[tokio::test]
async fn what_exceeds_the_rate_is_dropped_to_the_next_keyframe_counted_and_noted() {
    let bus = bus();
    let runner = run(&bus, Decoding { max_rate: 25 * FRAME, ..Decoding::default() });
    let mut source = Source::new(&bus);
    let broadcast = source.publisher.broadcast().clone();
    // The clock stands still: times of media buy nothing.
    let written = source.write(60);
    until("the rest is dropped", || stats(&runner).limited == 35).await;
    assert_eq!(stats(&runner).left_out(LeftOut::Limited), 35);
    assert_eq!(stats(&runner).dropped, 35);
    bus.clock().advance(Duration::from_millis(800));
    let more = source.write(40);
    until("as much again is dropped", || stats(&runner).limited == 55).await;
    let rung = end(source).await;
    assert_eq!(times(&rung), times(&[&written[..25], &more[..20]].concat()));
    assert!(rung.iter().all(|one| one.marks.keyframe == one.starts_group()));
    let notes = runner.notes(&broadcast);
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(
        notes[0].starts_with("frames of video")
            && notes[0].contains("renditions: 55,")
            && notes[0].contains("`transcode.max_decode`"),
        "{notes:?}"
    );
}

#[tokio::test]
async fn frames_beyond_the_limit_have_no_rung_and_a_note() {
    let bus = bus();
    let runner = run(&bus, Decoding { max_frame: Size::new(160, 90).unwrap(), ..Decoding::default() });
    let mut source = Source::new(&bus);
    source.write(10);
    let broadcast = source.publisher.broadcast().clone();
    until("it is refused", || stats(&runner).start_faults > 0).await;
    assert!(broadcast.track("a").is_none());
    let notes = runner.notes(&broadcast);
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].starts_with("video is not transcoded") && notes[0].contains("the limit is 160x90"), "{notes:?}");
}
