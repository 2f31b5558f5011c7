//! hang's catalogs: renditions of video and audio by the names of their tracks. The first object of a group is a whole catalog, and
//! those after it are merge patches (RFC 7396).

use bytes::Bytes;
use hang::catalog;
use millrace_media::track::Kind;
use serde_json::{Map, Value};

use super::{Catalog, CatalogError, Codec, Coding, Container, Described, Framing, Init};

pub(super) fn read(value: &Value) -> Result<Catalog, CatalogError> {
    let read: catalog::Catalog = serde_json::from_value(value.clone())?;
    let mut tracks = Catalog::default();
    for (name, video) in &read.video.renditions {
        let coding = |codec| Coding {
            codec,
            description: video.description.clone(),
            sample_rate: None,
            channels: None,
            frame_rate: video.framerate.map(|rate| rate as f32),
            bitrate: bitrate(video.bitrate),
        };
        let rendition =
            Rendition { kind: Kind::Video, elsewhere: video.broadcast.is_some(), container: &video.container };
        tracks.add(name, rendition.describe(name, &video.codec.to_string(), coding));
    }
    for (name, audio) in &read.audio.renditions {
        let coding = |codec| Coding {
            codec,
            description: audio.description.clone(),
            sample_rate: Some(audio.sample_rate),
            channels: u16::try_from(audio.channel_count).ok(),
            frame_rate: None,
            bitrate: bitrate(audio.bitrate),
        };
        let rendition =
            Rendition { kind: Kind::Audio, elsewhere: audio.broadcast.is_some(), container: &audio.container };
        tracks.add(name, rendition.describe(name, &audio.codec.to_string(), coding));
    }
    Ok(tracks)
}

fn bitrate(given: Option<u64>) -> Option<u32> {
    given.and_then(|bitrate| u32::try_from(bitrate).ok())
}

struct Rendition<'a> {
    kind: Kind,
    /// It is a track of another broadcast.
    elsewhere: bool,
    container: &'a catalog::Container,
}

impl Rendition<'_> {
    fn describe(&self, name: &str, codec: &str, coding: impl FnOnce(Codec) -> Coding) -> Result<Described, String> {
        if self.elsewhere {
            return Err("it is a track of another broadcast".to_owned());
        }
        let frames = |framing| Ok::<_, String>(Container::Frames(framing, coding(Codec::of(codec)?)));
        let container = match self.container {
            catalog::Container::Cmaf { init } => Container::Cmaf(init_of(init)),
            catalog::Container::Loc => frames(Framing::Loc)?,
            catalog::Container::Legacy => frames(Framing::Legacy)?,
            other => return Err(format!("the container {other:?} of {} is not known", self.kind.as_str())),
        };
        Ok(Described { name: name.to_owned(), container, language: None })
    }
}

fn init_of(init: &Bytes) -> Init {
    if init.is_empty() { Init::InBand } else { Init::Inline(init.clone()) }
}

/// The catalog with a merge patch applied. Nothing is copied: what lies deep is moved, not cloned at every level above it.
pub(super) fn patched(known: Value, patch: Value) -> Value {
    let Value::Object(patch) = patch else { return patch };
    let mut merged = match known {
        Value::Object(known) => known,
        _ => Map::new(),
    };
    for (key, value) in patch {
        let before = merged.remove(&key).unwrap_or(Value::Null);
        if !value.is_null() {
            merged.insert(key, patched(before, value));
        }
    }
    Value::Object(merged)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn merge_patches_as_rfc_7396_gives_them() {
        let known = json!({"a": "b", "c": {"d": "e", "f": "g"}});
        let patch = json!({"a": "z", "c": {"f": null}});
        assert_eq!(patched(known, patch), json!({"a": "z", "c": {"d": "e"}}));
        assert_eq!(patched(json!({"a": [1]}), json!({"a": {"b": null}})), json!({"a": {}}));
        assert_eq!(patched(json!({"a": 1}), json!(["x"])), json!(["x"]));
    }

    #[test]
    fn renditions_are_tracks() {
        let catalog = read(&json!({
            "video": {"renditions": {
                "hd": {"codec": "avc1.64001f", "container": {"kind": "cmaf", "init": "AAAA"}},
                "cam": {"codec": "avc1.42e01e", "description": "01640028", "framerate": 30.0},
                "old": {"codec": "vp8"},
                "far": {"codec": "avc1.42e01e", "broadcast": "../other"},
            }},
            "audio": {"renditions": {"mic": {"codec": "opus", "sampleRate": 48000, "numberOfChannels": 2,
                "container": {"kind": "loc"}}}},
        }))
        .unwrap();
        let names: Vec<_> = catalog.tracks.iter().map(|track| track.name.as_str()).collect();
        assert_eq!(names, ["cam", "hd", "mic"]);
        assert_eq!(catalog.tracks[1].container, Container::Cmaf(Init::Inline(Bytes::from_static(&[0, 0, 0]))));
        let Container::Frames(Framing::Legacy, coding) = &catalog.tracks[0].container else { panic!("{catalog:?}") };
        assert_eq!(coding.description.as_deref(), Some(&[1, 0x64, 0, 0x28][..]));
        let Container::Frames(Framing::Loc, coding) = &catalog.tracks[2].container else { panic!("{catalog:?}") };
        assert_eq!((coding.codec, coding.sample_rate, coding.channels), (Codec::Opus, Some(48_000), Some(2)));
        assert_eq!(catalog.left_out.len(), 2);
    }
}
