//! Encoding AV1 by rav1e.

use std::collections::VecDeque;

use bytes::Bytes;
use millrace_media::time::Time;
use millrace_rav1e::Encoder;

use super::BACKEND;
use super::params::Params;
use crate::av1::Samples;
use crate::cadence::Cadence;
use crate::encode::{EncodeError, Packet, VideoConfig, VideoEncoder};
use crate::picture::{Picture, Plane};
use crate::settings::{VideoSettings, check_bitrate};

/// Pictures inside: it looks so far ahead for motion, and for keyframes although it is told where they are.
const DELAY: usize = 4;

/// AV1 by rav1e.
///
/// A context of the library keeps the bitrate and frame rate it was made with. Where they change, the next keyframe is the first
/// picture of another context, and nobody sees the difference: the sequence header is the same.
pub(crate) struct Rav1eEncoder {
    params: Params,
    /// None at the beginning and after a flush.
    context: Option<Encoder>,
    /// What the context was made for.
    made_for: Target,
    /// None where a quality is held.
    bitrate: Option<u32>,
    cadence: Cadence,
    samples: Samples,
    /// The times of the pictures inside, in order.
    times: VecDeque<Time>,
    /// The number of the first of them.
    first: i64,
}

/// What a context is made for.
#[derive(Clone, Copy, PartialEq)]
struct Target {
    bitrate: Option<u32>,
    frame_rate: f32,
}

impl Rav1eEncoder {
    /// An encoder as the settings ask.
    pub(crate) fn new(settings: &VideoSettings) -> Result<Self, EncodeError> {
        let size = settings.validate()?;
        let params = Params::new(settings, size)?;
        let made_for = Target { bitrate: settings.bitrate, frame_rate: settings.frame_rate };
        params.config(made_for.bitrate, made_for.frame_rate).validate().map_err(|error| failed(error.to_string()))?;
        Ok(Self {
            params,
            context: None,
            made_for,
            bitrate: settings.bitrate,
            cadence: Cadence::new(settings.frame_rate),
            samples: Samples::new(BACKEND, size),
            times: VecDeque::new(),
            first: 0,
        })
    }

    /// The context for the next picture. Before a keyframe it is another one where the old one is for something else.
    fn context(&mut self, keyframe: bool, out: &mut Vec<Packet>) -> Result<&mut Encoder, EncodeError> {
        let target = Target { bitrate: self.bitrate, frame_rate: self.cadence.rate() };
        if keyframe && self.made_for != target {
            self.finish(out)?;
        }
        if self.context.is_none() {
            self.made_for = target;
        }
        match &mut self.context {
            Some(context) => Ok(context),
            none => {
                let config = self.params.config(target.bitrate, target.frame_rate);
                Ok(none.insert(Encoder::new(&config).map_err(|error| failed(error.to_string()))?))
            }
        }
    }

    /// Takes every packet that is ready.
    fn receive(&mut self, out: &mut Vec<Packet>) -> Result<(), EncodeError> {
        let Some(context) = &mut self.context else { return Ok(()) };
        while let Some(unit) = context.receive().map_err(|error| failed(error.to_string()))? {
            let time = self.times.pop_front().filter(|_| unit.number == self.first);
            let time = time.ok_or_else(|| failed(format!("a packet of picture {} for {}", unit.number, self.first)))?;
            self.first += 1;
            let data = self.samples.sample(Bytes::from(unit.data), unit.keyframe)?;
            out.push(Packet { data, time, keyframe: unit.keyframe });
        }
        Ok(())
    }

    /// Ends the context, and takes what is still inside.
    fn finish(&mut self, out: &mut Vec<Packet>) -> Result<(), EncodeError> {
        if let Some(context) = &mut self.context {
            context.end();
            self.receive(out)?;
            self.context = None;
        }
        if self.times.is_empty() {
            Ok(())
        } else {
            Err(failed(format!("no packets for {} pictures", self.times.len())))
        }
    }
}

impl VideoEncoder for Rav1eEncoder {
    fn encode(
        &mut self,
        picture: &Picture,
        time: Time,
        force_keyframe: bool,
        out: &mut Vec<Packet>,
    ) -> Result<(), EncodeError> {
        let expected = self.params.size();
        if picture.size() != expected {
            return Err(EncodeError::Size { expected, actual: picture.size() });
        }
        self.cadence.observe(time);
        let number = self.first + self.times.len() as i64;
        let context = self.context(force_keyframe, out)?;
        let planes = Plane::ALL.map(|plane| (picture.plane(plane), picture.stride(plane)));
        context.send(planes, force_keyframe, number).map_err(|error| failed(error.to_string()))?;
        self.times.push_back(time);
        self.receive(out)
    }

    fn delay(&self) -> usize {
        DELAY
    }

    fn set_bitrate(&mut self, bits_per_second: u32) -> Result<(), EncodeError> {
        if self.bitrate.is_none() {
            return Err(EncodeError::ConstantQuality);
        }
        check_bitrate(bits_per_second)?;
        self.bitrate = Some(bits_per_second);
        Ok(())
    }

    fn flush(&mut self, out: &mut Vec<Packet>) -> Result<(), EncodeError> {
        self.finish(out)
    }

    fn config(&self) -> Option<&VideoConfig> {
        self.samples.config()
    }
}

fn failed(reason: String) -> EncodeError {
    EncodeError::Backend { backend: BACKEND, reason }
}
