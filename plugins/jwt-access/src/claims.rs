//! What a token allows.

use jwt_compact::Claims;
use serde::{Deserialize, Serialize};

use crate::pattern::matches;
use crate::settings::Settings;

/// The most patterns of one claim that are looked at.
const MAX_PATTERNS: usize = 100;

/// The claims that this plugin knows, beside the registered ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Custom {
    #[serde(default, rename = "iss", skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    #[serde(default, rename = "aud", skip_serializing_if = "Option::is_none")]
    pub audience: Option<OneOrMore>,
    /// Patterns of what its holder may publish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<OneOrMore>,
    /// Patterns of what its holder may play.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub play: Option<OneOrMore>,
    /// The folder in which the broadcasts of the holder are. The holder's names leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}

/// A text, or a list of them (RFC 7519, 4.1.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    fn any(&self, is_it: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::One(text) => is_it(text),
            Self::More(texts) => texts.iter().take(MAX_PATTERNS).any(|text| is_it(text)),
        }
    }
}

/// What somebody wants.
pub struct Wish<'a> {
    /// `publish` or `play`.
    pub action: &'a str,
    pub broadcast: &'a str,
    /// Seconds since the Unix epoch.
    pub now: u64,
}

/// What becomes of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// For so many seconds, perhaps under another name.
    Allow { seconds: u32, name: Option<String> },
    /// With a reason for the client.
    Deny(String),
}

/// Decides by a token.
pub fn decide(settings: &Settings, token: &str, wish: &Wish<'_>) -> Decision {
    match settings.keys.claims(token) {
        Ok(claims) => by_claims(settings, &claims, wish).unwrap_or_else(Decision::Deny),
        Err(reason) => Decision::Deny(reason),
    }
}

fn by_claims(settings: &Settings, claims: &Claims<Custom>, wish: &Wish<'_>) -> Result<Decision, String> {
    let (now, leeway) = (i64::try_from(wish.now).unwrap_or(i64::MAX), i64::from(settings.leeway));
    let expires = claims.expiration.ok_or("the token has no `exp`: it has to say when it expires")?.timestamp();
    let left = expires.saturating_add(leeway).saturating_sub(now);
    if left <= 0 {
        return Err(format!("the token has expired {} s ago", now.saturating_sub(expires)));
    }
    if let Some(from) = claims.not_before.map(|from| from.timestamp())
        && now < from.saturating_sub(leeway)
    {
        return Err(format!("the token holds only in {} s", from - now));
    }
    let custom = &claims.custom;
    if settings.issuer.is_some() && custom.issuer != settings.issuer {
        return Err("the token is of another issuer".into());
    }
    if let Some(audience) = &settings.audience
        && !custom.audience.as_ref().is_some_and(|given| given.any(|given| given == audience))
    {
        return Err("the token is for another audience".into());
    }
    let allowed = match wish.action {
        "publish" => &custom.publish,
        "play" => &custom.play,
        other => return Err(format!("a token cannot allow to {other}")),
    };
    if !allowed.as_ref().is_some_and(|patterns| patterns.any(|pattern| matches(pattern, wish.broadcast))) {
        return Err(format!("the token does not allow to {} {}", wish.action, wish.broadcast));
    }
    let seconds = u32::try_from(left).unwrap_or(u32::MAX).min(settings.recheck);
    let name = custom.tenant.as_ref().map(|tenant| format!("{tenant}/{}", wish.broadcast));
    Ok(Decision::Allow { seconds, name })
}

#[cfg(test)]
mod tests {
    use jwt_compact::alg::{Ed25519, Es256, Hs256, Hs256Key};
    use jwt_compact::{Algorithm, AlgorithmExt, Header};
    use serde_json::{Value, json};

    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    const NOW: u64 = 1_800_000_000;

    fn sign<A: Algorithm>(algorithm: &A, key: &A::SigningKey, header: &Header, claims: &Value) -> String {
        let claims: Claims<Custom> = serde_json::from_value(claims.clone()).unwrap();
        algorithm.token(header, &claims, key).unwrap()
    }

    fn hs256(claims: &Value) -> String {
        sign(&Hs256, &Hs256Key::new(SECRET), &Header::empty(), claims)
    }

    fn with(settings: &Value, token: &str, action: &str, broadcast: &str) -> Decision {
        let settings = Settings::parse(&settings.to_string()).unwrap();
        decide(&settings, token, &Wish { action, broadcast, now: NOW })
    }

    fn secret() -> Value {
        json!({ "secret": SECRET })
    }

    fn reason(decision: Decision) -> String {
        match decision {
            Decision::Deny(reason) => reason,
            allowed => panic!("{allowed:?}"),
        }
    }

    #[test]
    fn a_token_allows_what_its_claims_name() {
        let token = hs256(&json!({ "exp": NOW + 60, "publish": "live/demo", "play": ["live/*", "vod/**"] }));
        let asked = |action, broadcast| with(&secret(), &token, action, broadcast);
        // The leeway counts.
        let allowed = Decision::Allow { seconds: 70, name: None };
        assert_eq!(asked("publish", "live/demo"), allowed);
        assert_eq!(asked("play", "live/other"), allowed);
        assert_eq!(asked("play", "vod/a/b"), allowed);
        assert_eq!(reason(asked("publish", "live/other")), "the token does not allow to publish live/other");
        assert_eq!(reason(asked("play", "secret/x")), "the token does not allow to play secret/x");
        assert!(reason(asked("record", "live/demo")).contains("cannot allow to record"));
    }

