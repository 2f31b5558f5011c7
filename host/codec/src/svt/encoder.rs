//! Encoding AV1 by SVT-AV1.

use std::collections::VecDeque;
use std::time::Duration;

use millrace_media::time::Time;

use super::BACKEND;
use super::rate::GroupAccount;
use super::raw::{RawEncoder, RawError, Settings, Unit};
use crate::av1::{Level, Samples, describable};
use crate::cadence::Cadence;
use crate::encode::{EncodeError, Packet, VideoConfig, VideoEncoder};
use crate::picture::{Picture, Size};
use crate::settings::{Quality, Speed, VideoSettings, check_bitrate};

/// The library's least width and height.
const MIN_DIMENSION: u32 = 64;
/// The library's greatest bitrate.
const MAX_BITRATE: u32 = 100_000_000;
/// What its low-delay mode can use.
const MAX_THREADS: u16 = 3;
/// Pictures inside: it lets a picture go on when the next one comes, since it might have been the last.
const DELAY: usize = 1;
/// So many parts of a picture a second, for rates that are not whole.
const RATE_SCALE: f32 = 1000.0;
/// Its threads are asked this often whether they are done, for ten seconds: no picture takes so long.
const POLL: Duration = Duration::from_millis(1);
const MAX_POLLS: u32 = 10_000;

/// AV1 by SVT-AV1.
///
/// In its low-delay mode the library makes no keyframe where it is asked to, and changes neither bitrate nor frame rate. So each
/// keyframe is the first picture of another instance: about a picture's worth of work, and the sequence header is the same.
pub(crate) struct SvtEncoder {
    settings: Settings,
    size: Size,
    /// None before the first picture and after a flush.
    raw: Option<RawEncoder>,
    /// The times of the pictures inside, in order.
    times: VecDeque<Time>,
    /// The number of the first of them.
    first: i64,
    /// None where a quality is held.
    account: Option<GroupAccount>,
    cadence: Cadence,
    samples: Samples,
}

impl SvtEncoder {
    /// True where the library does pictures of this size.
    pub(crate) fn does(size: Size) -> bool {
        size.width() >= MIN_DIMENSION && size.height() >= MIN_DIMENSION
    }

    /// An encoder as the settings ask.
    pub(crate) fn new(settings: &VideoSettings) -> Result<Self, EncodeError> {
        let size = settings.validate()?;
        let unsupported = |what| Err(EncodeError::Unsupported { what, supported: SUPPORTED });
        if !Self::does(size) {
            return unsupported(format!("AV1 of {size} with svt-av1"));
        }
        if let Some(bitrate) = settings.bitrate.filter(|&bitrate| bitrate > MAX_BITRATE) {
            return unsupported(format!("AV1 at {bitrate} bit/s with svt-av1"));
        }
        Ok(Self {
            settings: parameters(settings, size)?,
            size,
            raw: None,
            times: VecDeque::new(),
            first: 0,
            account: settings.bitrate.map(GroupAccount::new),
            cadence: Cadence::new(settings.frame_rate),
            samples: Samples::new(BACKEND, size),
        })
    }

    /// Enters a unit, which has to be the oldest picture's.
    fn take(&mut self, unit: Unit, out: &mut Vec<Packet>) -> Result<(), EncodeError> {
        if unit.data.is_empty() {
            return Ok(());
        }
        let time = self.times.pop_front().filter(|_| unit.number == self.first);
        let time = time.ok_or_else(|| failed(format!("a packet of picture {} for {}", unit.number, self.first)))?;
        self.first += 1;
        if let Some(account) = &mut self.account {
            account.spend(unit.data.len() * 8, unit.quantizer, self.cadence.rate());
        }
        let data = self.samples.sample(unit.data, unit.keyframe)?;
        out.push(Packet { data, time, keyframe: unit.keyframe });
        Ok(())
    }

    /// Takes packets until no more than [`DELAY`] pictures are inside.
    fn receive(&mut self, out: &mut Vec<Packet>) -> Result<(), EncodeError> {
        let mut polls = 0;
        while self.times.len() > DELAY {
            let Some(raw) = &mut self.raw else { return Err(failed("pictures without an encoder".to_owned())) };
            match raw.receive().map_err(backend)? {
                Some(unit) => self.take(unit, out)?,
                None if polls == MAX_POLLS => return Err(failed("no packet for ten seconds".to_owned())),
                None => {
                    polls += 1;
                    std::thread::sleep(POLL);
                }
            }
        }
        Ok(())
    }

