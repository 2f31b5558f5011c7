//! Sections of SCTE-35: read to know what they are, and made for messages (ANSI/SCTE 35, 9.6).

use broadcast_common::{Parse as _, Serialize as _};
use scte35_splice::SpliceInfoSection;
use scte35_splice::commands::{AnyCommand, SpliceInsert};
use scte35_splice::time::BreakDuration;

/// The longest section.
const LONGEST: usize = 4_096;

/// What a section does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `splice_insert`, out of the network.
    Out,
    /// `splice_insert`, back to the network.
    In,
    /// `splice_insert`, cancelled: the event of this id.
    Cancel(u32),
    /// `time_signal`.
    Signal,
    /// A heartbeat: `splice_null` or `bandwidth_reservation`.
    Heartbeat,
    /// Any other command, and encrypted sections.
    Other,
}

impl Kind {
    /// As the metrics call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::In => "in",
            Self::Cancel(_) => "cancel",
            Self::Signal => "signal",
            Self::Heartbeat => "heartbeat",
            Self::Other => "other",
        }
    }
}

/// What a section says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// What it does.
    pub kind: Kind,
    /// The splice event, of a `splice_insert`.
    pub event: Option<u32>,
    /// How long the break is to last, in 90 kHz.
    pub duration: Option<u64>,
    /// `CRC_32` of the section, which tells it from others.
    pub checksum: u32,
}

/// Reads a section.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn read(section: &[u8]) -> Result<Said, String> {
    if section.len() > LONGEST {
        return Err(format!("the section has {} bytes, and may have {LONGEST}", section.len()));
    }
    let read = SpliceInfoSection::parse(section).map_err(|error| error.to_string())?;
    // The reader has checked that it is all there.
    let whole = 3 + (usize::from(section[1] & 0xf) << 8 | usize::from(section[2]));
    let checksum = section[..whole].last_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
    let mut said = Said { kind: Kind::Other, event: None, duration: None, checksum };
    match read.clear.map(|clear| clear.command) {
        Some(AnyCommand::SpliceInsert(insert)) => {
            said.event = Some(insert.splice_event_id);
            said.duration = insert.break_duration.map(|length| length.duration);
            said.kind = match (insert.splice_event_cancel_indicator, insert.out_of_network_indicator) {
                (true, _) => Kind::Cancel(insert.splice_event_id),
                (false, true) => Kind::Out,
                (false, false) => Kind::In,
            };
        }
        Some(AnyCommand::TimeSignal(_)) => said.kind = Kind::Signal,
        Some(AnyCommand::SpliceNull(_) | AnyCommand::BandwidthReservation(_)) => said.kind = Kind::Heartbeat,
        _ => {}
    }
    Ok(said)
}

/// `splice_insert` of an event, out of the network or back to it. The time of the splice is the event message's: the section says that it
/// is immediate. The break of a `duration`, in 90 kHz, ends by itself.
pub fn insert(event: u32, is_out: bool, duration: Option<u64>) -> Vec<u8> {
    let insert = SpliceInsert {
        splice_event_id: event,
        out_of_network_indicator: is_out,
        splice_immediate_flag: true,
        break_duration: duration.map(|duration| BreakDuration { auto_return: true, duration }),
        ..SpliceInsert::default()
    };
    section(insert)
}

/// `splice_insert` that cancels an event.
pub fn cancel(event: u32) -> Vec<u8> {
    section(SpliceInsert { splice_event_id: event, splice_event_cancel_indicator: true, ..SpliceInsert::default() })
}

fn section(insert: SpliceInsert) -> Vec<u8> {
    let mut section = SpliceInfoSection::new_clear(insert.into(), &[]);
    // For everybody.
    section.tier = 0xfff;
    section.to_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_that_are_made_can_be_read() {
        let out = read(&insert(7, true, Some(2_700_000))).unwrap();
        assert_eq!((out.kind, out.event, out.duration), (Kind::Out, Some(7), Some(2_700_000)));
        let back = read(&insert(7, false, None)).unwrap();
        assert_eq!((back.kind, back.event, back.duration), (Kind::In, Some(7), None));
        assert_eq!(read(&cancel(7)).unwrap().kind, Kind::Cancel(7));
        assert_ne!(out.checksum, back.checksum);
    }

    #[test]
    fn broken_sections_are_errors() {
        let section = insert(7, true, Some(2_700_000));
        for end in 0..section.len() {
            assert!(read(&section[..end]).is_err(), "{end} bytes");
        }
        for at in 0..section.len() {
            let mut broken = section.clone();
            broken[at] ^= 0x10;
            assert!(read(&broken).is_err(), "byte {at}");
        }
        assert!(read(&[0; 5_000]).unwrap_err().contains("may have 4096"));
    }
}
