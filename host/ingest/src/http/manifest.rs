//! As much of manifests as a receiver needs: the media says the rest itself.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// What an MPD (ISO/IEC 23009-1, 5.3.1.2) says of its publisher.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mpd {
    /// `type="static"`: the presentation has ended.
    pub(super) is_static: bool,
    /// `availabilityStartTime`, as it is written: one run of a packager keeps it.
    pub(super) availability_start: Option<String>,
}

/// What an HLS media playlist (RFC 8216, 4.3.3) says of its publisher.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Playlist {
    /// `EXT-X-ENDLIST`: nothing more will come.
    pub(super) ended: bool,
    /// The last `EXT-X-MAP`'s URI, without a query.
    pub(super) map: Option<String>,
}

/// Why a manifest could not be read.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum ManifestError {
    #[error("not UTF-8")]
    Encoding,
    #[error("not XML: {0}")]
    Xml(String),
    #[error("the document is {0:?} where an MPD was expected")]
    NotMpd(String),
    #[error("the first line is not #EXTM3U")]
    NotPlaylist,
}

impl Mpd {
    /// Reads an MPD's first element. What stands inside it is not looked at.
    pub(super) fn parse(body: &[u8]) -> Result<Self, ManifestError> {
        let text = std::str::from_utf8(body).map_err(|_| ManifestError::Encoding)?;
        let mut reader = Reader::from_str(text);
        loop {
            match reader.read_event().map_err(|error| ManifestError::Xml(error.to_string()))? {
                Event::Start(element) | Event::Empty(element) => return Self::from_root(&element),
                Event::Eof => return Err(ManifestError::Xml("the document is empty".into())),
                Event::Text(text) if !text.chars().all(char::is_whitespace) => {
                    return Err(ManifestError::Xml("text before the first element".into()));
                }
                _ => {}
            }
        }
    }

    fn from_root(element: &BytesStart<'_>) -> Result<Self, ManifestError> {
        let name = element.local_name();
        if name.as_ref() != "MPD" {
            return Err(ManifestError::NotMpd(name.as_ref().to_owned()));
        }
        let mut mpd = Self::default();
        for attribute in element.attributes() {
            let attribute = attribute.map_err(|error| ManifestError::Xml(error.to_string()))?;
            match attribute.key.as_ref() {
                "type" => mpd.is_static = attribute.value.as_ref() == "static",
                "availabilityStartTime" => mpd.availability_start = Some(attribute.value.into_owned()),
                _ => {}
            }
        }
        Ok(mpd)
    }
}

impl Playlist {
    /// Reads a media playlist's end and map; a master playlist has neither.
    pub(super) fn parse(body: &[u8]) -> Result<Self, ManifestError> {
        let text = std::str::from_utf8(body).map_err(|_| ManifestError::Encoding)?;
        let mut lines = text.lines();
        if lines.next().is_none_or(|first| first.trim_start_matches('\u{feff}').trim_end() != "#EXTM3U") {
            return Err(ManifestError::NotPlaylist);
        }
        let mut playlist = Self::default();
        for line in lines {
            if line.trim_end() == "#EXT-X-ENDLIST" {
                playlist.ended = true;
            } else if let Some(attributes) = line.strip_prefix("#EXT-X-MAP:") {
                playlist.map = uri(attributes);
            }
        }
        Ok(playlist)
    }
}

fn uri(attributes: &str) -> Option<String> {
    let (_, rest) = attributes.split_once("URI=\"")?;
    let (uri, _) = rest.split_once('"')?;
    Some(uri.split('?').next().unwrap_or(uri).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_mpd_says_when_it_began_and_that_it_has_ended() {
        let live = br#"<?xml version="1.0"?>
            <!-- made by hand -->
            <MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="dynamic" availabilityStartTime="2030-01-01T00:00:00Z"><Period/></MPD>"#;
        let mpd = Mpd::parse(live).unwrap();
        assert_eq!(mpd, Mpd { is_static: false, availability_start: Some("2030-01-01T00:00:00Z".into()) });
        assert!(Mpd::parse(br#"<d:MPD xmlns:d="urn:mpeg:dash:schema:mpd:2011" type="static"/>"#).unwrap().is_static);
    }

    #[test]
    fn what_is_not_an_mpd_is_refused() {
        for bad in [&b""[..], b"hello", b"<html></html>", b"<MPD type=", b"\xff\xfe", b"<MPD type='a' type='b'/>"] {
            assert!(Mpd::parse(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn a_playlist_says_its_map_and_its_end() {
        let text = b"#EXTM3U\r\n#EXT-X-MAP:URI=\"init_0.mp4?x=1\",BYTERANGE=\"1@0\"\r\n#EXTINF:1,\r\na.m4s\r\n#EXT-X-ENDLIST\r\n";
        let playlist = Playlist::parse(text).unwrap();
        assert_eq!(playlist, Playlist { ended: true, map: Some("init_0.mp4".into()) });
        assert!(!Playlist::parse(b"#EXTM3U\n#EXT-X-VERSION:7\n").unwrap().ended);
        assert!(Playlist::parse(b"EXTM3U").is_err());
    }
}
