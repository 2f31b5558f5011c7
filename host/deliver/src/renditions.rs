//! Which sound goes with which pictures, and what a view shows: one answer for every protocol.

use millrace_media::TrackName;
use millrace_media::track::{Kind, Provenance};

/// What has to be known of a track for it.
pub(crate) trait Rung {
    /// Its name.
    fn name(&self) -> &TrackName;
    /// Who makes it.
    fn provenance(&self) -> &Provenance;
    /// What it carries.
    fn kind(&self) -> Kind;

    /// True of a track of this name, or made for a rendition of this name.
    fn is_called(&self, name: &str) -> bool {
        self.name().as_str() == name || self.provenance().rendition() == Some(name)
    }
}

/// A sound that belongs to pictures. Whatever the pictures, there is one for each sound of the source, so that a player that changes
/// between pictures goes on with what it played.
pub(crate) struct Sound<'a, R> {
    /// What is played.
    pub(crate) rung: &'a R,
    /// The source's sound that it is played for: itself, where nothing was made of it.
    pub(crate) stands_for: &'a R,
}

impl<'a, R> Sound<'a, R> {
    fn itself(rung: &'a R) -> Self {
        Self { rung, stands_for: rung }
    }
}

/// The sounds that belong to some pictures.
pub(crate) struct Sounds<'a, R> {
    /// The rendition whose own sounds they are; none where they are the source's.
    pub(crate) rendition: Option<&'a str>,
    /// In the order of the source's.
    pub(crate) sounds: Vec<Sound<'a, R>>,
}

/// The sound that belongs to `video`: what was made for the same rendition, or else the source's.
pub(crate) fn sound_of<'a, R: Rung>(video: &'a R, rungs: &'a [R]) -> Sounds<'a, R> {
    let rendition = video.provenance().rendition();
    let sounds = || rungs.iter().filter(|rung| rung.kind() == Kind::Audio);
    let own: Vec<_> =
        sounds().filter(|rung| rendition.is_some() && rung.provenance().rendition() == rendition).collect();
    let source: Vec<_> = sounds().filter(|rung| rung.provenance().is_source()).collect();
    if own.is_empty() {
        return Sounds { rendition: None, sounds: source.into_iter().map(Sound::itself).collect() };
    }
    let made_from =
        |rung: &R, source: &R| matches!(rung.provenance(), Provenance::Derived { from: Some(from), .. } if from == source.name());
    let members = source.iter().map(|from| match own.iter().find(|rung| made_from(rung, from)) {
        Some(made) => Sound { rung: *made, stands_for: *from },
        // It is not ready yet, or was not wanted.
        None => Sound::itself(*from),
    });
    let others = own.iter().filter(|rung| !source.iter().any(|from| made_from(rung, from)));
    // A single sound made for the rendition is the rendition's, whatever it was made from.
    let sounds = match (own.as_slice(), source.as_slice()) {
        ([made], [from]) => vec![Sound { rung: *made, stands_for: *from }],
        _ => members.chain(others.map(|rung| Sound::itself(*rung))).collect(),
    };
    Sounds { rendition, sounds }
}

/// The rungs of the view called `name`: its pictures with their sound, or sound alone. None where nothing is called so.
pub(crate) fn view<'a, R: Rung>(rungs: &'a [R], name: &str) -> Option<Vec<&'a R>> {
    if let Some(video) = rungs.iter().find(|rung| rung.kind() == Kind::Video && rung.is_called(name)) {
        let sounds = sound_of(video, rungs).sounds;
        return Some(std::iter::once(video).chain(sounds.into_iter().map(|sound| sound.rung)).collect());
    }
    rungs.iter().find(|rung| rung.is_called(name)).map(|rung| vec![rung])
}
