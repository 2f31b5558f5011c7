//! SCTE-35 as date ranges (rfc8216bis, 4.4.5.1.1).
//!
//! An out-point is a range with `SCTE35-OUT`, and `PLANNED-DURATION` where the message says one. Its in-point adds `SCTE35-IN` and
//! `DURATION` to the same range. What is neither is a range of no length with `SCTE35-CMD`. `splice_null` and `bandwidth_reservation`,
//! which are sent as heartbeats and say nothing, make none. A cancelled splice leaves the list where it has not begun.
//!
//! A splice happens at the presentation time of its event: times in the section itself count on the clock of a transport stream that is
//! not here.

use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use broadcast_common::{Parse as _, Serialize as _};
use quick_xml::events::Event as Xml;
use scte35_splice::SpliceInfoSection;
use scte35_splice::commands::{AnyCommand, SpliceInsert, TimeSignal};
use scte35_splice::descriptors::{AnySpliceDescriptor, SegmentationDescriptor, parse_loop};

use super::Times;
use super::range::{Range, Seconds};

/// The longest section (ANSI/SCTE 35, 9.6.1: `section_length` is at most 4093).
const LONGEST: usize = 4_096;
/// The longest XML around one.
const LONGEST_XML: usize = 16 << 10;
/// The most segmentation descriptors of a section that are read.
const MOST_DESCRIPTORS: usize = 8;
/// Two times this near are the same: repeated messages may be rounded in another timescale.
const SAME: Duration = Duration::from_millis(20);

/// What a section says of one splice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Splice {
    role: Role,
    /// `splice_event_id` or `segmentation_event_id`, and the type of segmentation that begins; 0 for `splice_insert`. None where the
    /// command has no such id.
    event: Option<(u32, u8)>,
    planned: Option<Duration>,
    /// The sender did not say when: repeated messages come with other times.
    immediate: bool,
    cancelled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Out,
    In,
    Command,
}

/// Takes a section. False where it says nothing new.
pub(super) fn take(ranges: &mut Vec<Range>, section: &[u8], times: Times) -> bool {
    let Some(splices) = read(section) else { return false };
    let mut changed = false;
    for splice in splices {
        changed |= match (splice.event, splice.role) {
            (Some(event), _) if splice.cancelled => cancel(ranges, event, times),
            (Some(event), Role::Out) => out(ranges, event, splice, section, times),
            (Some(event), Role::In) => back(ranges, event, section, times),
            (event, _) => command(ranges, event, section, times),
        };
    }
    changed
}

/// The section in `Binary` elements of XML (ANSI/SCTE 214-1, 6.8.2).
pub(super) fn from_xml(message: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(message).ok().filter(|text| text.len() <= LONGEST_XML)?;
    let mut reader = quick_xml::Reader::from_str(text);
    let mut inside = false;
    loop {
        match reader.read_event().ok()? {
            Xml::Start(element) => inside = element.local_name().as_ref() == "Binary",
            Xml::Text(text) if inside => {
                let text: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
                return STANDARD.decode(text).ok();
            }
            Xml::Eof => return None,
            _ => {}
        }
    }
}

fn key((id, kind): (u32, u8)) -> String {
    if kind == 0 { format!("scte35-{id}") } else { format!("scte35-{id}-{kind:x}") }
}

fn hexadecimal(section: &[u8]) -> String {
    let mut text = String::with_capacity(2 + 2 * section.len());
    text.push_str("0x");
    for byte in section {
        let _ = write!(text, "{byte:02X}");
    }
    text
}

fn is_same(a: Duration, b: Duration) -> bool {
    a.abs_diff(b) < SAME
}

