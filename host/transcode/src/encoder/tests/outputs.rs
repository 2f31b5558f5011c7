//! The output tracks of encoders and of the transcoder itself: each has one writer, and is there before work begins.

use millrace_codec::audio::{AudioCodec, AudioSettings};
use millrace_media::track::InfoError;

use super::backends::Habits;
use super::source::{Source, bus, rendition};
use super::*;
use crate::encoder::EncodeError;
use crate::output::{OutputError, Writer};

const AUDIO: AudioSettings = AudioSettings { codec: AudioCodec::Opus, bitrate: 96_000 };

/// Counts the backends that are opened, and opens none.
fn counting() -> (Opener, Arc<AtomicU64>) {
    let opened = Arc::new(AtomicU64::new(0));
    let count = opened.clone();
    let opener: Opener = Arc::new(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        Err(millrace_codec::EncodeError::Backend { backend: "none", reason: "there is none".into() })
    });
    (opener, opened)
}

#[tokio::test]
async fn a_track_has_one_writer() {
    let bus = bus();
    let source = Source::new(&bus);
    let bench = Bench::new(&bus, &source);
    let rendition = rendition("a", 160, 90);
    let (encoders, _) = bench.encoders(&rendition, Economy::default(), Habits::default().opener());
    let outputs = encoders.0.wiring.outputs.clone();
    let settings = bench.settings(&rendition);

    encoders.open("encoded", &bench.source(), settings.clone()).unwrap();
    let refused = outputs.open("encoded", None).unwrap_err();
    assert!(matches!(refused, OutputError::Written { by: Writer::VideoEncoder, given: Writer::Transcoder, .. }));
    assert_eq!(
        refused.to_string(),
        "the track encoded is written by a video encoder: the transcoder itself needs another name"
    );
    let refused = encoders.open_audio("encoded", &bench.source(), AUDIO).unwrap_err();
    let expected = "the track encoded is written by a video encoder: an audio encoder needs another name";
    assert_eq!(refused, EncodeError::Invalid(expected.into()));

    outputs.open("own", None).unwrap();
    outputs.open("own", None).unwrap();
    let refused = encoders.open("own", &bench.source(), settings).unwrap_err();
    let expected = "the track own is written by the transcoder itself: a video encoder needs another name";
    assert_eq!(refused, EncodeError::Invalid(expected.into()));
}

#[tokio::test]
async fn names_and_limits_are_checked_before_a_backend_is_opened() {
    let bus = bus();
    let source = Source::new(&bus);
    let bench = Bench::new(&bus, &source);
    let rendition = rendition("a", 160, 90);
    let (opener, opened) = counting();
    let (encoders, _) = bench.encoders(&rendition, Economy::default(), opener);
    let outputs = encoders.0.wiring.outputs.clone();
    let open = |name, most| encoders.open_within(name, &bench.source(), bench.settings(&rendition), most).unwrap_err();

    let own = outputs.open("own", None).unwrap();
    assert!(matches!(open("two words", 9), EncodeError::Invalid(_)));
    assert!(matches!(open("own", 9), EncodeError::Invalid(_)));
    assert!(matches!(open("video", 9), EncodeError::Invalid(reason) if reason.contains("the publisher")));
    assert!(matches!(open("a", 1), EncodeError::Overloaded(_)));
    assert_eq!(opened.load(Ordering::Relaxed), 0);

    // A backend that fails leaves no track behind.
    assert!(matches!(open("a", 2), EncodeError::Failed(_)));
    assert_eq!(opened.load(Ordering::Relaxed), 1);
    assert!(bench.broadcast.track("a").is_none());
    outputs.open_within("a", None, 2).unwrap();
    drop(own);
}

#[tokio::test]
async fn an_output_is_described_anew_only_with_its_source() {
    let bus = bus();
    let mut source = Source::new(&bus);
    let bench = Bench::new(&bus, &source);
    let (encoders, _) = bench.encoders(&rendition("a", 160, 90), Economy::default(), counting().0);
    let output = encoders.0.wiring.outputs.open("copy", None).unwrap();
    let before = bench.source();
    output.describe_like(&before).unwrap();
    let fragment = source.write_one();
    output.write(fragment.place().group, fragment.media().clone()).unwrap();

    source.change_size(160, 90);
    let fragment = source.write_one();
    let renamed = SourceTrack { info: bench.source().info, ..before.clone() };
    assert_eq!(output.describe_like(&renamed), Err(OutputError::Info(InfoError::Written)));
    let own = bench.source().info.as_ref().clone();
    assert_eq!(output.describe(own), Err(OutputError::Info(InfoError::Written)));
    assert_eq!(output.info().unwrap(), before.info);

    let after = SourceTrack { id: 1, ..bench.source() };
    output.describe_like(&after).unwrap();
    output.write(fragment.place().group, fragment.media().clone()).unwrap();
    assert_eq!(*output.track().newest().unwrap().info(), after.info);
}
