//! What playlists say while a source flows.

use std::collections::BTreeMap;
use std::time::Duration;

use millrace_media::track::{Consumer, Event, Kind, Next, Start, Track};
use millrace_media::{Broadcast, bus};

use super::rules::{Checker, Parsed, address};
use super::source::{Arrival, Pictures, Source, UNIX, media};
use crate::hls::Settings;
use crate::hls::hold::{self, Held};
use crate::hls::playlist::{Answer, MediaPlaylist, Stored, Surroundings, Wanted};

pub(super) struct Watched {
    track: Track,
    consumer: Consumer,
    held: Held,
    pub(super) playlist: MediaPlaylist,
    pub(super) checker: Checker,
    pub(super) newest: Option<Parsed>,
}

impl Watched {
    pub(super) fn new(source: &Source, track: &str, settings: &Settings) -> Self {
        let track = source.broadcast.track(track).unwrap();
        let kept = source.bus.settings().window.duration;
        Self {
            consumer: track.subscribe(Start::OldestGroup),
            track,
            held: Held::new(source.bus.settings().calendar.max_segment),
            playlist: MediaPlaylist::new(settings, kept, 0),
            checker: Checker::default(),
            newest: None,
        }
    }

    pub(super) fn read(&mut self, broadcast: &Broadcast) {
        let before = self.playlist.edge();
        let is_sound = self.track.info().is_some_and(|info| info.kind() == Kind::Audio);
        let pictures = if is_sound { hold::pictures(broadcast) } else { None };
        let mut reach = pictures.and_then(|pictures| hold::reach(&pictures));
        let mut is_over = false;
        while !is_over {
            match self.consumer.try_next() {
                Next::Ready(Event::Fragment(fragment)) => self.held.push(fragment),
                Next::Ready(Event::Gap { .. }) => self.playlist.skip(),
                Next::Ready(Event::GroupEnd) => {}
                Next::Pending => is_over = true,
                Next::Ended => (is_over, reach) = (true, None),
            }
            while let Some(fragment) = self.held.release(reach) {
                self.playlist.push(fragment, broadcast);
            }
        }
        if self.track.is_ended() {
            self.playlist.end();
        }
        let stats = self.track.stats();
        self.playlist.forget_before(stats.fragments - stats.held);
        if self.playlist.edge() != before {
            self.newest = self.checker.check(&self.playlist, &Surroundings::default());
        }
    }

    pub(super) fn newest(&self) -> &Parsed {
        self.newest.as_ref().expect("the playlist is ready")
    }
}

/// Lets `source` run for `seconds` of media and returns what its playlists became, every version of which was checked.
pub(super) fn watch(source: &mut Source, seconds: f64, settings: &Settings) -> BTreeMap<String, Watched> {
    let names = source.broadcast.tracks().iter().map(|track| track.name().to_string()).collect::<Vec<_>>();
    let mut watched = names.into_iter().map(|name| (name.clone(), Watched::new(source, &name, settings))).collect();
    go_on(source, &mut watched, seconds);
    watched
}

pub(super) fn go_on(source: &mut Source, watched: &mut BTreeMap<String, Watched>, until: f64) {
    let broadcast = source.broadcast.clone();
    source.run(until, |_| watched.values_mut().for_each(|watched| watched.read(&broadcast)));
}

pub(super) fn roomy() -> bus::Settings {
    let window = millrace_media::track::Window { duration: Duration::from_secs(60), ..Default::default() };
    bus::Settings { window, ..Default::default() }
}

#[test]
fn pictures_of_every_usual_rate_keep_the_rules() {
    let rates = [
        (Pictures::regular(90_000, 3_000, 60), 0.2),
        (Pictures::regular(12_800, 512, 50), 0.2),
        (Pictures::regular(24, 1, 48), 5.0 / 24.0),
        (Pictures::regular(30_000, 1_001, 60), 6.0 * 1_001.0 / 30_000.0),
        (Pictures::regular(60, 1, 120), 0.2),
        (Pictures::regular(10, 1, 20), 0.2),
        // Milliseconds: 33, 33, 34.
        (Pictures { scale: 1_000, durations: vec![33, 33, 34], group: 60 }, 0.204),
    ];
    for (pictures, target) in rates {
        let mut source = Source::on(roomy(), Some(pictures), Arrival::Steady);
        let watched = watch(&mut source, 45.0, &Settings::default());
        let video = &watched["video"];
        let found = video.newest().part_target().unwrap();
        assert!((found - target).abs() < 2e-6, "{found} s for {target} s");
        assert!(video.checker.versions > 150 && video.checker.deltas > 50, "{} versions", video.checker.versions);
        assert_eq!(video.playlist.broken_rules(), 0);
        let audio = &watched["audio"];
        assert!(audio.newest().part_target().is_some_and(|target| (0.15..0.3).contains(&target)));
        assert_eq!(audio.playlist.broken_rules(), 0);
    }
}

