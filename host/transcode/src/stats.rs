//! What is counted of each transcoder.

mod behind;
mod meter;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram};
use millrace_media::{BroadcastName, TrackName};

use crate::factory::Policy;
use behind::{Behind, Open};
pub(crate) use meter::Meter;
pub use meter::{Reliefs, State, Work};

/// Tells one transcoder from another.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The factory's name.
    pub factory: Arc<str>,
    /// The rendition, of a factory that works per rendition.
    pub rendition: Option<Arc<str>>,
    /// The broadcast.
    pub broadcast: BroadcastName,
    /// The source's track, of a factory that works per track or rendition.
    pub track: Option<TrackName>,
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
    /// In a call for something else than media: a time it has asked for, a message.
    Call,
}

impl Phase {
    const ALL: [Self; 4] = [Self::Start, Self::Fragment, Self::Stop, Self::Call];

    /// `start`, `fragment`, `stop` or `call`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Fragment => "fragment",
            Self::Stop => "stop",
            Self::Call => "call",
        }
    }
}

/// Why a picture that was to be encoded was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftOut {
    /// The encoder was so slow that the picture was gone from the ring.
    Overtaken,
    /// The encoder was so far behind that it went on with the next group.
    Late,
    /// A transcoder asked for it.
    Asked,
    /// The machine could not carry the ladder: a step of relief.
    Relieved,
    /// The encoder, or the scaler, failed.
    Failed,
    /// The source asks for more decoding than it may.
    Limited,
}

impl LeftOut {
    const ALL: [Self; 6] = [Self::Overtaken, Self::Late, Self::Asked, Self::Relieved, Self::Failed, Self::Limited];

    /// The word for it in metrics and the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Overtaken => "overtaken",
            Self::Late => "late",
            Self::Asked => "asked",
            Self::Relieved => "relieved",
            Self::Failed => "failed",
            Self::Limited => "limited",
        }
    }
}

/// What has been counted so far, and how its encoders stand.
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
    /// Faults in calls for something else than media.
    pub call_faults: u64,
    /// Starts that failed because there was no room for another transcoder.
    pub no_room: u64,
    /// Fragments of the source that it was told it had missed.
    pub skipped: u64,
    /// Fragments it has written.
    pub output_fragments: u64,
    /// Bytes it has written.
    pub output_bytes: u64,
    /// Its fragments that were refused, and frames its encoders lost: overtaken, late, failed or limited.
    pub dropped: u64,
    /// Pictures encoded.
    pub encoded: u64,
    /// Pictures scaled for the first time; those that another rung had scaled already are not counted.
    pub scaled: u64,
    /// Pictures left out because the encoder was overtaken in the ring.
    pub overtaken: u64,
    /// Pictures left out because the encoder was too far behind.
    pub late: u64,
    /// Pictures left out because a transcoder asked for it.
    pub asked: u64,
    /// Pictures left out as a step of relief.
    pub relieved: u64,
    /// Pictures left out because encoding failed.
    pub failed: u64,
    /// Frames that were not decoded, because the source asks for more decoding than it may.
    pub limited: u64,
    /// What encoding a picture has taken, on average. On the wall's clock: on a busy machine other threads' work is in it.
    pub encode_time: Duration,
    /// What scaling a picture has taken, on average over those that were scaled.
    pub scale_time: Duration,
    /// Decoded pictures that wait for its encoders now, and those inside them.
    pub queue: u64,
    /// From the arrival of the last fragment to the transcoder's having taken it, or of the last frame written to its being written:
    /// whichever is longer.
    pub lag: Duration,
    /// Fragments of the source that wait for the transcoder now.
    pub waiting: u64,
    /// Fragments it was not given because the factory uses more than its share of the processor.
    pub over_share: u64,
    /// How its encoders stand, of several the worst; or that its breaker is open.
    pub state: State,
    /// What is done without it, where its breaker is open.
    pub breaker: Option<Policy>,
}

impl Stats {
    /// Pictures left out for this reason.
    pub const fn left_out(&self, reason: LeftOut) -> u64 {
        match reason {
            LeftOut::Overtaken => self.overtaken,
            LeftOut::Late => self.late,
            LeftOut::Asked => self.asked,
            LeftOut::Relieved => self.relieved,
            LeftOut::Failed => self.failed,
            LeftOut::Limited => self.limited,
        }
    }
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

/// How long a kind of work has taken: how often and in all by transcoder, and in the metrics each time.
struct Timing {
    count: AtomicU64,
    nanos: AtomicU64,
    histogram: Histogram,
}

impl Timing {
    fn new(histogram: Histogram) -> Self {
        Self { count: AtomicU64::new(0), nanos: AtomicU64::new(0), histogram }
    }

    fn add(&self, took: Duration) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.histogram.record(took.as_secs_f64());
    }

    fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    fn mean(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::Relaxed) / self.count().max(1))
    }
}

/// The counters of one transcoder.
pub(crate) struct Counters {
    fragments: Count,
    faults: [Count; 4],
    no_room: Count,
    skipped: Count,
    output_fragments: Count,
    output_bytes: Count,
    dropped: Count,
    left_out: [Count; 6],
    encode: Timing,
    scale: Timing,
    lag: Histogram,
    since_capture: Histogram,
    /// How far the transcoder itself is behind its source.
    behind: Behind,
    over_share: Count,
    breaker: Open,
    queue: Gauge,
    meters: Mutex<Vec<Weak<Meter>>>,
}

