//! What the tracks of a broadcast are called: `video`, `audio`, `video-2` and so on, in the order in which they come.

use std::collections::BTreeMap;

use millrace_media::TrackName;
use millrace_media::track::Kind;

/// More than a publisher has tracks: one that invents names without end does not make the list grow.
const MAX_NAMES: usize = 128;

/// What a publisher calls a track: the name of what carries it, and its `track_ID` there.
pub(crate) type Key = (String, u32);

/// The names that the tracks of a broadcast have had: a publisher that returns finds them again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names(BTreeMap<Key, TrackName>);

impl Names {
    /// The name of a track: the one that it had before, where none of those in `used` has it.
    pub(crate) fn choose(&mut self, key: Key, kind: Kind, used: &[TrackName]) -> TrackName {
        if self.0.len() >= MAX_NAMES {
            self.0.clear();
        }
        let known = self.0.get(&key).filter(|name| is_of(name, kind) && !used.contains(name)).cloned();
        let name = known.unwrap_or_else(|| free(kind, used));
        self.0.insert(key, name.clone());
        name
    }
}

/// `video`, then `video-2`, and so on.
fn free(kind: Kind, used: &[TrackName]) -> TrackName {
    let numbered = |n: usize| match n {
        1 => kind.as_str().to_owned(),
        n => format!("{}-{n}", kind.as_str()),
    };
    (1..=used.len() + 1)
        .filter_map(|n| TrackName::new(&numbered(n)).ok())
        .find(|name| !used.contains(name))
        .expect("there is one more than are used")
}

fn is_of(name: &TrackName, kind: Kind) -> bool {
    name.as_str().split('-').next() == Some(kind.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracks_are_numbered_and_find_their_names_again() {
        let mut names = Names::default();
        let key = |name: &str| (name.to_owned(), 1);
        let first = names.choose(key("hd"), Kind::Video, &[]);
        let second = names.choose(key("sd"), Kind::Video, std::slice::from_ref(&first));
        assert_eq!((first.as_str(), second.as_str()), ("video", "video-2"));
        assert_eq!(names.choose(key("sd"), Kind::Video, &[]), second);
        assert_eq!(names.choose(key("sd"), Kind::Audio, &[]).as_str(), "audio", "it has become something else");
        assert_eq!(names.choose(key("new"), Kind::Video, &[second]), first);
    }
}
