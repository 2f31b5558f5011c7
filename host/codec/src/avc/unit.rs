//! One access unit, looked through before it is decoded.

use millrace_media::time::Time;

use super::recovery::{Coded, recovery_point};
use super::slice::{Headers, Slice};
use crate::access_unit::{Census, Part};
use crate::avc::{Nal, NalKind, split_length_prefixed};
use crate::decode::DecodeError;

/// What the decoder is told of a sample, unit by unit.
pub(super) enum Found<'a> {
    SequenceParameters(Nal<'a>),
    PictureParameters(Nal<'a>),
    /// A slice of the primary coded picture.
    Slice(Nal<'a>),
    Partition,
}

/// Why a sample is not decoded.
pub(super) enum Fault {
    /// It is broken.
    Damaged(String),
    /// It is not one access unit.
    Refused(String),
}

/// Looks through a sample's units: counts them, reads their slices' headers and compares them.
pub(super) struct Survey {
    census: Census,
    /// The first slice, and whether it is of an IDR picture.
    first: Option<(Slice, bool)>,
    recovery: Option<u32>,
}

impl Survey {
    pub(super) fn new() -> Self {
        Self { census: Census::default(), first: None, recovery: None }
    }

    /// Takes the next unit. None where the decoder needs nothing of it.
    pub(super) fn take<'a>(&mut self, nal: Nal<'a>, headers: &Headers) -> Result<Option<Found<'a>>, Fault> {
        let kind = nal.kind();
        let part = match kind {
            NalKind::SequenceParameters | NalKind::PictureParameters => Part::Set(nal.bytes().len()),
            NalKind::Opening => Part::Opening,
            NalKind::Other | NalKind::Partition => Part::Other,
            NalKind::Slice | NalKind::IdrSlice => return self.slice(nal, headers),
        };
        self.census.count(part).map_err(Fault::Refused)?;
        Ok(match kind {
            NalKind::SequenceParameters => Some(Found::SequenceParameters(nal)),
            NalKind::PictureParameters => Some(Found::PictureParameters(nal)),
            NalKind::Partition => Some(Found::Partition),
            _ => {
                self.recovery = self.recovery.or_else(|| recovery_point(nal));
                None
            }
        })
    }

    fn slice<'a>(&mut self, nal: Nal<'a>, headers: &Headers) -> Result<Option<Found<'a>>, Fault> {
        let slice = headers.read(nal).map_err(Fault::Damaged)?;
        if slice.redundant {
            self.census.count(Part::Other).map_err(Fault::Refused)?;
            return Ok(None);
        }
        let idr = nal.kind() == NalKind::IdrSlice;
        if let Some((first, first_idr)) = &self.first
            && (idr != *first_idr || !slice.is_of_same_picture(first))
        {
            return Err(Fault::Refused("slices of two frames in the sample (expected one access unit)".to_owned()));
        }
        let part = Part::Slice { first: slice.first_block == 0, address: slice.first_block };
        self.census.count(part).map_err(Fault::Refused)?;
        self.first.get_or_insert((slice, idr));
        Ok(Some(Found::Slice(nal)))
    }

    /// The picture that was found.
    pub(super) fn finish(self) -> Result<Coded, Fault> {
        let (slice, idr) = self.first.ok_or_else(|| Fault::Damaged("no slice of a picture".to_owned()))?;
        Ok(Coded { idr, recovery: self.recovery, slice })
    }
}

/// The units of a sample, whatever they are.
pub(super) fn units(sample: &[u8], length_size: usize) -> impl Iterator<Item = Result<Nal<'_>, Fault>> {
    split_length_prefixed(sample, length_size).map(|nal| nal.map_err(Fault::Damaged))
}

impl Fault {
    /// The error of a sample presented at `time`.
    pub(super) fn at(self, time: Time) -> DecodeError {
        match self {
            Self::Damaged(reason) => DecodeError::Damaged { time, reason },
            Self::Refused(reason) => DecodeError::Refused { time, reason },
        }
    }
}