impl Counters {
    pub(crate) fn new(key: &Key) -> Self {
        let factory = key.factory.to_string();
        let rendition = key.rendition.as_deref().unwrap_or_default().to_owned();
        let labels = [("factory", factory.clone()), ("rendition", rendition.clone())];
        let count = |name: &'static str| Count(AtomicU64::new(0), metrics::counter!(name, &labels));
        let by = |name: &'static str, label: &'static str, value: &'static str| {
            let labels = [("factory", factory.clone()), ("rendition", rendition.clone()), (label, value.to_owned())];
            Count(AtomicU64::new(0), metrics::counter!(name, &labels))
        };
        Self {
            fragments: count("millrace_transcoder_fragments_total"),
            faults: Phase::ALL.map(|phase| by("millrace_transcoder_faults_total", "phase", phase.as_str())),
            no_room: count("millrace_transcoder_no_room_total"),
            skipped: count("millrace_transcoder_skipped_fragments_total"),
            output_fragments: count("millrace_transcoder_output_fragments_total"),
            output_bytes: count("millrace_transcoder_output_bytes_total"),
            dropped: count("millrace_transcoder_dropped_total"),
            left_out: LeftOut::ALL.map(|reason| by("millrace_encode_left_out_total", "reason", reason.as_str())),
            encode: Timing::new(metrics::histogram!("millrace_encode_seconds", &labels)),
            scale: Timing::new(metrics::histogram!("millrace_scale_seconds", &labels)),
            lag: metrics::histogram!("millrace_encode_lag_seconds", &labels),
            since_capture: metrics::histogram!("millrace_capture_to_written_seconds", &labels),
            behind: Behind::new(&labels),
            over_share: count("millrace_transcoder_over_share_fragments_total"),
            breaker: Open::new(metrics::gauge!("millrace_transcoder_breakers_open", &labels)),
            queue: metrics::gauge!("millrace_encode_queue_pictures", &labels),
            meters: Mutex::default(),
        }
    }

    pub(crate) fn fragment(&self) {
        self.fragments.add(1);
    }

    /// The transcoder has taken a fragment so long after it had arrived. `waiting` says how many wait, where it is late.
    pub(crate) fn taken(&self, after: Duration, waiting: impl FnOnce() -> u64) {
        self.behind.taken(after, waiting);
    }

    pub(crate) fn over_share(&self) {
        self.over_share.add(1);
    }

    pub(crate) fn breaker_opened(&self, policy: Policy) {
        self.breaker.set(policy);
    }

    pub(crate) fn fault(&self, phase: Phase) {
        self.faults[phase as usize].add(1);
    }

    pub(crate) fn no_room(&self) {
        self.no_room.add(1);
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

    pub(crate) fn left_out(&self, reason: LeftOut, pictures: u64) {
        self.left_out[reason as usize].add(pictures);
        if matches!(reason, LeftOut::Overtaken | LeftOut::Late | LeftOut::Failed | LeftOut::Limited) {
            self.dropped(pictures);
        }
    }

    pub(crate) fn encoded(&self, took: Duration) {
        self.encode.add(took);
    }

    pub(crate) fn scaled(&self, took: Duration) {
        self.scale.add(took);
    }

    /// A picture was written so long after it had arrived, and been captured.
    pub(crate) fn written(&self, since_arrival: Duration, since_capture: Option<Duration>) {
        self.lag.record(since_arrival.as_secs_f64());
        if let Some(since_capture) = since_capture {
            self.since_capture.record(since_capture.as_secs_f64());
        }
    }

    /// A meter for one more encoder, counted until it is dropped.
    pub(crate) fn meter(&self) -> Arc<Meter> {
        let meter = Arc::new(Meter::new(self.queue.clone()));
        let mut meters = self.meters.lock().unwrap_or_else(PoisonError::into_inner);
        meters.retain(|known| known.strong_count() > 0);
        meters.push(Arc::downgrade(&meter));
        meter
    }

    pub(crate) fn read(&self) -> Stats {
        let breaker = self.breaker.get();
        let [start_faults, fragment_faults, stop_faults, call_faults] = self.faults.each_ref().map(Count::get);
        let [overtaken, late, asked, relieved, failed, limited] = self.left_out.each_ref().map(Count::get);
        let meters: Vec<_> = {
            let meters = self.meters.lock().unwrap_or_else(PoisonError::into_inner);
            meters.iter().filter_map(Weak::upgrade).collect()
        };
        Stats {
            fragments: self.fragments.get(),
            start_faults,
            fragment_faults,
            stop_faults,
            call_faults,
            no_room: self.no_room.get(),
            skipped: self.skipped.get(),
            output_fragments: self.output_fragments.get(),
            output_bytes: self.output_bytes.get(),
            dropped: self.dropped.get(),
            encoded: self.encode.count(),
            scaled: self.scale.count(),
            overtaken,
            late,
            asked,
            relieved,
            failed,
            limited,
            encode_time: self.encode.mean(),
            scale_time: self.scale.mean(),
            queue: meters.iter().map(|meter| meter.queue()).sum(),
            lag: meters.iter().map(|meter| meter.lag()).max().unwrap_or_default().max(self.behind.lag()),
            waiting: self.behind.waiting(),
            over_share: self.over_share.get(),
            state: match breaker {
                Some(_) => State::BreakerOpen,
                None => meters.iter().map(|meter| meter.state()).max().unwrap_or_default(),
            },
            breaker,
        }
    }
}

impl std::fmt::Debug for Counters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.read().fmt(f)
    }
}
