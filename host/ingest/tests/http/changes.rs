//! What changes while a publisher sends: its header, its time, its keyframes. Nobody else notices.

use millrace_media::broadcast::State;
use millrace_media::track::{Event, Start};
use millrace_media::{Broadcast, Fragment, Time};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::stage::{self, ENDLESS, Stage};

const FLAGS: &str = "-movflags +cmaf+empty_moov+separate_moof+default_base_moof+frag_keyframe+skip_trailer";

/// Header and media of a second of larger pictures in HEVC.
fn one_second_of_hevc() -> (Vec<u8>, Vec<u8>) {
    stage::before_moof(&stage::made(&format!(
        "-f lavfi -i testsrc2=size=96x96:rate=25 -t 1 -c:v libx265 -preset ultrafast -x265-params log-level=none \
         -tag:v hvc1 -pix_fmt yuv420p {FLAGS}"
    )))
}

/// Header and media of four seconds of pictures and sound, in fragments of half a second, and the timescales of both.
fn both() -> (Vec<u8>, Vec<u8>, [i64; 2]) {
    let file = stage::made(&format!(
        "-f lavfi -i testsrc2=size=64x64:rate=25 -f lavfi -i sine=frequency=440:sample_rate=48000 -t 4 -c:v libx264 \
         -preset ultrafast -pix_fmt yuv420p -g 12 -keyint_min 12 -sc_threshold 0 -c:a aac {FLAGS}"
    ));
    let (header, media) = stage::before_moof(&file);
    (header, media, [12_800, 48_000])
}

/// The fragments of one track each that media consists of, with their `track_ID`.
fn fragments(media: &[u8]) -> Vec<(u8, &[u8])> {
    let named = |name: [u8; 4]| media.windows(4).enumerate().filter(move |(_, at)| *at == name).map(|(at, _)| at);
    let starts: Vec<usize> = named(*b"moof").map(|at| at - 4).chain([media.len()]).collect();
    starts.windows(2).zip(named(*b"tfhd")).map(|(pair, tfhd)| (media[tfhd + 11], &media[pair[0]..pair[1]])).collect()
}

fn of_epoch(broadcast: &Broadcast, name: &str, epoch: u32) -> Vec<Fragment> {
    let mut held = broadcast.track(name).unwrap().held();
    held.retain(|fragment| fragment.place().epoch.0 == epoch);
    held
}

fn samples(fragments: &[Fragment]) -> usize {
    fragments.iter().map(|fragment| fragment.samples.len()).sum()
}

/// The newest epoch of a track.
fn newest(broadcast: &Broadcast, name: &str) -> u32 {
    broadcast.track(name).unwrap().newest().unwrap().place().epoch.0
}

#[tokio::test]
async fn another_header_in_an_endless_request_begins_an_epoch() {
    let stage = Stage::new().await;
    let (small, large) = (stage::one_second(), one_second_of_hevc());
    let body = [&small.0[..], &small.1, &large.0, &large.1, &small.0, &small.1].concat();
    assert_eq!(stage.put("live/me/stream.mp4", &body).await.0, 200);
    let broadcast = stage.broadcast("live/me").await;
    assert_eq!(broadcast.tracks().len(), 1);
    for (epoch, codec, side) in [(0, "avc1.", 64), (1, "hvc1.", 96), (2, "avc1.", 64)] {
        let fragments = of_epoch(&broadcast, "video", epoch);
        assert_eq!(samples(&fragments), 25);
        assert!(fragments[0].starts_group());
        for fragment in &fragments {
            let info = fragment.info();
            assert!(info.codec.starts_with(codec), "{}", info.codec);
            assert_eq!(info.format.size(), Some((side, side)));
        }
        let segment = broadcast.segment(fragments[0].place().segment).unwrap();
        assert_eq!((segment.discontinuity, segment.independent), (epoch > 0, true));
    }
    let held = broadcast.track("video").unwrap().held();
    assert!(held.windows(2).all(|pair| pair[0].decode_time < pair[1].decode_time));
    assert_eq!(broadcast.forced_cuts(), 0);
}

