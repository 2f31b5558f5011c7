//! The description: it is of what is there, and answers are as it says.

use std::collections::BTreeSet;

use super::*;

async fn described(site: &Site) -> Value {
    let answer = site.get("/api/v1/openapi.json").await;
    assert_eq!(answer.status, 200);
    answer.json()
}

#[tokio::test]
async fn every_route_is_described() {
    let document = described(&Site::local()).await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    let mut routes = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            assert!(!operation["summary"].as_str().unwrap_or_default().is_empty(), "{method} {path} says nothing");
            routes.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    let expected = [
        "DELETE /ingest/{path}",
        "GET /api/v1/openapi.json",
        "GET /certificate.sha256",
        "GET /healthz",
        "GET /hls/{broadcast}/master.m3u8",
        "GET /hls/{broadcast}/{track}/playlist.m3u8",
        "GET /hls/{broadcast}/{track}/{directory}/init-{number}.mp4",
        "GET /hls/{broadcast}/{track}/{directory}/{segment}.m4s",
        "GET /hls/{broadcast}/{track}/{directory}/{segment}.{part}.m4s",
        "GET /metrics",
        "POST /ingest/{path}",
        "PUT /ingest/{path}",
        "DELETE /api/v1/ladders/{ladder}",
        "DELETE /api/v1/ladders/{ladder}/renditions/{rendition}",
        "GET /api/v1/broadcasts",
        "GET /api/v1/ladders",
        "GET /api/v1/ladders/{ladder}",
        "GET /api/v1/moq",
        "GET /api/v1/moq/relays",
        "GET /api/v1/transcoders",
        "GET /api/v1/filters",
        "GET /api/v1/alarms",
        "GET /api/v1/access",
        "GET /api/v1/plugins",
        "POST /api/v1/plugins/{plugin}/messages",
        "POST /api/v1/ladders",
        "POST /api/v1/ladders/{ladder}/renditions",
    ];
    assert_eq!(routes, expected.map(String::from).into());
    for scheme in ["token", "publish"] {
        assert_eq!(document["components"]["securitySchemes"][scheme]["scheme"], "bearer");
    }
}

#[tokio::test]
async fn answers_are_as_described() {
    let site = Site::local();
    let document = described(&site).await;
    let body = r#"{"name":"a","broadcasts":["a/*"],"idle_timeout":"1m","renditions":["240p",{"name":"b","width":64,"height":36,"quality":"low"}]}"#;
    let path = "/api/v1/ladders/{ladder}/renditions";
    for (method, described, path, body) in [
        ("POST", "/api/v1/ladders", "/api/v1/ladders", body),
        ("POST", "/api/v1/ladders", "/api/v1/ladders", body),
        ("POST", "/api/v1/ladders", "/api/v1/ladders", "{}"),
        ("GET", "/api/v1/ladders", "/api/v1/ladders", ""),
        ("GET", "/api/v1/ladders/{ladder}", "/api/v1/ladders/a", ""),
        ("GET", "/api/v1/ladders/{ladder}", "/api/v1/ladders/none", ""),
        ("POST", path, "/api/v1/ladders/a/renditions", "\"480p\""),
        ("DELETE", "/api/v1/ladders/{ladder}/renditions/{rendition}", "/api/v1/ladders/a/renditions/480p", ""),
        ("DELETE", "/api/v1/ladders/{ladder}", "/api/v1/ladders/a", ""),
        ("GET", "/api/v1/broadcasts", "/api/v1/broadcasts", ""),
        ("GET", "/api/v1/moq", "/api/v1/moq", ""),
        ("GET", "/api/v1/moq/relays", "/api/v1/moq/relays", ""),
        ("GET", "/api/v1/transcoders", "/api/v1/transcoders", ""),
        ("GET", "/api/v1/filters", "/api/v1/filters", ""),
        ("GET", "/api/v1/alarms", "/api/v1/alarms", ""),
        ("GET", "/api/v1/access", "/api/v1/access", ""),
        ("GET", "/api/v1/plugins", "/api/v1/plugins", ""),
        ("POST", "/api/v1/plugins/{plugin}/messages", "/api/v1/plugins/none/messages?hook=transcoder", "hello"),
        ("POST", "/api/v1/plugins/{plugin}/messages", "/api/v1/plugins/none/messages?hook=decoder", "hello"),
    ] {
        let answer = site.send(method, path, &[("content-type", "application/json")], body).await;
        let operation = &document["paths"][described][method.to_lowercase()];
        let response = &operation["responses"][answer.status.as_str()];
        let schema = &response["content"][answer.header("content-type")]["schema"];
        assert!(schema.is_object(), "{method} {path} answers {}, which is not described", answer.status);
        fits(&document, schema, &answer.json(), &format!("{method} {path} {}", answer.status));
    }
    let new_ladder =
        &document["paths"]["/api/v1/ladders"]["post"]["requestBody"]["content"]["application/json"]["schema"];
    fits(&document, new_ladder, &serde_json::from_str(body).unwrap(), "the body");
}

#[tokio::test]
async fn bodies_are_described_by_the_keys_of_the_configuration() {
    let document = described(&Site::local()).await;
    for (schema, section) in [("NewLadder", "ladder[]"), ("RenditionTable", "ladder[].renditions[]")] {
        let properties = document["components"]["schemas"][schema]["properties"].as_object().unwrap();
        let described: BTreeSet<&str> = properties.keys().map(String::as_str).collect();
        let keys = crate::config::keys();
        let read = keys.keys().filter_map(|path| path.rsplit_once('.')).filter(|(at, _)| *at == section);
        assert_eq!(described, read.map(|(_, key)| key).collect(), "{schema}");
    }
}

/// Whether a value is as a schema says (JSON Schema 2020-12, as far as it is used here).
pub(super) fn fits(document: &Value, schema: &Value, value: &Value, at: &str) {
    if let Err(reason) = check(document, schema, value, at) {
        panic!("{reason}");
    }
}

fn check(document: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.trim_start_matches('#')).ok_or(format!("{at}: no {reference}"))?;
        return check(document, target, value, at);
    }
    for all in schema["allOf"].as_array().into_iter().flatten() {
        check(document, all, value, at)?;
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let fitting = choices.iter().filter(|choice| check(document, choice, value, at).is_ok()).count();
        if fitting != 1 {
            return Err(format!("{at}: {value} fits {fitting} of {schema}"));
        }
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let is = |kind: &&str| match *kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("{at}: a type {other}"),
    };
    if !types.is_empty() && !types.iter().any(is) {
        return Err(format!("{at}: {value} is not {types:?}"));
    }
    if let Some(words) = schema["enum"].as_array().filter(|words| !words.contains(value)) {
        return Err(format!("{at}: {value} is not in {words:?}"));
    }
    if let Some(object) = value.as_object() {
        for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !object.contains_key(key) {
                return Err(format!("{at}: no {key}"));
            }
        }
        for (key, schema) in schema["properties"].as_object().into_iter().flatten() {
            if let Some(value) = object.get(key) {
                check(document, schema, value, &format!("{at} {key}"))?;
            }
        }
    }
    for element in value.as_array().into_iter().flatten() {
        check(document, &schema["items"], element, &format!("{at}[]"))?;
    }
    Ok(())
}
