//! Which cues are written before which fragment of the video.

use serde::{Deserialize, Serialize};

use crate::section::{Kind, Said};

/// The most cues that wait at a time; beyond, the oldest goes.
const MOST: usize = 32;
/// The longest that a cue is remembered after its time, in ticks of a second.
const REMEMBERED: i64 = 60;

/// A cue, on the timeline of the video.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cue {
    /// When the splice is, in ticks of the video.
    pub at: i64,
    /// How long the break is to last, in 90 kHz.
    pub duration: Option<u64>,
    /// The splice event, where the command has one.
    pub event: Option<u32>,
    /// The section's checksum, which tells it from others.
    pub checksum: u32,
    /// Of its event messages: repeats have the same.
    pub id: u32,
    /// The section.
    pub section: Vec<u8>,
    /// It is in the stream already.
    pub written: bool,
}

impl Cue {
    /// The cue of a section, at a time. Its event messages have this id, or one that no other cue has.
    pub fn new(section: &[u8], said: &Said, at: i64, id: Option<u32>) -> Self {
        let Said { event, duration, checksum, .. } = *said;
        let id = id.unwrap_or(checksum.wrapping_add(at as u32));
        Self { at, duration, event, checksum, id, section: section.to_vec(), written: false }
    }
}

/// The cues that are known.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    cues: Vec<Cue>,
}

impl Schedule {
    /// Adds a cue. False where it is known: the same section at the same time, to the tick of the roundest timescale.
    pub fn add(&mut self, cue: Cue, kind: Kind, scale: u32) -> bool {
        let near = i64::from(scale / 50);
        if self.cues.iter().any(|known| known.checksum == cue.checksum && (known.at - cue.at).abs() <= near) {
            return false;
        }
        if let Kind::Cancel(event) = kind {
            // What is cancelled is not repeated.
            self.cues.retain(|known| known.event != Some(event));
        }
        if self.cues.len() == MOST {
            self.cues.remove(0);
        }
        self.cues.push(cue);
        true
    }

    /// The cues to be written before a fragment of the video at `now`: those that are not in the stream yet, and, where a group begins, those
    /// that are still ahead, for who joins there.
    pub fn due(&mut self, now: i64, starts_group: bool, scale: u32) -> Vec<Cue> {
        self.cues.retain(|cue| !cue.written || cue.at.saturating_add(REMEMBERED * i64::from(scale)) > now);
        let due = self.cues.iter_mut().filter(|cue| !cue.written || (starts_group && cue.at > now));
        due.map(|cue| {
            cue.written = true;
            cue.clone()
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::section;

    const SCALE: u32 = 90_000;

    fn second(n: i64) -> i64 {
        n * i64::from(SCALE)
    }

    fn add(schedule: &mut Schedule, section: &[u8], at: i64) -> bool {
        let said = section::read(section).unwrap();
        schedule.add(Cue::new(section, &said, at, None), said.kind, SCALE)
    }

    fn due(schedule: &mut Schedule, now: i64, starts_group: bool) -> Vec<i64> {
        schedule.due(now, starts_group, SCALE).iter().map(|cue| cue.at).collect()
    }

    #[test]
    fn a_cue_is_written_at_once_and_again_where_groups_begin_before_it() {
        let mut schedule = Schedule::default();
        let out = section::insert(1, true, Some(900_000));
        assert!(add(&mut schedule, &out, second(10)));
        assert!(!add(&mut schedule, &out, second(10) + 1), "a repeat");
        assert_eq!(due(&mut schedule, second(5), false), [second(10)]);
        assert!(due(&mut schedule, second(6), false).is_empty());
        assert_eq!(due(&mut schedule, second(8), true), [second(10)]);
        assert!(due(&mut schedule, second(10), true).is_empty(), "its time has come");
        assert!(!add(&mut schedule, &out, second(10)), "still known");
        // Long after, the same may be another.
        assert!(due(&mut schedule, second(80), true).is_empty());
        assert!(add(&mut schedule, &out, second(90)));
    }

    #[test]
    fn a_cancelled_cue_is_not_repeated() {
        let mut schedule = Schedule::default();
        add(&mut schedule, &section::insert(1, true, None), second(10));
        add(&mut schedule, &section::insert(2, true, None), second(11));
        assert_eq!(due(&mut schedule, second(1), false).len(), 2);
        add(&mut schedule, &section::cancel(1), second(10));
        let written = schedule.due(second(2), false, SCALE);
        assert_eq!((written.len(), written[0].event), (1, Some(1)), "the cancellation");
        assert_eq!(due(&mut schedule, second(4), true), [second(11), second(10)]);
    }

    #[test]
    fn a_flood_is_bounded() {
        let mut schedule = Schedule::default();
        for n in 0..1_000 {
            assert!(add(&mut schedule, &section::insert(n, true, None), second(10)));
        }
        assert_eq!(due(&mut schedule, 0, false).len(), MOST);
    }
}
