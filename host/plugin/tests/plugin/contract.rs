//! What the contract offers, used as it is meant to be.

use std::sync::Arc;
use std::time::Duration;

use millrace_media::Fragment;
use millrace_media::track::Role;
use millrace_transcode::Runner;
use millrace_transcode::factory::Factory;

use crate::host::{Observed, engine, ladder, load, misbehave, read, rendition, shipped, stats, until};
use crate::logs::logged;
use crate::source::{GROUP, Source, bus};

/// What `misbehave` makes of twelve fragments when it is told to do this, which must not be a fault; with the source's.
async fn made(what: &str) -> (Vec<Fragment>, Vec<Fragment>) {
    let plugins = engine();
    let plugin = Observed::new(load(&plugins, misbehave(what)).await.unwrap());
    let bus = bus();
    let runner = Runner::start(&bus, vec![plugin.clone()], vec![]);
    let mut source = Source::of_size(&bus, 5_000);
    let written = source.write(12);
    let made = read(&source.broadcast(), &format!("video-{what}"), 12).await;
    runner.shutdown().await;
    assert_eq!(plugin.faults(), []);
    (written, made)
}

fn same_bytes_in_memory(a: &Fragment, b: &Fragment) -> bool {
    let (a, b) = (&a.payload.slices()[0], &b.payload.slices()[0]);
    a.as_ptr() == b.as_ptr() && a.len() == b.len()
}

#[tokio::test]
async fn passing_on_copies_nothing() {
    let (written, made) = made("nothing").await;
    for (original, copy) in written.iter().zip(&made) {
        assert!(same_bytes_in_memory(original, copy));
        assert_eq!((&original.head, original.place().group), (&copy.head, copy.place().group));
    }
}

#[tokio::test]
async fn an_event_goes_before_the_media_and_copies_none_of_it() {
    let (written, made) = made("event").await;
    for (original, copy) in written.iter().zip(&made) {
        assert!(same_bytes_in_memory(original, copy));
        let (before, rest) = copy.head.split_at(copy.head.len() - original.head.len());
        assert_eq!(rest, original.head);
        assert_eq!(&before[4..8], b"emsg");
        assert!(before.ends_with(b"hello"));
    }
}

#[tokio::test]
async fn what_a_plugin_writes_itself_has_the_times_it_gave() {
    let (written, made) = made("write").await;
    for (original, copy) in written.iter().zip(&made) {
        assert_eq!(original.samples, copy.samples);
        assert_eq!(original.payload.contiguous(0, 5_000), copy.payload.contiguous(0, 5_000));
        assert_eq!((original.decode_time, original.marks), (copy.decode_time, copy.marks));
        assert_eq!(original.place().group, copy.place().group);
        assert_eq!(copy.captured_at, Some(Duration::from_secs(1)));
    }
}

#[tokio::test]
async fn wrong_arguments_are_errors_and_no_faults() {
    made("bad-arguments").await;
}

#[tokio::test]
async fn an_instance_that_declines_leaves_the_track_alone() {
    let plugins = engine();
    let declines = Observed::new(load(&plugins, misbehave("decline")).await.unwrap());
    let bus = bus();
    let runner = Runner::start(&bus, vec![declines.clone(), shipped(&plugins, "passthrough").await], vec![]);
    let mut source = Source::of_size(&bus, 100);
    source.write(12);
    read(&source.broadcast(), "video-copy", 12).await;
    assert_eq!(declines.faults(), []);
    assert!(source.broadcast().track("video-decline").is_none());
    runner.shutdown().await;
}

#[tokio::test]
async fn every_rendition_gets_sound_of_its_own() {
    let plugins = engine();
    let bus = bus();
    let factory: Arc<dyn Factory> = shipped(&plugins, "audio-passthrough").await;
    let runner = Runner::start(&bus, vec![factory], ladder([rendition("480p", 854, 480), rendition("240p", 426, 240)]));
    let mut source = Source::sound(&bus);
    let written = source.write(12);
    for rendition in ["480p", "240p"] {
        let name = format!("{rendition}-audio");
        let copied = read(&source.broadcast(), &name, 12).await;
        assert!(copied.iter().zip(&written).all(|(copy, original)| same_bytes_in_memory(copy, original)));
        let track = source.broadcast().track(&name).unwrap();
        assert_eq!(track.provenance().rendition(), Some(rendition));
        assert_eq!(track.info().unwrap().codec, "opus");
    }
    runner.shutdown().await;
}

