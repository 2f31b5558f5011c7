//! AV1 by rav1d.

use std::num::NonZero;
use std::thread::available_parallelism;

use millrace_media::time::Time;
use re_rav1d::dav1d::{Decoder, Error, Picture as Frame, PixelLayout, PlanarImageComponent as Component, Settings};

use super::config::Av1Config;
use super::sequence::Sequence;
use super::unit::{Fault, TemporalUnit};
use crate::decode::{Allowance, DecodeError, DecodeLimits, MAX_SAMPLE, VideoDecoder, check_size};
use crate::picture::{Colour, Picture, Size};

const BACKEND: &str = "rav1d";

/// Pictures of more luma samples than 1080p are worth more than one thread.
const LARGE: usize = 1920 * 1088;
/// Tiles and filters of one frame keep no more threads busy than this.
const MAX_THREADS: usize = 4;

/// AV1 by rav1d, dav1d in Rust.
///
/// One frame at a time, so that a picture comes out with its sample: a temporal unit shows exactly one frame, and temporal units
/// stand in presentation order. Of a scalable stream the highest layer of operating point 0 is taken; film grain is applied.
pub(crate) struct Av1Decoder {
    library: Decoder,
    limits: DecodeLimits,
    header: Vec<u8>,
    sequence: Sequence,
    awaiting_keyframe: bool,
}

impl Av1Decoder {
    /// A decoder for the track of an `av1C` record.
    pub(crate) fn new(record: &[u8], limits: DecodeLimits) -> Result<Self, DecodeError> {
        let Av1Config { header, sequence } = Av1Config::parse(record, limits)?;
        Ok(Self { library: open(sequence.size)?, limits, header, sequence, awaiting_keyframe: true })
    }

    /// Forgets every frame. The sequence header of the record may be the only one there is.
    fn renew(&mut self) -> Result<(), DecodeError> {
        self.awaiting_keyframe = true;
        self.library = open(self.sequence.size)?;
        Ok(())
    }

    /// Feeds units and takes the frame that comes of them.
    fn feed(&mut self, units: Vec<u8>) -> Result<Option<Frame>, Error> {
        let mut shown = None;
        let mut sent = self.library.send_data(units, None, None, None);
        loop {
            match self.library.get_picture() {
                // With several layers only the highest is given: whatever comes later stands for what came before.
                Ok(frame) => shown = Some(frame),
                Err(Error::Again) => match sent {
                    Err(Error::Again) => sent = self.library.send_pending_data(),
                    _ => return sent.map(|()| shown),
                },
                Err(error) => return Err(error),
            }
        }
    }

    fn decode_unit(&mut self, sample: &[u8], time: Time, allowance: &mut dyn Allowance) -> Result<Picture, Fault> {
        if sample.len() > MAX_SAMPLE {
            return Err(Fault::Refused(format!("{} bytes (expected <= {MAX_SAMPLE})", sample.len())));
        }
        let unit = TemporalUnit::survey(sample, self.sequence, self.limits)?;
        if self.awaiting_keyframe && !unit.keyframe {
            return Err(DecodeError::AwaitingKeyframe { time }.into());
        }
        if !allowance.admits(unit.luma_samples) {
            return Err(DecodeError::OverBudget { time, luma_samples: unit.luma_samples }.into());
        }
        if std::mem::replace(&mut self.awaiting_keyframe, false) {
            let header = self.header.clone();
            self.feed(header).map_err(damaged)?;
        }
        self.sequence = unit.sequence;
        let frame = self.feed(sample.to_vec()).map_err(damaged)?;
        let frame = frame.ok_or_else(|| Fault::Damaged("no picture came of it".to_owned()))?;
        Ok(copy(&frame, self.sequence.size, time)?)
    }
}

impl VideoDecoder for Av1Decoder {
    fn decode(
        &mut self,
        sample: &[u8],
        time: Time,
        allowance: &mut dyn Allowance,
        out: &mut Vec<Picture>,
    ) -> Result<(), DecodeError> {
        match self.decode_unit(sample, time, allowance) {
            Ok(picture) => {
                out.push(picture);
                Ok(())
            }
            Err(Fault::Other(error @ DecodeError::AwaitingKeyframe { .. })) => Err(error),
            Err(fault) => {
                // A decoder that has decoded nothing needs no other in its place: opening one starts its threads.
                if !self.awaiting_keyframe {
                    self.renew()?;
                }
                Err(match fault {
                    Fault::Damaged(reason) => DecodeError::Damaged { time, reason },
                    Fault::Refused(reason) => DecodeError::Refused { time, reason },
                    Fault::Other(error) => error,
                })
            }
        }
    }

    fn flush(&mut self, _out: &mut Vec<Picture>) -> Result<(), DecodeError> {
        self.renew()
    }

    fn size(&self) -> Size {
        self.sequence.size
    }

    fn colour(&self) -> Option<Colour> {
        self.sequence.colour
    }
}

fn damaged(error: Error) -> Fault {
    Fault::Damaged(match error {
        Error::InvalidArgument => "broken bitstream or missing reference".to_owned(),
        error => error.to_string(),
    })
}

/// A decoder of frames up to `size`.
fn open(size: Size) -> Result<Decoder, DecodeError> {
    let threads = if size.luma_bytes() > LARGE { available_parallelism().map_or(1, NonZero::get) } else { 1 };
    let mut settings = Settings::new();
    settings.set_n_threads(threads.min(MAX_THREADS) as u32);
    settings.set_max_frame_delay(1);
    settings.set_operating_point(0);
    settings.set_all_layers(false);
    settings.set_apply_grain(true);
    settings.set_frame_size_limit(size.luma_bytes() as u32);
    Decoder::with_settings(&settings).map_err(|error| backend(error.to_string()))
}

/// Copies a frame out of the library's memory.
fn copy(frame: &Frame, size: Size, time: Time) -> Result<Picture, DecodeError> {
    if frame.bit_depth() != 8 || frame.pixel_layout() != PixelLayout::I420 {
        let what = format!("AV1 with {} bits a sample, {:?}", frame.bit_depth(), frame.pixel_layout());
        return Err(DecodeError::unsupported(what));
    }
    let decoded = Size::new(frame.width(), frame.height()).map_err(|e| DecodeError::unsupported(e.to_string()))?;
    check_size(size, decoded)?;
    let [y, u, v] = [Component::Y, Component::U, Component::V].map(|plane| (frame.plane(plane), frame.stride(plane)));
    let planes = [&y, &u, &v].map(|(plane, stride)| (&**plane, *stride as usize));
    Picture::copy_planes(size, time, planes).map_err(|error| backend(error.to_string()))
}

fn backend(reason: String) -> DecodeError {
    DecodeError::Backend { backend: BACKEND, reason }
}
