//! What is served under a name: a broadcast whole, or one rung of it with its sound.

use std::collections::BTreeMap;
use std::sync::Arc;

use millrace_media::broadcast::State;
use millrace_media::track::{Info, Kind, Provenance, Track};
use millrace_media::{Broadcast, BroadcastName, TrackName};

use crate::renditions::{self, Rung};

/// A track that can be played, and what it is.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) track: Track,
    pub(super) info: Arc<Info>,
}

impl Part {
    /// The track that it was made from; none of the source's own.
    pub(super) fn made_from(&self) -> Option<&TrackName> {
        match self.track.provenance() {
            Provenance::Derived { from, .. } => from.as_ref(),
            Provenance::Source => None,
        }
    }
}

impl Rung for Part {
    fn name(&self) -> &TrackName {
        self.track.name()
    }

    fn provenance(&self) -> &Provenance {
        self.track.provenance()
    }

    fn kind(&self) -> Kind {
        self.info.kind()
    }
}

impl PartialEq for Part {
    fn eq(&self, other: &Self) -> bool {
        self.track.is_same(&other.track) && self.info == other.info
    }
}

/// See the [module](self). Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) broadcast: Broadcast,
    /// The track whose view it is, where it is not the broadcast whole.
    rung: Option<TrackName>,
}

impl View {
    /// Everything there is to play of `broadcast`, by the names that it is served under: none before its first track is described, and
    /// none after its last has ended.
    pub(super) fn all(broadcast: &Broadcast) -> BTreeMap<BroadcastName, (Self, Vec<Part>)> {
        let parts = parts(broadcast);
        let mut views = BTreeMap::new();
        if parts.is_empty() {
            return views;
        }
        for rung in parts.iter().filter(|part| has_view(part, &parts)) {
            let view = Self { broadcast: broadcast.clone(), rung: Some(rung.name().clone()) };
            let shown = view.select(&parts);
            views.insert(broadcast.name().view(rung.name()), (view, shown));
        }
        views.insert(broadcast.name().clone(), (Self { broadcast: broadcast.clone(), rung: None }, parts));
        views
    }

    /// A track of it that can be played now.
    pub(super) fn track(&self, name: &str) -> Option<Track> {
        let shown = self.select(&parts(&self.broadcast));
        shown.into_iter().find(|part| part.name().as_str() == name).map(|part| part.track)
    }

    fn select(&self, parts: &[Part]) -> Vec<Part> {
        match &self.rung {
            None => parts.to_vec(),
            Some(rung) => {
                let shown = renditions::view(parts, rung.as_str()).unwrap_or_default();
                shown.into_iter().cloned().collect()
            }
        }
    }
}

/// Pictures that were made here have a view, and sound that was made for no pictures.
fn has_view(part: &Part, parts: &[Part]) -> bool {
    let made_for = part.provenance().rendition();
    let has_pictures = || {
        let mut videos = parts.iter().filter(|other| other.kind() == Kind::Video);
        videos.any(|video| made_for.is_some() && video.provenance().rendition() == made_for)
    };
    !part.provenance().is_source() && (part.kind() == Kind::Video || !has_pictures())
}

/// Pictures and sound; while the source goes on, without what has ended, and with its end everything until the last of it is through.
fn parts(broadcast: &Broadcast) -> Vec<Part> {
    let tracks = broadcast.tracks();
    let is_over = matches!(broadcast.state(), State::Ended { .. });
    if is_over && tracks.iter().all(Track::is_ended) {
        return Vec::new();
    }
    let live = tracks.into_iter().filter(|track| is_over || !track.is_ended());
    let described = live.filter_map(|track| Some(Part { info: track.info()?, track }));
    described.filter(|part| matches!(part.kind(), Kind::Video | Kind::Audio)).collect()
}
