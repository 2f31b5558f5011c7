//! HEVC by rusty_h265.

use millrace_media::time::Time;
use rusty_h265::{Decoder, Picture as Frame};

use super::config::HevcConfig;
use super::nal::{NalKind, is_sub_layer_non_reference, kind};
use super::sequence::Sequence;
use super::sets::Sets;
use crate::access_unit::{Census, Part};
use crate::avc::{Nal, split_length_prefixed};
use crate::config::ConfigError;
use crate::decode::{Allowance, DecodeError, DecodeLimits, MAX_SAMPLE, VideoDecoder, check_size, contained};
use crate::picture::{Colour, Picture, Size};
use crate::reorder::Reorder;

/// A slice segment that begins a picture and ends there.
///
/// The library completes a picture when the next begins, which would be a picture too late. Shown this it completes the picture,
/// then finds nothing behind the first bit, and begins none.
const NEXT_PICTURE: [u8; 3] = [1 << 1, 1, 0x80];

/// HEVC by rusty_h265.
///
/// The library puts pictures in order itself, which here [`Reorder`] does by their times: pictures are taken as they are decoded.
/// What a CRA picture's leading pictures may lack (RASL) is passed over, what refers to pictures that are missing is an error.
pub(crate) struct HevcDecoder {
    library: Decoder,
    limits: DecodeLimits,
    config: HevcConfig,
    sets: Sets,
    sequence: Sequence,
    reorder: Reorder<Picture>,
    awaiting_keyframe: bool,
}

/// The units of a sample that the library is to see.
struct AccessUnit<'a> {
    units: Vec<&'a [u8]>,
    /// The kind of its first slice segment.
    kind: NalKind,
    /// No frame of its temporal sub-layer refers to it.
    disposable: bool,
    luma_samples: u64,
}

/// What became of an access unit.
enum Outcome {
    Shown(Picture),
    /// It is for reference only: `pic_output_flag` is 0.
    Hidden,
    /// A leading picture that refers to what was before the first picture.
    Skipped,
    /// It was not to be decoded to its end.
    Stopped,
}

impl HevcDecoder {
    /// A decoder for the track of an `hvcC` record.
    pub(crate) fn new(record: &[u8], limits: DecodeLimits) -> Result<Self, DecodeError> {
        let config = HevcConfig::parse(record)?;
        let sets = config.sets.iter().filter(|set| kind(set) == NalKind::SequenceParameters);
        let mut sequences = sets.map(|set| Sequence::parse(set, limits));
        let sequence = sequences.next().ok_or(ConfigError::Missing("sequence parameter set"))??;
        for other in sequences {
            check_size(sequence.size, other?.size)?;
        }
        let mut sets = Sets::default();
        config.sets.iter().for_each(|set| sets.take(set));
        Ok(Self {
            library: Decoder::new(),
            reorder: Reorder::new(sequence.reorder_depth, limits.kept(sequence.coded)),
            limits,
            config,
            sets,
            sequence,
            awaiting_keyframe: true,
        })
    }

