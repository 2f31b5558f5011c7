//! Which tracks are listed, which audio goes with which video, and what a view shows: one answer for every protocol.

use std::time::Duration;

use millrace_media::TrackName;
use millrace_media::track::{Kind, Listing, Provenance};

/// What has to be known of a track for it.
pub(crate) trait Rung {
    /// Its name.
    fn name(&self) -> &TrackName;
    /// Who makes it.
    fn provenance(&self) -> &Provenance;
    /// What it carries.
    fn kind(&self) -> Kind;
    /// How players are told of it.
    fn listing(&self) -> &Listing;
    /// When it was added to its broadcast.
    fn opened(&self) -> Duration;

    /// True of a track of this name, or made for a rendition of this name.
    fn is_called(&self, name: &str) -> bool {
        self.name().as_str() == name || self.provenance().rendition() == Some(name)
    }
}

/// A track that is listed.
#[derive(Debug)]
pub(crate) struct Place<'a, R> {
    /// The track that is played.
    pub(crate) rung: &'a R,
    /// The track of the source that it replaces in the list; the track itself, where it replaces none.
    pub(crate) original: &'a R,
}

impl<R> Clone for Place<'_, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Place<'_, R> {}

impl<'a, R: Rung> Place<'a, R> {
    fn itself(rung: &'a R) -> Self {
        Self { rung, original: rung }
    }

    /// True of a track of the source, and of a track that replaces one.
    pub(crate) fn is_source(&self) -> bool {
        self.original.provenance().is_source()
    }

    fn is_called(&self, name: &str) -> bool {
        self.rung.is_called(name) || self.original.is_called(name)
    }
}

/// The tracks that are listed, of those that can be played.
///
/// A track of the source is replaced by the first that was opened of the derived tracks of its kind that are listed and name it. All
/// others are listed beside it. Only the source's are replaced, so that no chain or ring of tracks can hide them all.
pub(crate) fn listed<R: Rung>(rungs: &[R]) -> Vec<Place<'_, R>> {
    let listed = || rungs.iter().filter(|rung| rung.listing().listed);
    let replacement = |source: &R| {
        let names_it = |rung: &&R| {
            !rung.provenance().is_source()
                && rung.kind() == source.kind()
                && rung.listing().replaces.as_ref() == Some(source.name())
        };
        listed().filter(names_it).min_by(|a, b| (a.opened(), a.name()).cmp(&(b.opened(), b.name())))
    };
    let mut places: Vec<Place<'_, R>> = listed().map(Place::itself).collect();
    for source in rungs.iter().filter(|rung| rung.provenance().is_source()) {
        let Some(chosen) = replacement(source) else { continue };
        places.retain(|place| !std::ptr::eq(place.rung, chosen));
        for place in places.iter_mut().filter(|place| std::ptr::eq(place.rung, source)) {
            place.rung = chosen;
        }
    }
    places
}

/// A sound that belongs to pictures. Whatever the pictures, there is one for each sound of the source, so that a player that changes
/// between pictures goes on with what it played.
pub(crate) struct Sound<'a, R> {
    /// What is played.
    pub(crate) rung: &'a R,
    /// The listed track that it is played for: its own, where the rendition has no audio made from it.
    pub(crate) place: Place<'a, R>,
}

impl<'a, R> Sound<'a, R> {
    fn itself(place: Place<'a, R>) -> Self {
        Self { rung: place.rung, place }
    }
}

/// The sounds that belong to some pictures.
pub(crate) struct Sounds<'a, R> {
    /// The rendition whose own sounds they are; none where they are the source's.
    pub(crate) rendition: Option<&'a str>,
    /// First in the order of the source's audio tracks, then those that were made for no rendition.
    pub(crate) sounds: Vec<Sound<'a, R>>,
}

