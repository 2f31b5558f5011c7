use millrace_hostile::{Numbers, seeds};

use super::*;
use crate::time::Timescale;

const SCALE: Timescale = match Timescale::new(90_000) {
    Some(scale) => scale,
    None => unreachable!(),
};
const UNIX: Duration = Duration::from_secs(1_800_000_000);

fn secs(seconds: f64) -> Time {
    Time::new((seconds * 90_000.0).round() as i64, SCALE)
}

fn timing(start: f64, duration: f64, keyframe: bool) -> Timing {
    Timing { presentation_time: secs(start), duration: secs(duration), keyframe }
}

struct Source {
    calendar: Calendar,
    video: Cursor,
    audio: Cursor,
}

impl Source {
    fn new() -> Self {
        Self::with(Settings::default())
    }

    fn with(settings: Settings) -> Self {
        let mut calendar = Calendar::new(settings, Group(100));
        calendar.begin_epoch(UNIX);
        Self { calendar, video: Cursor::default(), audio: Cursor::default() }
    }

    fn video(&mut self, start: f64, keyframe: bool) -> Result<Place, NoPlace> {
        self.calendar.place_source(&mut self.video, Kind::Video, timing(start, 0.04, keyframe), UNIX)
    }

    fn audio(&mut self, start: f64) -> Place {
        self.calendar.place_source(&mut self.audio, Kind::Audio, timing(start, 0.1, true), UNIX).unwrap()
    }

    /// Video at 25 frames a second from `from` to `to` with a keyframe each `gop` seconds; returns the segment each group begins in.
    fn run(&mut self, from: f64, to: f64, gop: f64) -> Vec<(u64, u64)> {
        let (first, last) = ((from * 25.0) as u32, (to * 25.0) as u32);
        let every = (gop * 25.0) as u32;
        let mut begun = Vec::new();
        for frame in first..last {
            let keyframe = (frame - first).is_multiple_of(every);
            let place = self.video(f64::from(frame) / 25.0, keyframe).unwrap();
            if keyframe {
                begun.push((place.group.0, place.segment.0));
            }
        }
        begun
    }
}

#[test]
fn a_group_begins_at_each_keyframe_and_objects_count_from_it() {
    let mut source = Source::new();
    assert_eq!(source.video(0.0, false), Err(NoPlace::BeforeKeyframe));
    let first = source.video(0.04, true).unwrap();
    assert_eq!((first.sequence, first.group, first.object), (0, Group(100), 0));
    assert_eq!(source.video(0.08, false).unwrap().object, 1);
    let second = source.video(0.12, true).unwrap();
    assert_eq!((second.sequence, second.group, second.object), (2, Group(101), 0));
}

#[test]
fn a_segment_is_a_group_where_groups_are_as_long_as_the_target() {
    let mut source = Source::new();
    assert_eq!(source.calendar.target_duration(), None);
    assert_eq!(source.run(0.0, 8.0, 2.0), [(100, 0), (101, 1), (102, 2), (103, 3)]);
    assert_eq!(source.calendar.target_duration(), Some(2));
    assert_eq!(source.calendar.forced_cuts(), 0);
}

#[test]
fn short_groups_share_a_segment() {
    let mut source = Source::new();
    let segments: Vec<_> = source.run(0.0, 6.0, 0.4).into_iter().map(|(_, segment)| segment).collect();
    assert_eq!(segments, [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2]);
}

#[test]
fn long_groups_set_the_target_duration() {
    let mut source = Source::new();
    assert_eq!(source.run(0.0, 12.0, 4.0), [(100, 0), (101, 1), (102, 2)]);
    assert_eq!(source.calendar.target_duration(), Some(4));
    assert_eq!(source.calendar.forced_cuts(), 0);
}

#[test]
fn a_source_without_access_points_is_cut_and_says_so() {
    let mut source = Source::with(Settings { max_segment: Duration::from_secs(3), ..Settings::default() });
    source.run(0.0, 9.5, 60.0);
    assert_eq!(source.calendar.target_duration(), Some(3));
    assert_eq!(source.calendar.forced_cuts(), 2);
    let cut = source.calendar.segment(Segment(1)).unwrap();
    assert!(!cut.independent);
    // No segment may be so long that it, or sound of one chunk more, rounds to more than the target duration.
    assert!((cut.start - secs(0.0)).as_secs_f64() < 3.35);
}