#[test]
fn a_playlist_says_what_it_is() {
    let mut source = Source::on(roomy(), Some(Pictures::regular(90_000, 3_000, 60)), Arrival::Steady);
    let watched = watch(&mut source, 6.5, &Settings::default());
    let text = watched["video"].playlist.text(&Surroundings::default(), false).unwrap();
    let id = source.broadcast.started().unix.as_millis();
    let expected = format!(
        "#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.0,HOLD-BACK=6.0,PART-HOLD-BACK=0.600000
#EXT-X-PART-INF:PART-TARGET=0.200000
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI=\"{id}/init-0.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2027-01-15T08:00:00.000Z
#EXTINF:2.000000,
{id}/0.m4s
"
    );
    assert!(text.starts_with(&expected), "{text}");
    let end = format!(
        "#EXT-X-PROGRAM-DATE-TIME:2027-01-15T08:00:06.000Z
#EXT-X-PART:DURATION=0.200000,URI=\"{id}/3.0.m4s\",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.200000,URI=\"{id}/3.1.m4s\"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{id}/3.2.m4s\"
"
    );
    assert!(text.ends_with(&end), "{text}");
}

#[test]
fn a_part_is_there_with_its_last_fragment() {
    let mut source = Source::new(Some(Pictures::regular(90_000, 3_000, 60)), Arrival::Steady);
    let mut watched = watch(&mut source, 4.17, &Settings::default());
    let parts = |watched: &BTreeMap<String, Watched>| watched["video"].newest().segments.last().unwrap().parts.len();
    assert_eq!(watched["video"].newest().segments.last().unwrap().number, 1);
    go_on(&mut source, &mut watched, 4.2);
    assert_eq!((watched["video"].newest().segments.last().unwrap().number, parts(&watched)), (2, 1));
}

#[test]
fn the_hint_at_a_segments_end_is_the_next_segments_first_part() {
    let mut source = Source::new(Some(Pictures::regular(90_000, 3_000, 60)), Arrival::Steady);
    let watched = watch(&mut source, 6.0, &Settings::default());
    let newest = watched["video"].newest();
    assert_eq!(newest.segments.last().unwrap().parts.len(), 10);
    let hint = newest.hint.as_ref().unwrap();
    assert_eq!((address(hint).1, address(hint).2), (3, Some(0)));
}

#[test]
fn sound_alone_has_segments_and_parts() {
    let mut source = Source::on(roomy(), None, Arrival::Steady);
    let watched = watch(&mut source, 45.0, &Settings::default());
    assert_eq!(watched["audio"].playlist.broken_rules(), 0);
    assert!(watched["audio"].newest().part_target().is_some());
    assert!(watched["audio"].newest().segments.iter().all(|segment| segment.parts.iter().all(|part| part.independent)));
}

#[test]
fn a_group_at_a_time_has_no_parts_and_says_so() {
    let mut source = Source::new(Some(Pictures::regular(90_000, 3_000, 60)), Arrival::Groups);
    let watched = watch(&mut source, 30.0, &Settings::default());
    for name in ["video", "audio"] {
        let watched = &watched[name];
        assert_eq!(watched.newest().part_target(), None, "{name}");
        assert!(watched.playlist.why_no_parts().unwrap().contains("bursts"), "{:?}", watched.playlist.why_no_parts());
        assert!(watched.newest().control("PART-HOLD-BACK").is_none());
        assert!(watched.newest().segments.len() >= 3);
    }
}