    /// Looks through a sample's units, and takes those that the library is to see.
    fn collect<'a>(&mut self, sample: &'a [u8], time: Time) -> Result<AccessUnit<'a>, DecodeError> {
        let damaged = |reason: String| DecodeError::Damaged { time, reason };
        let refused = |reason: String| DecodeError::Refused { time, reason };
        if sample.len() > MAX_SAMPLE {
            return Err(refused(format!("{} bytes (expected <= {MAX_SAMPLE})", sample.len())));
        }
        let (mut units, mut first, mut census) = (Vec::new(), None, Census::default());
        for unit in split_length_prefixed(sample, self.config.length_size) {
            let unit = unit.map(Nal::bytes).map_err(damaged)?;
            match kind(unit) {
                NalKind::Other => {
                    census.count(Part::Other).map_err(refused)?;
                    continue;
                }
                NalKind::Opening => {
                    census.count(Part::Opening).map_err(refused)?;
                    continue;
                }
                slice @ (NalKind::Slice | NalKind::IdrSlice | NalKind::RandomAccessSlice) => {
                    let segment = self.sets.segment(unit, self.limits).map_err(damaged)?;
                    let part = Part::Slice { first: segment.first, address: segment.address };
                    census.count(part).map_err(refused)?;
                    first.get_or_insert((slice, is_sub_layer_non_reference(unit), segment.luma_samples));
                }
                NalKind::SequenceParameters => {
                    census.count(Part::Set(unit.len())).map_err(refused)?;
                    let sequence = Sequence::parse(unit, self.limits)?;
                    check_size(self.sequence.size, sequence.size)?;
                    self.sequence.colour = sequence.colour;
                    self.sets.take(unit);
                    self.config.replace(unit);
                }
                NalKind::VideoParameters | NalKind::PictureParameters => {
                    census.count(Part::Set(unit.len())).map_err(refused)?;
                    self.sets.take(unit);
                    self.config.replace(unit);
                }
                // What follows the end of a sequence is another frame's.
                NalKind::End => census.count(Part::Opening).map_err(refused)?,
            }
            units.push(unit);
        }
        let (kind, disposable, luma_samples) = first.ok_or_else(|| damaged("no slice of a picture".to_owned()))?;
        Ok(AccessUnit { units, kind, disposable, luma_samples })
    }

    /// A fresh decoder, that knows the parameter sets.
    fn renew(&mut self) {
        self.awaiting_keyframe = true;
        self.library = Decoder::new();
    }

    fn begin(&mut self) -> Result<(), String> {
        let Self { library, config, .. } = self;
        contained(|| config.sets.iter().try_for_each(|set| library.push_nal(set, None).map_err(|e| e.to_string())))
    }

    /// Decodes the units of a picture, and takes the picture.
    fn feed(&mut self, units: &[&[u8]], time: Time, allowance: &mut dyn Allowance) -> Result<Outcome, String> {
        let Self { library, sequence, .. } = self;
        contained(|| {
            let before = library.stats;
            for unit in units {
                if library.stats.slices > before.slices && !allowance.goes_on() {
                    return Ok(Outcome::Stopped);
                }
                library.push_nal(unit, Some(time.ticks())).map_err(|error| error.to_string())?;
            }
            if library.push_nal(&NEXT_PICTURE, None).is_ok() {
                return Err("the end of the picture was taken for a picture".to_owned());
            }
            while library.next_frame().is_ok() {}
            if library.stats.generated_refs != before.generated_refs {
                return Err("missing reference".to_owned());
            }
            if library.stats.skipped_rasl != before.skipped_rasl {
                return Ok(Outcome::Skipped);
            }
            if library.stats.pictures != before.pictures + 1 {
                return Err("not exactly one picture came of it".to_owned());
            }
            let decoded = library.dpb().last().ok_or("no picture came of it")?;
            if !decoded.output_flag {
                return Ok(Outcome::Hidden);
            }
            copy(&decoded.pic, sequence.size, time).map(Outcome::Shown)
        })
    }

    fn decode_unit(
        &mut self,
        unit: &AccessUnit<'_>,
        time: Time,
        allowance: &mut dyn Allowance,
    ) -> Result<(), DecodeError> {
        let damaged = |reason: String| DecodeError::Damaged { time, reason };
        let begins = self.awaiting_keyframe;
        if begins && unit.kind == NalKind::Slice {
            return Err(DecodeError::AwaitingKeyframe { time });
        }
        if !allowance.admits(unit.luma_samples) {
            if !unit.disposable {
                self.renew();
            }
            return Err(DecodeError::OverBudget { time, luma_samples: unit.luma_samples });
        }
        if begins {
            self.begin().map_err(damaged)?;
            self.awaiting_keyframe = false;
        }
        let id = self.reorder.enter(time, begins || unit.kind == NalKind::IdrSlice);
        match self.feed(&unit.units, time, allowance) {
            Ok(Outcome::Shown(picture)) => {
                self.reorder.decoded(id, picture);
                Ok(())
            }
            Ok(Outcome::Hidden) => {
                self.reorder.lost(id);
                Ok(())
            }
            Ok(Outcome::Stopped) => {
                self.reorder.lost(id);
                Err(DecodeError::Stopped { time })
            }
            Ok(Outcome::Skipped) => {
                self.reorder.lost(id);
                Err(DecodeError::AwaitingKeyframe { time })
            }
            Err(reason) => {
                self.reorder.lost(id);
                Err(damaged(reason))
            }
        }
    }
}

impl VideoDecoder for HevcDecoder {
    fn decode(
        &mut self,
        sample: &[u8],
        time: Time,
        allowance: &mut dyn Allowance,
        out: &mut Vec<Picture>,
    ) -> Result<(), DecodeError> {
        let unit = self.collect(sample, time);
        let result = unit.and_then(|unit| self.decode_unit(&unit, time, allowance));
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

/// Copies the cropped picture out of the library's 16-bit samples.
fn copy(frame: &Frame, size: Size, time: Time) -> Result<Picture, String> {
    let (left, top, width, height) = frame.crop;
    if (width, height) != (size.width() as usize, size.height() as usize) {
        return Err(format!("a picture of {width}x{height} (expected {size})"));
    }
    let mut data = Vec::with_capacity(size.bytes());
    for (plane, shift) in frame.planes.iter().zip([0, 1, 1]) {
        let columns = left >> shift..(left + width) >> shift;
        for row in top >> shift..(top + height) >> shift {
            data.extend(plane.row(row)[columns.clone()].iter().map(|&sample| sample as u8));
        }
    }
    Picture::from_i420(size, time, data).map_err(|error| error.to_string())
}
