//! `[[ladder]]`: which renditions a broadcast is offered in.

use std::time::Duration;

use millrace_media::{BroadcastName, TrackName};
use millrace_transcode::Relief;

use super::fault::{Fault, Place};
use super::pattern::BroadcastPattern;
use super::rendition::Rendition;
use super::section::{Element, Section};
use super::setting::words;

/// The renditions that some broadcasts are offered in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ladder {
    /// No two have one.
    pub name: TrackName,
    /// The broadcasts it is for. The first ladder that is for a broadcast is its only one.
    pub broadcasts: Vec<BroadcastPattern>,
    /// A rung that nobody has played for so long stops. None: rungs never stop.
    pub idle_timeout: Option<Duration>,
    /// What is done, in this order, while the machine cannot carry the ladder.
    pub on_overload: Vec<Relief>,
    /// From the top rung down; no two of one name. Rungs larger than the source are left out when it is known.
    pub renditions: Vec<Rendition>,
}

words!(
    Relief,
    "\"skip-non-reference\", \"halve-frame-rate\" or \"drop-rung\"",
    "skip-non-reference" => SkipNonReference,
    "halve-frame-rate" => HalveFrameRate,
    "drop-rung" => DropRung,
);

/// What is done where nothing else is said: what is seen least, first.
const RELIEFS: [Relief; 3] = [Relief::SkipNonReference, Relief::HalveFrameRate, Relief::DropRung];
/// The most ladders.
pub(super) const MAX_LADDERS: usize = 100;
const EXPECTED: &str = "tables, each under `[[ladder]]`";

impl Default for Ladder {
    fn default() -> Self {
        Self {
            name: by_place(0),
            broadcasts: vec![BroadcastPattern::all()],
            idle_timeout: None,
            on_overload: RELIEFS.into(),
            renditions: Rendition::presets(),
        }
    }
}

/// The name of a ladder that was given none.
fn by_place(index: usize) -> TrackName {
    TrackName::new(&format!("ladder-{}", index + 1)).expect("a name that is right")
}

impl Ladder {
    /// Whether one of its patterns is for this broadcast.
    pub fn is_for(&self, broadcast: &BroadcastName) -> bool {
        self.broadcasts.iter().any(|pattern| pattern.matches(broadcast))
    }

    /// Whether no broadcast is left for `other` behind this one, as far as the patterns' texts say.
    pub fn covers(&self, other: &Self) -> bool {
        let has = |pattern: &BroadcastPattern| self.broadcasts.contains(pattern);
        has(&BroadcastPattern::all()) || other.broadcasts.iter().all(has)
    }

    /// All the ladders of the file, each with the place of its name; none where it says nothing of ladders.
    pub(super) fn read_all(root: &mut Section<'_, '_>) -> Option<Vec<(Self, Place)>> {
        let mut index = 0;
        let ladders = root.elements("ladder", EXPECTED, |element| match element {
            Element::Name(_) => {
                Err(Fault::WrongType { key: "ladder".into(), found: "a string", expected: EXPECTED.into() })
            }
            Element::Table(mut section) => {
                let ladder = Self::read(&mut section, index);
                // The first table of all is the one that is read for its keys.
                index += usize::from(section.is_given());
                let name_place = section.place_of("name");
                section.finish();
                Ok((ladder, name_place))
            }
        })?;
        if ladders.len() > MAX_LADDERS {
            root.conflict("ladder", format!("there are {} ladders, expected at most {MAX_LADDERS}", ladders.len()));
        }
        let ladders: Vec<(Self, Place)> = ladders.into_iter().map(|(ladder, _)| ladder).collect();
        for (i, (ladder, place)) in ladders.iter().enumerate() {
            if let Some((_, first)) = ladders[..i].iter().find(|(other, _)| other.name == ladder.name) {
                let (value, first) = (format!("`{}`", ladder.name), first.in_words());
                root.problem(Fault::Duplicate { what: "the ladder name", value, first }, place.clone());
            }
        }
        Some(ladders)
    }

    fn read(section: &mut Section<'_, '_>, index: usize) -> Self {
        let name = section.value("name", by_place(index));
        let broadcasts = section.broadcasts();
        let idle_timeout = section.optional_within("idle_timeout", Duration::from_secs(5)..=Duration::from_secs(3600));
        let on_overload = reliefs(section);
        let renditions = Rendition::read_all(section, "renditions");
        if renditions.is_none() && !section.has("renditions") {
            section.missing("`renditions`");
        }
        Self { name, broadcasts, idle_timeout, on_overload, renditions: renditions.unwrap_or_default() }
    }
}

fn reliefs(section: &mut Section<'_, '_>) -> Vec<Relief> {
    let Some(reliefs) = section.list::<Relief>("on_overload") else { return RELIEFS.into() };
    for (i, (relief, place)) in reliefs.iter().enumerate() {
        if let Some((_, first)) = reliefs[..i].iter().find(|(other, _)| other == relief) {
            let (value, first) = (format!("\"{}\"", relief.as_str()), first.in_words());
            section.problem(Fault::Duplicate { what: "the step", value, first }, place.clone());
        }
    }
    reliefs.into_iter().map(|(relief, _)| relief).collect()
}
