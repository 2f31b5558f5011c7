//! As much of a media playlist as the tests ask about (rfc8216bis).

use crate::http::Client;

/// A media playlist.
#[derive(Clone, Debug, Default)]
pub struct Playlist {
    /// All of it, as it was sent.
    pub text: String,
    /// Seconds.
    pub target_duration: f64,
    /// Seconds; 0 where there are no parts.
    pub part_target: f64,
    /// How many segments a delta update leaves out.
    pub skipped: u64,
    /// The complete segments.
    pub segments: Vec<Segment>,
    /// The parts of the segment that is not complete yet.
    pub open_parts: Vec<String>,
    /// The part that comes next.
    pub hint: Option<String>,
    /// Whether there is no more to come.
    pub ended: bool,
}

/// A complete segment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Segment {
    /// Its media sequence number.
    pub number: u64,
    /// Seconds.
    pub duration: f64,
    /// Relative to the playlist.
    pub uri: String,
    /// Its parts, where they are listed.
    pub parts: Vec<String>,
    /// Whether media before it does not continue here.
    pub discontinuity: bool,
}

impl Playlist {
    /// Reads one.
    pub fn parse(text: &str) -> Self {
        assert!(text.starts_with("#EXTM3U\n"), "no playlist: {text}");
        let mut playlist = Self { text: text.to_owned(), ..Self::default() };
        let (mut next, mut first) = (Segment::default(), 0);
        for line in text.lines() {
            let (tag, value) = line.split_once(':').unwrap_or((line, ""));
            match tag {
                "#EXT-X-TARGETDURATION" => playlist.target_duration = number(value),
                "#EXT-X-PART-INF" => playlist.part_target = number(attribute(value, "PART-TARGET").unwrap_or_default()),
                "#EXT-X-MEDIA-SEQUENCE" => first = value.parse().expect("a number"),
                "#EXT-X-SKIP" => {
                    let skipped = attribute(value, "SKIPPED-SEGMENTS").unwrap_or_default();
                    playlist.skipped = skipped.parse().expect("a number");
                }
                "#EXT-X-PART" => next.parts.push(attribute(value, "URI").expect("a part has an address").to_owned()),
                "#EXT-X-PRELOAD-HINT" if value.contains("TYPE=PART") => {
                    playlist.hint = attribute(value, "URI").map(str::to_owned);
                }
                "#EXT-X-DISCONTINUITY" => next.discontinuity = true,
                "#EXTINF" => next.duration = number(value.trim_end_matches(',')),
                "#EXT-X-ENDLIST" => playlist.ended = true,
                _ if !line.starts_with('#') && !line.is_empty() => {
                    let number = first + playlist.skipped + playlist.segments.len() as u64;
                    playlist.segments.push(Segment { number, uri: line.to_owned(), ..std::mem::take(&mut next) });
                }
                _ => {}
            }
        }
        playlist.open_parts = next.parts;
        playlist
    }

    /// Fetches one.
    pub fn fetch(client: &Client, url: &str) -> Self {
        Self::parse(&client.text(url))
    }

    /// The number of the segment that is not complete yet.
    pub fn open_number(&self) -> u64 {
        self.segments.last().map_or(0, |segment| segment.number + 1)
    }

    /// Whether part `index` of segment `number` is listed, or must have been.
    pub fn has(&self, number: u64, index: usize) -> bool {
        self.open_number() > number || self.open_number() == number && self.open_parts.len() > index
    }
}

fn number(text: &str) -> f64 {
    text.parse().unwrap_or_else(|_| panic!("{text:?} is no number"))
}

/// An attribute of a tag, without its quotes.
pub(crate) fn attribute<'a>(list: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = list;
    while let Some((key, after)) = rest.split_once('=') {
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => {
                let (value, next) = quoted.split_once('"')?;
                (value, next.strip_prefix(',').unwrap_or(next))
            }
            None => after.split_once(',').unwrap_or((after, "")),
        };
        if key == name {
            return Some(value);
        }
        rest = next;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_and_parts_are_told_apart() {
        let playlist = Playlist::parse(
            "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-PART-INF:PART-TARGET=0.2\n#EXT-X-MEDIA-SEQUENCE:7\n#EXTINF:2.0,\n0/7.m4s\n\
             #EXT-X-PART:DURATION=0.2,URI=\"0/8.0.m4s\",INDEPENDENT=YES\n#EXTINF:1.5,\n0/8.m4s\n#EXT-X-PART:DURATION=0.2,URI=\"0/9.0.m4s\"\n\
             #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"0/9.1.m4s\"\n",
        );
        assert_eq!(playlist.segments.iter().map(|segment| segment.number).collect::<Vec<_>>(), [7, 8]);
        assert_eq!(playlist.segments[1].parts, ["0/8.0.m4s"]);
        assert_eq!((playlist.open_number(), playlist.open_parts.len()), (9, 1));
        assert_eq!(playlist.hint.as_deref(), Some("0/9.1.m4s"));
        assert!(playlist.has(8, 9) && playlist.has(9, 0) && !playlist.has(9, 1));
    }

    #[test]
    fn attributes_may_hold_commas() {
        assert_eq!(attribute("CODECS=\"a,b\",BANDWIDTH=5", "BANDWIDTH"), Some("5"));
        assert_eq!(attribute("CODECS=\"a,b\",BANDWIDTH=5", "CODECS"), Some("a,b"));
        assert_eq!(attribute("AVERAGE-BANDWIDTH=5", "BANDWIDTH"), None);
    }
}
