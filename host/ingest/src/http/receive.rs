//! What becomes of a request.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::BytesMut;
use futures::StreamExt;
use millrace_media::access::{Action, Admission, Client};

use super::manifest::{Mpd, Playlist};
use super::path::{Class, Target};
use super::refusal::Refusal;
use super::session::Claim;
use super::source::Peer;
use super::upload::Upload;
use super::{Ingest, PROTOCOL};

/// The address of a client whose connection is not known.
const UNKNOWN: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// `POST` and `PUT`.
pub(super) async fn send(State(ingest): State<Arc<Ingest>>, Path(path): Path<String>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    ingest.clone().see_through(async move { answer(&path, take(&ingest, &path, &parts, body).await) }).await
}

/// `DELETE`.
pub(super) async fn delete(State(ingest): State<Arc<Ingest>>, Path(path): Path<String>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    ingest.clone().see_through(async move { answer(&path, end(&ingest, &path, &parts).await) }).await
}

fn answer(path: &str, result: Result<(), Refusal>) -> Response {
    match result {
        Ok(()) => StatusCode::OK.into_response(),
        Err(refusal) => {
            let status = refusal.status();
            tracing::warn!(path, status = status.as_u16(), %refusal, "a publisher's request was refused");
            let label = status.as_u16().to_string();
            metrics::counter!("millrace_ingest_refusals_total", "protocol" => "http", "status" => label).increment(1);
            refusal.into_response()
        }
    }
}

fn target(ingest: &Ingest, path: &str, parts: &Parts) -> Result<Target, Refusal> {
    let grant = ingest.settings.access.grant(parts)?;
    let target = Target::parse(path)?;
    if !grant.allows(target.broadcast.as_str()) {
        return Err(Refusal::Grant { name: target.broadcast, grant });
    }
    Ok(target)
}

/// Where a request goes: to the broadcast that the authorizers allow, where there are any.
async fn admitted(ingest: &Ingest, path: &str, parts: &Parts) -> Result<(Target, Option<Admission>), Refusal> {
    let target = target(ingest, path, parts)?;
    let authorizers = &ingest.settings.authorizers;
    if authorizers.is_open() {
        return Ok((target, None));
    }
    let address = parts.extensions.get::<ConnectInfo<SocketAddr>>().map_or(UNKNOWN, |info| info.0.ip());
    let client = Arc::new(Client::of_request(PROTOCOL, address, &parts.uri, &parts.headers)?);
    let admission = authorizers.admit(&client, Action::Publish, &target.broadcast).await?;
    Ok((Target { broadcast: admission.allowed().clone(), ..target }, Some(admission)))
}

fn peer(parts: &Parts) -> Peer {
    let address = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
    let agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    Peer { address, agent: agent.map(str::to_owned) }
}

async fn take(ingest: &Arc<Ingest>, path: &str, parts: &Parts, body: Body) -> Result<(), Refusal> {
    let (target, admission) = admitted(ingest, path, parts).await?;
    if let Some(value) = parts.headers.get(header::CONTENT_TYPE) {
        let text = String::from_utf8_lossy(value.as_bytes());
        let media_type = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if !is_taken(&media_type) {
            return Err(Refusal::MediaType(media_type));
        }
    }
    let peer = peer(parts);
    match target.class {
        Class::Mpd | Class::Playlist => take_manifest(ingest, &target, &peer, body).await,
        Class::Point | Class::Piece | Class::Stream => {
            let claim = Claim { upload: ingest.upload_id(), target, peer };
            Upload::new(ingest.clone(), claim).run(body, admission).await
        }
    }
}

/// The media types that a request may name: what encoders call streams and manifests, and what programs say that do not know. A request
/// may also name none.
pub const MEDIA_TYPES: [&str; 11] = [
    "video/mp4",
    "audio/mp4",
    "application/mp4",
    "video/iso.segment",
    "application/octet-stream",
    "application/dash+xml",
    "application/xml",
    "text/xml",
    "application/vnd.apple.mpegurl",
    "application/x-mpegurl",
    "audio/mpegurl",
];

fn is_taken(media_type: &str) -> bool {
    media_type.is_empty() || MEDIA_TYPES.contains(&media_type)
}

async fn take_manifest(ingest: &Arc<Ingest>, target: &Target, peer: &Peer, body: Body) -> Result<(), Refusal> {
    let limit = ingest.settings.max_manifest;
    let mut stream = body.into_data_stream();
    let mut text = BytesMut::new();
    loop {
        let idle = ingest.settings.idle_timeout;
        let next = tokio::time::timeout(idle, stream.next()).await.map_err(|_| Refusal::Silent(idle))?;
        let Some(bytes) = next.transpose().map_err(Refusal::Body)? else { break };
        if text.len() + bytes.len() > limit {
            return Err(Refusal::ManifestTooLong(limit));
        }
        text.extend_from_slice(&bytes);
    }
    // An empty request asks whether there would be a way.
    if text.is_empty() {
        return Ok(());
    }
    let ends = if target.class == Class::Mpd {
        let mpd = Mpd::parse(&text)?;
        ingest.session(&target.broadcast).map(|session| (session.mpd(mpd, peer), session))
    } else {
        let playlist = Playlist::parse(&text)?;
        ingest.session(&target.broadcast).map(|session| (session.playlist(&playlist, target, peer), session))
    };
    match ends {
        Some((ends, session)) => {
            if ends? {
                ingest.finish(&session).await;
            }
            Ok(())
        }
        // It may well come before the headers.
        None => Ok(()),
    }
}

async fn end(ingest: &Arc<Ingest>, path: &str, parts: &Parts) -> Result<(), Refusal> {
    let (target, _) = admitted(ingest, path, parts).await?;
    if !matches!(target.class, Class::Point | Class::Mpd | Class::Playlist) {
        return Ok(());
    }
    match ingest.session(&target.broadcast) {
        Some(session) => {
            ingest.finish(&session).await;
            Ok(())
        }
        None => ingest.end_waiting(&target.broadcast),
    }
}
