//! Rungs that rest and come back: what their playlists say, and what requests are answered meanwhile.

use std::ops::Range;
use std::time::Duration;

use millrace_media::calendar::Segment;
use millrace_media::track::{Producer, Provenance};
use millrace_media::{Fragment, Media};

use super::playlist::roomy;
use super::rules::{Checker, Parsed};
use super::source::{Arrival, Pictures, Source, media, track, video_info};
use crate::hls::Settings;
use crate::hls::playlist::{Answer, MediaPlaylist, Stored, Surroundings, Wanted};
use crate::hls::silence::{self, Silence};

const SCALE: u32 = 90_000;
const LONGEST: Duration = Duration::from_secs(10);

/// A smaller copy of a picture of the source.
pub(super) fn copy(fragment: &Fragment) -> Option<Media> {
    let is_picture = fragment.info().timescale.get() == SCALE;
    is_picture.then(|| media(fragment.decode_time.ticks(), SCALE, &[3_000], fragment.marks.keyframe, 600))
}

pub(super) fn rung(source: &Source) -> Producer {
    let provenance =
        Provenance::Derived { factory: "ladder".into(), rendition: Some("480p".into()), from: Some(track("video")) };
    let mut rung = source.broadcast.derive(track("480p"), provenance).unwrap();
    rung.set_info(video_info(SCALE, "rung header"));
    rung
}

/// A rung that rests in some groups, with its playlist, every version of which is checked.
struct Site {
    source: Source,
    rung: Producer,
    playlist: MediaPlaylist,
    checker: Checker,
    silence: Silence,
    newest: Option<Parsed>,
    first_group: Option<u64>,
}

impl Site {
    /// Groups of so many seconds.
    fn new(group: u64) -> Self {
        let source = Source::on(roomy(), Some(Pictures::regular(SCALE, 3_000, 30 * group)), Arrival::Steady);
        let kept = source.bus.settings().window.duration;
        Self {
            rung: rung(&source),
            source,
            playlist: MediaPlaylist::new(&Settings::default(), kept, 0),
            checker: Checker::default(),
            silence: Silence::default(),
            newest: None,
            first_group: None,
        }
    }

    /// Goes on until `until` seconds of the epoch; the rung rests in the groups of `rest`, counted from the first of all.
    fn run(&mut self, until: f64, rest: Range<u64>) -> &Parsed {
        let Self { source, rung, playlist, checker, silence, newest, first_group } = self;
        let broadcast = source.broadcast.clone();
        source.run(until, |fragment| {
            let Some(copy) = copy(fragment) else { return };
            let group = fragment.place().group;
            let first = *first_group.get_or_insert(group.0);
            let before = playlist.edge();
            if rest.contains(&(group.0 - first)) {
                let patience = silence::patience(false, playlist.target_duration(), LONGEST);
                if silence.lasts(fragment, patience) {
                    playlist.pass(fragment.place().segment, &broadcast);
                }
            } else {
                silence.broken();
                playlist.push(rung.write_in(group, copy).unwrap(), &broadcast);
            }
            if playlist.edge() != before {
                *newest = checker.check(playlist, &Surroundings::default());
            }
        });
        newest.as_ref().expect("the playlist is ready")
    }
}

fn gaps(parsed: &Parsed) -> Vec<u64> {
    parsed.segments.iter().filter(|segment| segment.gap).map(|segment| segment.number).collect()
}

#[test]
fn what_a_resting_rung_leaves_out_is_listed_as_absent() {
    let mut site = Site::new(2);
    let numbers = |parsed: &Parsed| parsed.segments.iter().map(|segment| segment.number).collect::<Vec<_>>();
    site.run(8.0, 4..100);
    let before = site.playlist.measure().unwrap();
    let resting = site.run(14.5, 4..100).clone();
    // Segment 7 has begun: those before it are over.
    assert_eq!((numbers(&resting), gaps(&resting)), ((0..7).collect(), vec![4, 5, 6]));
    assert!(resting.segments.iter().all(|segment| (segment.duration - 2.0).abs() < 1e-6));
    assert_eq!(site.playlist.measure(), Some(before), "what flowed is what flows again");
    assert_eq!(site.playlist.position().map(|position| position.segment), Some(6));
    let ask = |site: &Site, segment, part| site.playlist.ask(Wanted { segment, part });
    assert_eq!(ask(&site, 6, Some(3)), Answer::Ready);
    assert_eq!(ask(&site, 7, None), Answer::Wait);
    assert_eq!(ask(&site, 7, Some(0)), Answer::Wait);
    assert_eq!(ask(&site, 9, None), Answer::TooFar { last: Some(6) });
    let directory = site.source.broadcast.started().unix.as_millis().to_string();
    assert!(matches!(site.playlist.segment(&directory, 5), Stored::Missing));

    let back = site.run(18.5, 4..8).clone();
    assert_eq!((numbers(&back), gaps(&back)), ((0..10).collect(), vec![4, 5, 6, 7]));
    assert_eq!(back.segments[8].map, None, "the same header still holds");
    assert!(matches!(site.playlist.segment(&directory, 8), Stored::Here(_)));
}

