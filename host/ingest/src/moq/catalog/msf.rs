//! Catalogs of the MOQT Streaming Format (draft-ietf-moq-msf, with CMAF after draft-ietf-moq-cmsf).
//!
//! An object with `deltaUpdate` changes the catalog before it (draft-ietf-moq-msf-01, 5.3): a list of operations in draft 01, and in
//! draft 00 `true`, with `addTracks`, `removeTracks` and `cloneTracks`. Anything else is a whole catalog.

use moq_msf::Packaging;
use serde_json::{Map, Value};

use super::{
    Catalog, CatalogError, Codec, Coding, Container, Described, Framing, Init, MAX_TRACKS, base64, check_shared,
    check_tracks,
};

/// The catalog after an object. What is cloned is `taken` as if it had come, of at most `limit` bytes.
pub(super) fn next(
    known: Option<&Value>,
    given: Value,
    taken: &mut usize,
    limit: usize,
) -> Result<Value, CatalogError> {
    match given.get("deltaUpdate") {
        None => Ok(given),
        Some(operations) => {
            let mut value = known.ok_or(CatalogError::NothingToChange)?.clone();
            let mut take = |clone: &Map<String, Value>| {
                *taken = taken.saturating_add(serde_json::to_string(clone)?.len());
                if *taken > limit { Err(CatalogError::TooLong(limit)) } else { Ok(()) }
            };
            match operations {
                Value::Array(operations) => {
                    for operation in operations {
                        let kind = operation.get("op").and_then(Value::as_str).unwrap_or_default();
                        change(&mut value, kind, operation.get("tracks"), &mut take)?;
                    }
                }
                _ => {
                    for (kind, key) in [("add", "addTracks"), ("remove", "removeTracks"), ("clone", "cloneTracks")] {
                        if let Some(tracks) = given.get(key) {
                            change(&mut value, kind, Some(tracks), &mut take)?;
                        }
                    }
                }
            }
            add_init_data(&mut value, &given);
            Ok(value)
        }
    }
}

/// Makes one change to the catalog's tracks, with what `take` lets be cloned.
fn change(
    catalog: &mut Value,
    kind: &str,
    given: Option<&Value>,
    take: &mut impl FnMut(&Map<String, Value>) -> Result<(), CatalogError>,
) -> Result<(), CatalogError> {
    let refuse = |why: String| Err(CatalogError::Change(why));
    let Some(Value::Array(given)) = given else { return refuse(format!("{kind:?} names no tracks")) };
    let Some(Value::Array(tracks)) = catalog.get_mut("tracks") else { return refuse("there are no tracks".to_owned()) };
    let at = |tracks: &[Value], name: &str| tracks.iter().position(|track| text(track, "name") == name);
    for track in given {
        let name = text(track, "name");
        match (kind, at(tracks, name)) {
            ("remove", Some(at)) => drop(tracks.remove(at)),
            ("remove", None) => return refuse(format!("there is no track {name:?} to remove")),
            ("add" | "clone", Some(_)) => return refuse(format!("there is a track {name:?} already")),
            ("add" | "clone", None) if tracks.len() >= MAX_TRACKS => {
                return Err(CatalogError::TooMany(tracks.len() + 1));
            }
            ("add", None) => tracks.push(track.clone()),
            ("clone", None) => {
                let parent = text(track, "parentName");
                let Some(Value::Object(parent)) = at(tracks, parent).map(|at| &tracks[at]) else {
                    return refuse(format!("there is no track {parent:?} to clone"));
                };
                let clone = cloned(parent, track);
                take(&clone)?;
                tracks.push(Value::Object(clone));
            }
            _ => return refuse(format!("{kind:?} is no operation: add, remove and clone are")),
        }
    }
    Ok(())
}

fn cloned(parent: &Map<String, Value>, track: &Value) -> Map<String, Value> {
    let mut clone = parent.clone();
    for (key, value) in track.as_object().into_iter().flatten().filter(|(key, _)| *key != "parentName") {
        clone.insert(key.clone(), value.clone());
    }
    clone
}