#[tokio::test]
async fn another_header_leaves_the_other_streams_of_the_publisher_writing() {
    let stage = Stage::new().await;
    let sound = stage::made(&format!("-f lavfi -i sine=frequency=440:sample_rate=48000 -t 2 -c:a aac {FLAGS}"));
    let (header, media) = stage::before_moof(&sound);
    let mut audio = stage::open(&stage, "live/me/Streams(audio.cmfa)").await;
    stage::send(&mut audio, &[&header[..], &media].concat()).await;
    let broadcast = stage.broadcast("live/me").await;
    stage.until(|| broadcast.track("audio").filter(|track| track.newest().is_some())).await;

    let (small, large) = (stage::one_second(), one_second_of_hevc());
    let body = [&small.0[..], &small.1, &large.0, &stage::later(&large.1, 2, &[12_800])].concat();
    assert_eq!(stage.put("live/me/Streams(video.cmfv)", &body).await.0, 200);
    assert_eq!((newest(&broadcast, "video"), newest(&broadcast, "audio")), (1, 0));

    stage::send(&mut audio, &stage::later(&media, 2, &[48_000])).await;
    stage::send(&mut audio, b"").await;
    let mut consumer = broadcast.track("audio").unwrap().subscribe(Start::OldestGroup);
    loop {
        match stage::within(consumer.next()).await.expect("the track goes on") {
            Event::Fragment(fragment) if fragment.place().epoch.0 == 1 => break,
            _ => {}
        }
    }
    audio.shutdown().await.unwrap();
    stage.until_state(&broadcast, |state| matches!(state, State::Waiting { .. })).await;
    let skew =
        of_epoch(&broadcast, "audio", 1)[0].presentation_time - of_epoch(&broadcast, "video", 1)[0].presentation_time;
    assert!(skew.micros().abs() < 50_000, "sound begins {skew} after the picture");
}

#[tokio::test]
async fn another_header_beside_a_manifest_begins_an_epoch_if_it_comes_over_the_same_connection() {
    let stage = Stage::new().await;
    let (small, large) = (stage::one_second(), one_second_of_hevc());
    let sound = stage::made(&format!("-f lavfi -i sine=frequency=440:sample_rate=48000 -t 1 -c:a aac {FLAGS}"));
    let (sound_header, sound_media) = stage::before_moof(&sound);
    let connect = || TcpStream::connect(stage.address);
    let (mut video, mut audio) = (connect().await.unwrap(), connect().await.unwrap());
    for (connection, n, header, media) in
        [(&mut video, 0, &small.0, &small.1), (&mut audio, 1, &sound_header, &sound_media)]
    {
        assert_eq!(stage::put_on(connection, &format!("live/me/init-stream{n}.m4s"), header).await, 200);
        assert_eq!(stage::put_on(connection, &format!("live/me/chunk-stream{n}-1.m4s"), media).await, 200);
    }
    // The same header again changes nothing; another one from elsewhere is somebody else's.
    assert_eq!(stage::put_on(&mut video, "live/me/init-stream0.m4s", &small.0).await, 200);
    let (status, text) = stage.put("live/me/init-stream0.m4s", &large.0).await;
    assert!(status == 409 && text.contains("its media still comes"), "{status} {text}");
    let broadcast = stage.broadcast("live/me").await;
    assert_eq!(newest(&broadcast, "video"), 0);

    assert_eq!(stage::put_on(&mut video, "live/me/init-stream0.m4s", &large.0).await, 200);
    let next = stage::later(&large.1, 1, &[12_800]);
    assert_eq!(stage::put_on(&mut video, "live/me/chunk-stream0-2.m4s", &next).await, 200);
    let next = stage::later(&sound_media, 1, &[48_000]);
    assert_eq!(stage::put_on(&mut audio, "live/me/chunk-stream1-2.m4s", &next).await, 200);
    for name in ["video", "audio"] {
        assert!(!of_epoch(&broadcast, name, 0).is_empty() && !of_epoch(&broadcast, name, 1).is_empty(), "{name}");
    }
    let info = broadcast.track("video").unwrap().info().unwrap();
    assert!(info.codec.starts_with("hvc1") && info.format.size() == Some((96, 96)), "{info:?}");
    assert_eq!(broadcast.tracks().len(), 2);
}