fn out(ranges: &mut Vec<Range>, event: (u32, u8), splice: Splice, section: &[u8], times: Times) -> bool {
    let key = key(event);
    let known = ranges.iter().rposition(|range| range.key() == key && range.get("SCTE35-OUT").is_some());
    if let Some(known) = known {
        let range = &mut ranges[known];
        let is_closed = range.get("SCTE35-IN").is_some();
        // The id of a break that goes on is not used for another, unless nothing says how long it goes on.
        let goes_on = (range.start()..range.until()).contains(&times.start)
            && (splice.immediate || range.get("PLANNED-DURATION").is_some());
        if is_same(range.start(), times.start) || (goes_on && !is_closed && range.start() <= times.now) {
            return splice.planned.is_some_and(|planned| !is_closed && plan(range, planned));
        }
        // Put off, or brought forward.
        if range.start() > times.now && !is_closed {
            ranges.remove(known);
        }
    }
    let mut range = Range::new(key, times.start);
    range.set_open();
    if let Some(planned) = splice.planned {
        plan(&mut range, planned);
    }
    range.add("SCTE35-OUT", hexadecimal(section));
    ranges.push(range);
    true
}

fn plan(range: &mut Range, planned: Duration) -> bool {
    let is_new = range.add("PLANNED-DURATION", Seconds(planned).to_string());
    if is_new {
        range.set_length(planned);
    }
    is_new
}

fn back(ranges: &mut Vec<Range>, event: (u32, u8), section: &[u8], times: Times) -> bool {
    let (key, mut of) = (key(event), Range::new(String::new(), times.start));
    let outs = ranges.iter_mut().rev().filter(|range| range.key() == key && range.get("SCTE35-OUT").is_some());
    // A break that began later is another one.
    if let Some(range) = outs.into_iter().find(|range| range.start() <= of.start()) {
        if range.get("SCTE35-IN").is_none() {
            let length = of.start() - range.start();
            range.add("DURATION", Seconds(length).to_string());
            range.add("SCTE35-IN", hexadecimal(section));
            range.set_length(length);
            return true;
        }
        if is_same(range.until(), times.start) {
            return false;
        }
    }
    let key = format!("{key}-in");
    if ranges.iter().any(|range| range.key() == key && is_same(range.start(), times.start)) {
        return false;
    }
    of = Range::new(key, times.start);
    of.add("SCTE35-IN", hexadecimal(section));
    ranges.push(of);
    true
}

fn command(ranges: &mut Vec<Range>, event: Option<(u32, u8)>, section: &[u8], times: Times) -> bool {
    let key = match event {
        Some(event) => key(event),
        // The checksum of a section tells it from others.
        None => format!("scte35-{}", hexadecimal(&section[section.len().saturating_sub(4)..])),
    };
    if ranges.iter().any(|range| range.key() == key && is_same(range.start(), times.start)) {
        return false;
    }
    let mut range = Range::new(key, times.start);
    range.add("SCTE35-CMD", hexadecimal(section));
    ranges.push(range);
    true
}

fn cancel(ranges: &mut Vec<Range>, (id, _): (u32, u8), times: Times) -> bool {
    let before = ranges.len();
    let (of_insert, of_segmentation) = (key((id, 0)), format!("scte35-{id}-"));
    ranges.retain(|range| {
        let is_of = range.key() == of_insert || range.key().starts_with(&of_segmentation);
        !is_of || range.start() <= times.now
    });
    before != ranges.len()
}

/// What a section says. None of one that is malformed, or says nothing.
pub(super) fn read(section: &[u8]) -> Option<Vec<Splice>> {
    let section = section.get(..LONGEST.min(section.len()))?;
    let told = |splice: Splice| Some(vec![splice]);
    let command = Splice { role: Role::Command, event: None, planned: None, immediate: false, cancelled: false };
    let known;
    let (read, descriptors) = match SpliceInfoSection::parse(section) {
        Ok(read) => match read.clear {
            Some(clear) => (clear.command, clear.descriptor_loop),
            // Encrypted.
            None => return told(command),
        },
        Err(_) => {
            known = with_length(section)?;
            let clear = SpliceInfoSection::parse(&known).ok()?.clear?;
            (clear.command, clear.descriptor_loop)
        }
    };
    match read {
        AnyCommand::SpliceInsert(insert) => told(of_insert(&insert)),
        AnyCommand::TimeSignal(signal) => {
            let immediate = signal.splice_time.pts_time.is_none();
            let descriptors = parse_loop(descriptors).take(MOST_DESCRIPTORS).filter_map(Result::ok);
            let mut splices: Vec<_> = descriptors
                .filter_map(|descriptor| match descriptor {
                    AnySpliceDescriptor::Segmentation(found) => Some(of_segmentation(&found, immediate)),
                    _ => None,
                })
                .collect();
            if splices.is_empty() {
                splices.push(command);
            }
            Some(splices)
        }
        AnyCommand::SpliceSchedule(_) | AnyCommand::PrivateCommand(_) => told(command),
        _ => None,
    }
}

