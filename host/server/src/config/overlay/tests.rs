//! An overlay meets its configuration again, which may have changed.

use std::path::{Path, PathBuf};

use super::*;
use crate::config::{ConfigErrors, parse};

const CONFIG: &str =
    "[[ladder]]\nname = \"main\"\nrenditions = [\"480p\", \"240p\"]\n[[ladder]]\nname = \"spare\"\nrenditions = []\n";

fn configured(text: &str) -> Vec<Ladder> {
    parse(None, text, std::iter::empty(), &[]).unwrap_or_else(|errors| panic!("{errors}")).ladders
}

/// A folder with this overlay.
fn overlay(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("overlay.toml");
    std::fs::write(&file, text).unwrap();
    (folder, file)
}

fn load(text: &str, config: &str) -> Result<(Overlay, Vec<String>), ConfigErrors> {
    let (_folder, file) = overlay(text);
    Overlay::load(&file, &configured(config))
}

/// The ladders that come of it, in short, and how many sentences come with them.
fn settled(text: &str, config: &str) -> (Vec<String>, usize) {
    let (overlay, notes) = load(text, config).unwrap_or_else(|errors| panic!("{errors}"));
    let short = |ladder: &Ladder| {
        let names: Vec<_> = ladder.renditions.iter().map(|rendition| rendition.name.as_str()).collect();
        format!("{}: {}", ladder.name, names.join(" "))
    };
    (overlay.apply(&configured(config)).iter().map(short).collect(), notes.len())
}

#[test]
fn what_is_written_is_read_back() {
    let config = configured(CONFIG);
    let mut changed = Overlay::default();
    let text = "[[ladder]]\nname = \"new\"\nbroadcasts = [\"a/{b,c}\", \"d/**\"]\nidle_timeout = \"1m 30s\"\non_overload = []\n\
        renditions = [\"720p\", { name = \"x\", width = 64, height = 36, quality = \"low\", speed = \"archive\", audio = \"opus\", \
        audio_bitrate = 96001, priority = 9 }]\n";
    let new = configured(text).remove(0);
    changed.add_ladder(&config, new.clone()).unwrap();
    changed.add_rendition(&config, "main", new.renditions[1].clone()).unwrap();
    changed.remove_rendition(&config, "main", "480p").unwrap();
    changed.remove_ladder(&config, "spare").unwrap();
    let (_folder, file) = overlay("what was there before");
    changed.save(&file).unwrap();
    let (read, notes) = Overlay::load(&file, &config).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(notes.is_empty(), "{notes:?}");
    assert_eq!(read, changed);
    assert_eq!(read.apply(&config).last(), Some(&new));
    let empty = Overlay::default();
    empty.save(&file).unwrap();
    assert_eq!(Overlay::load(&file, &config).unwrap().0, empty);
}

#[test]
fn no_file_is_no_change() {
    let none = Overlay::load(Path::new("/nowhere/overlay.toml"), &configured(CONFIG)).unwrap();
    assert_eq!(none, (Overlay::default(), Vec::new()));
}

#[test]
fn what_has_moved_into_the_configuration_or_left_it_is_passed_over() {
    let now = |text, notes: usize, expected: &[&str]| {
        let (ladders, told) = settled(text, CONFIG);
        assert_eq!(
            (&ladders[..], told),
            (&expected.iter().map(ToString::to_string).collect::<Vec<_>>()[..], notes),
            "{text}"
        );
    };
    let same = ["main: 480p 240p", "spare: "];
    now("removed = [\"gone\"]", 1, &same);
    now("[[change]]\nladder = \"gone\"\nremoved = [\"480p\"]", 1, &same);
    now("[[change]]\nladder = \"main\"\nremoved = [\"gone\"]", 1, &same);
    now("[[change]]\nladder = \"main\"\nadded = [\"480p\"]", 1, &same);
    now("[[ladder]]\nname = \"spare\"\nrenditions = []", 1, &same);
    now("removed = [\"main\"]\n[[change]]\nladder = \"main\"\nremoved = [\"480p\"]", 1, &["spare: "]);
    // One that was removed and added again is another.
    now("removed = [\"main\"]\n[[ladder]]\nname = \"main\"\nrenditions = [\"720p\"]", 0, &["spare: ", "main: 720p"]);
    let again =
        "[[change]]\nladder = \"main\"\nremoved = [\"480p\"]\nadded = [{ name = \"480p\", video_bitrate = \"1M\" }]";
    now(again, 0, &["main: 240p 480p", "spare: "]);
}

#[test]
fn what_would_be_lost_is_a_fault_that_says_how_to_mend_it() {
    for (text, line, sentence, help) in [
        (
            "[[change]]\nladder = \"gone\"\nadded = [\"480p\"]",
            1,
            "renditions were added to the ladder `gone`, which the configuration does not have",
            Some("put the ladder back into the configuration, or delete this [[change]]"),
        ),
        (
            "[[change]]\nladder = \"main\"\nadded = [{ name = \"480p\", video_bitrate = \"1M\" }]",
            1,
            "the rendition name `480p` is already taken by the configuration",
            Some("rename one of the two, or delete it here"),
        ),
        (
            "[[ladder]]\nname = \"spare\"\nrenditions = [\"480p\"]",
            2,
            "the ladder name `spare` is already taken by the configuration",
            Some("rename one of the two, or delete it here"),
        ),
        (
            "[[change]]\nladder = \"main\"\nremoved = [\"480p\"]\n[[change]]\nladder = \"main\"\nremoved = [\"240p\"]",
            4,
            "the ladder `main` has two [[change]], expected one",
            Some("make one of the two"),
        ),
        ("[[change]]\nremoved = []", 1, "[[change]] has no `ladder`", None),
        (
            "[[ladder]]\nname = \"x\"\nrenditions = [\"480p\"]\ncolour = 1",
            4,
            "unknown key `colour` in [[ladder]]",
            None,
        ),
    ] {
        let errors = load(text, CONFIG).unwrap_err();
        let [problem] = errors.problems() else { panic!("{text}: {errors}") };
        assert_eq!((problem.fault.to_string().as_str(), problem.help.as_deref()), (sentence, help), "{text}");
        assert!(errors.to_string().contains(&format!("overlay.toml:{line}:")), "{errors}");
    }
}
