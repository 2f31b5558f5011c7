//! Frames that are made CMAF: what comes out is what was put in, with its times.

use bytes::Bytes;
use millrace_media::track::Format;
use serde_json::{Value, json};

use crate::catalogs::object;
use crate::media::{self, Clip, Sample};
use crate::stage::{self, Stage, ietf_track, net_track};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Publishes video and sound in frames through `moq-net`, with this catalog.
async fn published(
    stage: &Stage,
    catalog: &Value,
    tracks: &[(&str, Vec<Vec<Bytes>>)],
) -> (crate::stage::Net, impl Drop + use<>) {
    struct Kept(
        #[expect(dead_code, reason = "kept")] Vec<moq_net::track::Producer>,
        #[expect(dead_code, reason = "kept")] moq_net::broadcast::Producer,
    );
    impl Drop for Kept {
        fn drop(&mut self) {}
    }
    let net = stage.net().await;
    let published = net.broadcast("live/me");
    let mut kept = vec![net_track(&published, "catalog.json", &object(catalog))];
    kept.extend(tracks.iter().map(|(name, groups)| net_track(&published, name, groups)));
    published.announce(Default::default()).unwrap();
    (net, Kept(kept, published))
}

/// The pictures on the bus are the clip's but for the last, which is kept back, and so are the distances between their times.
async fn same_pictures(stage: &Stage, clip: &Clip) {
    let broadcast = stage.broadcast("live/me").await;
    let expected: Vec<Sample> = clip.samples();
    let count = expected.len() - 1;
    let held = stage.samples(&broadcast, "video", count).await;
    let differs = held.iter().zip(&expected).position(|(held, sent)| *held != sent.bytes);
    assert_eq!((held.len(), differs), (count, None), "pictures, and the first that differs");
    let fragments = stage::sound(&broadcast, "video");
    let times: Vec<i64> = fragments
        .iter()
        .flat_map(|f| f.media().timed_samples().map(|s| s.presentation_time.micros()).collect::<Vec<_>>())
        .collect();
    for (i, (time, sample)) in times.iter().zip(&expected).enumerate() {
        let (got, sent) = (time - times[0], sample.presented as i64 - expected[0].presented as i64);
        assert!((got - sent).abs() <= 1, "picture {i}: {got} instead of {sent}");
    }
    let info = broadcast.track("video").unwrap().info().unwrap();
    assert_eq!(info.format, Format::Video { width: 320, height: 180, frame_rate: None });
    assert_eq!(info.codec, clip.header.info.codec);
}

#[tokio::test]
async fn legacy_h264_with_avcc_and_opus() {
    let (stage, video, opus) = (Stage::new(), media::video(), media::audio("libopus"));
    let record = video.header.config.record();
    let catalog = json!({
        "video": {"renditions": {"v": {"codec": video.header.info.codec, "description": hex(record)}}},
        "audio": {"renditions": {"a": {"codec": "opus", "sampleRate": 48000, "numberOfChannels": 1}}},
    });
    let tracks = [("v", video.framed(media::legacy)), ("a", opus.framed(media::legacy))];
    let _published = published(&stage, &catalog, &tracks).await;
    same_pictures(&stage, video).await;
    let broadcast = stage.broadcast("live/me").await;
    let sent = opus.bytes();
    let held = stage.samples(&broadcast, "audio", sent.len() - 5).await;
    assert_eq!(held, sent[..held.len()]);
    let track = broadcast.track("audio").unwrap().info().unwrap();
    assert_eq!((track.codec.as_str(), track.format), ("opus", Format::Audio { sample_rate: 48_000, channels: 1 }));
    let fragments = stage::sound(&broadcast, "audio");
    assert!(fragments.windows(2).all(|pair| pair[0].decode_time + pair[0].duration == pair[1].decode_time));
    // Both began at the same time on the publisher's timeline.
    let first = |name: &str| stage::sound(&broadcast, name)[0].presentation_time.micros();
    assert!((first("audio") - first("video")).abs() < 50_000, "{} {}", first("audio"), first("video"));
}

#[tokio::test]
async fn legacy_h264_with_b_frames_as_a_byte_stream() {
    let (stage, video) = (Stage::new(), media::reordered());
    let record = video.header.config.record().clone();
    let frame = |sample: &Sample| {
        let bytes = media::byte_stream(sample, &record);
        media::legacy(&Sample { bytes, keyframe: sample.keyframe, presented: sample.presented })
    };
    let catalog = json!({"video": {"renditions": {"v": {"codec": "avc3.64000d"}}}});
    let _published = published(&stage, &catalog, &[("v", video.framed(frame))]).await;
    same_pictures(&stage, video).await;
}

#[tokio::test]
async fn loc_with_h264_as_a_byte_stream_and_aac_through_moq_transport() {
    let (stage, video, aac) = (Stage::new(), media::video(), media::audio("aac"));
    let record = video.header.config.record().clone();
    let frame = |sample: &Sample| {
        let bytes = media::byte_stream(sample, &record);
        media::loc(&Sample { bytes, keyframe: sample.keyframe, presented: sample.presented })
    };
    let asc = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, aac.header.config.record());
    let catalog = json!({"version": "draft-01", "tracks": [
        {"name": "v", "packaging": "loc", "codec": "avc3.42c00d"},
        {"name": "a", "packaging": "loc", "codec": "mp4a.40.2", "samplerate": 48000, "channelConfig": "1", "initData": asc},
    ]});
    let mut ietf = stage.ietf().await;
    let (mut tracks, reader) = ietf.namespace("live/me");
    let _written = [
        ietf_track(&mut tracks, "catalog", &object(&catalog)),
        ietf_track(&mut tracks, "v", &video.framed(frame)),
        ietf_track(&mut tracks, "a", &aac.framed(media::loc)),
    ];
    ietf.announce(reader);
    same_pictures(&stage, video).await;
    let broadcast = stage.broadcast("live/me").await;
    let sent = aac.bytes();
    let held = stage.samples(&broadcast, "audio", sent.len() - 4).await;
    assert_eq!(held, sent[..held.len()]);
    assert_eq!(broadcast.track("audio").unwrap().info().unwrap().timescale.get(), 48_000);
}

#[tokio::test]
async fn loc_with_av1() {
    let (stage, video) = (Stage::new(), media::av1());
    let catalog =
        json!({"video": {"renditions": {"v": {"codec": video.header.info.codec, "container": {"kind": "loc"}}}}});
    let _published = published(&stage, &catalog, &[("v", video.framed(media::loc))]).await;
    same_pictures(&stage, video).await;
}
