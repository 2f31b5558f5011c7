//! What is served under a name: a broadcast whole, or one rung of it with its sound.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use millrace_media::broadcast::State;
use millrace_media::track::{Info, Kind, Listing, Provenance, Role, Track};
use millrace_media::{Broadcast, BroadcastName, TrackName};

use crate::renditions::{self, Rung};

/// A track that can be played, and what it is.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) track: Track,
    pub(super) info: Arc<Info>,
    listing: Arc<Listing>,
    /// The track of the source that it is an alternative to: the one that it replaces, or was made from.
    pub(super) choice_of: TrackName,
    /// A track of the source, or one that replaces it.
    pub(super) is_source: bool,
}

impl Part {
    fn new(track: Track, info: Arc<Info>) -> Self {
        let (is_source, choice_of) = (track.provenance().is_source(), track.name().clone());
        Self { listing: track.listing(), info, choice_of, is_source, track }
    }

    /// BCP 47, where known.
    pub(super) fn language(&self) -> Option<&str> {
        self.listing.language.as_deref().or(self.info.language.as_deref())
    }

    /// What it is for, where that is known.
    pub(super) fn role(&self) -> Option<Role> {
        self.listing.role
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

    fn listing(&self) -> &Listing {
        &self.listing
    }

    fn opened(&self) -> Duration {
        self.track.opened()
    }
}

impl PartialEq for Part {
    fn eq(&self, other: &Self) -> bool {
        self.track.is_same(&other.track)
            && self.info == other.info
            && self.listing == other.listing
            && (&self.choice_of, self.is_source) == (&other.choice_of, other.is_source)
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
    /// none after its last has ended. With each view goes what its catalogs list.
    pub(super) fn all(broadcast: &Broadcast) -> BTreeMap<BroadcastName, (Self, Vec<Part>)> {
        let parts = parts(broadcast);
        let mut views = BTreeMap::new();
        if parts.is_empty() {
            return views;
        }
        let listed: Vec<_> = renditions::listed(&parts).into_iter().map(|place| place.rung.clone()).collect();
        for rung in listed.iter().filter(|part| has_view(part, &listed)) {
            let view = Self { broadcast: broadcast.clone(), rung: Some(rung.name().clone()) };
            let shown = view.select(&parts);
            views.insert(broadcast.name().view(rung.name()), (view, shown));
        }
        views.insert(broadcast.name().clone(), (Self { broadcast: broadcast.clone(), rung: None }, listed));
        views
    }

    /// The track whose view it is, where it is not the broadcast whole.
    pub(super) const fn rung(&self) -> Option<&TrackName> {
        self.rung.as_ref()
    }

    /// A track of it that can be played now, listed or not.
    pub(super) fn track(&self, name: &str) -> Option<Track> {
        let shown = self.select(&parts(&self.broadcast));
        let played = shown.into_iter().find(|part| part.name().as_str() == name).map(|part| part.track);
        played.or_else(|| self.unlisted(name))
    }

    /// A track of the source that no catalog lists, of text or data.
    fn unlisted(&self, name: &str) -> Option<Track> {
        let track = self.broadcast.track(name).filter(|track| track.provenance().is_source())?;
        let is_over = matches!(self.broadcast.state(), State::Ended { .. });
        let kind = track.info().filter(|_| is_over || !track.is_ended())?.kind();
        matches!(kind, Kind::Text | Kind::Data).then_some(track)
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
    let described = live.filter_map(|track| Some(Part::new(track.clone(), track.info()?)));
    let mut parts: Vec<_> = described.filter(|part| matches!(part.kind(), Kind::Video | Kind::Audio)).collect();
    let choices: Vec<_> = parts.iter().map(|part| choice_of(part, &parts)).collect();
    for (part, choice_of) in parts.iter_mut().zip(choices) {
        part.choice_of = choice_of;
    }
    let replacing: Vec<_> = renditions::listed(&parts)
        .into_iter()
        .filter(|place| place.is_source())
        .map(|place| (place.rung.name().clone(), place.original.name().clone()))
        .collect();
    for (name, original) in replacing {
        for part in parts.iter_mut().filter(|part| *part.name() == name) {
            (part.choice_of, part.is_source) = (original.clone(), true);
        }
    }
    parts
}

/// The track that a part was made from; of one that was made from none, the source's first of its kind.
fn choice_of(part: &Part, parts: &[Part]) -> TrackName {
    let Provenance::Derived { from, .. } = part.provenance() else { return part.name().clone() };
    let mut source = parts.iter().filter(|other| other.provenance().is_source() && other.kind() == part.kind());
    from.as_ref().or_else(|| source.next().map(Rung::name)).unwrap_or(part.name()).clone()
}
