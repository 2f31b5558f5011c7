//! H.264 by rusty_h264.

use millrace_media::time::Time;
use rusty_h264_decoder::Decoder;

use super::recovery::{Coded, Progress, Sequel};
use super::rewrite::{joinable, with_order};
use super::slice::Headers;
use super::unit::{Found, Survey, units};
use crate::avc::{AvcConfig, Nal, NalKind, Sequence, split_length_prefixed};
use crate::config::ConfigError;
use crate::decode::{Allowance, DecodeError, DecodeLimits, MAX_SAMPLE, VideoDecoder, check_size, contained};
use crate::picture::{Colour, Picture, Size};
use crate::reorder::Reorder;

/// H.264 by rusty_h264.
///
/// The library gives each picture with its access unit; [`Reorder`] puts them in presentation order by their times. It begins at
/// IDR pictures and at recovery points, where pictures are right from the point on in presentation order: those before it are
/// decoded where others need them, and not shown. Errors are not concealed: a picture is right or absent.
pub(crate) struct H264Decoder {
    library: Decoder,
    limits: DecodeLimits,
    config: AvcConfig,
    sequence: Sequence,
    headers: Headers,
    reorder: Reorder<Picture>,
    progress: Progress,
    sequel: Sequel,
    /// The access unit being fed, with start codes.
    units: Vec<u8>,
    /// Where each of its slices ends in there, with the parameter sets before it.
    ends: Vec<usize>,
}

/// What came of feeding an access unit.
enum Outcome {
    Whole(Picture),
    /// It was not to be decoded to its end.
    Stopped,
}

impl H264Decoder {
    /// A decoder for the track of an `avcC` record.
    pub(crate) fn new(record: &[u8], limits: DecodeLimits) -> Result<Self, DecodeError> {
        let config = AvcConfig::parse(record)?;
        let mut sequences =
            config.sequence.iter().filter_map(|set| Nal::new(set)).map(|set| Sequence::parse(set, limits));
        let sequence = sequences.next().ok_or(ConfigError::Missing("sequence parameter set"))??;
        for other in sequences {
            check_size(sequence.size, other?.size)?;
        }
        let mut headers = Headers::default();
        for set in config.sequence.iter().chain(&config.picture).filter_map(|set| Nal::new(set)) {
            headers.take_set(set);
        }
        Ok(Self {
            library: Decoder::new(),
            reorder: Reorder::new(sequence.reorder_depth, limits.kept(sequence.coded)),
            limits,
            config,
            sequence,
            headers,
            progress: Progress::Awaiting,
            sequel: Sequel::default(),
            units: Vec::new(),
            ends: Vec::new(),
        })
    }

    /// Collects the units of a sample that the library is to see.
    fn collect(&mut self, sample: &[u8], time: Time) -> Result<Coded, DecodeError> {
        if sample.len() > MAX_SAMPLE {
            let reason = format!("{} bytes (expected <= {MAX_SAMPLE})", sample.len());
            return Err(DecodeError::Refused { time, reason });
        }
        self.units.clear();
        self.ends.clear();
        let mut survey = Survey::new();
        for nal in units(sample, self.config.length_size) {
            let found = nal.and_then(|nal| survey.take(nal, &self.headers)).map_err(|fault| fault.at(time))?;
            match found {
                Some(Found::Slice(nal)) => {
                    push_unit(&mut self.units, nal.bytes());
                    self.ends.push(self.units.len());
                }
                Some(Found::SequenceParameters(nal)) => {
                    let sequence = Sequence::parse(nal, self.limits)?;
                    check_size(self.sequence.size, sequence.size)?;
                    self.sequence = Sequence { reorder_depth: self.sequence.reorder_depth, ..sequence };
                    replace_set(&mut self.config.sequence, nal);
                    self.headers.take_set(nal);
                    self.units.extend(joinable(nal).iter().flat_map(|set| with_start_code(set)));
                }
                // The library keeps what it is given, under any number: it is given what can be read.
                Some(Found::PictureParameters(nal)) if self.headers.take_set(nal) => {
                    replace_set(&mut self.config.picture, nal);
                    push_unit(&mut self.units, nal.bytes());
                }
                Some(Found::PictureParameters(_)) => {}
                Some(Found::Partition) => return Err(DecodeError::unsupported("H.264 in data partitions")),
                None => {}
            }
        }
        survey.finish().map_err(|fault| fault.at(time))
    }

    /// A fresh decoder, that knows nothing.
    fn renew(&mut self) {
        self.progress = Progress::Awaiting;
        self.sequel = Sequel::default();
        self.library = Decoder::new();
    }

    /// Tells a fresh decoder what the first picture builds on. False where it was not to be done to its end.
    fn begin(&mut self, sample: &[u8], coded: &Coded, allowance: &mut dyn Allowance) -> Result<bool, String> {
        let mut units = Vec::new();
        for set in self.config.sequence.iter().filter_map(|set| Nal::new(set)) {
            units.extend(joinable(set).iter().flat_map(|set| with_start_code(set)));
        }
        for set in &self.config.picture {
            push_unit(&mut units, set);
        }
        let Self { library, config, .. } = self;
        contained(|| library.decode(&units).map_err(|error| error.to_string()))?;
        let Some(order) = coded.slice.order.filter(|_| !coded.idr) else { return Ok(true) };
        // A picture order count in the upper half of its range would be taken as negative (8.2.1.1), and so as earlier than the
        // frames that stand in for what is missing, which have 0. Once in the middle of the range it is on the right side.
        let middle = 1 << (order.bits - 1);
        if order.value <= middle {
            return Ok(true);
        }
        for nal in split_length_prefixed(sample, config.length_size).map_while(Result::ok) {
            if nal.kind() != NalKind::Slice {
                continue;
            }
            if !allowance.goes_on() {
                return Ok(false);
            }
            let slice = with_order(nal, &coded.slice, middle).ok_or("a slice cannot be rewritten")?;
            let slice: Vec<u8> = with_start_code(&slice).collect();
            contained(|| library.decode(&slice).map_err(|error| error.to_string()))?;
        }
        Ok(true)
    }

