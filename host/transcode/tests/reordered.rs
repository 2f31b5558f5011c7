//! Sources of ffmpeg's with B-frames, open groups and a variable frame rate.

#[allow(dead_code, reason = "each test uses what it needs")]
mod source;

use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use millrace_cmaf::{Item, Limits, Reader};
use millrace_media::track::Info;
use millrace_media::{BroadcastName, Fragment, Media, Time, TrackName};
use millrace_transcode::Runner;
use millrace_transcode::native::NativeLadder;
use source::{bus, ladder, rendition, until};

/// Codes moving pictures with x264, a fragment each picture, and reads them as an ingest would.
fn coded(filter: &str, x264: &str) -> (Info, Vec<Media>) {
    let input = format!("testsrc2=size=320x180:rate=30{filter}");
    let output = Command::new("ffmpeg")
        .args([
            "-nostdin",
            "-loglevel",
            "error",
            "-f",
            "lavfi",
            "-i",
            &input,
            "-frames:v",
            "60",
            "-fps_mode",
            "passthrough",
        ])
        .args(["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-x264-params", x264])
        .args(["-f", "mp4", "-movflags", "empty_moov+default_base_moof+frag_every_frame", "-"])
        .output()
        .expect("ffmpeg is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut reader = Reader::new(Limits::default());
    reader.push(Bytes::from(output.stdout));
    let (mut info, mut media) = (None, Vec::new());
    while let Some(item) = reader.next().unwrap() {
        match item {
            Item::Header(header) => info = header.known().next().map(|track| track.info.clone()),
            Item::Chunk(chunk) => media.push(chunk.place(Time::from_millis(10_000)).unwrap()),
            Item::SegmentType(_) | Item::Skipped(_) => {}
        }
    }
    (info.expect("a header"), media)
}

/// What comes of a source: its own fragments, and its rung's.
async fn transcoded(filter: &str, x264: &str) -> (Vec<Fragment>, Vec<Fragment>) {
    let (info, media) = coded(filter, x264);
    let bus = bus();
    let _runner = Runner::start(&bus, vec![Arc::new(NativeLadder)], vec![ladder(&[rendition("a", 160, 90)])]);
    let publisher = bus.publish(&BroadcastName::new("live/test").unwrap()).unwrap();
    let mut producer = publisher.create_track(TrackName::new("video").unwrap(), info).unwrap();
    let written: Vec<_> = media.into_iter().map(|media| producer.write(media).unwrap()).collect();
    let broadcast = publisher.broadcast().clone();
    until("the rung's track", || broadcast.track("a").is_some_and(|track| track.info().is_some())).await;
    let rung = broadcast.track("a").unwrap();
    publisher.finish();
    until("the rung ends", || rung.is_ended()).await;
    (written, rung.held())
}

/// The rung shows what the source does, when the source does, in the groups of the source.
fn check(written: &[Fragment], rung: &[Fragment]) {
    let mut times: Vec<_> = written.iter().map(|one| one.presentation_time).collect();
    times.sort();
    assert_eq!(rung.iter().map(|one| one.presentation_time).collect::<Vec<_>>(), times);
    for pair in rung.windows(2) {
        assert_eq!(pair[0].presentation_time + pair[0].duration, pair[1].presentation_time, "no hole, no overlap");
    }
    let access_points: Vec<_> = written.iter().filter(|one| one.marks.keyframe).collect();
    assert!(access_points.len() >= 4);
    for one in rung {
        let begun = access_points.iter().rfind(|point| point.presentation_time <= one.presentation_time).unwrap();
        assert_eq!(one.place().group, begun.place().group, "at {}", one.presentation_time);
        let begins = one.presentation_time == begun.presentation_time;
        assert_eq!((one.marks.keyframe, one.starts_group()), (begins, begins), "at {}", one.presentation_time);
    }
}

const OPEN: &str = "keyint=12:min-keyint=12:scenecut=0:open-gop=1:bframes=3:b-adapt=0:b-pyramid=0";

#[tokio::test]
async fn pictures_that_lead_an_open_group_belong_to_the_group_before() {
    let (written, rung) = transcoded("", OPEN).await;
    let leading = written.windows(2).filter(|pair| {
        pair[0].place().group == pair[1].place().group
            && pair[0].marks.keyframe
            && pair[1].presentation_time < pair[0].presentation_time
    });
    assert!(leading.count() >= 3, "the source has open groups");
    check(&written, &rung);
}

#[tokio::test]
async fn a_variable_frame_rate_with_reordering_keeps_its_times_exactly() {
    let closed = "keyint=12:min-keyint=12:scenecut=0:bframes=3:b-adapt=0:b-pyramid=normal";
    for x264 in [closed, OPEN] {
        let (written, rung) = transcoded(",select='not(eq(mod(n\\,5)\\,3))'", x264).await;
        let lengths: std::collections::BTreeSet<_> = rung.iter().map(|one| one.duration.ticks()).collect();
        assert!(lengths.len() >= 2, "the rate varies: {lengths:?}");
        check(&written, &rung);
    }
}
