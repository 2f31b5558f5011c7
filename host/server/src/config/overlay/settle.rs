//! Reading an overlay, and settling it with a configuration that may have changed since it was written.

use millrace_media::TrackName;

use super::{Change, Overlay};
use crate::config::fault::{Fault, Place};
use crate::config::ladder::Ladder;
use crate::config::rendition::Rendition;
use crate::config::section::{Element, Section};

const EXPECTED: &str = "tables, each under `[[change]]`";

/// Reads the overlay, and gives it with sentences on what of it is passed over.
pub(super) fn settle(root: &mut Section<'_, '_>, configured: &[Ladder]) -> (Overlay, Vec<String>) {
    let mut notes = Vec::new();
    let removed = names(root, "removed");
    let removed = kept(
        removed,
        |name| find(configured, name).is_some(),
        |name| {
            notes.push(format!(
                "the ladder `{name}` was removed through the API, and is no longer in the configuration"
            ));
        },
    );
    let mut changes = Vec::new();
    for (change, place) in read_changes(root) {
        if changes.iter().any(|known: &Change| known.ladder == change.ladder) {
            let sentence = format!("the ladder `{}` has two [[change]], expected one", change.ladder);
            root.problem_with_help(Fault::Conflict(sentence), place, "make one of the two");
            continue;
        }
        changes.extend(settled(root, change, place, configured, &removed, &mut notes));
    }
    let mut ladders = Ladder::read_all(root).unwrap_or_default();
    ladders.retain(|(ladder, place)| {
        let Some(known) = find(configured, &ladder.name).filter(|known| !removed.contains(&known.name)) else {
            return true;
        };
        if known == ladder {
            notes.push(format!(
                "the ladder `{}` was added through the API, and is now in the configuration",
                ladder.name
            ));
        } else {
            duplicate(root, "the ladder name", &ladder.name, place.clone());
        }
        false
    });
    let ladders = ladders.into_iter().map(|(ladder, _)| ladder).collect();
    (Overlay { removed, ladders, changes }, notes)
}

fn find<'a>(configured: &'a [Ladder], name: &TrackName) -> Option<&'a Ladder> {
    configured.iter().find(|ladder| ladder.name == *name)
}

fn names(section: &mut Section<'_, '_>, key: &'static str) -> Vec<TrackName> {
    section.list(key).unwrap_or_default().into_iter().map(|(name, _)| name).collect()
}

/// Those of the names that are still there; the others are told.
fn kept(
    names: Vec<TrackName>,
    is_there: impl Fn(&TrackName) -> bool,
    mut tell: impl FnMut(&TrackName),
) -> Vec<TrackName> {
    let (kept, gone): (Vec<_>, Vec<_>) = names.into_iter().partition(is_there);
    gone.iter().for_each(&mut tell);
    kept
}

fn duplicate(root: &mut Section<'_, '_>, what: &'static str, name: &TrackName, place: Place) {
    let fault = Fault::Duplicate { what, value: format!("`{name}`"), first: "the configuration".into() };
    root.problem_with_help(fault, place, "rename one of the two, or delete it here");
}

fn read_changes(root: &mut Section<'_, '_>) -> Vec<(Change, Place)> {
    let changes = root.elements("change", EXPECTED, |element| match element {
        Element::Name(_) => {
            Err(Fault::WrongType { key: "change".into(), found: "a string", expected: EXPECTED.into() })
        }
        Element::Table(mut section) => {
            let change = Change {
                ladder: section.required("ladder", TrackName::new("unnamed").expect("a name that is right")),
                removed: names(&mut section, "removed"),
                added: Rendition::read_all(&mut section, "added").unwrap_or_default(),
            };
            section.finish();
            Ok(change)
        }
    });
    changes.unwrap_or_default()
}

fn settled(
    root: &mut Section<'_, '_>,
    mut change: Change,
    place: Place,
    configured: &[Ladder],
    removed: &[TrackName],
    notes: &mut Vec<String>,
) -> Option<Change> {
    let name = &change.ladder;
    let Some(ladder) = find(configured, name).filter(|ladder| !removed.contains(&ladder.name)) else {
        if change.added.is_empty() {
            notes.push(format!(
                "the ladder `{name}` was changed through the API, and is no longer in the configuration"
            ));
        } else {
            let sentence =
                format!("renditions were added to the ladder `{name}`, which the configuration does not have");
            let help = "put the ladder back into the configuration, or delete this [[change]]";
            root.problem_with_help(Fault::Conflict(sentence), place, help);
        }
        return None;
    };
    let in_ladder = |name: &TrackName| ladder.renditions.iter().find(|rendition| rendition.name == *name);
    change.removed = kept(
        change.removed,
        |rendition| in_ladder(rendition).is_some(),
        |rendition| {
            notes.push(format!(
            "the rendition `{rendition}` of `{name}` was removed through the API, and is no longer in the configuration"
        ));
        },
    );
    let removed = &change.removed;
    change.added.retain(|rendition| {
        match in_ladder(&rendition.name).filter(|known| !removed.contains(&known.name)) {
            None => return true,
            Some(known) if known == rendition => notes.push(format!(
                "the rendition `{}` of `{name}` was added through the API, and is now in the configuration",
                rendition.name
            )),
            Some(_) => duplicate(root, "the rendition name", &rendition.name, place.clone()),
        }
        false
    });
    (!change.removed.is_empty() || !change.added.is_empty()).then_some(change)
}
