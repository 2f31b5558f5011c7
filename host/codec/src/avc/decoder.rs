//! H.264 by rusty_h264.

use millrace_media::time::Time;
use rusty_h264_decoder::Decoder;

use super::recovery::{Coded, Progress, Sequel, recovery_point};
use super::rewrite::{joinable, with_order};
use super::slice::Headers;
use crate::avc::{AvcConfig, Nal, NalKind, Sequence, split_length_prefixed};
use crate::config::ConfigError;
use crate::decode::{DecodeError, MAX_SAMPLE, VideoDecoder, check_size, contained};
use crate::picture::{Colour, Picture, Size};
use crate::reorder::Reorder;

/// H.264 by rusty_h264.
///
/// The library gives each picture with its access unit; [`Reorder`] puts them in presentation order by their times. It begins at
/// IDR pictures and at recovery points, where pictures are right from the point on in presentation order: those before it are
/// decoded where others need them, and not shown. Errors are not concealed: a picture is right or absent.
pub(crate) struct H264Decoder {
    library: Decoder,
    config: AvcConfig,
    sequence: Sequence,
    headers: Headers,
    reorder: Reorder<Picture>,
    progress: Progress,
    sequel: Sequel,
    /// The access unit being fed, with start codes.
    units: Vec<u8>,
}

impl H264Decoder {
    /// A decoder for the track of an `avcC` record.
    pub(crate) fn new(record: &[u8]) -> Result<Self, DecodeError> {
        let config = AvcConfig::parse(record)?;
        let mut sequences = config.sequence.iter().filter_map(|set| Nal::new(set)).map(Sequence::parse);
        let sequence = sequences.next().ok_or(ConfigError::Missing("sequence parameter set"))??;
        for other in sequences {
            check_size(sequence.size, other?.size)?;
        }
        let mut headers = Headers::default();
        config
            .sequence
            .iter()
            .chain(&config.picture)
            .filter_map(|set| Nal::new(set))
            .for_each(|set| headers.take_set(set));
        Ok(Self {
            library: Decoder::new(),
            reorder: Reorder::new(sequence.reorder_depth),
            config,
            sequence,
            headers,
            progress: Progress::Awaiting,
            sequel: Sequel::default(),
            units: Vec::new(),
        })
    }

    /// Collects the units of a sample that the library is to see.
    fn collect(&mut self, sample: &[u8], time: Time) -> Result<Coded, DecodeError> {
        let damaged = |reason: String| DecodeError::Damaged { time, reason };
        if sample.len() > MAX_SAMPLE {
            return Err(damaged(format!("{} bytes (expected <= {MAX_SAMPLE})", sample.len())));
        }
        self.units.clear();
        let (mut idr, mut recovery, mut slice) = (false, None, None);
        for nal in split_length_prefixed(sample, self.config.length_size) {
            let nal = nal.map_err(damaged)?;
            match nal.kind() {
                NalKind::Slice | NalKind::IdrSlice => {
                    if slice.is_none() {
                        slice = Some(self.headers.read(nal).map_err(damaged)?);
                    }
                    idr |= nal.kind() == NalKind::IdrSlice;
                    push_unit(&mut self.units, nal.bytes());
                }
                NalKind::SequenceParameters => {
                    let sequence = Sequence::parse(nal)?;
                    check_size(self.sequence.size, sequence.size)?;
                    self.sequence = Sequence { reorder_depth: self.sequence.reorder_depth, ..sequence };
                    replace_set(&mut self.config.sequence, nal);
                    self.headers.take_set(nal);
                    self.units.extend(joinable(nal).iter().flat_map(|set| with_start_code(set)));
                }
                NalKind::PictureParameters => {
                    replace_set(&mut self.config.picture, nal);
                    self.headers.take_set(nal);
                    push_unit(&mut self.units, nal.bytes());
                }
                NalKind::Partition => return Err(DecodeError::unsupported("H.264 in data partitions")),
                NalKind::Other => recovery = recovery.or_else(|| recovery_point(nal)),
            }
        }
        let slice = slice.ok_or_else(|| damaged("no slice of a picture".to_owned()))?;
        Ok(Coded { idr, recovery, slice })
    }

    /// A fresh decoder, that knows nothing.
    fn renew(&mut self) {
        self.progress = Progress::Awaiting;
        self.sequel = Sequel::default();
        self.library = Decoder::new();
    }

    /// Tells a fresh decoder what the first picture builds on.
    fn begin(&mut self, sample: &[u8], coded: &Coded) -> Result<(), String> {
        let mut units = Vec::new();
        for set in self.config.sequence.iter().filter_map(|set| Nal::new(set)) {
            units.extend(joinable(set).iter().flat_map(|set| with_start_code(set)));
        }
        for set in &self.config.picture {
            push_unit(&mut units, set);
        }
        let Self { library, config, .. } = self;
        contained(|| library.decode(&units).map_err(|error| error.to_string()))?;
        let Some(order) = coded.slice.order.filter(|_| !coded.idr) else { return Ok(()) };
        // A picture order count in the upper half of its range would be taken as negative (8.2.1.1), and so as earlier than the
        // frames that stand in for what is missing, which have 0. Once in the middle of the range it is on the right side.
        let middle = 1 << (order.bits - 1);
        if order.value > middle {
            units.clear();
            for nal in split_length_prefixed(sample, config.length_size).map_while(Result::ok) {
                if nal.kind() == NalKind::Slice {
                    let slice = with_order(nal, &coded.slice, middle).ok_or("a slice cannot be rewritten")?;
                    push_unit(&mut units, &slice);
                }
            }
            let units = &units;
            contained(|| library.decode(units).map_err(|error| error.to_string()))?;
        }
        Ok(())
    }

    /// Decodes the units collected to a picture.
    fn feed(&mut self, time: Time) -> Result<Picture, String> {
        let Self { library, sequence, units, .. } = self;
        contained(|| {
            let frame = library.decode(units).map_err(|error| error.to_string())?;
            let frame = frame.ok_or_else(|| "slices are missing".to_owned())?;
            crop([&frame.y, &frame.u, &frame.v], sequence, time)
        })
    }

    fn decode_picture(&mut self, sample: &[u8], coded: &Coded, time: Time) -> Result<(), DecodeError> {
        let damaged = |reason: String| DecodeError::Damaged { time, reason };
        let begins = self.progress == Progress::Awaiting;
        if !coded.idr && !self.sequel.follows(&coded.slice) {
            return Err(damaged("missing reference".to_owned()));
        }
        self.progress = self.progress.advance(time, coded, self.sequel.counts(&coded.slice));
        if self.progress == Progress::Awaiting {
            return Err(DecodeError::AwaitingKeyframe { time });
        }
        if begins {
            self.begin(sample, coded).map_err(damaged)?;
        }
        let shown = self.progress.shows(time);
        if !shown && !coded.slice.reference {
            return Err(DecodeError::AwaitingKeyframe { time });
        }
        let picture = self.feed(time).map_err(damaged)?;
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
    fn decode(&mut self, sample: &[u8], time: Time, out: &mut Vec<Picture>) -> Result<(), DecodeError> {
        let result = self.collect(sample, time).and_then(|coded| self.decode_picture(sample, &coded, time));
        if !matches!(result, Ok(()) | Err(DecodeError::AwaitingKeyframe { .. })) {
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
    let width = sequence.coded_width;
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
