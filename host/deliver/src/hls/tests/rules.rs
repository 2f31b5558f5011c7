//! The rules a client may rely on, checked on every version of a playlist.

use std::collections::BTreeMap;

use crate::hls::playlist::{MediaPlaylist, Stored, Surroundings};

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Part {
    pub(super) uri: String,
    pub(super) duration: f64,
    pub(super) independent: bool,
    pub(super) gap: bool,
}

/// A segment as it is listed; the open one has no address.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Listed {
    pub(super) lines: Vec<String>,
    pub(super) number: u64,
    pub(super) discontinuity: u64,
    pub(super) duration: f64,
    pub(super) uri: Option<String>,
    pub(super) map: Option<String>,
    pub(super) parts: Vec<Part>,
    pub(super) gap: bool,
    pub(super) date_time: String,
}

#[derive(Clone, Debug)]
pub(super) struct Parsed {
    pub(super) tags: BTreeMap<String, String>,
    pub(super) skipped: usize,
    pub(super) segments: Vec<Listed>,
    pub(super) hint: Option<String>,
    pub(super) reports: Vec<String>,
    /// The date ranges, as they are written.
    pub(super) ranges: Vec<String>,
    pub(super) ended: bool,
}

pub(super) fn attribute(line: &str, name: &str) -> Option<String> {
    let attributes = line.split_once(':')?.1;
    let named = format!("{name}=");
    let mut found = attributes.match_indices(&named).map(|(at, _)| at);
    let at = found.find(|at| *at == 0 || attributes.as_bytes()[at - 1] == b',')?;
    let value = &attributes[at + name.len() + 1..];
    Some(match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next().unwrap().into(),
        None => value.split(',').next().unwrap().into(),
    })
}

pub(super) fn parse(text: &str) -> Parsed {
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("#EXTM3U"));
    let mut parsed = Parsed {
        tags: BTreeMap::new(),
        skipped: 0,
        segments: Vec::new(),
        hint: None,
        reports: Vec::new(),
        ranges: Vec::new(),
        ended: false,
    };
    let (mut block, mut number, mut discontinuity): (Vec<String>, u64, u64) = (Vec::new(), 0, 0);
    for line in lines {
        let (tag, value) = line.split_once(':').unwrap_or((line, ""));
        match tag {
            "#EXT-X-VERSION"
            | "#EXT-X-TARGETDURATION"
            | "#EXT-X-SERVER-CONTROL"
            | "#EXT-X-PART-INF"
            | "#EXT-X-MEDIA-SEQUENCE"
            | "#EXT-X-DISCONTINUITY-SEQUENCE"
            | "#EXT-X-INDEPENDENT-SEGMENTS" => {
                assert!(block.is_empty() && parsed.segments.is_empty(), "{tag} comes too late");
                assert_eq!(parsed.tags.insert(tag.into(), value.into()), None, "{tag} twice");
                number = parsed.tags.get("#EXT-X-MEDIA-SEQUENCE").map_or(0, |n| n.parse().unwrap());
                discontinuity = parsed.tags.get("#EXT-X-DISCONTINUITY-SEQUENCE").map_or(0, |n| n.parse().unwrap());
            }
            "#EXT-X-SKIP" => {
                assert!(parsed.skipped == 0 && parsed.segments.is_empty());
                parsed.skipped = attribute(line, "SKIPPED-SEGMENTS").unwrap().parse().unwrap();
                number += parsed.skipped as u64;
            }
            "#EXT-X-PRELOAD-HINT" => {
                assert_eq!(attribute(line, "TYPE").as_deref(), Some("PART"));
                assert_eq!(parsed.hint.replace(attribute(line, "URI").unwrap()), None, "two hints");
            }
            "#EXT-X-DATERANGE" => {
                assert!(block.is_empty() && parsed.segments.is_empty(), "{line} comes too late");
                parsed.ranges.push(line.into());
            }
            "#EXT-X-RENDITION-REPORT" => parsed.reports.push(line.into()),
            "#EXT-X-ENDLIST" => parsed.ended = true,
            _ => {
                assert!(parsed.hint.is_none() && !parsed.ended, "{line} after the end");
                block.push(line.into());
                if !line.starts_with('#') {
                    let listed = listed(std::mem::take(&mut block), number, discontinuity);
                    (number, discontinuity) = (number + 1, listed.discontinuity);
                    parsed.segments.push(listed);
                }
            }
        }
    }
    if !block.is_empty() {
        parsed.segments.push(listed(block, number, discontinuity));
    }
    parsed
}