#[test]
fn no_segment_rounds_to_more_than_the_target_when_groups_vary() {
    let mut source = Source::new();
    let mut at = 0.0;
    let mut starts: Vec<f64> = vec![];
    for gop in [2.0, 1.2, 2.0, 0.4, 1.6, 2.0, 0.8, 0.8, 2.0, 1.2, 1.2] {
        let begun = source.run(at, at + gop, 60.0);
        if starts.len() as u64 <= begun[0].1 {
            starts.push(at);
        }
        at += gop;
    }
    let target = f64::from(source.calendar.target_duration().unwrap());
    assert!(starts.windows(2).all(|pair| (pair[1] - pair[0]).round() <= target), "{starts:?}");
    assert_eq!(source.calendar.forced_cuts(), 0);
}

#[test]
fn sound_follows_the_groups_of_the_picture() {
    let mut source = Source::new();
    source.video(0.0, true).unwrap();
    assert_eq!(source.audio(0.0).group, Group(100));
    assert_eq!(source.audio(2.05).group, Group(100));
    source.video(2.0, true).unwrap();
    let next = source.audio(2.15);
    assert_eq!((next.group, next.object, next.segment), (Group(101), 0, Segment(1)));
}

#[test]
fn the_first_picture_joins_the_group_that_sound_began() {
    let mut source = Source::new();
    assert_eq!(source.audio(0.0).group, Group(100));
    let picture = source.video(0.08, true).unwrap();
    assert_eq!((picture.group, picture.segment), (Group(100), Segment(0)));
}

#[test]
fn sound_alone_begins_a_group_each_segment_target() {
    let mut source = Source::new();
    let groups: Vec<_> = (0..60).map(|n| source.audio(f64::from(n) * 0.1).group.0).collect();
    assert_eq!((groups[0], groups[18], groups[19], groups[59]), (100, 100, 101, 103));
}

#[test]
fn two_pictures_of_one_source_share_groups_whichever_comes_first() {
    let mut source = Source::new();
    let mut other = Cursor::default();
    for (ahead, start) in [(false, 0.0), (true, 2.0), (false, 4.0)] {
        let mut second = |source: &mut Source| {
            source
                .calendar
                .place_source(&mut other, Kind::Video, timing(start + 0.001, 0.04, true), UNIX)
                .unwrap()
                .group
        };
        let (a, b) = if ahead {
            let b = second(&mut source);
            (source.video(start, true).unwrap().group, b)
        } else {
            (source.video(start, true).unwrap().group, second(&mut source))
        };
        assert_eq!(a, b);
    }
}

#[test]
fn what_is_derived_stands_in_the_groups_of_its_source() {
    let mut source = Source::new();
    source.run(0.0, 6.0, 2.0);
    let mut rung = Cursor::default();
    let place = source.calendar.place_derived(&mut rung, Group(101), secs(2.0)).unwrap();
    assert_eq!((place.sequence, place.group, place.object, place.segment), (0, Group(101), 0, Segment(1)));
    assert_eq!(
        source.calendar.place_derived(&mut rung, Group(100), secs(0.0)),
        Err(NoPlace::GroupWentBack { given: Group(100), reached: Group(101) })
    );
    assert_eq!(source.calendar.place_derived(&mut rung, Group(999), secs(0.0)), Err(NoPlace::UnknownGroup(Group(999))));
}

#[test]
fn numbers_rise_across_a_return_and_the_timeline_goes_on() {
    let mut source = Source::new();
    assert_eq!(source.calendar.offset(secs(-0.02)), 11);
    source.run(11.0, 15.0, 2.0);
    source.calendar.begin_epoch(UNIX + Duration::from_secs(9));
    assert_eq!(source.video(15.0, false), Err(NoPlace::BeforeKeyframe));
    let offset = source.calendar.offset(secs(0.0));
    assert!(offset >= 15, "{offset}");
    let place = source.video(offset as f64, true).unwrap();
    assert_eq!((place.epoch, place.group, place.object, place.segment), (Epoch(1), Group(102), 0, Segment(2)));
    let segment = source.calendar.segment(Segment(2)).unwrap();
    assert!(segment.discontinuity && segment.independent);
    assert!(source.calendar.epoch().unwrap().id > source.calendar.epoch_info(Epoch(0)).unwrap().id);
}

#[test]
fn a_source_whose_clock_ran_on_keeps_its_timeline() {
    let mut source = Source::new();
    let start = 1_700_000_000.0;
    assert_eq!(source.calendar.offset(secs(start)), 0);
    source.run(start, start + 4.0, 2.0);
    source.calendar.begin_epoch(UNIX + Duration::from_secs(60));
    assert_eq!(source.calendar.offset(secs(start + 61.0)), 0);
}

