//! What a path names. Broadcast names contain slashes, so that paths are read from their end.

use super::delivery::What;

/// What a path names, with names that are not looked up yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resource<'a> {
    /// The multivariant playlist of a broadcast, or of a view.
    Master { name: &'a str },
    /// A media playlist.
    Playlist { track: TrackPath<'a> },
    /// A CMAF header.
    Init { track: TrackPath<'a>, directory: &'a str, number: u32 },
    /// A segment.
    Segment { track: TrackPath<'a>, directory: &'a str, number: u64 },
    /// A part of a segment.
    Part { track: TrackPath<'a>, directory: &'a str, number: u64, part: u64 },
}

/// A track of a broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TrackPath<'a> {
    pub(super) broadcast: &'a str,
    pub(super) track: &'a str,
}

impl<'a> TrackPath<'a> {
    const fn of<'b>(self, broadcast: &'b str) -> TrackPath<'b>
    where
        'a: 'b,
    {
        TrackPath { broadcast, track: self.track }
    }
}

impl<'a> Resource<'a> {
    /// What it is, as the metrics call it.
    pub(super) const fn what(&self) -> What {
        match self {
            Self::Master { .. } => What::Master,
            Self::Playlist { .. } => What::Playlist,
            Self::Init { .. } => What::Init,
            Self::Segment { .. } => What::Segment,
            Self::Part { .. } => What::Part,
        }
    }

    /// The path of the broadcast: of a multivariant playlist, the name that it stands under.
    pub(super) const fn broadcast(&self) -> &'a str {
        match self {
            Self::Master { name } => name,
            Self::Playlist { track }
            | Self::Init { track, .. }
            | Self::Segment { track, .. }
            | Self::Part { track, .. } => track.broadcast,
        }
    }

    /// The same of another broadcast.
    pub(super) const fn of<'b>(self, broadcast: &'b str) -> Resource<'b>
    where
        'a: 'b,
    {
        match self {
            Self::Master { .. } => Resource::Master { name: broadcast },
            Self::Playlist { track } => Resource::Playlist { track: track.of(broadcast) },
            Self::Init { track, directory, number } => Resource::Init { track: track.of(broadcast), directory, number },
            Self::Segment { track, directory, number } => {
                Resource::Segment { track: track.of(broadcast), directory, number }
            }
            Self::Part { track, directory, number, part } => {
                Resource::Part { track: track.of(broadcast), directory, number, part }
            }
        }
    }

    /// Reads a path without its leading slash.
    pub(super) fn parse(path: &'a str) -> Option<Self> {
        let (rest, file) = path.rsplit_once('/')?;
        if file == "master.m3u8" {
            return Some(Self::Master { name: rest });
        }
        if file == "playlist.m3u8" {
            return Some(Self::Playlist { track: track_path(rest)? });
        }
        let (rest, directory) = rest.rsplit_once('/')?;
        let track = track_path(rest)?;
        if let Some(number) = file.strip_prefix("init-").and_then(|file| file.strip_suffix(".mp4")) {
            return Some(Self::Init { track, directory, number: u32::try_from(decimal(number)?).ok()? });
        }
        let name = file.strip_suffix(".m4s")?;
        Some(match name.split_once('.') {
            None => Self::Segment { track, directory, number: decimal(name)? },
            Some((number, part)) => Self::Part { track, directory, number: decimal(number)?, part: decimal(part)? },
        })
    }
}

fn track_path(path: &str) -> Option<TrackPath<'_>> {
    path.rsplit_once('/').map(|(broadcast, track)| TrackPath { broadcast, track })
}

/// A number as this server writes it: without a sign and without zeros before it, so that every file has one address.
pub(super) fn decimal(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_from_their_end() {
        let track = TrackPath { broadcast: "live/demo", track: "video" };
        let cases = [
            ("live/demo/master.m3u8", Resource::Master { name: "live/demo" }),
            ("live/demo/video/playlist.m3u8", Resource::Playlist { track }),
            ("live/demo/video/17/init-0.mp4", Resource::Init { track, directory: "17", number: 0 }),
            ("live/demo/video/17-1/8.m4s", Resource::Segment { track, directory: "17-1", number: 8 }),
            ("live/demo/video/17/8.12.m4s", Resource::Part { track, directory: "17", number: 8, part: 12 }),
        ];
        for (path, resource) in cases {
            assert_eq!(Resource::parse(path), Some(resource), "{path}");
        }
    }

    #[test]
    fn what_is_not_written_so_is_nothing() {
        for path in
            ["", "x", "master.m3u8", "a/playlist.m3u8", "a/b/c/d.mp4", "a/b/c/+1.m4s", "a/b/c/01.m4s", "a/b/c/1..m4s"]
        {
            assert_eq!(Resource::parse(path), None, "{path}");
        }
        assert_eq!(Resource::parse("a/b/c/99999999999999999999.m4s"), None);
    }
}
