//! Media over QUIC: where it is spoken, and how it stands with relays.

use std::time::SystemTime;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use millrace_moq::negotiate::Protocol;
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use super::refusal::{Guarded, Refusal};
use super::{Answer, Shared, answer};
use crate::access::{Caller, addressed};
use crate::moq::RelayState;

/// Where Media over QUIC is spoken: a page connects to `https://HOST:port` and `path` behind it, by WebTransport, with the host that it
/// came from itself.
#[derive(Serialize, ToSchema)]
pub(super) struct Moq {
    /// UDP.
    #[schema(example = 8080)]
    port: u16,
    #[schema(example = "/")]
    path: &'static str,
    /// SHA-256 of the certificate, in hexadecimal, for `serverCertificateHashes`; none where it is trusted by whoever vouches for it. It
    /// changes from time to time.
    #[schema(example = "0f343b0931126a20f133d67c2b018a3b0f343b0931126a20f133d67c2b018a3b")]
    certificate_sha256: Option<String>,
    /// What is spoken, the preferred first.
    #[schema(example = json!(["moq-lite-05", "moqt-18"]))]
    protocols: Vec<&'static str>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Relays {
    relays: Vec<Relay>,
}

/// A relay that broadcasts are announced to.
#[derive(Serialize, ToSchema)]
pub(super) struct Relay {
    /// Without its query, which may be a secret.
    #[schema(example = "https://relay.example/live")]
    url: String,
    /// Whether there is a session with it.
    connected: bool,
    /// What is spoken in it.
    #[schema(example = "moq-lite-05")]
    protocol: Option<&'static str>,
    /// Since when that is so, RFC 3339.
    since: String,
    /// Sessions since the server started.
    sessions: u64,
    /// Why the last session, or the last attempt, ended.
    error: Option<String>,
}

/// How the question is answered where there is nothing to connect to.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it describes answers")]
pub(super) enum NotSpoken {
    /// Media over QUIC is not spoken here
    #[response(status = 404, content_type = "application/problem+json")]
    NotSpoken(Refusal),
}

/// Where Media over QUIC is spoken
#[utoipa::path(
    get,
    path = "/moq",
    tag = "moq",
    responses((status = 200, description = "What a client needs to connect", body = Moq), NotSpoken)
)]
pub(super) async fn show(State(shared): State<Shared>, uri: Uri, headers: HeaderMap) -> Result<Answer<Moq>, Refusal> {
    let caller = Caller::of(&uri, &headers);
    let asked = caller.hosts.first().and_then(|host| addressed(host)?.1);
    let spoken = shared.moq.as_ref().and_then(|status| Some((status.port_for(asked)?, status)));
    let Some((port, status)) = spoken else {
        let detail = "Media over QUIC is not spoken here: `enabled` of [moq] is false";
        return Err(Refusal::new(StatusCode::NOT_FOUND, detail));
    };
    let protocols = Protocol::served().map(Protocol::name).collect();
    Ok(answer(Moq { port, path: "/", certificate_sha256: status.certificate(), protocols }))
}

/// How it stands with relays
#[utoipa::path(
    get,
    path = "/moq/relays",
    tag = "moq",
    security((), ("token" = [])),
    responses(
        (status = 200, description = "Every relay of the configuration", body = Relays),
        Guarded,
    )
)]
pub(super) async fn relays(State(shared): State<Shared>) -> Answer<Relays> {
    let relays = shared.moq.iter().flat_map(|status| &status.relays).map(|state| Relay::new(state)).collect();
    answer(Relays { relays })
}

impl Relay {
    fn new(state: &RelayState) -> Self {
        let now = state.now();
        Self {
            url: state.url.clone(),
            connected: now.protocol.is_some(),
            protocol: now.protocol,
            since: rfc3339(now.since),
            sessions: now.sessions,
            error: now.error,
        }
    }
}

fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}
