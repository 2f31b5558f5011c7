//! Pictures in HEVC and AV1 become broadcasts that say so.

use millrace_media::track::Kind;

use crate::stage::{self, Stage};

const HEVC: &str = "-c:v libx265 -preset ultrafast -x265-params log-level=none -tag:v hvc1";
const AV1: &str = "-c:v libsvtav1 -preset 12";
/// As the page on ingest says it: the header waits until the encoder has said what it makes.
const ENDLESS: &str = "-f mp4 -method POST -movflags \
                       +cmaf+delay_moov+separate_moof+default_base_moof+frag_keyframe -frag_duration 40000";
const DASH: &str = "-f dash -seg_duration 1 -streaming 1 -ldash 1 -frag_type every_frame -use_timeline 0 \
                    -target_latency 3 -http_persistent 1 -method PUT";

/// Two seconds of pictures and sound, encoded and pushed.
async fn pushed(encoder: &str, form: &str, file: &str, codec: &str) {
    let stage = Stage::new().await;
    let source = "-f lavfi -i testsrc2=size=320x180:rate=25 -f lavfi -i sine=frequency=440:sample_rate=48000";
    let options = format!("-t 2 {encoder} -pix_fmt yuv420p -g 25 -c:a aac {form}");
    stage.push_all(source, &options, &format!("live/me/{file}")).await;
    let broadcast = stage.broadcast("live/me").await;
    stage.until_gone(&broadcast).await;
    let (video, pictures) = stage::sound(&broadcast, "video");
    let info = video.info().unwrap();
    assert_eq!((info.codec.as_str(), info.format.size()), (codec, Some((320, 180))));
    assert_eq!(info.kind(), Kind::Video);
    assert_eq!(pictures.iter().map(|fragment| fragment.samples.len()).sum::<usize>(), 50);
    assert!(pictures[0].starts_group());
    assert_eq!(pictures.iter().filter(|fragment| fragment.starts_group()).count(), 2);
    assert_eq!(stage::sound(&broadcast, "audio").0.info().unwrap().codec, "mp4a.40.2");
}

#[tokio::test]
async fn hevc_in_an_endless_request() {
    pushed(HEVC, ENDLESS, "stream.mp4", "hvc1.1.6.L60.90").await;
}

#[tokio::test]
async fn hevc_as_dash() {
    pushed(HEVC, DASH, "manifest.mpd", "hvc1.1.6.L60.90").await;
}

#[tokio::test]
async fn av1_in_an_endless_request() {
    pushed(AV1, ENDLESS, "stream.mp4", "av01.0.00M.08").await;
}

#[tokio::test]
async fn av1_as_dash() {
    pushed(AV1, DASH, "manifest.mpd", "av01.0.00M.08").await;
}
