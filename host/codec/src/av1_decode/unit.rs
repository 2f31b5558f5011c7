//! One temporal unit, looked through before it is decoded: AV1 5.3 and 7.5.

use millrace_cmaf::av1::{Obu, obus};

use super::sequence::Sequence;
use crate::decode::{DecodeError, DecodeLimits, check_size};

/// Hidden frames in a temporal unit: there are so many places for frames that later ones refer to (`NUM_REF_FRAMES`, AV1 3).
const MAX_HIDDEN: u32 = 8;
/// Sequence headers in a temporal unit: all of them say the same.
const MAX_SEQUENCE_HEADERS: usize = 4;
/// Units in a temporal unit: each of a frame's tiles may stand alone (`MAX_TILE_COLS` times `MAX_TILE_ROWS`, AV1 3).
const MAX_UNITS: usize = 4_096 + 256;
/// Spatial layers, each of which shows a frame.
const LAYERS: usize = 4;
/// A frame that is shown again is not decoded, only given out, at about a quarter of the cost.
const SHOWN_AGAIN: u64 = 4;

/// What a temporal unit holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct TemporalUnit {
    /// The sequence that it goes on with.
    pub(super) sequence: Sequence,
    /// Decoding can begin here.
    pub(super) keyframe: bool,
    /// What decoding it costs, hidden frames included.
    pub(super) luma_samples: u64,
}

/// Why it is not decoded.
pub(super) enum Fault {
    /// It is broken.
    Damaged(String),
    /// It is not one temporal unit, or has more than one may have.
    Refused(String),
    Other(DecodeError),
}

impl From<DecodeError> for Fault {
    fn from(error: DecodeError) -> Self {
        Self::Other(error)
    }
}

#[derive(Default)]
struct Frames {
    /// By spatial layer.
    shown: [bool; LAYERS],
    hidden: u32,
    coded: u64,
    again: u64,
}

impl Frames {
    /// Counts the frame that begins with this unit.
    fn count(&mut self, unit: &Obu<'_>, reduced: bool) -> Result<(), Fault> {
        let first = unit.payload.first().copied().unwrap_or(0);
        // show_existing_frame, then frame_type, then show_frame: AV1 5.9.2.
        let again = !reduced && first & 0x80 != 0;
        let shown = reduced || again || first & 0x10 != 0;
        if again {
            self.again += 1;
        } else {
            self.coded += 1;
        }
        if shown {
            let layer = &mut self.shown[usize::from(unit.spatial_id())];
            if std::mem::replace(layer, true) {
                return Err(Fault::Refused(
                    "a second shown frame in the sample (expected one temporal unit)".to_owned(),
                ));
            }
            return Ok(());
        }
        self.hidden += 1;
        if self.hidden > MAX_HIDDEN {
            return Err(Fault::Refused(format!("more than {MAX_HIDDEN} hidden frames in the sample")));
        }
        Ok(())
    }
}

impl TemporalUnit {
    /// Looks through a sample's units. `sequence` is the one in force before.
    pub(super) fn survey(sample: &[u8], sequence: Sequence, limits: DecodeLimits) -> Result<Self, Fault> {
        let (mut found, mut keyframe, mut headers) = (sequence, false, 0);
        let (mut frames, mut last_header) = (Frames::default(), None);
        for (index, unit) in obus(sample).enumerate() {
            if index >= MAX_UNITS {
                return Err(Fault::Refused(format!("more than {MAX_UNITS} units in the sample")));
            }
            let unit = unit.map_err(|error| Fault::Damaged(error.to_string()))?;
            match unit.kind {
                Obu::SEQUENCE_HEADER => {
                    headers += 1;
                    if headers > MAX_SEQUENCE_HEADERS {
                        return Err(Fault::Refused(format!("more than {MAX_SEQUENCE_HEADERS} sequence headers")));
                    }
                    found = Sequence::parse(unit.payload, limits)?;
                    check_size(sequence.size, found.size)?;
                }
                // A copy begins nothing; decoders take for a frame what is none.
                Obu::REDUNDANT_FRAME_HEADER if last_header == Some(unit.payload) => {}
                Obu::FRAME | Obu::FRAME_HEADER | Obu::REDUNDANT_FRAME_HEADER => {
                    keyframe |= frames.coded + frames.again == 0 && unit.begins_shown_key_frame(found.reduced);
                    frames.count(&unit, found.reduced)?;
                    last_header = Some(unit.payload);
                }
                _ => {}
            }
        }
        if frames.coded + frames.again == 0 {
            return Err(Fault::Damaged("no frame".to_owned()));
        }
        let frame = found.size.luma_samples();
        let luma_samples = frame * frames.coded + frame * frames.again / SHOWN_AGAIN;
        Ok(Self { sequence: found, keyframe, luma_samples })
    }
}