/// Time goes on, by `seconds` from one second to the next, in an endless request of pictures and sound.
async fn set_anew(seconds: i64) {
    let stage = Stage::new().await;
    let file = stage::file("aac");
    let healthy = stage.push(&format!("-readrate 1.5 -i {file}"), ENDLESS, "live/healthy/stream.mp4");
    stage.broadcast("live/healthy").await;

    let (header, media, timescales) = both();
    // From far enough on that it can go back by as much.
    let before = stage::later(&media, 2 * seconds.abs(), &timescales);
    let after = stage::later(&media, 2 * seconds.abs() + seconds, &timescales);
    // Sound comes some fragments late, so that it still comes from before when pictures come from after.
    let (pictures, sound): (Vec<_>, Vec<_>) =
        [fragments(&before), fragments(&after)].concat().into_iter().partition(|(track, _)| *track == 1);
    let late = 3;
    let late_sound = std::iter::repeat_n(&[][..], late).chain(sound.iter().map(|(_, fragment)| *fragment));
    let pictures = pictures.iter().map(|(_, fragment)| *fragment).chain(std::iter::repeat_n(&[][..], late));
    let mixed: Vec<&[u8]> = pictures.zip(late_sound).flat_map(|(picture, sound)| [picture, sound]).collect();
    assert_eq!(mixed.concat().len(), before.len() + after.len(), "there are as many of each");
    assert_eq!(stage.put("live/me/stream.mp4", &[&header[..], &mixed.concat()].concat()).await.0, 200);
    let broadcast = stage.broadcast("live/me").await;
    // One jump, one epoch.
    assert_eq!((newest(&broadcast, "video"), newest(&broadcast, "audio")), (1, 1));
    for epoch in [0, 1] {
        let (pictures, sound) = (of_epoch(&broadcast, "video", epoch), of_epoch(&broadcast, "audio", epoch));
        assert_eq!(samples(&pictures), 100);
        // 188 frames of sound, the end of which is lost where the pictures are ahead.
        assert!(samples(&sound) >= if epoch == 0 { 100 } else { 180 }, "{}", samples(&sound));
        let skew = sound[0].presentation_time - pictures[0].presentation_time;
        assert!(skew.micros().abs() < 50_000, "sound begins {skew} after the picture");
        for track in [&pictures, &sound] {
            assert!(track.windows(2).all(|pair| pair[0].decode_time + pair[0].duration == pair[1].decode_time));
        }
    }
    let (last, first) = (of_epoch(&broadcast, "video", 0), of_epoch(&broadcast, "video", 1));
    assert!(last.last().unwrap().decode_time < first[0].decode_time, "the broadcast's time goes on");
    assert!(broadcast.segment(first[0].place().segment).unwrap().discontinuity);
    assert_eq!(broadcast.forced_cuts(), 0);

    assert!(stage::within(healthy.wait_with_output()).await.unwrap().status.success());
    let broadcast = stage.broadcast("live/healthy").await;
    stage.until_gone(&broadcast).await;
    stage::same(&stage::sound(&broadcast, "video").1, &file, "v");
    stage::same(&stage::sound(&broadcast, "audio").1, &file, "a");
}

#[tokio::test]
async fn time_that_jumps_forward_an_hour_begins_one_epoch() {
    set_anew(3600).await;
}

#[tokio::test]
async fn time_that_jumps_back_an_hour_begins_one_epoch() {
    set_anew(-3600).await;
}