    #[test]
    fn a_long_token_is_looked_at_again_in_time() {
        let token = hs256(&json!({ "exp": NOW + 1_000_000, "play": "**", "tenant": "acme" }));
        let expected = Decision::Allow { seconds: 300, name: Some("acme/live".into()) };
        assert_eq!(with(&secret(), &token, "play", "live"), expected);
    }

    #[test]
    fn times_count() {
        let play = |claims: Value| with(&secret(), &hs256(&claims), "play", "live");
        assert_eq!(reason(play(json!({ "exp": NOW - 60, "play": "**" }))), "the token has expired 60 s ago");
        assert!(reason(play(json!({ "play": "**" }))).contains("no `exp`"));
        assert_eq!(
            reason(play(json!({ "exp": NOW + 60, "nbf": NOW + 30, "play": "**" }))),
            "the token holds only in 30 s"
        );
        assert!(matches!(play(json!({ "exp": NOW - 5, "play": "**" })), Decision::Allow { seconds: 5, .. }));
    }

    #[test]
    fn issuer_and_audience_count_where_they_are_set() {
        let settings = json!({ "secret": SECRET, "issuer": "https://id.example", "audience": "millrace" });
        let play = |extra: Value| {
            let mut claims = json!({ "exp": NOW + 60, "play": "**" });
            claims.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            with(&settings, &hs256(&claims), "play", "live")
        };
        assert!(reason(play(json!({}))).contains("another issuer"));
        assert!(reason(play(json!({ "iss": "https://id.example", "aud": "other" }))).contains("another audience"));
        let good = play(json!({ "iss": "https://id.example", "aud": ["other", "millrace"] }));
        assert!(matches!(good, Decision::Allow { .. }));
    }

    #[test]
    fn what_is_signed_otherwise_is_refused() {
        let claims = json!({ "exp": NOW + 60, "play": "**" });
        let other = sign(&Hs256, &Hs256Key::new([7; 32]), &Header::empty(), &claims);
        assert!(reason(with(&secret(), &other, "play", "live")).contains("signature is wrong"));
        let mut forged = hs256(&claims);
        forged.truncate(forged.rfind('.').unwrap() + 1);
        assert!(reason(with(&secret(), &forged, "play", "live")).contains("token"));
        // {"alg":"none"}
        let none = format!("eyJhbGciOiJub25lIn0.{}.", forged.split('.').nth(1).unwrap());
        assert_eq!(
            reason(with(&secret(), &none, "play", "live")),
            "the token's algorithm is none, and should be HS256"
        );
        for text in ["", "a", "a.b.c", "....", "ä.ö.ü"] {
            assert!(reason(with(&secret(), text, "play", "live")).contains("not a JSON Web Token"), "{text}");
        }
    }

    #[test]
    fn keys_of_all_types_are_taken() {
        let claims = json!({ "exp": NOW + 60, "play": "**" });
        let ec = p256::ecdsa::SigningKey::from_slice(&[3; 32]).unwrap();
        let ed = ed25519_dalek::SigningKey::from_bytes(&[5; 32]);
        let key = |jwk: jwt_compact::jwk::JsonWebKey<'_>, id: &str| {
            let mut value = serde_json::to_value(jwk).unwrap();
            value["kid"] = id.into();
            value
        };
        let (ec_public, ed_public) = (*ec.verifying_key(), ed.verifying_key());
        let keys = json!({ "keys": [key((&ec_public).into(), "ec"), key((&ed_public).into(), "ed")] });
        let named = |id: &str| Header::empty().with_key_id(id);
        let allowed = |token: &str| matches!(with(&keys, token, "play", "live"), Decision::Allow { .. });
        assert!(allowed(&sign(&Es256, &ec, &named("ec"), &claims)));
        assert!(allowed(&sign(&Ed25519, &ed, &Header::empty(), &claims)));
        assert!(!allowed(&sign(&Ed25519, &ed, &named("ec"), &claims)), "the key that it names is another");
        assert!(!allowed(&hs256(&claims)));
    }

    #[test]
    fn rsa_is_taken() {
        // Signed with a key of 2048 bits that was made for this test and thrown away.
        let settings =
            json!({ "keys": [serde_json::from_str::<Value>(include_str!("../tests/rsa.jwk.json")).unwrap()] });
        let token = include_str!("../tests/rsa.jwt").trim();
        assert!(matches!(with(&settings, token, "play", "live"), Decision::Allow { .. }));
        let other = token.replace(
            token.split('.').nth(1).unwrap(),
            hs256(&json!({ "exp": NOW, "play": "**" })).split('.').nth(1).unwrap(),
        );
        assert!(reason(with(&settings, &other, "play", "live")).contains("signature is wrong"));
    }
}
