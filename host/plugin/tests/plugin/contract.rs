//! What the contract offers, used as it is meant to be.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use millrace_media::Fragment;
use millrace_transcode::Runner;
use millrace_transcode::factory::Factory;

use crate::host::{Observed, engine, ladder, load, misbehave, read, rendition, shipped, until};
use crate::source::{Source, bus};

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

/// Keeps the numbers by their names and labels.
#[derive(Default)]
struct Numbers(Mutex<HashMap<String, Arc<AtomicU64>>>);

impl Numbers {
    fn number(&self, key: &Key) -> Arc<AtomicU64> {
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let name = format!("{}{{{}}}", key.name(), labels.join(","));
        self.0.lock().unwrap().entry(name).or_default().clone()
    }

    fn read(&self, name: &str) -> Option<u64> {
        self.0.lock().unwrap().get(name).map(|number| number.load(Ordering::Relaxed))
    }
}

struct Shared(Arc<Numbers>);

impl Recorder for Shared {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.0.number(key))
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.0.number(key))
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

fn numbers() -> &'static Numbers {
    static NUMBERS: OnceLock<Arc<Numbers>> = OnceLock::new();
    NUMBERS.get_or_init(|| {
        let numbers = Arc::new(Numbers::default());
        metrics::set_global_recorder(Shared(numbers.clone())).unwrap();
        numbers
    })
}

#[tokio::test]
async fn a_plugins_metrics_are_added_up_and_its_gauges_leave_with_it() {
    let numbers = numbers();
    let plugins = engine();
    let counting = Observed::new(load(&plugins, misbehave("count")).await.unwrap());
    let bus = bus();
    let runner = Runner::start(&bus, vec![counting.clone()], vec![]);
    let mut source = Source::of_size(&bus, 5_000);
    source.write(12);
    read(&source.broadcast(), "video-count", 12).await;
    let gauge = || numbers.read("millrace_plugin_value{plugin=count,name=size}").map(f64::from_bits);
    let instances = || numbers.read("millrace_plugin_instances{plugin=count}").map(f64::from_bits);
    assert_eq!(numbers.read("millrace_plugin_count_total{plugin=count,name=fragments}"), Some(12));
    assert_eq!((gauge(), instances()), (Some(5_000.0), Some(1.0)));
    source.finish();
    until("the instance has ended", || instances() == Some(0.0)).await;
    assert_eq!(gauge(), Some(0.0));
    assert_eq!(counting.faults(), []);
    runner.shutdown().await;
}
