//! The decoder's thread.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use metrics::{Counter, Histogram};
use millrace_codec::{DecodeError, Picture, VideoDecoder, open_video_decoder};
use millrace_media::calendar::Epoch;
use millrace_media::fragment::TimedSample;
use millrace_media::track::Info;
use millrace_media::{Fragment, Time};

use super::ring::Job;
use super::{Decoded, PATIENCE, Shared};
use crate::encoder::EncodeError;

/// The most samples in the decoder at a time: the reordering of any level, and what a damaged stream leaves behind.
const IN_FLIGHT: usize = 128;
/// How often a failing library is opened anew without a picture in between.
pub(super) const STRIKES: u32 = 3;
/// A picture that would last so many times as long as its sample does not: there is a hole in the source behind it.
const LONGEST: i64 = 4;

/// Opens a decoder for what a track is.
pub(super) fn open(info: &Info) -> Result<Box<dyn VideoDecoder>, EncodeError> {
    let header = millrace_cmaf::describe(&info.init).map_err(|error| EncodeError::Invalid(error.to_string()))?;
    open_video_decoder(&info.codec, header.config.record()).map_err(|error| match error {
        DecodeError::Unsupported { .. } => EncodeError::Unsupported(error.to_string()),
        _ => EncodeError::Invalid(error.to_string()),
    })
}

/// A sample that is in the decoder.
struct InFlight {
    fragment: Fragment,
    duration: Time,
    epoch: Epoch,
    starts_group: bool,
    discardable: bool,
}

/// What all decoders of the server report together: a source is no label, for there is no end of them.
struct Report {
    seconds: Histogram,
    passed_over: Counter,
    damaged: Counter,
    failed: Counter,
}

impl Report {
    fn new() -> Self {
        Self {
            seconds: metrics::histogram!("millrace_decode_seconds"),
            passed_over: metrics::counter!("millrace_decode_skipped_total"),
            damaged: metrics::counter!("millrace_decode_damaged_total"),
            failed: metrics::counter!("millrace_decode_failed_total"),
        }
    }
}

pub(super) struct Worker {
    shared: Arc<Shared>,
    info: Arc<Info>,
    /// None after a failure, until a group begins.
    decoder: Option<Box<dyn VideoDecoder>>,
    strikes: u32,
    in_flight: BTreeMap<i64, InFlight>,
    pictures: Vec<Picture>,
    /// When the last fragment arrived.
    arrived: Duration,
    report: Report,
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, info: Arc<Info>, decoder: Box<dyn VideoDecoder>) -> Self {
        Self {
            shared,
            info,
            decoder: Some(decoder),
            strikes: 0,
            in_flight: BTreeMap::new(),
            pictures: Vec::new(),
            arrived: Duration::ZERO,
            report: Report::new(),
        }
    }

    pub(super) fn run(mut self) {
        while let Some(job) = self.next_job() {
            match job {
                Job::Fragment(fragment) => self.fragment(&fragment),
                Job::Gap => self.flush(),
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
        if fragment.info().init != self.info.init {
            self.flush();
            self.info = fragment.info().clone();
            self.strikes = 0;
            self.renew();
        } else if self.decoder.is_none() && fragment.starts_group() && self.strikes <= STRIKES {
            self.renew();
        }
        self.arrived = fragment.arrived();
        for (index, timed) in fragment.timed_samples().enumerate() {
            let Some(bytes) = fragment.payload.contiguous(timed.sample.offset, timed.sample.size) else { continue };
            self.sample(fragment, index == 0 && fragment.starts_group(), &timed, &bytes);
        }
    }

    fn sample(&mut self, fragment: &Fragment, starts_group: bool, timed: &TimedSample, bytes: &[u8]) {
        let Some(decoder) = &mut self.decoder else {
            self.report.passed_over.increment(1);
            return;
        };
        let time = timed.presentation_time;
        let in_flight = InFlight {
            fragment: fragment.clone(),
            duration: Time::new(i64::from(timed.sample.duration), time.scale()),
            epoch: fragment.place().epoch,
            starts_group,
            discardable: timed.sample.marks.discardable,
        };
        self.in_flight.insert(time.ticks(), in_flight);
        while self.in_flight.len() > IN_FLIGHT {
            self.in_flight.pop_first();
        }
        let began = Instant::now();
        let decoded = decoder.decode(bytes, time, &mut self.pictures);
        self.report.seconds.record(began.elapsed().as_secs_f64());
        match decoded {
            Ok(()) => {}
            Err(DecodeError::AwaitingKeyframe { .. }) => {
                self.in_flight.remove(&time.ticks());
                self.report.passed_over.increment(1);
            }
            Err(error @ (DecodeError::Damaged { .. } | DecodeError::SizeChanged { .. })) => {
                self.in_flight.remove(&time.ticks());
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

    fn flush(&mut self) {
        if let Some(decoder) = &mut self.decoder {
            let flushed = decoder.flush(&mut self.pictures);
            self.publish();
            if let Err(error) = flushed {
                self.failed(&error.to_string());
            }
        }
        self.in_flight.clear();
    }

    /// Opens a decoder for what the track is now.
    fn renew(&mut self) {
        match open(&self.info) {
            Ok(decoder) => {
                self.decoder = Some(decoder);
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
        self.decoder = None;
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
            let duration = self.until_next(ticks, &from);
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
                duration,
                captured_at,
                arrived: self.arrived,
                picture,
                sizes: super::scaled::Sizes::default(),
            };
            if !self.push(decoded) {
                return;
            }
        }
    }

    /// How long the picture at `ticks` is shown. Where pictures are reordered, a sample's duration says how long it is until the next is
    /// *decoded*: the next in presentation order is known by then, for it is in the decoder.
    fn until_next(&self, ticks: i64, from: &InFlight) -> Time {
        let next = self.in_flight.range(ticks.saturating_add(1)..).next().filter(|(_, next)| next.epoch == from.epoch);
        let until = next.map(|(next, _)| next.saturating_sub(ticks));
        match until {
            Some(until) if until <= from.duration.ticks().saturating_mul(LONGEST) => {
                Time::new(until, from.duration.scale())
            }
            _ => from.duration,
        }
    }

    /// Waits for room, within reason. False where the decoder is to stop.
    fn push(&self, decoded: Decoded) -> bool {
        let size = decoded.picture.size();
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.shared.state();
        loop {
            if state.is_stopped() {
                return false;
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
        true
    }
}
