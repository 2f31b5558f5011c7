//! The parameter sets in force, as far as slice headers are read by them: ITU-T H.265 7.3.6.1.

use rusty_h265::bits::BitReader;
use rusty_h265::nal::{NalHeader, unescape};
use rusty_h265::ps::{Pps, Sps, parse_pps, parse_sps};
use rusty_h265::slice::parse_slice_header;

use super::nal::{NalKind, kind};
use crate::decode::{DecodeLimits, contained};

/// Bytes of a slice segment that its header may take, with the entry points of its tiles and rows.
const MAX_HEADER: usize = 16 << 10;
/// Bytes in which `slice_segment_address` stands.
const BEGINNING: usize = 32;

/// Parameter sets by their numbers.
#[derive(Default)]
pub(super) struct Sets {
    sequence: Vec<Sps>,
    picture: Vec<Pps>,
}

/// A slice segment, as far as it is looked at before it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    /// `first_slice_segment_in_pic_flag`.
    pub(super) first: bool,
    /// `slice_segment_address`, in coding tree blocks.
    pub(super) address: u32,
    /// Luma samples of the coded frame.
    pub(super) luma_samples: u64,
}

impl Sets {
    /// Takes a parameter set. One that cannot be read is left out: the slices that want it are refused.
    pub(super) fn take(&mut self, unit: &[u8]) {
        let Some(payload) = unit.get(2..) else { return };
        match kind(unit) {
            NalKind::SequenceParameters => {
                if let Ok(set) = contained(|| parse_sps(&unescape(payload).data).map_err(|error| error.to_string())) {
                    self.sequence.retain(|known| known.id != set.id);
                    self.sequence.push(set);
                }
            }
            NalKind::PictureParameters => {
                if let Ok(set) = contained(|| parse_pps(&unescape(payload).data).map_err(|error| error.to_string())) {
                    self.picture.retain(|known| known.id != set.id);
                    self.picture.push(set);
                }
            }
            _ => {}
        }
    }

    fn lookup(&self, id: u8) -> Option<(&Sps, &Pps)> {
        let picture = self.picture.iter().find(|set| set.id == id)?;
        Some((self.sequence.iter().find(|set| set.id == picture.sps_id)?, picture))
    }

    /// Reads the beginning of a slice segment's header.
    ///
    /// # Errors
    /// Where it is broken or refers to a parameter set that is unknown; where the frame refers to more frames than are kept: those that
    /// are missing would be made up, each in full.
    pub(super) fn segment(&self, unit: &[u8], limits: DecodeLimits) -> Result<Segment, String> {
        let header = NalHeader::parse(unit).ok_or("broken NAL unit header")?;
        let first = unit.get(2).is_some_and(|byte| byte & 0x80 != 0);
        let length = unit.len().min(if first { MAX_HEADER } else { BEGINNING });
        let rbsp = unescape(unit.get(2..length).unwrap_or_default());
        let broken = |_| "broken slice header".to_owned();
        let mut bits = BitReader::new(&rbsp.data);
        bits.read_flag().map_err(broken)?; // first_slice_segment_in_pic_flag
        if header.nal_type.is_irap() {
            bits.read_flag().map_err(broken)?; // no_output_of_prior_pics_flag
        }
        let id = bits.read_ue_max(63).map_err(broken)? as u8;
        let (sps, pps) = self.lookup(id).ok_or_else(|| format!("unknown picture parameter set {id}"))?;
        let coded = (sps.width, sps.height);
        let luma_samples = u64::from(sps.width) * u64::from(sps.height);
        if first {
            let lookup = |id| self.lookup(id);
            let whole = contained(|| {
                parse_slice_header(&mut BitReader::new(&rbsp.data), &header, &lookup, None).map_err(|e| e.to_string())
            })?;
            let (references, most) = (whole.st_rps.num_delta_pocs() + whole.long_term.len(), limits.kept(coded));
            if references > most {
                return Err(format!("{references} reference pictures (expected <= {most})"));
            }
            return Ok(Segment { first, address: 0, luma_samples });
        }
        if pps.dependent_slice_segments_enabled {
            bits.read_flag().map_err(broken)?;
        }
        let bits_of_address = u32::BITS - sps.pic_size_in_ctbs.saturating_sub(1).leading_zeros();
        let address = bits.read_bits(bits_of_address).map_err(broken)?;
        Ok(Segment { first, address, luma_samples })
    }
}