    /// Ends the instance, and takes what is still inside.
    fn finish(&mut self, out: &mut Vec<Packet>) -> Result<(), EncodeError> {
        let Some(mut raw) = self.raw.take() else { return Ok(()) };
        raw.end().map_err(backend)?;
        while let Some(unit) = raw.receive().map_err(backend)? {
            let last = unit.last;
            self.take(unit, out)?;
            if last {
                break;
            }
        }
        if self.times.is_empty() {
            Ok(())
        } else {
            Err(failed(format!("no packets for {} pictures", self.times.len())))
        }
    }

    /// Opens an instance for what is asked now, with its first picture.
    fn begin(&mut self, picture: &Picture, number: i64) -> Result<(), EncodeError> {
        if let Some(account) = &mut self.account {
            let asked = account.next_group();
            self.settings.bitrate = asked.bitrate.min(MAX_BITRATE);
            (self.settings.min_quantizer, self.settings.max_quantizer) = asked.quantizers;
        }
        self.settings.rate_numerator = (self.cadence.rate() * RATE_SCALE) as u32;
        self.raw = Some(RawEncoder::open(&self.settings, picture, number).map_err(backend)?);
        Ok(())
    }
}

impl VideoEncoder for SvtEncoder {
    fn encode(
        &mut self,
        picture: &Picture,
        time: Time,
        force_keyframe: bool,
        out: &mut Vec<Packet>,
    ) -> Result<(), EncodeError> {
        if picture.size() != self.size {
            return Err(EncodeError::Size { expected: self.size, actual: picture.size() });
        }
        self.cadence.observe(time);
        if force_keyframe {
            self.finish(out)?;
        }
        let number = self.first + self.times.len() as i64;
        match &mut self.raw {
            Some(raw) => raw.send(picture, number).map_err(backend)?,
            None => self.begin(picture, number)?,
        }
        self.times.push_back(time);
        self.receive(out)
    }

    fn delay(&self) -> usize {
        DELAY
    }

    fn set_bitrate(&mut self, bits_per_second: u32) -> Result<(), EncodeError> {
        let Some(account) = &mut self.account else { return Err(EncodeError::ConstantQuality) };
        check_bitrate(bits_per_second)?;
        account.set_target(bits_per_second);
        Ok(())
    }

    fn flush(&mut self, out: &mut Vec<Packet>) -> Result<(), EncodeError> {
        self.finish(out)
    }

    fn config(&self) -> Option<&VideoConfig> {
        self.samples.config()
    }
}

const SUPPORTED: &str =
    "SVT-AV1 encodes from 64x64 up, to 100000000 bit/s; for less or more there is the encoder \"rav1e\"";

/// The library's knobs, as the table on [`VideoSettings`] lists them.
fn parameters(settings: &VideoSettings, size: Size) -> Result<Settings, EncodeError> {
    let colour = settings.colour.map(describable).transpose()?;
    let described = colour.map_or(Settings::default(), |colour| Settings {
        described: 1,
        primaries: colour.primaries.into(),
        transfer: colour.transfer.into(),
        matrix: colour.matrix.into(),
        full_range: colour.full_range.into(),
        ..Settings::default()
    });
    Ok(Settings {
        width: size.width(),
        height: size.height(),
        rate_numerator: (settings.frame_rate * RATE_SCALE) as u32,
        rate_denominator: RATE_SCALE as u32,
        preset: match settings.speed {
            Speed::Archive => 8,
            Speed::Standard => 10,
            Speed::Draft => 12,
        },
        bitrate: settings.bitrate.unwrap_or(0),
        quantizer: match settings.quality {
            Quality::VisuallyLossless => 20,
            Quality::High => 27,
            Quality::Standard => 32,
            Quality::Low => 38,
        },
        threads: settings.threads.min(MAX_THREADS).into(),
        level: Level::lowest(size, settings.frame_rate, settings.bitrate).map_or(0, Level::tens),
        ..described
    })
}

fn backend(error: RawError) -> EncodeError {
    failed(error.to_string())
}

fn failed(reason: String) -> EncodeError {
    EncodeError::Backend { backend: BACKEND, reason }
}