#[test]
fn sound_that_arrives_before_its_pictures_is_cut_where_they_are() {
    let mut source = Source::on(roomy(), Some(Pictures::regular(90_000, 3_000, 60)), Arrival::SoundFirst);
    let watched = watch(&mut source, 30.0, &Settings::default());
    let numbers = |name: &str| watched[name].newest().segments.iter().map(|s| s.number).collect::<Vec<_>>();
    let (audio, video) = (numbers("audio"), numbers("video"));
    assert!(video.len() > 8 && audio.starts_with(&video[..video.len() - 1]), "{audio:?} and {video:?}");
    assert!(watched["audio"].newest().part_target().is_none());
    for segment in &watched["audio"].newest().segments {
        assert!(!segment.gap && (1.9..2.1).contains(&segment.duration), "{} s", segment.duration);
    }
}

#[test]
fn without_low_latency_there_are_no_parts() {
    let mut source = Source::new(Some(Pictures::regular(90_000, 3_000, 60)), Arrival::Steady);
    let settings = Settings { low_latency: false, ..Settings::default() };
    let watched = watch(&mut source, 20.0, &settings);
    assert_eq!(watched["video"].newest().part_target(), None);
    assert_eq!(watched["video"].playlist.why_no_parts(), Some("low latency is switched off"));
}

#[test]
fn the_window_moves_on_and_what_has_left_it_can_still_be_fetched() {
    let mut source = Source::on(roomy(), Some(Pictures::regular(90_000, 3_000, 60)), Arrival::Steady);
    let watched = watch(&mut source, 90.0, &Settings::default());
    let newest = watched["video"].newest();
    let length: f64 = newest.segments.iter().map(|segment| segment.duration).sum();
    assert!((20.0..22.0).contains(&length), "{length} s are listed");
    let (first, directory) = (newest.segments[0].number, source.broadcast.started().unix.as_millis().to_string());
    assert!(matches!(watched["video"].playlist.segment(&directory, first - 10), Stored::Here(_)));
    assert!(matches!(watched["video"].playlist.segment(&directory, 0), Stored::Missing));
    assert!(matches!(watched["video"].playlist.part(&directory, first - 1, 3), Stored::Here(_)));
}

#[test]
fn nothing_is_held_that_the_bus_has_let_go() {
    let mut source = Source::new(Some(Pictures::regular(90_000, 3_000, 60)), Arrival::Steady);
    let watched = watch(&mut source, 90.0, &Settings::default());
    let held: Vec<_> = source.broadcast.track("video").unwrap().held();
    let oldest = watched["video"].newest().segments[0].number;
    assert!(oldest >= held[0].place().segment.0);
    let directory = source.broadcast.started().unix.as_millis().to_string();
    let before = held[0].place().segment.0 - 1;
    assert!(matches!(watched["video"].playlist.segment(&directory, before), Stored::Missing));
}

#[test]
fn a_publishers_return_is_a_discontinuity_in_every_track() {
    let mut source = Source::on(roomy(), Some(Pictures::regular(90_000, 3_000, 60)), Arrival::Steady);
    let mut watched = watch(&mut source, 11.0, &Settings::default());
    source.returns(Duration::from_secs(3), 40);
    go_on(&mut source, &mut watched, 9.0);
    let mut numbers = Vec::new();
    for (name, watched) in &watched {
        let newest = watched.newest();
        let begins: Vec<_> = newest.segments.iter().filter(|s| s.lines[0] == "#EXT-X-DISCONTINUITY").collect();
        let [begin] = begins.as_slice() else { panic!("{name} has {} discontinuities", begins.len()) };
        assert!(begin.map.as_ref().unwrap().ends_with("/init-0.mp4"));
        assert_ne!(begin.map, newest.segments[0].map);
        assert_eq!((begin.discontinuity, newest.segments.last().unwrap().discontinuity), (1, 1));
        let when = |text: &str| text["2027-01-15T08:00:".len()..text.len() - 1].parse::<f64>().unwrap();
        assert!((13.9..14.1).contains(&when(&begin.date_time)), "{name} goes on at {}", begin.date_time);
        numbers.push(begin.number);
    }
    assert_eq!(numbers[0], numbers[1]);
    // Once the discontinuity has left the list, its number stays.
    go_on(&mut source, &mut watched, 60.0);
    for watched in watched.values() {
        assert_eq!(watched.newest().tags["#EXT-X-DISCONTINUITY-SEQUENCE"], "1");
    }
}

