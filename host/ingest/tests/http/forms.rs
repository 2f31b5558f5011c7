//! What ffmpeg sends in each of its forms arrives whole.

use millrace_media::broadcast::State;
use millrace_media::{Broadcast, Time};

use crate::stage::{self, ENDLESS, Stage};

/// Everything in `file` is on the bus, byte for byte, in step.
fn check(broadcast: &Broadcast, file: &str, audio_codec: &str) {
    let (video, pictures) = stage::sound(broadcast, "video");
    let (audio, sound) = stage::sound(broadcast, "audio");
    assert!(video.info().unwrap().codec.starts_with("avc1.64"), "{}", video.info().unwrap().codec);
    assert_eq!(audio.info().unwrap().codec, audio_codec);
    stage::same(&pictures, file, "v");
    stage::same(&sound, file, "a");
    assert_eq!(pictures.iter().filter(|fragment| fragment.starts_group()).count(), 3);
    assert_eq!(broadcast.tracks().len(), 2);
}

/// An endless request: what has been sent, and how long after the first picture sound begins, within 20 ms.
async fn endless(audio: &str, codec: &str, flags: &str, priming: Time) {
    let stage = Stage::new().await;
    let file = stage::file(audio);
    let options = format!("-c copy -strict -2 -movflags {flags} -f mp4 -method POST");
    stage.push_all(&format!("-readrate 4 -i {file}"), &options, "live/me/stream.mp4").await;
    let broadcast = stage.broadcast("live/me").await;
    stage.until_state(&broadcast, |state| matches!(state, State::Waiting { .. })).await;
    check(&broadcast, &file, codec);
    let off = stage::skew(&broadcast) - priming;
    assert!(off.micros().abs() <= 20_000, "sound begins {off} off");
}

const EVERY_FRAME: &str = "+cmaf+empty_moov+separate_moof+default_base_moof+frag_every_frame";
const KEYFRAME: &str = "+cmaf+empty_moov+separate_moof+default_base_moof+frag_keyframe";
/// One `moof` for sound and picture, and positions counted in the file.
const SHARED: &str = "+empty_moov+frag_keyframe";

#[tokio::test]
async fn an_endless_request_of_single_frames() {
    endless("aac", "mp4a.40.2", EVERY_FRAME, Time::from_millis(0)).await;
}

#[tokio::test]
async fn an_endless_request_of_whole_groups() {
    endless("aac", "mp4a.40.2", KEYFRAME, Time::from_millis(0)).await;
}

#[tokio::test]
async fn an_endless_request_of_shared_fragments() {
    // Its offsets are not negative and it has no edit list: the first picture comes two frames late.
    endless("aac", "mp4a.40.2", SHARED, Time::from_millis(-80)).await;
}

#[tokio::test]
async fn an_endless_request_with_opus() {
    endless("libopus", "opus", EVERY_FRAME, Time::from_millis(0)).await;
}

#[tokio::test]
async fn an_endless_request_without_a_file_name() {
    let stage = Stage::new().await;
    let file = stage::file("aac");
    stage.push_all(&format!("-i {file}"), ENDLESS, "live/me").await;
    let broadcast = stage.broadcast("live/me").await;
    stage.until_gone(&broadcast).await;
    check(&broadcast, &file, "mp4a.40.2");
}

async fn smooth(options: &str, path: &str, name: &str) {
    let stage = Stage::new().await;
    let file = stage::file("aac");
    let options = format!("-c copy -f ismv -movflags {options} -method POST");
    stage.push_all(&format!("-readrate 4 -i {file}"), &options, path).await;
    let broadcast = stage.broadcast(name).await;
    stage.until_state(&broadcast, |state| matches!(state, State::Waiting { .. })).await;
    check(&broadcast, &file, "mp4a.40.2");
    // AAC's priming of one frame comes before the beginning.
    let off = stage::skew(&broadcast) - Time::from_micros(-21_333);
    assert!(off.micros().abs() <= 20_000, "sound begins {off} off");
}

#[tokio::test]
async fn smooth_streaming_in_whole_groups() {
    smooth("isml+frag_keyframe", "live.isml/Streams(Encoder1)", "live").await;
}

#[tokio::test]
async fn smooth_streaming_in_short_fragments() {
    smooth("isml+frag_keyframe -frag_duration 40000", "live/me/stream.ismv", "live/me").await;
}

#[tokio::test]
async fn streams_of_one_publisher_on_connections_of_their_own() {
    let stage = Stage::new().await;
    let file = stage::file("aac");
    let source = format!("-readrate 4 -i {file}");
    let (video, audio) = (format!("-map 0:v {ENDLESS}"), format!("-map 0:a {ENDLESS}"));
    let video = stage.push_all(&source, &video, "live.isml/Streams(video.cmfv)");
    let audio = stage.push_all(&source, &audio, "live.isml/Streams%28audio.cmfa%29");
    tokio::join!(video, audio);
    let broadcast = stage.broadcast("live").await;
    stage.until_gone(&broadcast).await;
    check(&broadcast, &file, "mp4a.40.2");
}

async fn dash(options: &str) {
    let stage = Stage::new().await;
    let file = stage::file("aac");
    let options = format!("-c copy -f dash -seg_duration 1 {options}");
    stage.push_all(&format!("-readrate 4 -i {file}"), &options, "live/me/manifest.mpd").await;
    let broadcast = stage.broadcast("live/me").await;
    // The last manifest is static.
    stage.until_state(&broadcast, |state| matches!(state, State::Ended { .. })).await;
    check(&broadcast, &file, "mp4a.40.2");
    // AAC's priming of one frame comes before the beginning.
    let off = stage::skew(&broadcast) - Time::from_micros(-21_333);
    assert!(off.micros().abs() <= 20_000, "sound begins {off} off");
    assert_eq!(stage.ingest.publishers(), 0);
}

#[tokio::test]
async fn dash_in_chunks() {
    dash("-streaming 1 -ldash 1 -write_prft 1 -frag_type every_frame -use_timeline 0 -target_latency 3 -http_persistent 1 -method PUT")
        .await;
}

#[tokio::test]
async fn dash_in_segments_on_a_connection_each() {
    dash("-window_size 2 -extra_window_size 0 -method POST").await;
}

async fn hls(options: &str, path: &str) {
    let stage = Stage::new().await;
    let file = stage::file("aac");
    let options = format!("-c copy -f hls -hls_segment_type fmp4 -hls_time 1 {options} -method PUT");
    stage.push_all(&format!("-readrate 4 -i {file}"), &options, path).await;
    let broadcast = stage.broadcast("live/me").await;
    // The last playlists say that they have ended.
    stage.until_state(&broadcast, |state| matches!(state, State::Ended { .. })).await;
    check(&broadcast, &file, "mp4a.40.2");
    // AAC's priming of one frame comes before the beginning.
    let off = stage::skew(&broadcast) - Time::from_micros(-21_333);
    assert!(off.micros().abs() <= 20_000, "sound begins {off} off");
}

#[tokio::test]
async fn hls_of_one_playlist() {
    hls("-http_persistent 1 -hls_list_size 2 -hls_flags delete_segments", "live/me/index.m3u8").await;
}

#[tokio::test]
async fn hls_of_a_playlist_for_each_track() {
    hls(
        "-map 0:v -map 0:a -master_pl_name master.m3u8 -var_stream_map v:0,agroup:a\u{a0}a:0,agroup:a",
        "live/me/stream_%v/index.m3u8",
    )
    .await;
}