#[test]
fn a_rung_that_comes_back_within_a_segment_keeps_its_time() {
    let mut site = Site::new(1);
    let parsed = site.run(16.2, 6..13).clone();
    assert_eq!(gaps(&parsed), [3, 4, 5, 6]);
    let half = parsed.segments.iter().find(|segment| segment.number == 6).unwrap();
    assert!((half.duration - 2.0).abs() < 1e-6, "{} s", half.duration);
    assert!(half.parts.is_empty() || (half.parts[0].gap && !half.parts.last().unwrap().gap));
    // The rung's own media begins one second into the segment.
    let parts = |index| site.playlist.part(&site.source.broadcast.started().unix.as_millis().to_string(), 6, index);
    assert!(matches!(parts(0), Stored::Missing) && matches!(parts(9), Stored::Here(_)));
    assert!(parsed.segments.iter().filter(|segment| segment.number > 6).all(|segment| !segment.gap));
}

#[test]
fn a_long_rest_costs_nothing_and_loses_nothing() {
    let mut site = Site::new(2);
    site.run(8.0, 4..u64::MAX);
    let before = site.playlist.measure().unwrap();
    let parsed = site.run(400.0, 4..u64::MAX).clone();
    assert_eq!(gaps(&parsed).len(), parsed.segments.len(), "all of them are absent");
    assert!(parsed.segments.len() <= 12, "{} segments are listed", parsed.segments.len());
    let directory = site.source.broadcast.started().unix.as_millis().to_string();
    assert!(matches!(site.playlist.segment(&directory, 0), Stored::Missing), "old media is let go");
    assert!(site.playlist.init(&directory, 0).is_some(), "the header is still there");
    assert_eq!(site.playlist.measure().unwrap().peak, before.peak);
    let back = site.run(405.0, 4..201).clone();
    let last = back.segments.last().unwrap();
    assert!(!last.gap && last.number >= 201, "{last:?}");
}

#[test]
fn a_rung_may_rest_across_its_publishers_return() {
    let mut site = Site::new(2);
    site.run(10.0, 4..u64::MAX);
    (site.source).returns(Duration::from_secs(3), 40);
    let parsed = site.run(6.5, 4..u64::MAX).clone();
    assert!(parsed.segments.last().unwrap().discontinuity == 1, "{:?}", parsed.segments.last());
    let back = site.run(12.5, 4..9).clone();
    let last = back.segments.iter().rev().find(|segment| segment.uri.is_some()).unwrap();
    assert!(!last.gap && last.discontinuity == 1, "{last:?}");
    let begin = back.segments.iter().find(|segment| segment.number == 9).unwrap();
    assert!(begin.map.is_some() && !begin.gap, "the new epoch has a header of its own: {begin:?}");
}

#[test]
fn media_of_what_was_passed_over_comes_too_late() {
    let mut site = Site::new(2);
    site.run(8.0, 4..100);
    let broadcast = site.source.broadcast.clone();
    let mut missed = Vec::new();
    site.source.run(10.5, |fragment| missed.extend(copy(fragment).map(|copy| (fragment.place().group, copy))));
    site.playlist.pass(Segment(5), &broadcast);
    for (group, copy) in missed {
        site.playlist.push(site.rung.write_in(group, copy).unwrap(), &broadcast);
    }
    let parsed = site.checker.check(&site.playlist, &Surroundings::default()).unwrap();
    assert_eq!(gaps(&parsed), [4]);
    let open = parsed.segments.last().unwrap();
    assert_eq!((open.number, open.parts.len()), (5, 2), "what is not too late is taken");
}

#[test]
fn sound_that_comes_a_group_after_its_pictures_is_not_silent() {
    let mut source = Source::on(roomy(), Some(Pictures::regular(SCALE, 3_000, 60)), Arrival::Groups);
    let is_picture = |fragment: &Fragment| fragment.info().timescale.get() == SCALE;
    let (mut silence, mut group) = (Silence::default(), None);
    let lasts = |silence: &mut Silence, picture: &Fragment, is_sound| {
        silence.lasts(picture, silence::patience(is_sound, Some(2), LONGEST))
    };
    let (mut by_pictures, mut by_sound) = (0, 0);
    source.run(20.0, |fragment| {
        if !is_picture(fragment) {
            return;
        }
        by_pictures += u32::from(lasts(&mut silence, fragment, false));
        by_sound += u32::from(lasts(&mut silence, fragment, true));
        if group.replace(fragment.place().group) != Some(fragment.place().group) {
            // The sound of the group before.
            silence.broken();
        }
    });
    assert!(by_pictures > 5, "pictures a group late are silent");
    assert_eq!(by_sound, 0);
    source.run(28.0, |fragment| {
        by_sound += u32::from(is_picture(fragment) && lasts(&mut silence, fragment, true));
    });
    assert!(by_sound > 0, "nothing for longer is");
}
