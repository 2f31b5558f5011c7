//! Part targets for fragments of unequal length.

use super::playlist::watch;
use super::source::{Arrival, Pictures, Source};
use crate::hls::Settings;

#[test]
fn pictures_of_unequal_length_get_a_target_that_keeps_the_rules() {
    // A camera that drops every seventh picture, and one that shakes between 40 and 60 ms.
    for durations in [vec![33, 33, 34, 33, 33, 33, 67], vec![50, 44, 56, 40, 60, 50, 47, 53]] {
        let pictures = Pictures { scale: 1_000, durations, group: 40 };
        let mut source = Source::new(Some(pictures), Arrival::Steady);
        let watched = watch(&mut source, 30.0, &Settings::default());
        let target = watched["video"].newest().part_target().unwrap();
        assert!((0.2..0.5).contains(&target), "{target}");
        assert_eq!(watched["video"].playlist.broken_rules(), 0);
    }
}

#[test]
fn fragments_as_long_as_a_part_are_parts() {
    let mut source = Source::new(Some(Pictures::regular(10, 4, 5)), Arrival::Steady);
    let watched = watch(&mut source, 30.0, &Settings::default());
    assert_eq!(watched["video"].newest().part_target(), Some(0.4));
}

#[test]
fn fragments_of_a_second_are_no_parts() {
    let mut source = Source::new(Some(Pictures::regular(1, 1, 2)), Arrival::Steady);
    let watched = watch(&mut source, 30.0, &Settings::default());
    assert_eq!(watched["video"].newest().part_target(), None);
    assert!(watched["video"].playlist.why_no_parts().unwrap().contains("1.000000 s long"));
}

#[test]
fn short_groups_that_arrive_whole_are_bursts_too() {
    let mut source = Source::new(Some(Pictures::regular(90_000, 3_000, 15)), Arrival::Groups);
    let watched = watch(&mut source, 20.0, &Settings::default());
    assert!(watched["video"].playlist.why_no_parts().unwrap().contains("0.5 s at a time"));
}

#[test]
fn sound_in_equal_chunks_has_whole_chunks_as_parts() {
    let mut source = Source::new(Some(Pictures::regular(90_000, 3_000, 60)), Arrival::Steady);
    source.chunks = vec![1];
    let watched = watch(&mut source, 20.0, &Settings::default());
    let target = watched["audio"].newest().part_target().unwrap();
    assert!((target - 9.0 * 1024.0 / 48_000.0).abs() < 2e-6, "{target}");
}
