//! What is counted of each transcoder.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use metrics::Counter;
use millrace_media::{BroadcastName, TrackName};

/// Tells one transcoder from another.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The factory's name.
    pub factory: Arc<str>,
    /// The rendition, of a factory that works per rendition.
    pub rendition: Option<Arc<str>>,
    /// The broadcast.
    pub broadcast: BroadcastName,
    /// The source's track.
    pub track: TrackName,
}

/// Where a fault happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// In starting.
    Start,
    /// In a fragment, or a gap.
    Fragment,
    /// In stopping.
    Stop,
}

impl Phase {
    const ALL: [Self; 3] = [Self::Start, Self::Fragment, Self::Stop];

    /// `start`, `fragment` or `stop`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Fragment => "fragment",
            Self::Stop => "stop",
        }
    }
}

/// What has been counted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Fragments of the source that it was given.
    pub fragments: u64,
    /// Faults in starting.
    pub start_faults: u64,
    /// Faults in a fragment.
    pub fragment_faults: u64,
    /// Faults in stopping.
    pub stop_faults: u64,
    /// Fragments of the source that it was told it had missed.
    pub skipped: u64,
    /// Fragments it has written.
    pub output_fragments: u64,
    /// Bytes it has written.
    pub output_bytes: u64,
    /// Its fragments that were refused, and pictures its encoders had to leave out.
    pub dropped: u64,
}

/// One number, in [`Stats`] by transcoder and in the metrics by factory and rendition.
struct Count(AtomicU64, Counter);

impl Count {
    fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
        self.1.increment(by);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters of one transcoder.
pub(crate) struct Counters {
    fragments: Count,
    faults: [Count; 3],
    skipped: Count,
    output_fragments: Count,
    output_bytes: Count,
    dropped: Count,
}

impl Counters {
    pub(crate) fn new(key: &Key) -> Self {
        let factory = key.factory.to_string();
        let rendition = key.rendition.as_deref().unwrap_or_default().to_owned();
        let count = |name: &'static str| {
            Count(
                AtomicU64::new(0),
                metrics::counter!(name, "factory" => factory.clone(), "rendition" => rendition.clone()),
            )
        };
        let fault = |phase: Phase| {
            let labels =
                [("factory", factory.clone()), ("rendition", rendition.clone()), ("phase", phase.as_str().to_owned())];
            Count(AtomicU64::new(0), metrics::counter!("millrace_transcoder_faults_total", &labels))
        };
        Self {
            fragments: count("millrace_transcoder_fragments_total"),
            faults: Phase::ALL.map(fault),
            skipped: count("millrace_transcoder_skipped_fragments_total"),
            output_fragments: count("millrace_transcoder_output_fragments_total"),
            output_bytes: count("millrace_transcoder_output_bytes_total"),
            dropped: count("millrace_transcoder_dropped_total"),
        }
    }

    pub(crate) fn fragment(&self) {
        self.fragments.add(1);
    }

    pub(crate) fn fault(&self, phase: Phase) {
        self.faults[phase as usize].add(1);
    }

    pub(crate) fn skipped(&self, fragments: u64) {
        self.skipped.add(fragments);
    }

    pub(crate) fn output(&self, bytes: u64) {
        self.output_fragments.add(1);
        self.output_bytes.add(bytes);
    }

    pub(crate) fn output_refused(&self) {
        self.dropped.add(1);
    }

    pub(crate) fn dropped(&self, pictures: u64) {
        self.dropped.add(pictures);
    }

    pub(crate) fn read(&self) -> Stats {
        let [start_faults, fragment_faults, stop_faults] = self.faults.each_ref().map(Count::get);
        Stats {
            fragments: self.fragments.get(),
            start_faults,
            fragment_faults,
            stop_faults,
            skipped: self.skipped.get(),
            output_fragments: self.output_fragments.get(),
            output_bytes: self.output_bytes.get(),
            dropped: self.dropped.get(),
        }
    }
}

impl std::fmt::Debug for Counters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.read().fmt(f)
    }
}
