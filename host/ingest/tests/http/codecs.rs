//! Pictures in HEVC and AV1 become broadcasts that say so, and timed metadata is a track of its own.

use bytes::Bytes;
use millrace_cmaf::write::{ChunkWriter, InitSettings, Packet};
use millrace_cmaf::{CodecConfig, FourCC};
use millrace_media::fragment::Marks;
use millrace_media::track::{Format, Kind};
use millrace_media::{Time, Timescale};

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

#[tokio::test]
async fn timed_metadata_beside_video_is_a_data_track_passed_on_as_it_is() {
    let stage = Stage::new().await;
    let (header, media) = stage::one_second();
    let (status, text) = stage.put("live/me/Streams(video.cmfv)", &[header, media].concat()).await;
    assert_eq!(status, 200, "{text}");
    let entry = FourCC::new(b"evte");
    let settings = InitSettings {
        track_id: 7,
        timescale: Timescale::MILLIS,
        format: Format::Data,
        config: CodecConfig::Data(entry, Bytes::new()),
        language: None,
        bitrate: None,
    };
    let mut chunks = ChunkWriter::new(7);
    let packet = |data: &'static [u8]| Packet {
        data: Bytes::from_static(data),
        duration: 500,
        composition_offset: 0,
        marks: Marks { keyframe: true, independent: true, discardable: false },
    };
    let written = chunks.chunk(Time::from_millis(0), [packet(b"\0\0\0\x08emeb"), packet(b"anything")], None).unwrap();
    let mut bytes = settings.init_segment().unwrap().to_vec();
    bytes.extend_from_slice(&written.head);
    written.payload.slices().iter().for_each(|slice| bytes.extend_from_slice(slice));
    let (status, text) = stage.put("live/me/Streams(data.cmfm)", &bytes).await;
    assert_eq!(status, 200, "{text}");
    let broadcast = stage.broadcast("live/me").await;
    let track = stage.until(|| broadcast.track("data")).await;
    let info = track.info().unwrap();
    assert_eq!((info.kind(), info.codec.as_str()), (Kind::Data, "evte"));
    let held = track.held();
    let samples: Vec<Bytes> = held
        .iter()
        .flat_map(|fragment| {
            fragment.samples.iter().map(|sample| fragment.payload.contiguous(sample.offset, sample.size).unwrap())
        })
        .collect();
    assert_eq!(samples, [&b"\0\0\0\x08emeb"[..], b"anything"]);
}
