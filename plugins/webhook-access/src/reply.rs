//! What the service answers.

use serde::Deserialize;

/// What becomes of the attempt.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    Allow,
    /// Under the name of another broadcast.
    AllowAs(String),
    /// With a reason for the client.
    Deny(String),
}

/// What the service has decided.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    pub decision: Decision,
    /// For so long.
    pub seconds: Option<u32>,
}

/// As it is written.
#[derive(Debug, Default, Deserialize)]
struct Given {
    allow: Option<bool>,
    reason: Option<String>,
    #[serde(rename = "as")]
    name: Option<String>,
    expires_in: Option<u32>,
}

/// Reads an answer. A status of 2xx allows, unless the body says `"allow": false`; 401 and 403 deny.
///
/// # Errors
/// Where nothing was decided, with what came instead.
pub fn decide(status: u16, body: &[u8]) -> Result<Reply, String> {
    let denies = matches!(status, 401 | 403);
    if !denies && !(200..300).contains(&status) {
        return Err(format!("it answers with the status {status}"));
    }
    let given = match serde_json::from_slice::<Given>(body) {
        Ok(given) => given,
        // The status says enough.
        Err(_) if denies || body.is_empty() => Given::default(),
        Err(error) => return Err(format!("its answer is not the JSON that was expected: {error}")),
    };
    let allowed = !denies && given.allow.unwrap_or(true);
    let decision = match given.name {
        _ if !allowed => Decision::Deny(given.reason.unwrap_or_else(|| "it is not allowed".into())),
        Some(name) => Decision::AllowAs(name),
        None => Decision::Allow,
    };
    Ok(Reply { decision, seconds: given.expires_in })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_and_body_decide() {
        let reply = |decision, seconds| Ok(Reply { decision, seconds });
        let deny = |reason: &str| Decision::Deny(reason.into());
        for (status, body, expected) in [
            (204, "", reply(Decision::Allow, None)),
            (200, "{}", reply(Decision::Allow, None)),
            (200, r#"{"allow":true,"expires_in":60}"#, reply(Decision::Allow, Some(60))),
            (200, r#"{"as":"tenant/live"}"#, reply(Decision::AllowAs("tenant/live".into()), None)),
            (200, r#"{"allow":false,"reason":"not paid","as":"x"}"#, reply(deny("not paid"), None)),
            (403, r#"{"allow":true,"reason":"no"}"#, reply(deny("no"), None)),
            (401, "<html>", reply(deny("it is not allowed"), None)),
        ] {
            assert_eq!(decide(status, body.as_bytes()), expected, "{status} {body}");
        }
        for (status, body) in
            [(500, "{}"), (302, ""), (404, ""), (200, "<html>"), (200, r#"{"allow":"yes"}"#), (200, "[")]
        {
            assert!(decide(status, body.as_bytes()).is_err(), "{status} {body}");
        }
    }
}