/// Tracks that are added may refer to initialization data that comes with them.
fn add_init_data(catalog: &mut Value, given: &Value) {
    let (Some(Value::Array(added)), Some(catalog)) = (given.get("initDataList"), catalog.as_object_mut()) else {
        return;
    };
    let list = catalog.entry("initDataList").or_insert_with(|| Value::Array(Vec::new()));
    if let Value::Array(list) = list {
        list.extend(added.iter().cloned());
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// What tracks refer to counts as if each had it itself, and is at most `limit` bytes long.
pub(super) fn read(value: &Value, limit: usize) -> Result<Catalog, CatalogError> {
    check_tracks(value.get("tracks"))?;
    let list = || value.get("initDataList").and_then(Value::as_array).into_iter().flatten();
    let tracks = || value.get("tracks").and_then(Value::as_array).into_iter().flatten();
    let shared = tracks().filter_map(|track| track.get("initRef")?.as_str()).map(|wanted| {
        let mut entries = list().filter(|entry| text(entry, "id") == wanted);
        entries.next().map_or(0, |entry| text(entry, "data").len())
    });
    check_shared(shared, limit)?;
    let read: moq_msf::Catalog = serde_json::from_value(value.clone())?;
    let mut tracks = Catalog::default();
    for track in &read.tracks {
        tracks.add(&track.name, describe(track));
    }
    Ok(tracks)
}

fn describe(track: &moq_msf::Track) -> Result<Described, String> {
    let data = track.init_data.as_deref().map(base64).transpose()?;
    let frames = |framing| {
        let coding = Coding {
            codec: Codec::of(track.codec.as_deref().unwrap_or_default())?,
            description: data.clone(),
            sample_rate: track.samplerate,
            channels: track.channel_config.as_deref().and_then(|channels| channels.parse().ok()),
            frame_rate: track.framerate.map(|rate| rate as f32),
            bitrate: track.bitrate.and_then(|bitrate| u32::try_from(bitrate).ok()),
        };
        Ok::<_, String>(Container::Frames(framing, coding))
    };
    let container = match &track.packaging {
        Packaging::Cmaf => Container::Cmaf(data.clone().map_or(Init::InBand, Init::Inline)),
        Packaging::Loc => frames(Framing::Loc)?,
        Packaging::Legacy => frames(Framing::Legacy)?,
        other => return Err(format!("the packaging {other} is not taken: cmaf, loc and legacy are")),
    };
    Ok(Described { name: track.name.clone(), container, language: None })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A catalog and its changes may be as long as they like.
    fn next(known: Option<&Value>, given: Value) -> Result<Value, CatalogError> {
        super::next(known, given, &mut 0, usize::MAX)
    }

    fn read(value: &Value) -> Result<Catalog, CatalogError> {
        super::read(value, 1 << 20)
    }

    fn names(value: &Value) -> Vec<String> {
        read(value).unwrap().tracks.into_iter().map(|track| track.name).collect()
    }

    fn base() -> Value {
        json!({"version": "draft-01", "tracks": [
            {"name": "video", "packaging": "cmaf", "initRef": "v", "width": 640},
            {"name": "audio", "packaging": "loc", "codec": "opus"},
        ], "initDataList": [{"id": "v", "type": "inline", "data": "AAAA"}]})
    }

    #[test]
    fn operations_change_what_is_there() {
        let delta = json!({"deltaUpdate": [
            {"op": "remove", "tracks": [{"name": "audio"}]},
            {"op": "add", "tracks": [{"name": "slides", "packaging": "cmaf", "initRef": "s"}]},
            {"op": "clone", "tracks": [{"parentName": "video", "name": "small", "width": 320}]},
        ], "initDataList": [{"id": "s", "type": "inline", "data": "AAAB"}]});
        let value = next(Some(&base()), delta).unwrap();
        assert_eq!(names(&value), ["video", "slides", "small"]);
        let catalog = read(&value).unwrap();
        assert_eq!(catalog.tracks[2].container, catalog.tracks[0].container);
        assert_eq!(value["tracks"][2]["width"], 320);
    }

    #[test]
    fn changes_as_draft_00_writes_them() {
        let delta = json!({"deltaUpdate": true, "removeTracks": [{"name": "video"}],
            "addTracks": [{"name": "b", "packaging": "loc", "codec": "opus"}]});
        assert_eq!(names(&next(Some(&base()), delta).unwrap()), ["audio", "b"]);
    }

    #[test]
    fn clones_count_towards_the_length() {
        let known = json!({"version": "draft-01", "tracks": [{"name": "0", "packaging": "cmaf", "initData": "A".repeat(1000)}]});
        let clones = |count: usize| {
            let tracks: Vec<_> = (1..=count).map(|n| json!({"name": n.to_string(), "parentName": "0"})).collect();
            let mut taken = 100;
            let delta = json!({"deltaUpdate": [{"op": "clone", "tracks": tracks}]});
            (super::next(Some(&known), delta, &mut taken, 5000), taken)
        };
        let (value, taken) = clones(4);
        assert_eq!(names(&value.unwrap()).len(), 5);
        assert!(taken > 4100, "{taken}");
        assert!(matches!(clones(5).0, Err(CatalogError::TooLong(5000))));
        // Nor may they be taken away again in between.
        let again = json!([{"op": "clone", "tracks": [{"name": "1", "parentName": "0"}]},
            {"op": "remove", "tracks": [{"name": "1"}]}]);
        let again: Vec<_> = std::iter::repeat_n(again.as_array().unwrap(), 5).flatten().collect();
        let refused = super::next(Some(&known), json!({"deltaUpdate": again}), &mut 0, 5000);
        assert!(matches!(refused, Err(CatalogError::TooLong(5000))));
    }

    #[test]
    fn changes_that_do_not_fit_are_refused() {
        let refused = |operation: Value| {
            let delta = json!({"deltaUpdate": [operation]});
            next(Some(&base()), delta).unwrap_err().to_string()
        };
        assert!(refused(json!({"op": "remove", "tracks": [{"name": "x"}]})).contains("no track \"x\" to remove"));
        assert!(refused(json!({"op": "add", "tracks": [{"name": "video"}]})).contains("a track \"video\" already"));
        assert!(
            refused(json!({"op": "clone", "tracks": [{"name": "x", "parentName": "y"}]})).contains("no track \"y\"")
        );
        assert!(refused(json!({"op": "turn", "tracks": [{"name": "x"}]})).contains("no operation"));
        assert!(refused(json!({"op": "add"})).contains("names no tracks"));
        assert!(matches!(next(None, json!({"deltaUpdate": []})), Err(CatalogError::NothingToChange)));
    }
}
