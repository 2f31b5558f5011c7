//! Which header a segment belongs to, when each has a name of its own.
//!
//! Within one folder: the header of the segment's own name; else the one whose *key* fits the segment's name; else the only one
//! there is. A header's key is its name without the extension and without the word `init`: `stream0` of `init-stream0.m4s`, `0` of
//! `init_0.mp4`, nothing of `init.mp4`. A key fits a name that contains it; a key of digits alone fits where the first number in
//! the segment's name begins with it. The longest that fits counts.

/// The place of the header in `headers` that the segment `segment` belongs to. Both are paths relative to the broadcast.
pub(super) fn header_of<'a>(segment: &str, headers: impl Iterator<Item = &'a str> + Clone) -> Option<Fit> {
    if let Some(index) = headers.clone().position(|header| header == segment) {
        return Some(Fit { index, sure: true });
    }
    let (folder, file) = split(segment);
    let stem = stem(file);
    let beside = headers.enumerate().filter(|(_, header)| split(header).0 == folder);
    let fitting = beside.clone().filter(|(_, header)| fits(&key(split(header).1), stem));
    if let Some((index, _)) = fitting.max_by_key(|(_, header)| key(split(header).1).len()) {
        return Some(Fit { index, sure: true });
    }
    let mut beside = beside.map(|(index, _)| index);
    match (beside.next(), beside.next()) {
        (Some(index), None) => Some(Fit { index, sure: false }),
        _ => None,
    }
}

/// A header that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fit {
    pub(super) index: usize,
    /// False where it was taken only because there is no other.
    pub(super) sure: bool,
}

/// Folder and file of a path; the folder is empty where there is none.
pub(super) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

fn stem(file: &str) -> &str {
    file.rsplit_once('.').map_or(file, |(stem, _)| stem)
}

fn key(file: &str) -> String {
    let stem = stem(file);
    match stem.find("init") {
        Some(at) => {
            let outer = ['-', '_', '.'];
            let (before, after) = (stem[..at].trim_matches(outer), stem[at + 4..].trim_matches(outer));
            if before.is_empty() { after.to_owned() } else { before.to_owned() }
        }
        None => stem.to_owned(),
    }
}

fn fits(key: &str, stem: &str) -> bool {
    if key.is_empty() {
        return false;
    }
    if key.bytes().all(|b| b.is_ascii_digit()) {
        return stem.find(|c: char| c.is_ascii_digit()).is_some_and(|at| stem[at..].starts_with(key));
    }
    let ends_in_digit = key.ends_with(|c: char| c.is_ascii_digit());
    stem.match_indices(key).any(|(at, _)| {
        let after = stem[at + key.len()..].chars().next();
        !(ends_in_digit && after.is_some_and(|c| c.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find<'a>(segment: &str, headers: &[&'a str]) -> Option<&'a str> {
        header_of(segment, headers.iter().copied()).map(|fit| headers[fit.index])
    }

    #[test]
    fn ffmpegs_names_find_their_headers() {
        let dash = ["init-stream0.m4s", "init-stream1.m4s", "init-stream10.m4s"];
        assert_eq!(find("chunk-stream0-00001.m4s", &dash), Some(dash[0]));
        assert_eq!(find("chunk-stream1-00001.m4s", &dash), Some(dash[1]));
        assert_eq!(find("chunk-stream10-00001.m4s", &dash), Some(dash[2]));
        assert_eq!(find("index7.m4s", &["init.mp4"]), Some("init.mp4"));
        let folders = ["stream_0/init_0.mp4", "stream_1/init_1.mp4"];
        assert_eq!(find("stream_0/index1.m4s", &folders), Some(folders[0]));
        assert_eq!(find("stream_1/index0.m4s", &folders), Some(folders[1]));
        let mapped = ["init_0.mp4", "init_1.mp4"];
        assert_eq!(find("index_010.m4s", &mapped), Some(mapped[0]));
        assert_eq!(find("index_10.m4s", &mapped), Some(mapped[1]));
    }

    #[test]
    fn a_name_of_its_own_goes_first() {
        let streams = ["Streams(video.cmfv)", "Streams(audio.cmfa)"];
        assert_eq!(find("Streams(audio.cmfa)", &streams), Some(streams[1]));
    }

    #[test]
    fn a_guess_is_marked_as_one() {
        let only = ["init-stream1.m4s"];
        assert_eq!(header_of("chunk-stream0-00001.m4s", only.iter().copied()), Some(Fit { index: 0, sure: false }));
        assert_eq!(find("segment1.m4s", &["init-a.m4s", "init-b.m4s"]), None);
        assert_eq!(find("segment1.m4s", &[]), None);
        assert_eq!(find("other/index0.m4s", &["init.mp4"]), None);
    }
}