/// The audio that belongs to `video`: that of the same rendition, or else the source's; and that which was made for no rendition.
pub(crate) fn sound_of<'a, R: Rung>(video: &'a R, rungs: &'a [R]) -> Sounds<'a, R> {
    let rendition = video.provenance().rendition();
    let places: Vec<_> = listed(rungs).into_iter().filter(|place| place.rung.kind() == Kind::Audio).collect();
    let (source, made): (Vec<_>, Vec<_>) = places.into_iter().partition(Place::is_source);
    let (beside, made): (Vec<_>, Vec<_>) =
        made.into_iter().partition(|place| place.rung.provenance().rendition().is_none());
    let own: Vec<_> = made
        .into_iter()
        .filter(|place| rendition.is_some() && place.rung.provenance().rendition() == rendition)
        .collect();
    let beside = beside.into_iter().map(Sound::itself);
    if own.is_empty() {
        return Sounds { rendition: None, sounds: source.into_iter().map(Sound::itself).chain(beside).collect() };
    }
    let first = source.first().map(|place| place.original.name());
    let made_from = |made: &Place<'_, R>, from: &Place<'_, R>| match made.rung.provenance() {
        Provenance::Derived { from: name, .. } => name.as_ref().or(first) == Some(from.original.name()),
        Provenance::Source => false,
    };
    let members = source.iter().map(|from| match own.iter().find(|made| made_from(made, from)) {
        Some(made) => Sound { rung: made.rung, place: *from },
        // It is not ready yet, or was not wanted.
        None => Sound::itself(*from),
    });
    let others = own.iter().filter(|made| !source.iter().any(|from| made_from(made, from)));
    // A single sound made for the rendition is the rendition's, whatever it was made from.
    let sounds: Vec<_> = match (own.as_slice(), source.as_slice()) {
        ([made], [from]) => vec![Sound { rung: made.rung, place: *from }],
        _ => members.chain(others.map(|made| Sound::itself(*made))).collect(),
    };
    Sounds { rendition, sounds: sounds.into_iter().chain(beside).collect() }
}

