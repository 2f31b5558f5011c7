//! Packets, times and groups belong together, whatever an encoder holds back and a transcoder leaves out.

use millrace_codec::Unlimited;
use millrace_media::Time;

use super::backends::Habits;
use super::source::{Source, bus, decoder, rendition, square};
use super::*;
use crate::encoder::Steering;

#[tokio::test]
async fn packets_that_come_pictures_later_have_the_group_the_length_and_the_capture_time_of_theirs() {
    let bus = bus();
    let mut source = Source::new(&bus);
    let bench = Bench::new(&bus, &source);
    let rung =
        bench.drive(&rendition("a", 160, 90), Economy::default(), Habits { delay: 7, ..Habits::default() }.opener());
    let written = source.write(35);
    let track = bench.track("a");
    source.publisher.finish();
    let rung = rung.end(&track).await;
    assert_eq!(rung.len(), 35, "the last are flushed out");
    for (mine, theirs) in rung.iter().zip(&written) {
        assert_eq!((mine.presentation_time, mine.duration), (theirs.presentation_time, theirs.duration));
        assert_eq!((mine.captured_at, mine.marks.keyframe), (theirs.captured_at, theirs.marks.keyframe));
        let (here, there) = (mine.place(), theirs.place());
        assert_eq!((here.group, here.object), (there.group, there.object));
    }
}

#[tokio::test]
async fn pictures_left_out_make_the_one_before_last_longer_and_keyframes_stay_inside_their_group() {
    for delay in [0, 3] {
        let bus = bus();
        let mut source = Source::new(&bus);
        let bench = Bench::new(&bus, &source);
        let habits = Habits { delay, ..Habits::default() };
        let rendition = rendition("a", 160, 90);
        let (encoders, counters) = bench.encoders(&rendition, Economy::default(), habits.opener());
        let encoder = encoders.open("a", &bench.source(), bench.settings(&rendition)).unwrap();
        let written = source.write(30);
        let skipped = [4, 5, 9, 10, 27];
        for frame in skipped {
            encoder.steer(written[frame].presentation_time, Steering::Skip).unwrap();
        }
        encoder.steer(written[14].presentation_time, Steering::Keyframe).unwrap();
        for fragment in &written {
            encoder.submit(fragment).await.unwrap();
        }
        let track = bench.track("a");
        source.publisher.finish();
        encoders.finish().await;
        let rung = track.held();
        // The tenth begins a group, and is not left out.
        assert_eq!((rung.len(), counters.read().asked), (26, 4), "delay {delay}");
        assert!(rung.windows(2).all(|pair| pair[0].presentation_time + pair[0].duration == pair[1].presentation_time));
        assert_eq!(rung[3].duration, written[3].duration + written[4].duration + written[5].duration);
        let keyframes: Vec<_> = rung.iter().filter(|one| one.marks.keyframe).map(|one| one.presentation_time).collect();
        let expected = [0, 10, 14, 20].map(|frame: usize| written[frame].presentation_time);
        assert_eq!(keyframes, expected, "delay {delay}");
        let inside = rung.iter().find(|one| one.presentation_time == expected[2]).unwrap().place();
        assert_eq!((inside.group, inside.object), (written[14].place().group, 4), "no group begins with it");
        // Everything decodes, and shows what it should.
        let (mut decoder, mut pictures) = (decoder(rung[0].info()), Vec::new());
        for one in &rung {
            let sample = one.payload.contiguous(0, one.payload.len()).unwrap();
            decoder.decode(&sample, one.presentation_time, &mut Unlimited, &mut pictures).unwrap();
        }
        decoder.flush(&mut pictures).unwrap();
        let shown = (0..30).filter(|frame| *frame == 10 || !skipped.contains(frame));
        for (frame, picture) in shown.zip(&pictures) {
            let expected = frame as i64 * 8 % 280;
            assert!((square(picture) - expected).abs() <= 8, "frame {frame}: {}", square(picture));
        }
    }
}

#[tokio::test]
async fn a_bitrate_out_of_range_is_refused_and_one_for_an_encoder_that_holds_a_quality_is_let_be() {
    let bus = bus();
    let mut source = Source::new(&bus);
    let bench = Bench::new(&bus, &source);
    let mut rendition = (*rendition("a", 160, 90)).clone();
    rendition.video.bitrate = None;
    let rung = bench.drive(&Arc::new(rendition), Economy::default(), Habits::default().opener());
    assert!(rung.encoder.steer(Time::from_millis(0), Steering::Bitrate(0)).is_err());
    rung.encoder.steer(Time::from_millis(0), Steering::Bitrate(300_000)).unwrap();
    source.write(20);
    let track = bench.track("a");
    source.publisher.finish();
    assert_eq!(rung.end(&track).await.len(), 20);
}