/// A section whose `splice_command_length` is not given (0xFFF, which older encoders write), with the length its command has.
fn with_length(section: &[u8]) -> Option<Vec<u8>> {
    const COMMAND: usize = 14;
    let not_given = section.get(11)? & 0xf == 0xf && section.get(12)? == &0xff;
    let body = section.get(COMMAND..).filter(|_| not_given)?;
    let length = match *section.get(COMMAND - 1)? {
        5 => SpliceInsert::parse(body).ok()?.serialized_len(),
        6 => TimeSignal::parse(body).ok()?.serialized_len(),
        _ => return None,
    };
    let whole = 3 + (usize::from(section.get(1)? & 0xf) << 8 | usize::from(*section.get(2)?));
    let mut known = section.get(..whole)?.to_vec();
    let end = whole.checked_sub(4)?;
    let checked = broadcast_common::crc32_mpeg2::compute(known.get(..end)?);
    if known.get(end..)? != checked.to_be_bytes() {
        return None;
    }
    known[11] = known[11] & 0xf0 | u8::try_from(length >> 8).ok()?;
    known[12] = (length & 0xff) as u8;
    let checksum = broadcast_common::crc32_mpeg2::compute(&known[..end]);
    known[end..].copy_from_slice(&checksum.to_be_bytes());
    Some(known)
}

fn of_insert(insert: &SpliceInsert) -> Splice {
    Splice {
        role: if insert.out_of_network_indicator { Role::Out } else { Role::In },
        event: Some((insert.splice_event_id, 0)),
        planned: insert.break_duration.map(|length| ticks(length.duration)),
        immediate: insert.splice_immediate_flag,
        cancelled: insert.splice_event_cancel_indicator,
    }
}

fn of_segmentation(found: &SegmentationDescriptor<'_>, immediate: bool) -> Splice {
    let kind = found.segmentation_type_id.to_u8();
    // Breaks, advertisements, placement opportunities, promotions and blocks of advertisements (ANSI/SCTE 35, table 23).
    let (role, begins) = match kind {
        0x22 | 0x44 | 0x46 => (Role::Out, kind),
        0x23 | 0x45 | 0x47 => (Role::In, kind - 1),
        0x30..=0x3f if kind.is_multiple_of(2) => (Role::Out, kind),
        0x30..=0x3f => (Role::In, kind - 1),
        _ => (Role::Command, kind),
    };
    Splice {
        role,
        event: Some((found.segmentation_event_id, begins)),
        planned: found.segmentation_duration.map(ticks),
        immediate,
        cancelled: found.segmentation_event_cancel_indicator,
    }
}

/// Of 90 kHz.
fn ticks(ticks: u64) -> Duration {
    Duration::from_micros(ticks.saturating_mul(100) / 9)
}

#[cfg(test)]
pub(in crate::hls) mod tests {
    use scte35_splice::descriptors::SegmentationTypeId;
    use scte35_splice::time::{BreakDuration, SpliceTime};

    use super::*;

    /// `splice_insert` of an event; with a duration in seconds.
    pub(in crate::hls) fn insert(id: u32, is_out: bool, seconds: Option<u64>) -> Vec<u8> {
        let insert = SpliceInsert {
            splice_event_id: id,
            out_of_network_indicator: is_out,
            splice_time: Some(SpliceTime::with_pts(0)),
            break_duration: seconds.map(|seconds| BreakDuration { auto_return: false, duration: seconds * 90_000 }),
            ..SpliceInsert::default()
        };
        SpliceInfoSection::new_clear(insert.into(), &[]).to_bytes()
    }

