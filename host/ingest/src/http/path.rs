//! How a path names its broadcast and, below it, a resource.
//!
//! The broadcast is the path without its last element; the last element is the *resource*: one stream, one segment, one manifest.
//! In detail, for what stands after `/ingest/`:
//!
//! | path | broadcast | resource |
//! | --- | --- | --- |
//! | `live/me/stream.mp4` | `live/me` | `stream.mp4` |
//! | `live/me/manifest.mpd`, `live/me/index.m3u8` | `live/me` | the same |
//! | `live/me/init-stream0.m4s`, `live/me/chunk-stream0-00001.m4s` | `live/me` | the same |
//! | `live/me/Streams(video.cmfv)`, also as `Streams%28video.cmfv%29` | `live/me` | `Streams(video.cmfv)` |
//! | `live/me/Switching(1)/Streams(video.cmfv)` | `live/me` | `Switching(1)/Streams(video.cmfv)` |
//! | `live.isml/Streams(Encoder1)` | `live` | `Streams(Encoder1)` |
//! | `live/me/stream_0/index0.m4s` | `live/me` | `stream_0/index0.m4s` |
//! | `live/me`, `live/me/` | `live/me` | none: the publishing point itself |
//!
//! A last element without a dot is no resource but part of the publishing point. `stream_` and a number is the folder that ffmpeg's
//! `-var_stream_map` is given by custom, so it is not part of a name.

use millrace_media::BroadcastName;
use millrace_media::name::NameError;

/// What a request's path means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) broadcast: BroadcastName,
    /// Relative to the broadcast; empty for the publishing point itself.
    pub(super) resource: String,
    pub(super) class: Class,
}

/// What a resource's name says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// The publishing point itself.
    Point,
    /// A DASH manifest.
    Mpd,
    /// An HLS playlist.
    Playlist,
    /// A piece of a stream that a manifest describes: a header of its own, then segments under names of their own.
    Piece,
    /// A whole stream, sent in one request or in one request a segment, under one name.
    Stream,
}

/// Why a path names nothing that can be published.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PathError {
    #[error("the path names no broadcast: publish below one, as in /ingest/live/me/{0}")]
    NoBroadcast(String),
    #[error("the path names no possible broadcast: {0}")]
    Name(#[from] NameError),
    #[error("the resource has {0} bytes where at most 200 are allowed")]
    ResourceTooLong(usize),
}

impl Target {
    /// Reads a path, percent-decoded, as it stands after `/ingest/`.
    pub(super) fn parse(path: &str) -> Result<Self, PathError> {
        let mut elements: Vec<&str> = path.trim_matches('/').split('/').collect();
        let last = elements.last().copied().unwrap_or_default();
        let mut resource = Vec::new();
        if is_call(last, "Streams") || last.contains('.') && !is_point(last) {
            resource.push(last);
            elements.pop();
            while let Some(folder) = elements.last().copied().filter(|folder| is_folder(folder)) {
                resource.insert(0, folder);
                elements.pop();
            }
        }
        let resource = resource.join("/");
        let class = Class::of(&resource);
        if resource.len() > 200 {
            return Err(PathError::ResourceTooLong(resource.len()));
        }
        let mut name = elements.join("/");
        for suffix in [".isml", ".ism"] {
            if let Some(point) = name.strip_suffix(suffix) {
                name = point.to_owned();
                break;
            }
        }
        if name.is_empty() {
            return Err(PathError::NoBroadcast(resource));
        }
        Ok(Self { broadcast: BroadcastName::new(&name)?, resource, class })
    }
}

impl Class {
    /// What the name of a resource says.
    pub(super) fn of(resource: &str) -> Self {
        let file = resource.rsplit('/').next().unwrap_or(resource);
        if file.is_empty() {
            return Self::Point;
        }
        if is_call(file, "Streams") {
            return Self::Stream;
        }
        match file.rsplit_once('.') {
            Some((_, "mpd")) => Self::Mpd,
            Some((_, "m3u8" | "m3u")) => Self::Playlist,
            Some((_, "m4s" | "m4f")) => Self::Piece,
            Some((stem, _)) if stem.contains("init") => Self::Piece,
            _ => Self::Stream,
        }
    }
}

/// True of `name(…)`.
fn is_call(element: &str, name: &str) -> bool {
    element.strip_prefix(name).is_some_and(|rest| rest.starts_with('(') && rest.ends_with(')'))
}

fn is_point(element: &str) -> bool {
    element.ends_with(".isml") || element.ends_with(".ism")
}

fn is_folder(element: &str) -> bool {
    let numbered = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    is_call(element, "Switching") || element.strip_prefix("stream_").is_some_and(numbered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_broadcast_is_the_path_without_the_resource() {
        for (path, broadcast, resource, class) in [
            ("live/me/stream.mp4", "live/me", "stream.mp4", Class::Stream),
            ("live/me/manifest.mpd", "live/me", "manifest.mpd", Class::Mpd),
            ("live/live.mpd", "live", "live.mpd", Class::Mpd),
            ("live/me/index.m3u8", "live/me", "index.m3u8", Class::Playlist),
            ("live/me/init.mp4", "live/me", "init.mp4", Class::Piece),
            ("live/me/chunk-stream0-00001.m4s", "live/me", "chunk-stream0-00001.m4s", Class::Piece),
            ("live/me/Streams(video.cmfv)", "live/me", "Streams(video.cmfv)", Class::Stream),
            ("live/Switching(1)/Streams(a)", "live", "Switching(1)/Streams(a)", Class::Stream),
            ("live.isml/Streams(Encoder1)", "live", "Streams(Encoder1)", Class::Stream),
            ("live/me/stream_0/init_0.mp4", "live/me", "stream_0/init_0.mp4", Class::Piece),
            ("live/me", "live/me", "", Class::Point),
            ("/live/me/", "live/me", "", Class::Point),
            ("live.isml", "live", "", Class::Point),
        ] {
            let target = Target::parse(path).unwrap();
            assert_eq!(
                (target.broadcast.as_str(), target.resource.as_str(), target.class),
                (broadcast, resource, class)
            );
        }
    }

    #[test]
    fn a_path_without_a_broadcast_is_refused() {
        for bad in
            ["", "/", "stream.mp4", "Streams(video.cmfv)", "a/../b/stream.mp4", "a b/stream.mp4", "a//stream.mp4"]
        {
            assert!(Target::parse(bad).is_err(), "{bad:?} was taken");
        }
        assert!(Target::parse(&format!("live/{}.mp4", "a".repeat(200))).is_err());
    }
}