#[tokio::test]
async fn segments_an_hour_ahead_begin_an_epoch_and_segments_an_hour_back_are_refused() {
    let stage = Stage::new().await;
    let (header, media) = stage::one_second();
    let at = |seconds| stage::later(&media, seconds, &[12_800]);
    assert_eq!(stage.put("live/me/init.mp4", &header).await.0, 200);
    assert_eq!(stage.put("live/me/index0.m4s", &at(3600)).await.0, 200);
    assert_eq!(stage.put("live/me/index1.m4s", &at(7200)).await.0, 200);
    let broadcast = stage.broadcast("live/me").await;
    let (before, after) = (of_epoch(&broadcast, "video", 0), of_epoch(&broadcast, "video", 1));
    assert_eq!((samples(&before), samples(&after)), (25, 25));
    assert!(broadcast.segment(after[0].place().segment).unwrap().discontinuity);
    let step = after[0].decode_time - before[0].decode_time;
    assert!(Time::from_secs(1, step.scale()) <= step && step < Time::from_secs(5, step.scale()), "{step} later");

    let (status, text) = stage.put("live/me/index2.m4s", &at(3601)).await;
    assert!(status == 409 && text.contains("further on by more than 10 s"), "{status} {text}");
    let other = "PUT /ingest/live/me/index2.m4s HTTP/1.1\r\nUser-Agent: another";
    let (status, text) = stage.request(other, &at(10_800)).await;
    assert!(status == 409 && text.contains("further back by more than 10 s"), "{status} {text}");
    assert_eq!(stage.put("live/me/index2.m4s", &at(7201)).await.0, 200);
    assert_eq!(samples(&of_epoch(&broadcast, "video", 1)), 50);
}

#[tokio::test]
async fn half_a_minute_without_a_keyframe_is_cut_elsewhere_and_said_so() {
    let stage = Stage::new().await;
    let file = stage::made(&format!(
        "-f lavfi -i testsrc2=size=64x64:rate=5 -t 32 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 1000 \
         -keyint_min 1000 -sc_threshold 0 {FLAGS} -frag_duration 1000000"
    ));
    assert_eq!(stage.put("live/me/stream.mp4", &file).await.0, 200);
    let broadcast = stage.broadcast("live/me").await;
    let (_, fragments) = stage::sound(&broadcast, "video");
    assert_eq!(samples(&fragments), 160);
    assert_eq!(fragments.iter().filter(|fragment| fragment.starts_group()).count(), 1);
    // Segments of at most 10 s: three cuts in 32 s.
    assert_eq!(broadcast.forced_cuts(), 3);
    let segments: Vec<_> =
        fragments.iter().map(|fragment| broadcast.segment(fragment.place().segment).unwrap()).collect();
    assert!(segments.iter().all(|segment| segment.independent == (segment.number.0 == 0)));
}

#[tokio::test]
async fn pictures_before_the_first_keyframe_are_dropped_and_sound_is_not() {
    let stage = Stage::new().await;
    let file = stage::made(
        "-f lavfi -i testsrc2=size=64x64:rate=25 -f lavfi -i sine=frequency=440:sample_rate=48000 -t 2 -c:v libx264 \
         -preset ultrafast -pix_fmt yuv420p -g 25 -keyint_min 25 -sc_threshold 0 -c:a aac -movflags \
         +cmaf+empty_moov+separate_moof+default_base_moof+frag_every_frame+skip_trailer",
    );
    let (header, media) = stage::before_moof(&file);
    let mut fragments = fragments(&media);
    let keyframe = fragments.iter().position(|(track, _)| *track == 1).unwrap();
    fragments.remove(keyframe);
    let rest: Vec<&[u8]> = [&header[..]].into_iter().chain(fragments.into_iter().map(|(_, bytes)| bytes)).collect();
    assert_eq!(stage.put("live/me/stream.mp4", &rest.concat()).await.0, 200);
    let broadcast = stage.broadcast("live/me").await;
    let (_, pictures) = stage::sound(&broadcast, "video");
    assert_eq!(samples(&pictures), 25);
    assert!(pictures[0].starts_group());
    let sound = broadcast.track("audio").unwrap().held();
    let ahead = pictures[0].presentation_time - sound[0].presentation_time;
    assert!((ahead - Time::from_millis(1000)).micros().abs() < 50_000, "sound begins {ahead} before");
}