    /// `splice_insert` that cancels an event.
    pub(in crate::hls) fn cancelled(id: u32) -> Vec<u8> {
        let insert =
            SpliceInsert { splice_event_id: id, splice_event_cancel_indicator: true, ..SpliceInsert::default() };
        SpliceInfoSection::new_clear(insert.into(), &[]).to_bytes()
    }

    /// `time_signal` with a segmentation of this type.
    pub(in crate::hls) fn signal(id: u32, kind: u8) -> Vec<u8> {
        let descriptor = SegmentationDescriptor {
            segmentation_event_id: id,
            program_segmentation_flag: true,
            segmentation_type_id: SegmentationTypeId::from_u8(kind),
            segmentation_duration: Some(15 * 90_000),
            ..SegmentationDescriptor::default()
        };
        let signal = TimeSignal { splice_time: SpliceTime::with_pts(900_000) };
        SpliceInfoSection::new_clear(signal.into(), &descriptor.to_bytes()).to_bytes()
    }

    #[test]
    fn commands_are_read_by_what_they_do() {
        let out = read(&insert(7, true, Some(30))).unwrap()[0];
        assert_eq!((out.role, out.event, out.planned), (Role::Out, Some((7, 0)), Some(Duration::from_secs(30))));
        assert_eq!(read(&insert(7, false, None)).unwrap()[0].role, Role::In);
        assert!(read(&cancelled(7)).unwrap()[0].cancelled);
        for (kind, role, event) in [
            (0x34, Role::Out, (9, 0x34)),
            (0x35, Role::In, (9, 0x34)),
            (0x23, Role::In, (9, 0x22)),
            (0x10, Role::Command, (9, 0x10)),
        ] {
            let found = read(&signal(9, kind)).unwrap()[0];
            assert_eq!((found.role, found.event), (role, Some(event)), "{kind:#x}");
            assert_eq!(found.planned, Some(Duration::from_secs(15)));
        }
        // A heartbeat.
        let null = SpliceInfoSection::new_clear(AnyCommand::SpliceNull(Default::default()), &[]).to_bytes();
        assert_eq!(read(&null), None);
    }

    #[test]
    fn sections_without_a_command_length_are_read() {
        for section in [insert(7, true, Some(30)), signal(9, 0x34)] {
            let mut older = section.clone();
            (older[11], older[12]) = (older[11] | 0xf, 0xff);
            let end = older.len() - 4;
            let checksum = broadcast_common::crc32_mpeg2::compute(&older[..end]);
            older[end..].copy_from_slice(&checksum.to_be_bytes());
            assert_eq!(read(&older), read(&section));
            assert!(read(&older).is_some());
        }
    }

    #[test]
    fn broken_sections_are_ignored() {
        let section = insert(7, true, Some(30));
        for end in 0..section.len() {
            assert_eq!(read(&section[..end]), None, "{end} bytes");
        }
        for at in 0..section.len() {
            for bit in 0..8 {
                let mut broken = section.clone();
                broken[at] ^= 1 << bit;
                assert_eq!(read(&broken), None, "bit {bit} of byte {at}");
            }
        }
        assert_eq!(read(&vec![0xfc; 100_000]), None);
    }

    #[test]
    fn xml_holds_a_section() {
        let section = insert(7, true, None);
        let binary = STANDARD.encode(&section);
        let signal = format!(
            "<Signal xmlns=\"http://www.scte.org/schemas/35/2016\"><scte:Binary>\n {binary}\n</scte:Binary></Signal>"
        );
        assert_eq!(from_xml(signal.as_bytes()), Some(section));
        for broken in ["", "<Signal>", "<Binary>!</Binary>", "<a><b></a>", &"<Binary>".repeat(9_000)] {
            assert_eq!(from_xml(broken.as_bytes()), None, "{}", &broken[..broken.len().min(40)]);
        }
    }
}
