//! The ladders as they are now: which rungs a broadcast gets.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millrace_media::BroadcastName;

use crate::ladder::{Economy, Ladder, Rendition};

/// Why a ladder was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LadderError {
    /// The name is another's.
    #[error("there is a ladder {0} already")]
    DuplicateLadder(Arc<str>),
    /// The ladder has a rendition of this name.
    #[error("the ladder {ladder} has a rendition {rendition} already")]
    DuplicateRendition {
        /// The ladder.
        ladder: Arc<str>,
        /// The rendition.
        rendition: Arc<str>,
    },
    /// No ladder has this name.
    #[error("there is no ladder {0}")]
    NoLadder(Arc<str>),
    /// The ladder has no rendition of this name.
    #[error("the ladder {ladder} has no rendition {rendition}")]
    NoRendition {
        /// The ladder.
        ladder: Arc<str>,
        /// The rendition.
        rendition: Arc<str>,
    },
}

/// One rendition of one ladder.
#[derive(Clone, Debug)]
pub(crate) struct Rung {
    /// The ladder's name.
    pub(crate) ladder: Arc<str>,
    pub(crate) rendition: Arc<Rendition>,
    /// The ladder's.
    pub(crate) economy: Arc<Economy>,
}

impl Rung {
    /// Whether a transcoder that works for the one may go on for the other.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.ladder == other.ladder && self.rendition == other.rendition && self.economy == other.economy
    }
}

/// All of them, in their order. The first that is for a broadcast is its only one.
#[derive(Debug)]
pub(super) struct Ladders(Mutex<Vec<Ladder>>);

impl Ladders {
    pub(super) fn new(ladders: Vec<Ladder>) -> Self {
        Self(Mutex::new(ladders))
    }

    fn list(&self) -> MutexGuard<'_, Vec<Ladder>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn all(&self) -> Vec<Ladder> {
        self.list().clone()
    }

    /// The rungs of a broadcast.
    pub(super) fn rungs(&self, broadcast: &BroadcastName) -> Vec<Rung> {
        let list = self.list();
        let Some(ladder) = list.iter().find(|ladder| (ladder.applies_to)(broadcast)) else { return Vec::new() };
        let rung = |rendition: &Arc<Rendition>| Rung {
            ladder: ladder.name.clone(),
            rendition: rendition.clone(),
            economy: ladder.economy.clone(),
        };
        ladder.renditions.iter().map(rung).collect()
    }

    /// Whether a broadcast has this rung.
    pub(super) fn has(&self, broadcast: &BroadcastName, rung: &Rung) -> bool {
        self.rungs(broadcast).iter().any(|known| known.is_same(rung))
    }

    pub(super) fn add(&self, ladder: Ladder) -> Result<(), LadderError> {
        let mut list = self.list();
        if list.iter().any(|known| known.name == ladder.name) {
            return Err(LadderError::DuplicateLadder(ladder.name));
        }
        list.push(ladder);
        Ok(())
    }

    pub(super) fn remove(&self, name: &str) -> Result<(), LadderError> {
        let mut list = self.list();
        let at = list.iter().position(|ladder| *ladder.name == *name);
        list.remove(at.ok_or_else(|| LadderError::NoLadder(name.into()))?);
        Ok(())
    }

    pub(super) fn add_rendition(&self, ladder: &str, rendition: Arc<Rendition>) -> Result<(), LadderError> {
        let mut list = self.list();
        let ladder = find(&mut list, ladder)?;
        if ladder.renditions.iter().any(|known| known.name == rendition.name) {
            let (ladder, rendition) = (ladder.name.clone(), rendition.name.clone());
            return Err(LadderError::DuplicateRendition { ladder, rendition });
        }
        ladder.renditions.push(rendition);
        Ok(())
    }

    pub(super) fn remove_rendition(&self, ladder: &str, name: &str) -> Result<(), LadderError> {
        let mut list = self.list();
        let ladder = find(&mut list, ladder)?;
        let at = ladder.renditions.iter().position(|known| *known.name == *name);
        let missing = || LadderError::NoRendition { ladder: ladder.name.clone(), rendition: name.into() };
        ladder.renditions.remove(at.ok_or_else(missing)?);
        Ok(())
    }
}

fn find<'a>(list: &'a mut [Ladder], name: &str) -> Result<&'a mut Ladder, LadderError> {
    list.iter_mut().find(|ladder| *ladder.name == *name).ok_or_else(|| LadderError::NoLadder(name.into()))
}
