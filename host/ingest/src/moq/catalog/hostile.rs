//! Catalogs made to take more than they send: memory stays within a few times the limit, and every answer is an answer.

use bytes::Bytes;
use millrace_hostile::{Numbers, most_held, mutate, seeds};
use millrace_media::Payload;
use serde_json::{Value, json};

use super::{Catalog, CatalogError, Format, MAX_TRACKS, MAX_VALUES, Reader};

/// As a server on its defaults has it.
const LIMIT: usize = 1 << 20;
/// A catalog stands here as text, as a value, as what it is read to, and as what held before.
const MOST: usize = 10 * LIMIT;

/// Reads objects one after the other; the last answer, and the most memory that was held.
fn read(format: Format, objects: &[Vec<u8>]) -> (Result<Catalog, CatalogError>, usize) {
    let payloads: Vec<_> = objects.iter().map(|object| Payload::from(Bytes::copy_from_slice(object))).collect();
    let mut answer = Ok(Catalog::default());
    let held = most_held(|| {
        let mut reader = Reader::new(format, LIMIT);
        for (index, payload) in payloads.iter().enumerate() {
            answer = reader.read(index == 0, payload);
        }
    });
    (answer, held)
}

fn object(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

#[test]
fn tracks_that_share_initialization_data_do_not_multiply_it() {
    let data = "A".repeat(LIMIT - 16_384);
    let tracks: Vec<_> =
        (0..MAX_TRACKS).map(|n| json!({"name": n.to_string(), "packaging": "cmaf", "initRef": "v"})).collect();
    let list = json!([{"id": "v", "type": "inline", "data": data}]);
    let msf = json!({"version": "draft-01", "tracks": tracks, "initDataList": list});
    let tracks: Vec<_> = (0..MAX_TRACKS).map(|n| json!({"name": n.to_string()})).collect();
    let older = json!({"version": 1, "commonTrackFields": {"packaging": "cmaf", "initData": data}, "tracks": tracks});
    for (format, catalog) in [(Format::Msf, msf), (Format::Older, older)] {
        let (answer, held) = read(format, &[object(&catalog)]);
        assert!(matches!(answer, Err(CatalogError::TooLong(LIMIT))), "{format:?}: {answer:?}");
        assert!(held < MOST, "{format:?}: {held} bytes held");
    }
    // What real publishers share is short.
    let tracks: Vec<_> =
        (0..MAX_TRACKS).map(|n| json!({"name": n.to_string(), "packaging": "cmaf", "initRef": "v"})).collect();
    let list = json!([{"id": "v", "type": "inline", "data": "A".repeat(4_096)}]);
    let catalog = json!({"version": "draft-01", "tracks": tracks, "initDataList": list});
    assert_eq!(read(Format::Msf, &[object(&catalog)]).0.unwrap().tracks.len(), MAX_TRACKS);
}

#[test]
fn short_values_are_counted_before_they_are_read() {
    let dense = [b"{\"tracks\":[0".to_vec(), b",0".repeat(LIMIT / 2 - 100), b"]}".to_vec()].concat();
    let objects =
        [b"{\"a\":[".to_vec(), vec![b"{\"a\":0}".to_vec(); LIMIT / 9].join(&b","[..]), b"]}".to_vec()].concat();
    for format in Format::ALL {
        for hostile in [&dense, &objects] {
            let (answer, held) = read(format, std::slice::from_ref(hostile));
            assert!(matches!(answer, Err(CatalogError::TooManyValues)), "{format:?}: {answer:?}");
            assert!(held < MOST, "{format:?}: {held} bytes held");
        }
    }
    // Strings may hold what they like.
    let text = json!({"version": "draft-01", "tracks": [], "note": "[{,:\\\"".repeat(MAX_VALUES)});
    assert!(read(Format::Msf, &[object(&text)]).0.is_ok());
}

#[test]
fn deep_values_end_in_an_error_and_not_the_process() {
    for (open, close) in [("[", "]"), ("{\"video\":", "}")] {
        let deep = [open.repeat(MAX_VALUES / 2 - 10), "0".into(), close.repeat(MAX_VALUES / 2 - 10)].concat();
        for format in Format::ALL {
            let (answer, held) = read(format, &[deep.clone().into_bytes()]);
            assert!(matches!(answer, Err(CatalogError::Json(_))), "{format:?}: {answer:?}");
            assert!(held < MOST, "{format:?}: {held} bytes held");
        }
    }
}

#[test]
fn patches_copy_nothing_however_deep_they_go() {
    let nested = |inner: Value| (0..100).fold(inner, |value, _| json!({"x": value}));
    let whole = object(&json!({"video": {"renditions": {}}, "x": nested(json!({"y": "A".repeat(LIMIT / 2)}))}));
    let patch = object(&json!({"x": nested(json!({"z": 1}))}));
    let (answer, held) = read(Format::Hang, &[whole, patch]);
    answer.unwrap();
    assert!(held < MOST, "{held} bytes held");
}

#[test]
fn clones_and_changes_are_bounded_together() {
    let first = json!({"version": "draft-01", "tracks": [{"name": "0", "packaging": "cmaf", "initData": "A".repeat(LIMIT / 4)}]});
    let clones: Vec<_> = (1..MAX_TRACKS).map(|n| json!({"name": n.to_string(), "parentName": "0"})).collect();
    let delta = json!({"deltaUpdate": [{"op": "clone", "tracks": clones}]});
    let (answer, held) = read(Format::Msf, &[object(&first), object(&delta)]);
    assert!(matches!(answer, Err(CatalogError::TooLong(LIMIT))), "{answer:?}");
    assert!(held < MOST, "{held} bytes held");
}

#[test]
fn mutations_and_cuts_of_real_catalogs_are_answered_within_the_limit() {
    let msf = json!({"version": "draft-01", "tracks": [
        {"name": "video", "packaging": "cmaf", "codec": "avc1.64001f", "initRef": "v", "width": 640, "bitrate": 800_000},
        {"name": "audio", "packaging": "loc", "codec": "opus", "samplerate": 48_000, "channelConfig": "2"},
    ], "initDataList": [{"id": "v", "type": "inline", "data": "AAAA"}]});
    let hang = json!({"video": {"renditions": {"hd": {"codec": "avc1.64001f", "container": {"kind": "cmaf", "init": "AAAA"}}}},
        "audio": {"renditions": {"mic": {"codec": "opus", "sampleRate": 48_000, "numberOfChannels": 2}}}});
    let older = json!({"version": 1, "commonTrackFields": {"packaging": "cmaf"}, "tracks": [
        {"name": "1.m4s", "initTrack": "0.mp4", "selectionParams": {"codec": "avc1.64001f", "width": 320}}]});
    for (format, catalog) in [(Format::Msf, msf), (Format::Hang, hang), (Format::Older, older)] {
        let whole = object(&catalog);
        read(format, std::slice::from_ref(&whole)).0.unwrap();
        for cut in 0..whole.len() {
            assert!(read(format, &[whole[..cut].to_vec()]).0.is_err(), "{format:?} cut at {cut}");
        }
        for seed in seeds(400) {
            let mutated = mutate(&whole, &[], &mut Numbers(seed));
            let (_either, held) = read(format, &[whole.clone(), mutated]);
            assert!(held < LIMIT, "{format:?}, seed {seed}: {held} bytes held");
        }
    }
}
