//! Decoding H.264.

use millrace_media::time::Time;

use super::BACKEND;
use super::raw::{DecodedPlanes, RawDecoder, RawError};
use crate::avc::{AvcConfig, AvcConfigError, Nal, NalKind, Sequence, split_length_prefixed};
use crate::decode::{DecodeError, VideoDecoder};
use crate::picture::{Colour, Picture, Size};
use crate::reorder::Reorder;

/// A sample longer than this is not a picture: level 5.2 cannot code one so large.
const MAX_SAMPLE: usize = 32 << 20;

/// H.264 by OpenH264.
///
/// The library puts pictures in order itself, by a guess that some encoders defeat, and cannot be asked not to. So each picture
/// carries a number through it, and [`Reorder`] has the last word. Errors are not concealed: a picture is right or absent.
pub(crate) struct H264Decoder {
    raw: RawDecoder,
    config: AvcConfig,
    sequence: Sequence,
    reorder: Reorder<Picture>,
    awaiting_keyframe: bool,
    /// The access unit being fed, with start codes.
    units: Vec<u8>,
}

impl H264Decoder {
    /// A decoder for the track of an `avcC` record.
    pub(crate) fn new(record: &[u8]) -> Result<Self, DecodeError> {
        let config = AvcConfig::parse(record)?;
        let mut sequences = config.sequence.iter().filter_map(|set| Nal::new(set)).map(Sequence::parse);
        let sequence = sequences.next().ok_or(AvcConfigError::Missing("sequence"))??;
        for other in sequences {
            check_size(sequence.size, other?.size)?;
        }
        Ok(Self {
            raw: RawDecoder::new().map_err(backend)?,
            reorder: Reorder::new(sequence.reorder_depth),
            config,
            sequence,
            awaiting_keyframe: true,
            units: Vec::new(),
        })
    }

    /// Collects the units of a sample that the library is to see, and says whether it is a keyframe.
    fn collect(&mut self, sample: &[u8], time: Time) -> Result<bool, DecodeError> {
        let damaged = |reason: String| DecodeError::Damaged { time, reason };
        if sample.len() > MAX_SAMPLE {
            return Err(damaged(format!("{} bytes (expected <= {MAX_SAMPLE})", sample.len())));
        }
        self.units.clear();
        let (mut keyframe, mut slices) = (false, false);
        for nal in split_length_prefixed(sample, self.config.length_size) {
            let nal = nal.map_err(damaged)?;
            match nal.kind() {
                NalKind::Slice => slices = true,
                NalKind::IdrSlice => {
                    // The parameter sets stand before the first slice, after any of the stream's own.
                    if !keyframe {
                        for set in self.config.sequence.iter().chain(&self.config.picture) {
                            push_unit(&mut self.units, set);
                        }
                    }
                    (keyframe, slices) = (true, true);
                }
                NalKind::SequenceParameters => {
                    check_size(self.sequence.size, Sequence::parse(nal)?.size)?;
                    replace_set(&mut self.config.sequence, nal);
                    continue;
                }
                NalKind::PictureParameters => {
                    replace_set(&mut self.config.picture, nal);
                    push_unit(&mut self.units, nal.bytes());
                    continue;
                }
                NalKind::Partition => return Err(DecodeError::unsupported("H.264 in data partitions")),
                NalKind::Other => continue,
            }
            push_unit(&mut self.units, nal.bytes());
        }
        if slices { Ok(keyframe) } else { Err(damaged("no slice of a picture".to_owned())) }
    }

    /// Takes out what the library still holds and puts a fresh one in its place.
    fn renew(&mut self) -> Result<(), DecodeError> {
        self.awaiting_keyframe = true;
        while let Some(planes) = self.raw.take_remaining().map_err(backend)? {
            accept(&mut self.reorder, self.sequence.size, &planes)?;
        }
        self.raw = RawDecoder::new().map_err(backend)?;
        Ok(())
    }

