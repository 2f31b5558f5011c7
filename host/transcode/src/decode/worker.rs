//! The decoder's thread.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use millrace_codec::{DecodeError, Picture, VideoDecoder, open_video_decoder};
use millrace_media::fragment::TimedSample;
use millrace_media::track::Info;
use millrace_media::{Fragment, Time};

use super::ring::Job;
use super::{Decoded, PATIENCE, Shared};
use crate::encoder::EncodeError;

/// The most samples in the decoder at a time: the reordering of any level, and what a damaged stream leaves behind.
const IN_FLIGHT: usize = 128;

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
    starts_group: bool,
}

pub(super) struct Worker {
    shared: Arc<Shared>,
    info: Arc<Info>,
    decoder: Box<dyn VideoDecoder>,
    in_flight: BTreeMap<i64, InFlight>,
    pictures: Vec<Picture>,
    /// When the last fragment arrived.
    arrived: Duration,
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, info: Arc<Info>, decoder: Box<dyn VideoDecoder>) -> Self {
        Self { shared, info, decoder, in_flight: BTreeMap::new(), pictures: Vec::new(), arrived: Duration::ZERO }
    }

    pub(super) fn run(mut self) {
        while let Some(job) = self.next_job() {
            let done = match job {
                Job::Fragment(fragment) => self.fragment(&fragment),
                Job::Gap => self.flush(),
                Job::End => {
                    let done = self.flush();
                    self.shared.state().end();
                    done
                }
            };
            if let Err(reason) = done {
                tracing::warn!(%reason, "the decoder has failed");
                self.shared.state().fail(reason);
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

    fn fragment(&mut self, fragment: &Fragment) -> Result<(), String> {
        if fragment.info().init != self.info.init {
            self.flush()?;
            self.decoder = open(fragment.info()).map_err(|error| error.to_string())?;
            self.info = fragment.info().clone();
        }
        self.arrived = fragment.arrived();
        for (index, timed) in fragment.timed_samples().enumerate() {
            let TimedSample { sample, presentation_time, .. } = timed;
            let Some(bytes) = fragment.payload.contiguous(sample.offset, sample.size) else { continue };
            let scale = presentation_time.scale();
            let starts_group = index == 0 && fragment.starts_group();
            let duration = Time::new(i64::from(sample.duration), scale);
            self.in_flight
                .insert(presentation_time.ticks(), InFlight { fragment: fragment.clone(), duration, starts_group });
            while self.in_flight.len() > IN_FLIGHT {
                self.in_flight.pop_first();
            }
            let began = Instant::now();
            let decoded = self.decoder.decode(&bytes, presentation_time, &mut self.pictures);
            metrics::histogram!("millrace_decode_seconds").record(began.elapsed().as_secs_f64());
            match decoded {
                Ok(()) => {}
                Err(DecodeError::AwaitingKeyframe { .. }) => {
                    metrics::counter!("millrace_decode_skipped_total").increment(1);
                }
                Err(error @ DecodeError::Damaged { .. }) => {
                    metrics::counter!("millrace_decode_damaged_total").increment(1);
                    tracing::debug!(%error, "an access unit is damaged");
                }
                Err(error) => return Err(error.to_string()),
            }
            self.publish();
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), String> {
        self.decoder.flush(&mut self.pictures).map_err(|error| error.to_string())?;
        self.publish();
        self.in_flight.clear();
        Ok(())
    }

    /// Puts the pictures that have come out into the ring.
    fn publish(&mut self) {
        for picture in std::mem::take(&mut self.pictures) {
            let Some(from) = self.in_flight.remove(&picture.time().ticks()) else { continue };
            let captured_at = from.fragment.captured_at.map(|captured| {
                let later = picture.time() - from.fragment.presentation_time;
                captured + later.to_duration()
            });
            let place = from.fragment.place();
            let decoded = Decoded {
                fragment: place.sequence,
                group: place.group,
                starts_group: from.starts_group,
                duration: from.duration,
                captured_at,
                arrived: self.arrived,
                picture,
            };
            if !self.push(decoded) {
                return;
            }
        }
    }

    /// Waits for room, within reason. False where the decoder is to stop.
    fn push(&self, decoded: Decoded) -> bool {
        let bytes = decoded.picture.size().bytes();
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.shared.state();
        loop {
            if state.is_stopped() {
                return false;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.has_room(bytes, !left.is_zero()) {
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
