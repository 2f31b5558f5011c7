//! The overlay: what has been changed through the API in the ladders of the configuration, in a file beside it.
//!
//! The configuration itself is never written. The overlay has the ladders that were added, in the configuration's own form, the names of
//! those that were removed, and for each ladder of the configuration what was added to it and removed from it. It is checked as the
//! configuration is. Where the configuration has changed since, the overlay gives way as long as nothing is lost: a removal of what is
//! gone, and an addition that the configuration now has as well, are passed over.

mod file;
mod settle;
#[cfg(test)]
mod tests;

use millrace_media::TrackName;

use super::ladder::{Ladder, MAX_LADDERS};
use super::rendition::{MAX_RENDITIONS, Rendition};

/// All that was changed.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Overlay {
    /// Ladders of the configuration that were removed.
    removed: Vec<TrackName>,
    /// Ladders that were added: they come after the configuration's.
    ladders: Vec<Ladder>,
    /// What was changed in ladders of the configuration that are still there.
    changes: Vec<Change>,
}

/// What was changed in one ladder of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    /// The ladder.
    ladder: TrackName,
    /// Renditions of the configuration that were removed.
    removed: Vec<TrackName>,
    /// Renditions that were added: they come after the configuration's.
    added: Vec<Rendition>,
}

/// Why a change cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// The name is another's.
    #[error("there is a ladder `{0}` already")]
    DuplicateLadder(TrackName),
    /// The name is another's.
    #[error("the ladder `{ladder}` has a rendition `{rendition}` already")]
    DuplicateRendition {
        /// The ladder.
        ladder: TrackName,
        /// The rendition.
        rendition: TrackName,
    },
    /// No such ladder.
    #[error("there is no ladder `{0}`")]
    NoLadder(String),
    /// No such rendition.
    #[error("the ladder `{ladder}` has no rendition `{rendition}`")]
    NoRendition {
        /// The ladder.
        ladder: TrackName,
        /// The rendition.
        rendition: String,
    },
    /// As many as there may be.
    #[error("there are {MAX_LADDERS} ladders, and may not be more")]
    TooManyLadders,
    /// As many as there may be.
    #[error("the ladder `{0}` has {MAX_RENDITIONS} renditions, and may not have more")]
    TooManyRenditions(TrackName),
}

impl Overlay {
    /// The ladders of a configuration with the changes made.
    pub fn apply(&self, configured: &[Ladder]) -> Vec<Ladder> {
        let kept = configured.iter().filter(|ladder| !self.removed.contains(&ladder.name));
        let changed = kept.map(|ladder| {
            let mut ladder = ladder.clone();
            if let Some(change) = self.change(&ladder.name) {
                ladder.renditions.retain(|rendition| !change.removed.contains(&rendition.name));
                ladder.renditions.extend(change.added.iter().cloned());
            }
            ladder
        });
        changed.chain(self.ladders.iter().cloned()).collect()
    }

    /// Whether nothing was changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether this ladder was added.
    pub fn has_added(&self, ladder: &TrackName) -> bool {
        self.ladders.iter().any(|added| added.name == *ladder)
    }

    /// Whether this rendition was added to a ladder of the configuration, or its ladder was added.
    pub fn has_added_rendition(&self, ladder: &TrackName, rendition: &TrackName) -> bool {
        let added = || self.change(ladder).is_some_and(|change| change.added.iter().any(|r| r.name == *rendition));
        self.has_added(ladder) || added()
    }

    fn change(&self, ladder: &TrackName) -> Option<&Change> {
        self.changes.iter().find(|change| change.ladder == *ladder)
    }

    /// The change of a ladder of the configuration, which is made where there is none.
    fn change_of(&mut self, ladder: &TrackName) -> &mut Change {
        let at = self.changes.iter().position(|change| change.ladder == *ladder).unwrap_or_else(|| {
            self.changes.push(Change { ladder: ladder.clone(), removed: Vec::new(), added: Vec::new() });
            self.changes.len() - 1
        });
        &mut self.changes[at]
    }

    /// Adds a ladder to those of `configured`.
    ///
    /// # Errors
    /// Where there is one of this name, or as many as there may be.
    pub fn add_ladder(&mut self, configured: &[Ladder], ladder: Ladder) -> Result<(), ChangeError> {
        let all = self.apply(configured);
        if all.iter().any(|known| known.name == ladder.name) {
            return Err(ChangeError::DuplicateLadder(ladder.name));
        }
        if all.len() >= MAX_LADDERS {
            return Err(ChangeError::TooManyLadders);
        }
        self.ladders.push(ladder);
        Ok(())
    }

    /// Removes a ladder; gives what it was.
    ///
    /// # Errors
    /// Where there is none of this name.
    pub fn remove_ladder(&mut self, configured: &[Ladder], name: &str) -> Result<Ladder, ChangeError> {
        let ladder = self.ladder(configured, name)?;
        if self.has_added(&ladder.name) {
            self.ladders.retain(|added| added.name != ladder.name);
        } else {
            self.changes.retain(|change| change.ladder != ladder.name);
            self.removed.push(ladder.name.clone());
        }
        Ok(ladder)
    }

    /// Adds a rendition to a ladder; gives the ladder as it is then.
    ///
    /// # Errors
    /// Where there is no such ladder, or it has a rendition of this name, or as many as it may have.
    pub fn add_rendition(
        &mut self,
        configured: &[Ladder],
        ladder: &str,
        rendition: Rendition,
    ) -> Result<Ladder, ChangeError> {
        let known = self.ladder(configured, ladder)?;
        if known.renditions.iter().any(|other| other.name == rendition.name) {
            return Err(ChangeError::DuplicateRendition { ladder: known.name, rendition: rendition.name });
        }
        if known.renditions.len() >= MAX_RENDITIONS {
            return Err(ChangeError::TooManyRenditions(known.name));
        }
        match self.ladders.iter_mut().find(|added| added.name == known.name) {
            Some(added) => added.renditions.push(rendition),
            None => self.change_of(&known.name).added.push(rendition),
        }
        self.ladder(configured, ladder)
    }

    /// Removes a rendition of a ladder; gives the ladder as it is then.
    ///
    /// # Errors
    /// Where there is no such ladder, or no such rendition in it.
    pub fn remove_rendition(
        &mut self,
        configured: &[Ladder],
        ladder: &str,
        rendition: &str,
    ) -> Result<Ladder, ChangeError> {
        let known = self.ladder(configured, ladder)?;
        let Some(name) = known.renditions.iter().map(|r| &r.name).find(|name| name.as_str() == rendition) else {
            return Err(ChangeError::NoRendition { ladder: known.name, rendition: shown(rendition) });
        };
        if let Some(added) = self.ladders.iter_mut().find(|added| added.name == known.name) {
            added.renditions.retain(|r| r.name != *name);
        } else {
            let change = self.change_of(&known.name);
            let before = change.added.len();
            change.added.retain(|r| r.name != *name);
            if change.added.len() == before {
                change.removed.push(name.clone());
            }
            self.changes.retain(|change| !change.removed.is_empty() || !change.added.is_empty());
        }
        self.ladder(configured, ladder)
    }

    /// A ladder as it is now.
    fn ladder(&self, configured: &[Ladder], name: &str) -> Result<Ladder, ChangeError> {
        let found = self.apply(configured).into_iter().find(|ladder| ladder.name.as_str() == name);
        found.ok_or_else(|| ChangeError::NoLadder(shown(name)))
    }
}

/// A name as it was asked for, which may be anything.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(64).collect()
}