/// The rungs of the view called `name`: its video with its audio, or audio alone. A listed track goes before one that is not listed, which
/// can still be requested. None where no track has that name.
pub(crate) fn view<'a, R: Rung>(rungs: &'a [R], name: &str) -> Option<Vec<&'a R>> {
    let places = listed(rungs).into_iter().chain(rungs.iter().map(Place::itself));
    let called: Vec<_> = places.filter(|place| place.is_called(name)).map(|place| place.rung).collect();
    if let Some(video) = called.iter().find(|rung| rung.kind() == Kind::Video) {
        let sounds = sound_of(*video, rungs).sounds;
        return Some(std::iter::once(*video).chain(sounds.into_iter().map(|sound| sound.rung)).collect());
    }
    called.first().map(|rung| vec![*rung])
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Made {
        name: TrackName,
        provenance: Provenance,
        kind: Kind,
        listing: Listing,
        opened: Duration,
    }

    impl Rung for Made {
        fn name(&self) -> &TrackName {
            &self.name
        }
        fn provenance(&self) -> &Provenance {
            &self.provenance
        }
        fn kind(&self) -> Kind {
            self.kind
        }
        fn listing(&self) -> &Listing {
            &self.listing
        }
        fn opened(&self) -> Duration {
            self.opened
        }
    }

    fn track(name: &str) -> TrackName {
        TrackName::new(name).unwrap()
    }

    fn source(name: &str, kind: Kind) -> Made {
        let (provenance, listing) = (Provenance::Source, Listing::default());
        Made { name: track(name), provenance, kind, listing, opened: Duration::ZERO }
    }

    fn derived(name: &str, kind: Kind, opened: u64, replaces: Option<&str>) -> Made {
        let provenance = Provenance::Derived { factory: "plugin".into(), rendition: None, from: None };
        let listing = Listing { replaces: replaces.map(track), ..Listing::default() };
        Made { name: track(name), provenance, kind, listing, opened: Duration::from_secs(opened) }
    }

    /// What is listed, and in whose place.
    fn told(rungs: &[Made]) -> Vec<(&str, &str)> {
        listed(rungs).iter().map(|place| (place.rung.name.as_str(), place.original.name.as_str())).collect()
    }

    #[test]
    fn a_track_is_listed_in_the_place_of_the_one_it_replaces() {
        let mut rungs = vec![
            source("audio", Kind::Audio),
            derived("clean", Kind::Video, 2, Some("video")),
            source("video", Kind::Video),
        ];
        assert_eq!(told(&rungs), [("audio", "audio"), ("clean", "video")]);
        let names = |name| view(&rungs, name).map(|shown| shown.iter().map(|r| r.name.to_string()).collect::<Vec<_>>());
        assert_eq!(names("video").unwrap(), ["clean", "audio"]);
        assert_eq!(names("clean"), names("video"));
        // A track that has ended cannot be played.
        rungs.remove(1);
        assert_eq!(told(&rungs), [("audio", "audio"), ("video", "video")]);
    }

    #[test]
    fn the_first_of_two_takes_the_place_and_the_other_stands_beside() {
        let rungs = [
            derived("a", Kind::Audio, 9, Some("audio")),
            source("audio", Kind::Audio),
            derived("b", Kind::Audio, 3, Some("audio")),
            derived("c", Kind::Audio, 3, Some("audio")),
        ];
        assert_eq!(told(&rungs), [("a", "a"), ("b", "audio"), ("c", "c")]);
    }

    #[test]
    fn what_replaces_nothing_there_is_listed_as_it_is() {
        for replaces in ["clean", "nothing", "other", "audio"] {
            let rungs = [
                source("audio", Kind::Audio),
                derived("clean", Kind::Video, 1, Some(replaces)),
                derived("other", Kind::Video, 0, None),
                source("video", Kind::Video),
            ];
            let expected = ["audio", "clean", "other", "video"].map(|name| (name, name));
            assert_eq!(told(&rungs), expected, "itself, none, a derived track, and one of another kind: {replaces}");
        }
    }

    #[test]
    fn chains_and_rings_hide_nothing_but_the_source() {
        let chain = [
            derived("first", Kind::Video, 1, Some("video")),
            derived("second", Kind::Video, 2, Some("first")),
            source("video", Kind::Video),
        ];
        assert_eq!(told(&chain), [("second", "second"), ("first", "video")]);
        let ring = [
            derived("a", Kind::Video, 1, Some("b")),
            derived("b", Kind::Video, 2, Some("a")),
            source("video", Kind::Video),
        ];
        assert_eq!(told(&ring), [("a", "a"), ("b", "b"), ("video", "video")]);
    }

    #[test]
    fn an_unlisted_track_hides_nothing_and_can_be_asked_for() {
        let mut hidden = derived("hidden", Kind::Video, 1, Some("video"));
        hidden.listing.listed = false;
        let rungs = [source("audio", Kind::Audio), hidden, source("video", Kind::Video)];
        assert_eq!(told(&rungs), [("audio", "audio"), ("video", "video")]);
        let shown = view(&rungs, "hidden").unwrap();
        assert_eq!(shown.iter().map(|rung| rung.name.as_str()).collect::<Vec<_>>(), ["hidden", "audio"]);
    }

    #[test]
    fn a_rung_of_no_track_belongs_to_the_first_of_its_kind() {
        let mut made = derived("made", Kind::Audio, 1, None);
        made.provenance = Provenance::Derived { factory: "plugin".into(), rendition: Some("180p".into()), from: None };
        let mut small = derived("180p", Kind::Video, 1, None);
        small.provenance = made.provenance.clone();
        let rungs =
            [small, source("audio", Kind::Audio), source("audio-de", Kind::Audio), made, source("video", Kind::Video)];
        let sounds = sound_of(&rungs[0], &rungs).sounds;
        let told: Vec<_> = sounds.iter().map(|s| (s.rung.name.as_str(), s.place.original.name.as_str())).collect();
        assert_eq!(told, [("made", "audio"), ("audio-de", "audio-de")]);
    }
}
