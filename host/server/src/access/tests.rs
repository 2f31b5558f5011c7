//! Who may publish: one rule over HTTP and over Media over QUIC.

use std::sync::Arc;

use axum::http::Request;
use axum::http::request::Builder;
use jsonwebtoken::{EncodingKey, Header};
use millrace_ingest::Grant;
use millrace_ingest::http::Access;
use millrace_moq::Address;
use serde_json::{Value, json};

use super::{Client, Local, Publishers};
use crate::config::load;
use crate::reload::Outcome;

/// A secret of 32 bytes, as a JWK has it.
fn jwk(byte: u8) -> (String, EncodingKey) {
    use base64::Engine;
    let secret = [byte; 32];
    let k = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(secret);
    (format!(r#"{{"kty":"oct","alg":"HS256","k":"{k}"}}"#), EncodingKey::from_secret(&secret))
}

fn signed(claims: &Value, key: &EncodingKey) -> String {
    jsonwebtoken::encode(&Header::default(), claims, key).unwrap()
}

struct Site {
    publishers: Publishers,
    folder: tempfile::TempDir,
}

impl Site {
    fn new(token: Option<&str>, key: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("publish.jwk");
        let mut variables: Vec<(String, String)> = Vec::new();
        if let Some(key) = key {
            std::fs::write(&path, key).unwrap();
            variables.push(("MILLRACE_INGEST_JWT_KEY".into(), path.to_str().unwrap().into()));
        }
        variables.extend(token.map(|token| ("MILLRACE_INGEST_PUBLISH_TOKEN".into(), token.into())));
        let config = load(None, variables.into_iter()).unwrap_or_else(|errors| panic!("{errors}"));
        let local = Arc::new(Local::new(&config));
        Self { publishers: Publishers::new(&config, local).unwrap(), folder }
    }

    fn http(&self, request: Builder) -> Result<Grant, String> {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        Access::grant(&self.publishers, &parts).map_err(|denied| denied.to_string())
    }

    fn moq(&self, address: &str, origin: Option<&str>) -> Result<Grant, String> {
        let address = Address::parse(address);
        let client = Client { address: &address, authority: Some("127.0.0.1:8080"), origin };
        self.publishers.grant_session(&client, &[8080]).map_err(|refused| refused.to_string())
    }
}

fn to(uri: &str) -> Builder {
    Request::post(uri).header("host", "127.0.0.1:8080")
}

fn below(path: &str) -> Result<Grant, String> {
    Ok(Grant::Below(path.into()))
}

fn expect_error(answer: Result<Grant, String>, part: &str) {
    let error = answer.expect_err(part);
    assert!(error.contains(part), "{error}");
}

#[test]
fn where_nothing_is_configured_this_machine_may_and_pages_of_others_may_not() {
    let site = Site::new(None, None);
    assert_eq!(site.http(to("/live/me")), below(""));
    assert_eq!(site.http(to("/live/me?token=left-over")), below(""), "what nobody asks for is not looked at");
    assert_eq!(site.http(to("/live/me").header("origin", "http://127.0.0.1:8080")), below(""));
    for foreign in [
        to("/live/me").header("origin", "http://evil.example"),
        to("/live/me?token=guess").header("origin", "http://evil.example"),
        to("/live/me").header("authorization", "Bearer guess").header("origin", "http://localhost:5173"),
        to("/live/me").header("sec-fetch-site", "same-site"),
        Request::post("/live/me").header("host", "evil.example"),
        to("/live/me").header("x-forwarded-for", "192.0.2.1"),
    ] {
        expect_error(site.http(foreign), "set `publish_token` or `jwt_key` in [ingest]");
    }
    assert_eq!(site.moq("/", None), below(""));
    assert_eq!(site.moq("/", Some("http://127.0.0.1:8080")), below(""));
    for theirs in ["https://evil.example", "http://127.0.0.1:5173", "https://127.0.0.1.evil.example", "null", ""] {
        assert_eq!(site.moq("/", Some(theirs)), Ok(Grant::Nothing), "{theirs} may play");
    }
    expect_error(site.moq("/?token=guess", Some("https://evil.example")), "a page of another origin");
}

#[test]
fn with_a_token_it_has_to_be_shown_from_wherever() {
    let site = Site::new(Some("correct-horse/+"), None);
    let anywhere = |uri: &str| {
        let request = Request::post(uri).header("host", "media.example").header("origin", "https://elsewhere.example");
        request.header("sec-fetch-site", "cross-site")
    };
    assert_eq!(site.http(anywhere("/live/me?x=1&token=correct-horse%2F%2b")), below(""));
    assert_eq!(site.http(anywhere("/").header("authorization", "Bearer correct-horse/+")), below(""));
    expect_error(site.http(to("/live/me")), "`?token=TOKEN`");
    for wrong in ["/?token=", "/?token=correct-horse", "/?token=correct-horse/%2b%2b"] {
        expect_error(site.http(to(wrong)), "the token is wrong");
        expect_error(site.moq(wrong, None), "the token is wrong");
    }
    expect_error(site.http(to("/?token=correct-horse%2F%2b").header("authorization", "Bearer no")), "wrong");
    expect_error(site.http(to("/?jwt=a.b.c")), "no `jwt_key`");
    assert_eq!(site.moq("/?token=correct-horse%2F%2b", Some("https://elsewhere.example")), below(""));
    assert_eq!(site.moq("/live", None), Ok(Grant::Nothing), "who shows none may play");
    expect_error(site.moq("/?jwt=a.b.c", None), "no `jwt_key`");
}

#[test]
fn with_a_key_a_jwt_says_what_may_be_published_on_every_protocol() {
    let ((text, key), (_, other)) = (jwk(1), jwk(2));
    let site = Site::new(None, Some(&text));
    let now = jsonwebtoken::get_current_timestamp();
    let jwt = signed(&json!({ "root": "live", "put": "me", "exp": now + 600 }), &key);
    for answer in [
        site.http(to(&format!("/live/me?jwt={jwt}"))),
        site.http(to("/live/me").header("authorization", format!("Bearer {jwt}"))),
        site.http(to(&format!("/live/me?jwt={jwt}")).header("origin", "https://elsewhere.example")),
        site.moq(&format!("/?jwt={jwt}"), Some("https://elsewhere.example")),
    ] {
        assert_eq!(answer, below("live/me"));
    }
    for (bad, part) in [
        (signed(&json!({ "put": "live", "exp": now - 600 }), &key), "has expired"),
        (signed(&json!({ "put": "live", "nbf": now + 600 }), &key), "does not hold yet"),
        (signed(&json!({ "put": "live" }), &other), "signature"),
        (signed(&json!({ "get": "live" }), &key), "no claim `put`"),
        ("correct-horse".into(), "no JSON Web Token"),
    ] {
        expect_error(site.http(to(&format!("/live/me?jwt={bad}"))), part);
        expect_error(site.http(to("/").header("authorization", format!("Bearer {bad}"))), part);
        expect_error(site.moq(&format!("/?jwt={bad}"), None), part);
    }
    expect_error(site.http(to("/live/me")), "a JSON Web Token: send it as");
    expect_error(site.http(to("/live/me?token=x")), "no `publish_token`");
    expect_error(site.moq("/?token=x", None), "no `publish_token`");
    assert_eq!(site.moq("/", None), Ok(Grant::Nothing));
}

#[test]
fn with_both_either_will_do() {
    let (text, key) = jwk(1);
    let site = Site::new(Some("correct.horse.x"), Some(&text));
    let jwt = signed(&json!({ "put": "live" }), &key);
    assert_eq!(site.http(to("/").header("authorization", "Bearer correct.horse.x")), below(""));
    assert_eq!(site.http(to("/").header("authorization", format!("Bearer {jwt}"))), below("live"));
    expect_error(site.http(to("/").header("authorization", "Bearer wrong-horse")), "the token is wrong");
    expect_error(site.http(to("/").header("authorization", "Bearer wrong.horse.x")), "no JSON Web Token");
    expect_error(site.http(to("/")), "the token or a JSON Web Token");
}

#[test]
fn the_key_is_read_again() {
    let ((first, key), (second, next)) = (jwk(1), jwk(2));
    let site = Site::new(None, Some(&first));
    let (old, new) = (signed(&json!({ "put": "" }), &key), signed(&json!({ "put": "" }), &next));
    let file = site.folder.path().join("publish.jwk");
    assert_eq!(site.publishers.reload().unwrap(), Outcome::Same);
    std::fs::write(&file, "no key").unwrap();
    assert!(site.publishers.reload().unwrap_err().to_string().contains("publish.jwk has no key"));
    assert_eq!(site.moq(&format!("/?jwt={old}"), None), below(""), "the one there was stays");
    std::fs::write(&file, second).unwrap();
    assert_eq!(site.publishers.reload().unwrap(), Outcome::Changed);
    assert_eq!(site.moq(&format!("/?jwt={new}"), None), below(""));
    expect_error(site.moq(&format!("/?jwt={old}"), None), "signature");
}