#[test]
fn a_source_without_keyframes_is_cut_and_says_that_segments_depend_on_others() {
    let mut source = Source::on(roomy(), Some(Pictures::regular(90_000, 3_000, 100_000)), Arrival::Steady);
    let watched = watch(&mut source, 45.0, &Settings::default());
    let newest = watched["video"].newest();
    assert_eq!(newest.target(), 10.0);
    assert!(!newest.tags.contains_key("#EXT-X-INDEPENDENT-SEGMENTS"));
    assert!(newest.segments.len() >= 3 && source.broadcast.forced_cuts() >= 3);
}

#[test]
fn missed_fragments_make_a_gap_as_long_as_they_were() {
    let mut source = Source::on(roomy(), Some(Pictures::regular(90_000, 3_000, 60)), Arrival::Steady);
    let settings = Settings::default();
    let mut watched = watch(&mut source, 6.5, &settings);
    let video = watched.get_mut("video").unwrap();
    // The rest of segment 3, all of segment 4, and what there is of segment 5 are missed.
    let broadcast = source.broadcast.clone();
    source.run(11.0, |_| {});
    while let Next::Ready(_) = video.consumer.try_next() {}
    video.playlist.skip();
    source.run(16.5, |_| {});
    while let Next::Ready(Event::Fragment(fragment)) = video.consumer.try_next() {
        video.playlist.push(fragment, &broadcast);
    }
    let newest = video.checker.check(&video.playlist, &Surroundings::default()).unwrap();
    let gaps: Vec<_> = newest.segments.iter().filter(|s| s.gap).map(|s| (s.number, s.duration)).collect();
    assert_eq!(gaps, [(3, 2.0), (4, 2.0), (5, 2.0)]);
    let directory = source.broadcast.started().unix.as_millis().to_string();
    assert!(matches!(video.playlist.segment(&directory, 4), Stored::Missing));
    assert!(matches!(video.playlist.segment(&directory, 6), Stored::Here(_)));
}

#[test]
fn parts_that_are_missing_are_marked() {
    let mut source = Source::on(roomy(), Some(Pictures::regular(90_000, 3_000, 60)), Arrival::Steady);
    let mut watched = watch(&mut source, 6.5, &Settings::default());
    watched.get_mut("video").unwrap().playlist.skip();
    go_on(&mut source, &mut watched, 7.0);
    let video = watched.get_mut("video").unwrap();
    let broadcast = source.broadcast.clone();
    source.run(8.5, |_| {});
    let mut dropped = 0;
    while let Next::Ready(Event::Fragment(fragment)) = video.consumer.try_next() {
        // Until the end of segment 3.
        if fragment.place().segment.0 == 3 {
            dropped += 1;
        } else {
            video.playlist.push(fragment, &broadcast);
        }
    }
    assert!(dropped > 0);
    let newest = video.checker.check(&video.playlist, &Surroundings::default()).unwrap();
    let lost = newest.segments.iter().find(|segment| segment.number == 3).unwrap();
    assert!(lost.gap && lost.duration == 2.0);
    assert!(!lost.parts[0].gap && lost.parts.last().unwrap().gap);
}

#[test]
fn a_changed_header_is_announced_with_the_next_segment() {
    let mut source = Source::on(roomy(), Some(Pictures::regular(90_000, 3_000, 60)), Arrival::Steady);
    let mut watched = watch(&mut source, 8.0, &Settings::default());
    source.video.as_mut().unwrap().set_info(super::source::video_info(90_000, "another header"));
    go_on(&mut source, &mut watched, 13.0);
    let newest = watched["video"].newest();
    let maps: Vec<_> = newest.segments.iter().filter_map(|s| s.map.as_deref().map(|map| (s.number, map))).collect();
    assert_eq!(maps.len(), 2);
    assert!(maps[0].1.ends_with("init-0.mp4") && maps[1].1.ends_with("init-1.mp4"), "{maps:?}");
    assert_eq!(maps[1].0, 4);
    assert!(newest.segments.iter().all(|segment| !segment.gap && segment.discontinuity == 0));
}

