//! What a broadcast is made of, in the forms that players read: the hang catalog, the MSF catalog, and the one before that. All are
//! written from the same list of tracks.

mod edition;
mod hang;
mod measured;
mod msf;
mod older;

pub(super) use edition::{Editions, Numbers};

use bytes::Bytes;

use measured::Listed;

use super::events;

/// The forms of a catalog, each a track of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `catalog.json`.
    Hang,
    /// `catalog`.
    Msf,
    /// `.catalog`.
    Older,
    /// The header that the older catalog refers to.
    Header,
    /// `events`: the event timeline.
    Events,
}

impl Form {
    pub(super) const ALL: [Self; 5] = [Self::Hang, Self::Msf, Self::Older, Self::Header, Self::Events];

    /// The name of the track.
    pub(super) const fn track(self) -> &'static str {
        match self {
            Self::Hang => ::hang::Catalog::<()>::DEFAULT_NAME,
            Self::Msf => moq_msf::DEFAULT_NAME,
            Self::Older => older::NAME,
            Self::Header => older::HEADER,
            Self::Events => msf::EVENTS,
        }
    }

    /// The form that the track of this name carries.
    pub(super) fn of(track: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.track() == track)
    }
}

/// Why a catalog cannot be written. What it says comes from publishers in part, and a format may have no word for it.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("hang: {0}")]
    Hang(#[from] ::hang::Error),
    #[error("MSF: {0}")]
    Msf(#[from] serde_json::Error),
}

/// Writes the catalog of `tracks`, beside this timeline of events, at `unix_millis` since the Unix epoch.
fn write(form: Form, tracks: &[Listed], events: &Bytes, unix_millis: u64) -> Result<Bytes, WriteError> {
    match form {
        Form::Hang => hang::write(tracks),
        Form::Msf => msf::write(tracks, *events != events::NONE, unix_millis),
        Form::Older => Ok(older::write(tracks)),
        Form::Header => Ok(older::header(tracks)),
        Form::Events => Ok(events.clone()),
    }
}