fn listed(lines: Vec<String>, number: u64, discontinuity: u64) -> Listed {
    let mut listed = Listed {
        lines: lines.clone(),
        number,
        discontinuity,
        duration: 0.0,
        uri: None,
        map: None,
        parts: Vec::new(),
        gap: false,
        date_time: String::new(),
    };
    for line in &lines {
        let (tag, value) = line.split_once(':').unwrap_or((line, ""));
        match tag {
            "#EXT-X-DISCONTINUITY" => {
                assert!(listed.parts.is_empty());
                listed.discontinuity += 1;
            }
            "#EXT-X-MAP" => {
                assert!(listed.parts.is_empty());
                listed.map = attribute(line, "URI");
            }
            "#EXT-X-PROGRAM-DATE-TIME" => {
                assert!(listed.parts.is_empty());
                listed.date_time = value.into();
            }
            "#EXT-X-PART" => listed.parts.push(Part {
                uri: attribute(line, "URI").unwrap(),
                duration: attribute(line, "DURATION").unwrap().parse().unwrap(),
                independent: attribute(line, "INDEPENDENT").is_some(),
                gap: attribute(line, "GAP").is_some(),
            }),
            "#EXT-X-GAP" => listed.gap = true,
            "#EXTINF" => listed.duration = value.trim_end_matches(',').parse().unwrap(),
            other if other.starts_with('#') => panic!("an unknown tag: {line}"),
            _ => listed.uri = Some(line.clone()),
        }
    }
    listed
}

impl Parsed {
    pub(super) fn target(&self) -> f64 {
        self.tags["#EXT-X-TARGETDURATION"].parse().unwrap()
    }

    pub(super) fn part_target(&self) -> Option<f64> {
        let tag = format!("x:{}", self.tags.get("#EXT-X-PART-INF")?);
        Some(attribute(&tag, "PART-TARGET").unwrap().parse().unwrap())
    }

    pub(super) fn control(&self, name: &str) -> Option<f64> {
        let tag = format!("x:{}", self.tags["#EXT-X-SERVER-CONTROL"]);
        attribute(&tag, name).map(|value| value.parse().unwrap())
    }

    fn complete(&self) -> impl Iterator<Item = &Listed> {
        self.segments.iter().filter(|segment| segment.uri.is_some())
    }
}

/// Holds every version of one playlist against the rules and against the versions before.
#[derive(Default)]
pub(super) struct Checker {
    last: Option<Parsed>,
    /// What is known of every segment that was ever listed complete: address, duration, discontinuity sequence number, date and time.
    known: BTreeMap<u64, (String, f64, u64, String)>,
    pub(super) versions: usize,
    pub(super) deltas: usize,
}

impl Checker {
    pub(super) fn check(&mut self, playlist: &MediaPlaylist, surroundings: &Surroundings) -> Option<Parsed> {
        let text = playlist.text(surroundings, false)?;
        let parsed = parse(&text);
        self.versions += 1;
        let may_hint = !parsed.ended && !playlist.is_silent();
        assert_eq!(
            parsed.hint.is_some(),
            may_hint && parsed.part_target().is_some(),
            "one hint, while media comes:\n{text}"
        );
        self.check_text(&parsed, &text);
        self.check_delta(&parsed, &playlist.text(surroundings, true).unwrap());
        check_files(playlist, &parsed);
        self.last = Some(parsed.clone());
        Some(parsed)
    }

    fn check_text(&mut self, parsed: &Parsed, text: &str) {
        let target = parsed.target();
        assert!(parsed.control("HOLD-BACK").unwrap() >= 3.0 * target);
        assert!(parsed.control("CAN-SKIP-UNTIL").is_none_or(|skip| skip >= 6.0 * target));
        for segment in parsed.complete() {
            assert!(segment.duration.round() <= target, "{} s with a target of {target}:\n{text}", segment.duration);
            let facts =
                (segment.uri.clone().unwrap(), segment.duration, segment.discontinuity, segment.date_time.clone());
            let known = self.known.entry(segment.number).or_insert_with(|| facts.clone());
            assert_eq!(*known, facts, "a segment changed:\n{text}");
        }
        assert!(parsed.segments.first().is_none_or(|first| first.map.is_some()), "no header:\n{text}");
        self.check_parts(parsed, text);
        self.check_window(parsed, text);
    }

    fn check_parts(&self, parsed: &Parsed, text: &str) {
        let has_parts = parsed.segments.iter().any(|segment| !segment.parts.is_empty());
        let Some(target) = parsed.part_target() else {
            assert!(!has_parts && parsed.hint.is_none(), "parts without a target:\n{text}");
            return;
        };
        assert!(parsed.control("PART-HOLD-BACK").unwrap() + 1e-9 >= 3.0 * target);
        let end: f64 = parsed.segments.iter().map(length).sum();
        let mut from = 0.0;
        for segment in &parsed.segments {
            let (begins, sum) = (from, segment.parts.iter().map(|part| part.duration).sum::<f64>());
            from += length(segment);
            if segment.parts.is_empty() {
                continue;
            }
            assert!(end - begins < 3.0 * parsed.target() + 1e-6, "parts too far from the end:\n{text}");
            if segment.uri.is_some() {
                assert!((sum - segment.duration).abs() < 1e-4, "parts of {sum} s in {} s:\n{text}", segment.duration);
            }
            for (index, part) in segment.parts.iter().enumerate() {
                assert!(part.duration <= target, "a part of {} s:\n{text}", part.duration);
                let is_last = index + 1 == segment.parts.len();
                let before_gap = segment.parts.get(index + 1).is_some_and(|next| next.gap);
                let may_be_short = is_last || part.gap || before_gap;
                assert!(part.duration >= 0.85 * target || may_be_short, "a part of {} s:\n{text}", part.duration);
            }
        }
    }