#[test]
fn a_source_whose_clock_was_set_forward_leaves_no_gap() {
    let mut source = Source::new();
    assert_eq!(source.calendar.offset(secs(20.0)), 0);
    source.run(20.0, 24.0, 2.0);
    source.calendar.begin_epoch(UNIX + Duration::from_secs(4));
    assert_eq!(source.calendar.offset(secs(3624.0)), 24 + 2 - 3624);
}

#[test]
fn programme_time_is_when_the_first_fragment_began_to_be_captured() {
    let mut source = Source::new();
    source.run(10.0, 14.0, 2.0);
    let at = |n| source.calendar.segment(Segment(n)).unwrap().program_date_time;
    assert_eq!(at(0), UNIX - Duration::from_millis(40));
    assert_eq!(at(1) - at(0), Duration::from_secs(2));
}

#[test]
fn what_is_old_is_forgotten() {
    let mut source = Source::with(Settings { history: Duration::from_secs(10), ..Settings::default() });
    source.run(0.0, 60.0, 1.0);
    assert!(source.calendar.groups.len() < 15);
    assert!(source.calendar.segment(Segment(0)).is_none());
    assert!(source.calendar.segment(Segment(28)).is_some());
}

#[test]
fn hostile_times_do_not_panic() {
    let mut source = Source::new();
    for ticks in [i64::MAX, i64::MIN, 0, -1, i64::MAX - 1] {
        let at = Time::new(ticks, Timescale::new(1).unwrap());
        source.calendar.offset(at);
        let timing = Timing { presentation_time: at, duration: at, keyframe: true };
        let _ = source.calendar.place_source(&mut source.video, Kind::Video, timing, UNIX);
        let _ = source.calendar.place_source(&mut source.audio, Kind::Audio, timing, UNIX);
        source.calendar.segment(Segment(0));
    }
}

#[test]
fn a_track_whose_group_others_have_made_forgotten_waits_for_a_keyframe() {
    let mut source = Source::with(Settings { history: Duration::from_secs(10), ..Settings::default() });
    let mut other = Cursor::default();
    source.video(0.0, true).unwrap();
    for second in 1..60 {
        let timing = timing(f64::from(second), 0.04, true);
        source.calendar.place_source(&mut other, Kind::Video, timing, UNIX).unwrap();
    }
    assert_eq!(source.video(0.04, false), Err(NoPlace::BeforeKeyframe));
    assert!(source.video(60.0, true).is_ok());
    assert!(source.video(60.04, false).is_ok());
}

#[test]
fn no_order_of_hostile_fragments_panics_or_fills_the_memory() {
    for seed in seeds(50) {
        let mut random = Numbers(seed);
        let mut source = Source::with(Settings { history: Duration::from_secs(10), ..Settings::default() });
        let mut cursors = [Cursor::default(); 3];
        let mut now = 0.0;
        for _ in 0..2_000 {
            now += [0.0, 0.04, 1.0, 9.9, 1e6, -1.0, -1e6][random.below(7)];
            let duration = [0.0, 0.04, 20.0, 1e9][random.below(4)];
            let track = random.below(3);
            let kind = if track == 2 { Kind::Audio } else { Kind::Video };
            let timing = timing(now, duration, random.below(4) == 0);
            if let Ok(place) = source.calendar.place_source(&mut cursors[track], kind, timing, UNIX) {
                source.calendar.segment(place.segment);
                let mut derived = Cursor::default();
                let _ = source.calendar.place_derived(&mut derived, place.group, secs(now));
            }
            if random.below(100) == 0 {
                source.calendar.begin_epoch(UNIX);
            }
        }
    }
    let mut source = Source::new();
    source.video(0.0, true).unwrap();
    for minute in 1..20_000 {
        source.video(f64::from(minute) * 60.0, false).unwrap();
    }
    assert!(source.calendar.segments.len() <= segments::MAX_SEGMENTS);
}

#[test]
fn returns_without_media_do_not_fill_the_memory() {
    let mut source = Source::new();
    let mut last = source.calendar.epoch().unwrap();
    for _ in 0..5_000 {
        source.calendar.begin_epoch(UNIX);
        let epoch = source.calendar.epoch().unwrap();
        assert!(epoch.id > last.id);
        last = epoch;
    }
    assert!(source.calendar.epochs.len() <= MAX_EPOCHS);
    assert!(source.video(0.0, true).is_ok());
}