    /// Decodes the units collected, and takes the pictures that come of it.
    fn feed(&mut self, id: u64, time: Time) -> Result<(), DecodeError> {
        let (planes, fed) = self.raw.feed(id, &self.units);
        if let Some(planes) = planes {
            accept(&mut self.reorder, self.sequence.size, &planes)?;
        }
        let (planes, completed) = self.raw.complete(id);
        if let Some(planes) = planes {
            accept(&mut self.reorder, self.sequence.size, &planes)?;
        }
        fed.and(completed).map_err(|error| DecodeError::Damaged { time, reason: decoding_state(error) })?;
        // Every sample is a picture: it has come out, it waits inside, or the library gave up on it without a word.
        if self.reorder.pending() > self.raw.waiting().map_err(backend)? {
            return Err(DecodeError::Damaged { time, reason: "no picture came of it".to_owned() });
        }
        Ok(())
    }
}

impl VideoDecoder for H264Decoder {
    fn decode(&mut self, sample: &[u8], time: Time, out: &mut Vec<Picture>) -> Result<(), DecodeError> {
        let collected = self.collect(sample, time);
        if let Ok(keyframe) = collected
            && self.awaiting_keyframe
        {
            if !keyframe {
                return Err(DecodeError::AwaitingKeyframe { time });
            }
            self.awaiting_keyframe = false;
        }
        let result = collected.and_then(|keyframe| {
            let id = self.reorder.enter(time, keyframe);
            self.feed(id, time).inspect_err(|_| self.reorder.lost(id))
        });
        if result.is_err() {
            self.renew()?;
        }
        self.reorder.ready(out);
        result
    }

    fn flush(&mut self, out: &mut Vec<Picture>) -> Result<(), DecodeError> {
        let renewed = self.renew();
        self.reorder.drain(out);
        renewed
    }

    fn size(&self) -> Size {
        self.sequence.size
    }

    fn colour(&self) -> Option<Colour> {
        self.sequence.colour
    }
}

/// Copies a picture out of the library's memory and hands it to the reordering.
fn accept(reorder: &mut Reorder<Picture>, size: Size, planes: &DecodedPlanes<'_>) -> Result<(), DecodeError> {
    let Some(time) = reorder.time(planes.id) else { return Ok(()) };
    let decoded = Size::new(planes.width, planes.height).map_err(|e| DecodeError::unsupported(e.to_string()))?;
    check_size(size, decoded)?;
    let picture = Picture::copy_planes(size, time, planes.planes)
        .map_err(|error| DecodeError::Backend { backend: BACKEND, reason: error.to_string() })?;
    reorder.decoded(planes.id, picture);
    Ok(())
}

fn check_size(from: Size, to: Size) -> Result<(), DecodeError> {
    if from == to { Ok(()) } else { Err(DecodeError::SizeChanged { from, to }) }
}

/// Appends a NAL unit in the byte stream format, ITU-T H.264 annex B.
fn push_unit(units: &mut Vec<u8>, nal: &[u8]) {
    units.extend([0, 0, 0, 1]);
    units.extend(nal);
}

/// A parameter set that came in the stream takes the place of the only one known, so that later keyframes get it; where there are
/// several, the record's stay as they are and the stream has to repeat its own.
fn replace_set(sets: &mut [Vec<u8>], nal: Nal<'_>) {
    if let [only] = sets
        && only != nal.bytes()
    {
        *only = nal.bytes().to_vec();
    }
}

fn backend(error: RawError) -> DecodeError {
    DecodeError::Backend { backend: BACKEND, reason: error.to_string() }
}

/// Says in words what the library's bits mean.
fn decoding_state(error: RawError) -> String {
    let meanings = [
        (1, "incomplete picture"),
        (2, "missing reference"),
        (4, "broken bitstream"),
        (16, "no parameter sets"),
        (64, "empty reference list"),
        (16384, "out of memory"),
    ];
    let words: Vec<_> = meanings.iter().filter(|(bit, _)| error.code & bit != 0).map(|(_, word)| *word).collect();
    if words.is_empty() { error.to_string() } else { words.join(", ") }
}
