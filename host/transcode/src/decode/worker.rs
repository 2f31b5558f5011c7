//! The decoder's thread.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use metrics::{Counter, Histogram};
use millrace_codec::{Allowance, DecodeError, Picture, VideoDecoder, open_video_decoder};
use millrace_media::fragment::TimedSample;
use millrace_media::track::Info;
use millrace_media::{Fragment, Time};
use millrace_supervise::catch;

use super::disposable::Disposable;
use super::lengths::{self, Lengths};
use super::limits::{Bucket, LastWork};
use super::ring::Job;
use super::tally::Dropped;
use super::{Decoded, Decoding, PATIENCE, Shared, Source};
use crate::encoder::EncodeError;

/// The most samples in the decoder at a time: the reordering of any level, and what a damaged stream leaves behind.
const IN_FLIGHT: usize = 128;
/// How often a failing library is opened anew without a picture in between.
pub(super) const STRIKES: u32 = 3;

/// A decoder for what a track is.
pub(super) struct Opened {
    pub(super) decoder: Box<dyn VideoDecoder>,
    disposable: Disposable,
}

/// Opens a decoder for what a track is.
pub(super) fn open(info: &Info, decoding: Decoding) -> Result<Opened, EncodeError> {
    let header = millrace_cmaf::describe(&info.init).map_err(|error| EncodeError::Invalid(error.to_string()))?;
    let record = header.config.record();
    let decoder = open_video_decoder(&info.codec, record, decoding.limits()).map_err(|error| match error {
        DecodeError::Unsupported { .. } => EncodeError::Unsupported(error.to_string()),
        _ => EncodeError::Invalid(error.to_string()),
    })?;
    Ok(Opened { decoder, disposable: Disposable::of(info, record) })
}

/// A sample that is in the decoder.
struct InFlight {
    fragment: Fragment,
    duration: Time,
    starts_group: bool,
    discardable: bool,
}

/// What all decoders of the server report together: a source is no label, for there is no end of them.
struct Report {
    seconds: Histogram,
    luma_samples: Counter,
    passed_over: Counter,
    damaged: Counter,
    failed: Counter,
}

impl Report {
    fn new() -> Self {
        Self {
            seconds: metrics::histogram!("millrace_decode_seconds"),
            luma_samples: metrics::counter!("millrace_decode_luma_samples_total"),
            passed_over: metrics::counter!("millrace_decode_skipped_total"),
            damaged: metrics::counter!("millrace_decode_damaged_total"),
            failed: metrics::counter!("millrace_decode_failed_total"),
        }
    }
}

/// What the decoder is allowed for one sample.
struct Permit<'a> {
    shared: &'a Shared,
    source: &'a Source,
    bucket: &'a mut Bucket,
    began: Instant,
    /// How long it may take.
    left: Duration,
    luma_samples: &'a Counter,
}

impl Allowance for Permit<'_> {
    fn admits(&mut self, luma_samples: u64) -> bool {
        let admitted = self.bucket.take(luma_samples, self.source.now());
        if admitted {
            self.luma_samples.increment(luma_samples);
        }
        admitted
    }

    fn goes_on(&mut self) -> bool {
        self.began.elapsed() < self.left && self.shared.state().may_decode(self.source.now())
    }
}

pub(super) struct Worker {
    shared: Arc<Shared>,
    source: Source,
    decoding: Decoding,
    bucket: Bucket,
    last_work: LastWork,
    /// Frames were dropped that those to come may depend on.
    limited: bool,
    info: Arc<Info>,
    /// None after a failure, until a group begins.
    opened: Option<Opened>,
    strikes: u32,
    in_flight: BTreeMap<i64, InFlight>,
    pictures: Vec<Picture>,
    lengths: Lengths,
    /// A picture that waits for the next to know how long it is shown.
    held: Option<Decoded>,
    /// When the last fragment arrived.
    arrived: Duration,
    report: Report,
}