    fn check_window(&mut self, parsed: &Parsed, text: &str) {
        let length: f64 = parsed.complete().map(|segment| segment.duration).sum();
        let Some(last) = &self.last else { return };
        for tag in ["#EXT-X-TARGETDURATION", "#EXT-X-PART-INF", "#EXT-X-SERVER-CONTROL"] {
            assert_eq!(last.tags.get(tag), parsed.tags.get(tag), "{tag} changed");
        }
        for tag in ["#EXT-X-MEDIA-SEQUENCE", "#EXT-X-DISCONTINUITY-SEQUENCE"] {
            let number = |parsed: &Parsed| parsed.tags[tag].parse::<u64>().unwrap();
            assert!(number(parsed) >= number(last), "{tag} went back:\n{text}");
        }
        if parsed.segments[0].number > last.segments[0].number {
            assert!(length >= 3.0 * parsed.target(), "only {length} s are left:\n{text}");
        }
    }

    /// What a client holds, with the delta update applied, is the whole playlist.
    fn check_delta(&mut self, whole: &Parsed, delta: &str) {
        let delta = parse(delta);
        assert_eq!((&delta.tags, &delta.hint, delta.ended), (&whole.tags, &whole.hint, whole.ended));
        if delta.skipped == 0 {
            assert_eq!(delta.segments, whole.segments);
            return;
        }
        self.deltas += 1;
        let first: u64 = delta.tags["#EXT-X-MEDIA-SEQUENCE"].parse().unwrap();
        let last = self.last.as_ref().expect("nothing is skipped in the first version");
        let held = |number: u64| last.segments.iter().find(|segment| segment.number == number && segment.uri.is_some());
        for (index, segment) in whole.segments.iter().enumerate() {
            if index < delta.skipped {
                let held = held(first + index as u64).expect("the client has what is skipped");
                assert_eq!((&held.uri, held.duration), (&segment.uri, segment.duration));
            } else {
                assert_eq!(delta.segments[index - delta.skipped].lines, segment.lines);
            }
        }
        assert_eq!(delta.segments.len() + delta.skipped, whole.segments.len());
        let boundary = whole.control("CAN-SKIP-UNTIL").unwrap();
        let after: f64 = delta.segments.iter().filter(|s| s.uri.is_some()).map(|segment| segment.duration).sum();
        assert!(after >= boundary, "what is nearer than {boundary} s was skipped");
    }
}

fn length(segment: &Listed) -> f64 {
    if segment.uri.is_some() { segment.duration } else { segment.parts.iter().map(|part| part.duration).sum() }
}

/// Directory, segment, and part of an address.
pub(super) fn address(uri: &str) -> (&str, u64, Option<u64>) {
    let (directory, file) = uri.split_once('/').unwrap();
    let name = file.strip_suffix(".m4s").unwrap();
    match name.split_once('.') {
        Some((number, part)) => (directory, number.parse().unwrap(), Some(part.parse().unwrap())),
        None => (directory, name.parse().unwrap(), None),
    }
}

/// What is listed is there, what is hinted will be, and parts add up to their segment.
fn check_files(playlist: &MediaPlaylist, parsed: &Parsed) {
    let bytes = |stored: Stored| match stored {
        Stored::Here(runs) => {
            Some(runs.iter().flat_map(|run| run.iter()).map(|f| f.place().sequence).collect::<Vec<_>>())
        }
        Stored::Soon | Stored::Missing => None,
    };
    for segment in &parsed.segments {
        if let Some(map) = &segment.map {
            let (directory, file) = map.split_once("/init-").unwrap();
            let number = file.strip_suffix(".mp4").unwrap().parse().unwrap();
            assert!(playlist.init(directory, number).is_some(), "no header {map}");
        }
        let mut sum = Vec::new();
        for part in segment.parts.iter().filter(|part| !part.gap) {
            let (directory, number, index) = address(&part.uri);
            assert_eq!(number, segment.number);
            sum.extend(bytes(playlist.part(directory, number, index.unwrap())).expect("a listed part is there"));
        }
        if let Some(uri) = segment.uri.as_ref().filter(|_| !segment.gap) {
            let (directory, number, _) = address(uri);
            assert_eq!(number, segment.number);
            let whole = bytes(playlist.segment(directory, number)).expect("a listed segment is there");
            assert!(segment.parts.is_empty() || whole == sum, "the parts are not the segment");
            assert!(whole.windows(2).all(|pair| pair[0] + 1 == pair[1]));
        }
    }
    if let Some(hint) = &parsed.hint {
        let (directory, number, part) = address(hint);
        assert!(matches!(playlist.part(directory, number, part.unwrap()), Stored::Soon), "{hint} is not promised");
    }
}