    /// Decodes the units collected to a picture, slice by slice.
    fn feed(&mut self, time: Time, allowance: &mut dyn Allowance) -> Result<Outcome, String> {
        let Self { library, sequence, units, ends, .. } = self;
        let (mut picture, mut begin) = (None, 0);
        for &end in ends.iter() {
            if picture.is_some() {
                return Err("slices behind the end of the picture".to_owned());
            }
            if begin > 0 && !allowance.goes_on() {
                return Ok(Outcome::Stopped);
            }
            let piece = &units[begin..end];
            let frame = contained(|| library.decode(piece).map_err(|error| error.to_string()))?;
            picture = frame.map(|frame| crop([&frame.y, &frame.u, &frame.v], sequence, time)).transpose()?;
            begin = end;
        }
        // Parameter sets for the next.
        let rest = &units[begin..];
        contained(|| library.decode(rest).map_err(|error| error.to_string()))?;
        picture.map(Outcome::Whole).ok_or_else(|| "slices are missing".to_owned())
    }

    fn decode_picture(
        &mut self,
        sample: &[u8],
        coded: &Coded,
        time: Time,
        allowance: &mut dyn Allowance,
    ) -> Result<(), DecodeError> {
        let damaged = |reason: String| DecodeError::Damaged { time, reason };
        let begins = self.progress == Progress::Awaiting;
        if !coded.idr && !self.sequel.follows(&coded.slice) {
            return Err(damaged("missing reference".to_owned()));
        }
        self.progress = self.progress.advance(time, coded, self.sequel.counts(&coded.slice));
        if self.progress == Progress::Awaiting {
            return Err(DecodeError::AwaitingKeyframe { time });
        }
        let shown = self.progress.shows(time);
        if !shown && !coded.slice.reference {
            return Err(DecodeError::AwaitingKeyframe { time });
        }
        // Joined at a recovery point, the picture may have to be decoded twice.
        let luma_samples = coded.slice.luma_samples * if begins && !coded.idr { 2 } else { 1 };
        if !allowance.admits(luma_samples) {
            if coded.slice.reference {
                self.renew();
            }
            return Err(DecodeError::OverBudget { time, luma_samples });
        }
        if begins && !self.begin(sample, coded, allowance).map_err(damaged)? {
            return Err(DecodeError::Stopped { time });
        }
        let picture = match self.feed(time, allowance).map_err(damaged)? {
            Outcome::Whole(picture) => picture,
            Outcome::Stopped => return Err(DecodeError::Stopped { time }),
        };
        self.sequel.note(&coded.slice);
        if !shown {
            return Err(DecodeError::AwaitingKeyframe { time });
        }
        let id = self.reorder.enter(time, begins || coded.idr);
        self.reorder.decoded(id, picture);
        Ok(())
    }
}

impl VideoDecoder for H264Decoder {
    fn decode(
        &mut self,
        sample: &[u8],
        time: Time,
        allowance: &mut dyn Allowance,
        out: &mut Vec<Picture>,
    ) -> Result<(), DecodeError> {
        let coded = self.collect(sample, time);
        let result = coded.and_then(|coded| self.decode_picture(sample, &coded, time, allowance));
        if !matches!(result, Ok(()) | Err(DecodeError::AwaitingKeyframe { .. } | DecodeError::OverBudget { .. })) {
            self.renew();
        }
        self.reorder.ready(out);
        result
    }

    fn flush(&mut self, out: &mut Vec<Picture>) -> Result<(), DecodeError> {
        self.renew();
        self.reorder.drain(out);
        Ok(())
    }

    fn size(&self) -> Size {
        self.sequence.size
    }

    fn colour(&self) -> Option<Colour> {
        self.sequence.colour
    }
}

/// Copies the part of a frame that is shown.
fn crop([y, u, v]: [&[u8]; 3], sequence: &Sequence, time: Time) -> Result<Picture, String> {
    let (left, top) = sequence.offset;
    let width = sequence.coded.0 as usize;
    let from = |plane: usize, shift: usize| ((top >> shift) * (width >> shift) + (left >> shift)).min(plane);
    let planes =
        [(&y[from(y.len(), 0)..], width), (&u[from(u.len(), 1)..], width / 2), (&v[from(v.len(), 1)..], width / 2)];
    Picture::copy_planes(sequence.size, time, planes).map_err(|error| error.to_string())
}

/// Appends a NAL unit in the byte stream format, ITU-T H.264 annex B.
fn push_unit(units: &mut Vec<u8>, nal: &[u8]) {
    units.extend(with_start_code(nal));
}

fn with_start_code(nal: &[u8]) -> impl Iterator<Item = u8> + '_ {
    [0, 0, 0, 1].into_iter().chain(nal.iter().copied())
}

/// A parameter set that came in the stream takes the place of the only one known, so that it is there after a loss; where there
/// are several, the record's stay as they are and the stream has to repeat its own.
fn replace_set(sets: &mut [Vec<u8>], nal: Nal<'_>) {
    if let [only] = sets
        && only != nal.bytes()
    {
        *only = nal.bytes().to_vec();
    }
}