impl Worker {
    pub(super) fn new(
        shared: Arc<Shared>,
        source: Source,
        decoding: Decoding,
        info: Arc<Info>,
        opened: Opened,
    ) -> Self {
        Self {
            shared,
            bucket: Bucket::new(decoding.max_rate, source.now()),
            source,
            decoding,
            last_work: LastWork::default(),
            limited: false,
            info,
            opened: Some(opened),
            strikes: 0,
            in_flight: BTreeMap::new(),
            pictures: Vec::new(),
            lengths: Lengths::default(),
            held: None,
            arrived: Duration::ZERO,
            report: Report::new(),
        }
    }

    pub(super) fn run(mut self) {
        while let Some(job) = self.next_job() {
            let done = catch(|| match job {
                Job::Fragment(fragment) => self.fragment(&fragment),
                Job::Gap(since) => {
                    self.arrived = since.unwrap_or(self.arrived);
                    self.flush();
                }
            });
            if let Err(panic) = done {
                self.pictures.clear();
                self.failed(&panic.to_string());
            }
            self.shared.pictures.notify_all();
            self.shared.progress.notify_waiters();
        }
    }

    fn next_job(&self) -> Option<Job> {
        let mut state = self.shared.state();
        loop {
            if state.is_stopped() {
                return None;
            }
            if let Some(job) = state.next_job() {
                return Some(job);
            }
            // Readers that are closing wait to hear that nothing is at work any more.
            self.shared.pictures.notify_all();
            state = self.shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn fragment(&mut self, fragment: &Fragment) {
        self.arrived = fragment.arrived();
        if fragment.info().init != self.info.init {
            self.flush();
            self.info = fragment.info().clone();
            self.strikes = 0;
            self.renew();
        } else if self.opened.is_none() && fragment.starts_group() && self.strikes <= STRIKES {
            self.renew();
        }
        for (index, timed) in fragment.timed_samples().enumerate() {
            let Some(bytes) = fragment.payload.contiguous(timed.sample.offset, timed.sample.size) else { continue };
            self.sample(fragment, index == 0 && fragment.starts_group(), &timed, &bytes);
        }
    }

    fn sample(&mut self, fragment: &Fragment, starts_group: bool, timed: &TimedSample, bytes: &[u8]) {
        let gone = self.source.is_gone();
        let left = self.last_work.left(gone);
        if left.is_zero() || !self.shared.state().may_decode(self.source.now()) {
            self.shared.tally.add(Dropped::Ended);
            return;
        }
        let Some(Opened { decoder, disposable }) = &mut self.opened else {
            self.report.passed_over.increment(1);
            return;
        };
        let time = timed.presentation_time;
        self.lengths.sample(&timed.sample);
        let in_flight = InFlight {
            fragment: fragment.clone(),
            duration: Time::new(i64::from(timed.sample.duration), time.scale()),
            starts_group,
            discardable: timed.sample.marks.discardable || disposable.is(bytes),
        };
        self.in_flight.insert(time.ticks(), in_flight);
        while self.in_flight.len() > IN_FLIGHT {
            self.in_flight.pop_first();
        }
        let began = Instant::now();
        let mut permit = Permit {
            shared: &self.shared,
            source: &self.source,
            bucket: &mut self.bucket,
            began,
            left,
            luma_samples: &self.report.luma_samples,
        };
        let decoded = decoder.decode(bytes, time, &mut permit, &mut self.pictures);
        let took = began.elapsed();
        self.report.seconds.record(took.as_secs_f64());
        self.last_work.spend(gone, took);
        if decoded.is_err() {
            self.in_flight.remove(&time.ticks());
        }
        match decoded {
            Ok(()) => self.limited = false,
            Err(DecodeError::OverBudget { .. }) => {
                self.limited = true;
                self.limit();
            }
            Err(DecodeError::AwaitingKeyframe { .. }) if self.limited => self.limit(),
            Err(DecodeError::AwaitingKeyframe { .. }) => self.report.passed_over.increment(1),
            Err(error @ DecodeError::Refused { .. }) => {
                self.shared.tally.add(Dropped::Refused);
                tracing::debug!(%error, "a sample is not decoded");
            }
            Err(DecodeError::Stopped { .. }) => self.shared.tally.add(Dropped::Ended),
            Err(error @ (DecodeError::Damaged { .. } | DecodeError::SizeChanged { .. })) => {
                self.report.damaged.increment(1);
                tracing::debug!(%error, "an access unit is damaged");
            }
            Err(error) => {
                self.publish();
                self.failed(&error.to_string());
                return;
            }
        }
        self.publish();
    }

    /// The source asks for more decoding than it may.
    fn limit(&mut self) {
        self.shared.tally.add(Dropped::Limited);
        self.shared.state().limit();
    }

    fn flush(&mut self) {
        if let Some(opened) = &mut self.opened {
            let flushed = opened.decoder.flush(&mut self.pictures);
            self.publish();
            if let Err(error) = flushed {
                self.failed(&error.to_string());
            }
        }
        if let Some(held) = self.held.take() {
            self.release(held);
        }
        self.in_flight.clear();
    }

    /// Opens a decoder for what the track is now.
    fn renew(&mut self) {
        match open(&self.info, self.decoding) {
            Ok(opened) => {
                self.opened = Some(opened);
                self.shared.state().recover();
            }
            Err(error) => {
                self.strikes = STRIKES;
                self.failed(&error.to_string());
            }
        }
    }

    /// The decoder can do no more: another takes its place with the next group, or with the next header.
    fn failed(&mut self, reason: &str) {
        self.opened = None;
        self.in_flight.clear();
        self.strikes += 1;
        self.report.failed.increment(1);
        tracing::warn!(reason, strikes = self.strikes, "a decoder has failed");
        if self.strikes > STRIKES {
            self.shared.state().fail(self.info.init.clone(), reason.to_owned());
        }
    }

    /// Puts the pictures that have come out into the ring.
    fn publish(&mut self) {
        for picture in std::mem::take(&mut self.pictures) {
            let ticks = picture.time().ticks();
            let Some(from) = self.in_flight.remove(&ticks) else { continue };
            self.strikes = 0;
            let captured_at = from.fragment.captured_at.map(|captured| {
                let later = picture.time() - from.fragment.presentation_time;
                captured + later.to_duration()
            });
            let place = from.fragment.place();
            let decoded = Decoded {
                fragment: place.sequence,
                group: place.group,
                epoch: place.epoch,
                starts_group: from.starts_group,
                discardable: from.discardable,
                duration: from.duration,
                captured_at,
                arrived: self.arrived,
                picture,
                sizes: super::scaled::Sizes::default(),
            };
            self.follow(decoded);
        }
    }

    /// Lets the picture go that waits for this one, and this one, where it need not wait as well.
    fn follow(&mut self, decoded: Decoded) {
        if let Some(mut held) = self.held.take() {
            if held.epoch == decoded.epoch {
                held.duration = lengths::until(held.picture.time(), held.duration, decoded.picture.time());
            }
            self.release(held);
        }
        if self.lengths.waits_for_next() {
            self.held = Some(decoded);
        } else {
            self.push(decoded);
        }
    }

    fn release(&self, held: Decoded) {
        self.push(Decoded { arrived: self.arrived, ..held });
    }

    /// Waits for room, within reason.
    fn push(&self, decoded: Decoded) {
        let size = decoded.picture.size();
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.shared.state();
        loop {
            if state.is_stopped() {
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.has_room(size, !left.is_zero()) {
                state.push(decoded);
                break;
            }
            let waited = self.shared.work.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(state);
        self.shared.pictures.notify_all();
    }
}