#[tokio::test]
async fn a_plugins_metrics_are_labelled_and_leave_with_what_they_are_labelled_with() {
    let plugins = engine();
    let counting = Observed::new(load(&plugins, misbehave("count")).await.unwrap());
    let bus = bus();
    let runner = Runner::start(&bus, vec![counting.clone()], vec![]);
    let mut source = Source::of_size(&bus, 5_000);
    source.write(12);
    read(&source.broadcast(), "video-count", 12).await;
    let metrics = plugins.metrics();
    let of = |name: &str, more: &str| format!("millrace_plugin_metric_count_{name}{{plugin=\"count\"{more}}}");
    for line in [
        format!("{} 12", of("fragments_total", ",broadcast=\"live/test\",track=\"video\"")),
        format!("{} 5000", of("size", ",broadcast=\"live/test\"")),
        format!("{} 12", of("bytes_bucket", ",le=\"10000\"")),
        format!("{} 0", of("bytes_bucket", ",le=\"1000\"")),
        format!("{} 60000", of("bytes_sum", "")),
        "millrace_plugin_alarms{plugin=\"count\",alarm=\"counting\",broadcast=\"live/test\",track=\"video\"} 1".into(),
    ] {
        assert!(metrics.lines().any(|known| known == line), "{line}\n{metrics}");
    }
    let alarms = plugins.alarms();
    assert_eq!((alarms.len(), alarms[0].text.as_str()), (1, "it counts"));
    source.finish();
    until("what is labelled with the broadcast has gone", || !plugins.metrics().contains("live/test")).await;
    assert_eq!(plugins.alarms(), []);
    // What is not labelled stays as long as the plugin.
    assert!(plugins.metrics().contains(&of("bytes_count", "")));
    assert_eq!(counting.faults(), []);
    runner.shutdown().await;
}

#[tokio::test]
async fn what_a_plugin_saves_outlives_its_instance() {
    let plugins = engine();
    let bus = bus();
    let factory = load(&plugins, misbehave("remember")).await.unwrap();
    let runner = Runner::start(&bus, vec![factory], vec![]);
    let mut source = Source::of_size(&bus, 1000);
    // It traps on the third fragment of each instance.
    source.write(2 * GROUP as usize + 1);
    for seen in ["seen-1-1", "seen-2-2", "seen-3-3"] {
        until(seen, || source.broadcast().track(seen).is_some()).await;
    }
    source.finish();
    until("it has ended", || bus.broadcasts().iter().all(|broadcast| broadcast.tracks().iter().all(|t| t.is_ended())))
        .await;
    // Another broadcast has an instance of its own, and the same plugin.
    let mut source = Source::named(&bus, "live/other", 1000);
    source.write(1);
    until("another broadcast", || source.broadcast().track("seen-1-4").is_some()).await;
    runner.shutdown().await;
}

#[tokio::test]
async fn one_instance_works_on_all_tracks_of_a_broadcast() {
    let plugins = engine();
    let bus = bus();
    let plugin = Observed::new(load(&plugins, misbehave("broadcast")).await.unwrap());
    let runner = Runner::start(&bus, vec![plugin.clone()], vec![]);
    let mut source = Source::of_size(&bus, 1000);
    let mut audio = source.beside("audio");
    let (video, sound) = (source.write(12), audio.write(12));
    for (name, written) in [("video-broadcast", video), ("audio-broadcast", sound)] {
        let made = read(&source.broadcast(), name, 12).await;
        assert!(made.iter().zip(&written).all(|(copy, original)| same_bytes_in_memory(copy, original)), "{name}");
    }
    let keys: Vec<_> = runner.stats().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys.len(), 1);
    assert_eq!(keys[0].track, None);
    // A track that ends leaves the other alone.
    let broadcast = source.broadcast();
    audio.end();
    source.write(12);
    read(&broadcast, "video-broadcast", 24).await;
    source.finish();
    until("its tracks end", || broadcast.track("video-broadcast").is_none_or(|track| track.is_ended())).await;
    until("the transcoder ends", || {
        plugins.metrics().is_empty() && runner.stats().is_empty() || broadcast.tracks().iter().all(|t| t.is_ended())
    })
    .await;
    assert_eq!(plugin.faults(), []);
    runner.shutdown().await;
}