#[test]
fn the_end_closes_the_list() {
    let mut source = Source::new(Some(Pictures::regular(90_000, 3_000, 60)), Arrival::Steady);
    let mut watched = watch(&mut source, 7.3, &Settings::default());
    source.publisher.take().unwrap().finish();
    let video = watched.get_mut("video").unwrap();
    video.read(&source.broadcast);
    let newest = video.newest();
    assert!(newest.ended && newest.hint.is_none());
    assert_eq!(newest.segments.last().unwrap().duration, 1.3);
    assert_eq!(video.playlist.ask(Wanted { segment: 900, part: None }), Answer::Ready);
}

#[test]
fn a_broadcast_shorter_than_a_group_is_listed_whole() {
    let mut source = Source::new(Some(Pictures::regular(90_000, 3_000, 60)), Arrival::Steady);
    let mut watched = watch(&mut source, 1.4, &Settings::default());
    assert!(watched["video"].newest.is_none());
    source.publisher.take().unwrap().finish();
    let video = watched.get_mut("video").unwrap();
    video.read(&source.broadcast);
    assert!(video.newest().ended);
    assert_eq!(video.newest().segments.iter().map(|segment| segment.duration).sum::<f64>(), 1.4);
}

#[test]
fn requests_for_what_is_to_come_wait_and_for_more_are_refused() {
    let mut source = Source::new(Some(Pictures::regular(90_000, 3_000, 60)), Arrival::Steady);
    let watched = watch(&mut source, 6.5, &Settings::default());
    let ask = |segment, part| watched["video"].playlist.ask(Wanted { segment, part });
    // Segments 0 to 2 are complete, segment 3 has two parts.
    assert_eq!(ask(0, None), Answer::Ready);
    assert_eq!(ask(2, None), Answer::Ready);
    assert_eq!(ask(3, None), Answer::Wait);
    assert_eq!(ask(4, None), Answer::Wait);
    assert_eq!(ask(5, None), Answer::TooFar { last: Some(2) });
    assert_eq!(ask(u64::MAX, None), Answer::TooFar { last: Some(2) });
    assert_eq!(ask(3, Some(1)), Answer::Ready);
    assert_eq!(ask(3, Some(2)), Answer::Wait);
    // Three seconds of parts ahead, no more.
    assert_eq!(ask(3, Some(16)), Answer::Wait);
    assert_eq!(ask(3, Some(17)), Answer::TooFar { last: Some(2) });
    assert_eq!(ask(4, Some(0)), Answer::Wait);
    // The eleventh part of segment 2 is the first of segment 3.
    assert_eq!(ask(2, Some(10)), Answer::Ready);
    assert_eq!(ask(2, Some(u64::MAX)), Answer::Ready);
}

#[test]
fn a_part_past_a_segments_end_is_the_next_ones_first() {
    let mut source = Source::new(Some(Pictures::regular(90_000, 3_000, 60)), Arrival::Steady);
    let mut watched = watch(&mut source, 6.1, &Settings::default());
    let ask =
        |watched: &BTreeMap<String, Watched>| watched["video"].playlist.ask(Wanted { segment: 2, part: Some(10) });
    assert_eq!(ask(&watched), Answer::Wait);
    go_on(&mut source, &mut watched, 6.2);
    assert_eq!(ask(&watched), Answer::Ready);
}

#[test]
fn a_fragment_longer_than_any_before_is_counted_as_a_broken_rule() {
    let mut source = Source::new(Some(Pictures::regular(90_000, 3_000, 60)), Arrival::Steady);
    let mut watched = watch(&mut source, 6.1, &Settings::default());
    let video = watched.get_mut("video").unwrap();
    let ticks = 10 * 90_000 + 183 * 3_000;
    source.clock.advance(Duration::from_millis(500));
    let long = media(ticks, 90_000, &[45_000], false, 1_000);
    let fragment = source.video.as_mut().unwrap().write(long).unwrap();
    assert_eq!(fragment.place().segment.0, 3);
    video.playlist.push(fragment, &source.broadcast);
    assert_eq!(video.playlist.broken_rules(), 1);
    assert!(source.clock.now().unix > UNIX);
}
