//! H.264: with its `avcC` in the catalog and lengths before its NAL units, or as a byte stream with its parameter sets before each
//! keyframe.

use bytes::Bytes;
use millrace_cmaf::CodecConfig;
use millrace_cmaf::avc::{
    AvcError, Sequence, Unit, annex_b, is_annex_b, length_prefixed, read_record, with_lengths, write_record,
};
use millrace_media::track::Format;
use millrace_media::{Payload, Timescale};

use super::super::catalog::Coding;
use super::{FrameError, Sampled, settings};

/// What is known of the stream.
#[derive(Debug, Default)]
pub(super) struct Avc {
    /// The parameter sets that came last, in a byte stream.
    sets: Option<(Bytes, Bytes)>,
    /// The record that the header was made of.
    record: Bytes,
    reorder_depth: usize,
}

impl Avc {
    pub(super) fn read(&mut self, payload: &Payload, coding: &Coding) -> Result<Option<Sampled>, FrameError> {
        match &coding.description {
            Some(record) => self.with_record(payload, record, coding),
            None => self.stream(payload, coding),
        }
    }

    fn with_record(
        &mut self,
        payload: &Payload,
        record: &Bytes,
        coding: &Coding,
    ) -> Result<Option<Sampled>, FrameError> {
        let (length_size, sequence) = read_record(record)?;
        let units = match length_prefixed(payload, length_size) {
            // The catalog may have a record all the same.
            Err(_) if is_annex_b(payload) => return self.stream(payload, coding),
            units => units?,
        };
        let changed = self.record != *record && self.take(record.clone(), &Sequence::read(sequence)?);
        self.sampled(payload.clone(), &units, changed, coding)
    }

    fn stream(&mut self, payload: &Payload, coding: &Coding) -> Result<Option<Sampled>, FrameError> {
        let mut units = annex_b(payload)?;
        let find = |kind: u8| {
            let unit = units.iter().find(|unit| unit.kind == kind)?;
            payload.contiguous(unit.offset, unit.size)
        };
        if let (Some(sequence), Some(picture)) = (find(Unit::SEQUENCE), find(Unit::PICTURE)) {
            self.sets = Some((sequence, picture));
        }
        let is_keyframe = units.iter().any(|unit| unit.kind == Unit::IDR_SLICE);
        let mut changed = false;
        if let Some((sequence, picture)) = self.sets.take_if(|_| is_keyframe) {
            let record = Bytes::from(write_record(&sequence, &picture)?);
            if record != self.record {
                changed = self.take(record, &Sequence::read(&sequence)?);
            }
        }
        // They stand in the header.
        units.retain(|unit| !matches!(unit.kind, Unit::SEQUENCE | Unit::PICTURE | Unit::DELIMITER));
        self.sampled(with_lengths(payload, &units), &units, changed, coding)
    }

    /// Another header.
    fn take(&mut self, record: Bytes, sequence: &Sequence) -> bool {
        self.record = record;
        self.reorder_depth = sequence.reorder_depth;
        true
    }

    fn sampled(
        &self,
        payload: Payload,
        units: &[Unit],
        changed: bool,
        coding: &Coding,
    ) -> Result<Option<Sampled>, FrameError> {
        if self.record.is_empty() || !units.iter().any(Unit::is_slice) {
            return Ok(None);
        }
        let settings = if changed {
            let (_, sequence) = read_record(&self.record)?;
            let Sequence { width, height, .. } = Sequence::read(sequence)?;
            if width == 0 || height == 0 {
                return Err(AvcError::Missing("picture size").into());
            }
            let format = Format::Video { width, height, frame_rate: None };
            Some(settings(Timescale::MICROS, format, CodecConfig::Avc(self.record.clone()), coding))
        } else {
            None
        };
        Ok(Some(Sampled {
            payload,
            keyframe: units.iter().any(|unit| unit.kind == Unit::IDR_SLICE),
            settings,
            reorder_depth: self.reorder_depth,
            duration: None,
        }))
    }
}
