//! Native encoders of sound steered by plugins, on real sound.

use millrace_cmaf::CodecConfig;
use millrace_cmaf::write::{ChunkWriter, InitSettings, Packet};
use millrace_codec::audio::{AudioEncoder, OpusEncoder};
use millrace_media::fragment::Marks;
use millrace_media::track::Format;
use millrace_media::{BroadcastName, Bus, Fragment, Publisher, Time, Timescale, TrackName};
use millrace_transcode::{Rendition, Runner, Sound};

use crate::host::{engine, ladder, read, rendition, shipped, until};
use crate::source::bus;

const SCALE: Timescale = Timescale::new(48_000).unwrap();

/// Publishes five seconds of a tone as Opus, in chunks of 100 ms.
fn publish(bus: &Bus) -> (Publisher, Vec<Fragment>) {
    let publisher = bus.publish(&BroadcastName::new("live/test").unwrap()).unwrap();
    let start = Time::from_secs(publisher.offset(Time::zero(SCALE)), SCALE);
    let mut encoder = OpusEncoder::new(2, 128_000, start).unwrap();
    let config = encoder.config();
    let tone: Vec<f32> = (0..5 * 48_000 * 2).map(|i| (i as f32 / 20.0).sin() / 2.0).collect();
    let mut packets = Vec::new();
    encoder.encode(&tone, &mut packets).unwrap();
    let init = InitSettings {
        track_id: 1,
        timescale: SCALE,
        format: Format::Audio { sample_rate: config.sample_rate, channels: 2 },
        config: CodecConfig::Opus(config.record()),
        language: Some("de".into()),
        bitrate: None,
    };
    let mut producer = publisher.create_track(TrackName::new("audio").unwrap(), init.info().unwrap()).unwrap();
    let mut writer = ChunkWriter::new(1);
    let marks = Marks { keyframe: true, independent: true, discardable: false };
    let chunks = packets.chunks(5).map(|packets| {
        let coded = packets.iter().map(|packet| Packet {
            data: packet.data.clone(),
            duration: packet.duration,
            composition_offset: 0,
            marks,
        });
        producer.write(writer.chunk(packets[0].time, coded, None).unwrap()).unwrap()
    });
    let written = chunks.collect();
    (publisher, written)
}

#[tokio::test]
async fn the_ladder_makes_the_sound_of_renditions_that_want_their_own() {
    let plugins = engine();
    let bus = bus();
    let factory = shipped(&plugins, "ladder").await;
    let with_opus = Rendition { audio: Sound::Opus { bitrate: 64_000 }, ..rendition("90p", 160, 90) };
    let runner = Runner::start(&bus, vec![factory], ladder([rendition("480p", 854, 480), with_opus]));
    let (publisher, written) = publish(&bus);
    let broadcast = publisher.broadcast().clone();
    until("the rung is there", || broadcast.track("90p-audio").is_some()).await;
    // The reader is there before the end.
    let (rung, ()) = tokio::join!(read(&broadcast, "90p-audio", usize::MAX), async { publisher.finish() });
    let info = rung[0].info();
    assert_eq!((info.codec.as_str(), info.bitrate, info.language.as_deref()), ("opus", Some(64_000), Some("de")));
    let made = broadcast.track("90p-audio").map(|track| track.provenance().to_string());
    assert!(made.is_none_or(|made| made == "ladder (90p)"));
    let end = |fragments: &[Fragment]| fragments.last().map(|last| last.presentation_time + last.duration).unwrap();
    assert!(end(&rung) >= end(&written));
    assert!(rung.windows(2).all(|pair| pair[0].decode_time + pair[0].duration == pair[1].decode_time));
    assert!(rung.last().unwrap().place().group == written.last().unwrap().place().group);
    assert!(broadcast.track("480p-audio").is_none());
    runner.shutdown().await;
}
