//! Ladders and renditions that come by request: the same keys, read by the same code as the file's.

use serde_json::{Map, Value};

use super::fault::{Fault, Place, Problem};
use super::ladder::Ladder;
use super::reader::{Reader, Source};
use super::rendition::Rendition;
use super::section::Section;

/// Reads a ladder: an object with the keys of a `[[ladder]]`, its name among them.
///
/// # Errors
/// All that is wrong with it.
pub fn ladder_from_json(body: &[u8]) -> Result<Ladder, Vec<Problem>> {
    let body = parse(body)?;
    match &body {
        Value::Object(keys) if keys.get("name").is_none_or(Value::is_null) => {
            // By place, as in the file, would be by accident.
            Err(vec![problem(Fault::Missing { keys: "`name`".into(), section: "the ladder".into() })])
        }
        Value::Object(_) => read(body, "ladder", Ladder::read_all).map(|(ladder, _)| ladder),
        _ => Err(vec![problem(Fault::Conflict("expected a JSON object: a ladder".into()))]),
    }
}

/// Reads a rendition: a preset's name, or an object with the keys of a `[[ladder.renditions]]`.
///
/// # Errors
/// All that is wrong with it.
pub fn rendition_from_json(body: &[u8]) -> Result<Rendition, Vec<Problem>> {
    let body = parse(body)?;
    if !body.is_object() && !body.is_string() {
        let sentence = "expected a JSON object, a rendition, or a string, the name of one that is known";
        return Err(vec![problem(Fault::Conflict(sentence.into()))]);
    }
    read(body, "rendition", |section| Rendition::read_all(section, "rendition"))
}

fn parse(body: &[u8]) -> Result<Value, Vec<Problem>> {
    serde_json::from_slice(body).map_err(|error| vec![problem(Fault::Json(error.to_string()))])
}

fn problem(fault: Fault) -> Problem {
    Problem { fault, place: Place::Request, help: None }
}

/// Reads the only element of a list under `key`.
fn read<T>(
    body: Value,
    key: &str,
    read: impl FnOnce(&mut Section<'_, '_>) -> Option<Vec<T>>,
) -> Result<T, Vec<Problem>> {
    let document = Map::from_iter([(key.to_owned(), Value::Array(vec![without_nulls(body)]))]);
    let unfit = |error: String| vec![problem(Fault::Conflict(format!("no key takes such a value: {error}")))];
    let text = toml::to_string(&document).map_err(|error| unfit(error.to_string()))?;
    let table = toml::de::DeTable::parse(&text).map_err(|error| unfit(error.message().to_owned()))?;
    let mut reader = Reader::new(&text, Source::Request, std::iter::empty());
    let mut root = reader.root(table.get_ref());
    let value = read(&mut root).and_then(|mut list| list.pop());
    root.finish();
    let (problems, _) = reader.finish();
    match value {
        Some(value) if problems.is_empty() => Ok(value),
        _ if problems.is_empty() => Err(unfit(format!("expected a {key}"))),
        _ => Err(problems),
    }
}

/// A key that is null is as good as none, which TOML cannot say otherwise.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(keys) => {
            let given = keys.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(given.map(|(key, value)| (key, without_nulls(value))).collect())
        }
        Value::Array(elements) => elements.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults<T>(read: Result<T, Vec<Problem>>) -> Vec<String> {
        read.err().unwrap_or_default().iter().map(|problem| problem.fault.to_string()).collect()
    }

    #[test]
    fn a_ladder_is_read_as_from_the_file() {
        let body = br#"{ "name": "events", "broadcasts": "event/*", "idle_timeout": "30s", "on_overload": ["drop-rung"],
            "renditions": ["480p", { "name": "540p", "width": 960, "height": 540, "video_bitrate": 1800000, "quality": null }] }"#;
        let file = "[[ladder]]\nname = \"events\"\nbroadcasts = \"event/*\"\nidle_timeout = \"30s\"\non_overload = [\"drop-rung\"]\n\
            renditions = [\"480p\", { name = \"540p\", width = 960, height = 540, video_bitrate = \"1800k\" }]\n";
        let file = crate::config::parse(None, file, std::iter::empty(), &[]).unwrap();
        assert_eq!(ladder_from_json(body).unwrap(), file.ladders[0]);
        assert_eq!(rendition_from_json(b"\"240p\"").unwrap(), Rendition::preset("240p").unwrap());
        assert_eq!(rendition_from_json(br#"{"name":"240p"}"#).unwrap(), Rendition::preset("240p").unwrap());
    }

    #[test]
    fn what_is_wrong_is_told_in_the_words_of_a_request() {
        for (body, expected) in [
            (&br#"{"renditions":[]}"#[..], &["the ladder has no `name`"][..]),
            (br#"{"name":"a"}"#, &["the ladder has no `renditions`"]),
            (br#"[1]"#, &["expected a JSON object: a ladder"]),
            (
                br#"{"name":"a b","renditions":["480p"]}"#,
                &[
                    "`name` is \"a b\", expected a name of letters, digits, '-', '_', '.' and '~', at most 64 of them and not dots alone",
                ],
            ),
            (
                br#"{"name":"a","renditions":["480p","480p"]}"#,
                &["the rendition name `480p` is already taken by another in the request"],
            ),
            (
                br#"{"name":"a","idle_timeout":"1s","renditions":["480p"],"colour":1}"#,
                &["`idle_timeout` is \"1s\", expected 5s to 1h", "unknown key `colour` in the ladder"],
            ),
        ] {
            assert_eq!(faults(ladder_from_json(body)), expected, "for {}", String::from_utf8_lossy(body));
        }
        for (body, expected) in [
            (&b"{"[..], "not JSON: EOF while parsing an object at line 1 column 1"),
            (b"7", "expected a JSON object, a rendition, or a string, the name of one that is known"),
            (br#"{"name":"480p","width":853}"#, "`width` is 853, expected an even number of pixels, 16 to 8192"),
            (br#"{"name":"480p","width":1}"#, "`width` is 1, expected an even number of pixels, 16 to 8192"),
            (br#"{"name":"480p","width":16384}"#, "`width` is 16384, expected an even number of pixels, 16 to 8192"),
            (br#"{"name":"480p","video_bitrate":0}"#, "`video_bitrate` is 0, expected 16k to 200M"),
            (br#"{"name":"480p","width":"wide"}"#, "`width` is a string, expected a whole number"),
            (
                br#"{"name":"480p","priority":18446744073709551615}"#,
                "`priority` is 18446744073709551615, expected a whole number",
            ),
            (br#"{"name":"480p","sped":"draft"}"#, "unknown key `sped` in the rendition"),
        ] {
            assert_eq!(faults(rendition_from_json(body)), [expected], "for {}", String::from_utf8_lossy(body));
        }
        let misspelt = rendition_from_json(br#"{"name":"480p","sped":"draft"}"#).unwrap_err();
        assert_eq!(misspelt[0].help.as_deref(), Some("did you mean `speed`?"));
    }

    #[test]
    fn deep_nesting_is_refused() {
        let deep = format!("{{\"name\":{}1{}}}", "[".repeat(100), "]".repeat(100));
        assert_eq!(faults(rendition_from_json(deep.as_bytes())).len(), 1);
        let deeper = "[".repeat(100_000);
        assert_eq!(faults(ladder_from_json(deeper.as_bytes())).len(), 1);
    }
}
