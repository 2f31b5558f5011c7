//! Edit lists (ISO/IEC 14496-12, 8.6.6): where the media begins on the presentation timeline.

use millrace_media::{Time, Timescale};
use mp4_atom::Elst;

use super::Note;

/// What the edits at the beginning add to a media time to make it a presentation time.
pub(super) fn shift(elst: &Elst, movie_scale: u32, timescale: Timescale, notes: &mut Vec<Note>) -> Time {
    let mut shift = Time::zero(timescale);
    let mut edits = elst.entries.iter();
    for edit in edits.by_ref() {
        match edit.media_time {
            None => {
                if let Some(movie_scale) = Timescale::new(movie_scale) {
                    shift = shift + Time::new(i64::try_from(edit.segment_duration).unwrap_or(i64::MAX), movie_scale);
                }
            }
            Some(media_time) => {
                shift = shift - Time::new(i64::try_from(media_time).unwrap_or(i64::MAX), timescale);
                if edit.media_rate.integer() != 1 || edit.media_rate.decimal() != 0 {
                    notes.push(Note::EditsIgnored);
                }
                break;
            }
        }
    }
    if edits.next().is_some() && !notes.contains(&Note::EditsIgnored) {
        notes.push(Note::EditsIgnored);
    }
    shift
}

#[cfg(test)]
mod tests {
    use mp4_atom::{ElstEntry, FixedPoint};

    use super::*;

    fn edit(segment_duration: u64, media_time: Option<u64>) -> ElstEntry {
        ElstEntry { segment_duration, media_time, media_rate: FixedPoint::new(1, 0) }
    }

    fn shift_of(entries: Vec<ElstEntry>) -> (i64, Vec<Note>) {
        let mut notes = Vec::new();
        let shift = shift(&Elst { entries }, 1000, Timescale::new(48_000).unwrap(), &mut notes);
        (shift.ticks(), notes)
    }

    #[test]
    fn empty_edits_push_back_and_media_time_pulls_forward() {
        assert_eq!(shift_of(vec![edit(0, Some(1024))]), (-1024, vec![]));
        assert_eq!(shift_of(vec![edit(80, None), edit(0, Some(0))]), (3840, vec![]));
        assert_eq!(shift_of(vec![edit(80, None), edit(20, None), edit(0, Some(312))]), (4488, vec![]));
        assert_eq!(shift_of(vec![]), (0, vec![]));
    }

    #[test]
    fn later_edits_are_not_applied_and_said_so() {
        assert_eq!(shift_of(vec![edit(9, Some(7)), edit(9, Some(100))]), (-7, vec![Note::EditsIgnored]));
    }
}