#[tokio::test]
async fn edited_fragments_are_what_was_asked_for() {
    let (written, made) = made("insert").await;
    for (original, copy) in written.iter().zip(&made) {
        let whole = copy.payload.contiguous(0, copy.payload.len()).unwrap();
        assert_eq!(&whole[..16], &[&[7; 4][..], b"inserted", &[7; 4]].concat());
        assert_eq!(copy.samples.iter().next().unwrap().size, 5_008);
        assert_eq!(copy.decode_time, original.decode_time);
    }
    let (_, made) = self::made("replace").await;
    assert!(made.iter().all(|copy| copy.payload.contiguous(0, 5).as_deref() == Some(b"other")));
    let (written, made) = self::made("no-event").await;
    for (original, copy) in written.iter().zip(&made) {
        assert!(same_bytes_in_memory(original, copy));
        assert_eq!(original.head, copy.head);
    }
}

#[tokio::test]
async fn a_chunk_of_the_plugins_own_is_written_as_it_is() {
    let (written, made) = made("write-chunk").await;
    for (original, copy) in written.iter().zip(&made) {
        assert_eq!(original.payload.contiguous(0, 5_000), copy.payload.contiguous(0, 5_000));
        assert_eq!((original.decode_time, original.duration), (copy.decode_time, copy.duration));
        assert_eq!((original.marks.keyframe, original.place().group), (copy.marks.keyframe, copy.place().group));
    }
}

#[tokio::test]
async fn a_plugin_says_how_its_track_is_listed() {
    let plugins = engine();
    let bus = bus();
    let plugin = Observed::new(load(&plugins, misbehave("listed")).await.unwrap());
    let runner = Runner::start(&bus, vec![plugin.clone()], vec![]);
    let mut source = Source::of_size(&bus, 1000);
    source.write(12);
    read(&source.broadcast(), "video-listed", 12).await;
    let listing = source.broadcast().track("video-listed").unwrap().listing().as_ref().clone();
    assert_eq!((listing.role, listing.language.as_deref()), (Some(Role::Alternate), Some("de-AT")));
    assert_eq!((listing.listed, listing.replaces.as_ref().map(|name| name.as_str())), (false, Some("video")));
    assert_eq!(plugin.faults(), []);
    runner.shutdown().await;
}

#[tokio::test]
async fn a_plugin_is_told_what_a_track_is() {
    crate::logs::keep();
    let plugins = engine();
    let bus = bus();
    let runner = Runner::start(&bus, vec![load(&plugins, misbehave("describe-track")).await.unwrap()], vec![]);
    let mut source = Source::pictures(&bus);
    source.write(1);
    let line = logged("describe-track", "video avc1.").await;
    assert!(line.contains("90000 Some(\"320x180\") Some(\"320x180\") Some((30, 1)) None None"), "{line}");
    source.finish();
    logged("describe-track", "a track is over: ended").await;
    logged("describe-track", "stopped: ended").await;
    runner.shutdown().await;
    let runner = Runner::start(&bus, vec![load(&plugins, misbehave("bitrate")).await.unwrap()], vec![]);
    let mut source = Source::named(&bus, "live/other", 1000);
    source.write(41);
    read(&source.broadcast(), "video-bitrate", 41).await;
    assert_eq!(stats(&runner, "bitrate").fragment_faults, 0);
    // The source ends because the server does.
    runner.announce_shutdown();
    source.finish();
    runner.shutdown().await;
    logged("bitrate", "stopped: shutdown").await;
}
