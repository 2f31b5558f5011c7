//! The plugins: what they are and may reach, and messages to them.

use std::time::Duration;

use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use millrace_media::{BroadcastName, TrackName};
use millrace_plugin::{Addressees, Denial, Hook, NotSent, Plugin as Loaded, Reply};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::body::octets;
use super::refusal::{Guarded, Refusal};
use super::{Answer, Shared, answer};

/// How long an instance may take to answer a message, the time that the message waits for it included.
const ANSWER: Duration = Duration::from_secs(10);

#[derive(Serialize, ToSchema)]
pub(super) struct Plugins {
    /// In the order of the configuration.
    plugins: Vec<Plugin>,
}

/// A plugin that is loaded.
#[derive(Serialize, ToSchema)]
pub(super) struct Plugin {
    #[schema(example = "scoreboard")]
    name: String,
    /// The component's file; of one that comes with Millrace, `bundled/` and its name.
    #[schema(example = "/etc/millrace/scoreboard.wasm")]
    path: String,
    /// What it says it does, in one line.
    #[schema(example = "Writes the score into the stream")]
    summary: String,
    /// The hooks it has: `transcoder`, `filter`, `access`.
    #[schema(example = json!(["transcoder"]))]
    hooks: Vec<&'static str>,
    /// Whether it can be called at a time and for an answer of HTTP.
    wake: bool,
    /// Whether it takes messages.
    messages: bool,
    grants: Grants,
    /// What it has asked for without having the grant.
    denied: Vec<Denied>,
    limits: Limits,
}

/// What it may reach beyond its own media: `grants` of `[[plugin]]`.
#[derive(Serialize, ToSchema)]
pub(super) struct Grants {
    /// Hosts.
    http: Vec<Host>,
    timers: bool,
    clock: bool,
    random: bool,
    /// The size of its store. Bytes.
    #[schema(example = 1_048_576)]
    store: Option<u64>,
}

/// A host that it may send HTTP requests to.
#[derive(Serialize, ToSchema)]
pub(super) struct Host {
    #[schema(example = "api.example")]
    host: String,
    /// Whether it may be at an address that is not of the public Internet.
    private: bool,
}

/// Something it has asked for without having the grant.
#[derive(Serialize, ToSchema)]
pub(super) struct Denied {
    /// The grant: `http`, `timers`, `clock`, `random` or `store`.
    #[schema(example = "http")]
    grant: &'static str,
    /// Of `http`: the host.
    #[schema(example = "https://tracker.example")]
    host: Option<String>,
    /// How many times.
    count: u64,
}

/// What each of its instances may take: `limits` of `[[plugin]]`, in short.
#[derive(Serialize, ToSchema)]
pub(super) struct Limits {
    /// Processor time of one call. Milliseconds.
    call_ms: u64,
    /// Processor cores, over all its instances.
    cpu: f64,
    /// Bytes of memory.
    memory: u64,
}

/// The plugins that are loaded, what they may reach, and what they were denied
#[utoipa::path(
    get,
    path = "/plugins",
    tag = "plugins",
    security((), ("token" = [])),
    responses(
        (status = 200, description = "All of them", body = Plugins),
        Guarded,
    )
)]
pub(super) async fn list(State(shared): State<Shared>) -> Answer<Plugins> {
    answer(Plugins { plugins: shared.loaded.iter().map(|plugin| Plugin::new(plugin)).collect() })
}

/// The instances that a message is for: those that everything given is true of.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct To {
    /// The broadcast they are made for.
    #[param(example = "live/demo")]
    broadcast: Option<String>,
    /// The hook they are of: `transcoder`, `filter` or `access`.
    hook: Option<String>,
    /// The track they are made for.
    track: Option<String>,
}

/// What an instance answers: `reply`, or `error`.
#[derive(Serialize, ToSchema)]
pub(super) struct Answered {
    #[schema(example = "transcoder")]
    hook: &'static str,
    /// The broadcast it is made for; none for the whole server.
    #[schema(example = "live/demo")]
    broadcast: Option<String>,
    /// The track it is made for; none for the whole broadcast.
    #[schema(example = "video")]
    track: Option<String>,
    /// The rendition it is made for.
    rendition: Option<String>,
    /// What it has returned, in Base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "b2s=", nullable = false)]
    reply: Option<String>,
    /// Why there is no reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<String>,
}

/// Sends a message to instances of a plugin, and waits for their answers
///
/// The body is the message, of at most 64 KiB, in whatever form the plugin understands. An instance is given it between its other calls. It may
/// take 10 s until it has answered. At most 16 messages wait for an instance.
#[utoipa::path(
    post,
    path = "/plugins/{plugin}/messages",
    tag = "plugins",
    params(("plugin" = String, Path, description = "Its name"), To),
    request_body(content = Vec<u8>, description = "The message", content_type = "application/octet-stream"),
    security((), ("token" = [])),
    responses(
        (status = 200, description = "What each of them answers", body = Vec<Answered>),
        (status = 400, description = "A parameter is wrong", body = Refusal, content_type = "application/problem+json"),
        Guarded,
        (status = 404, description = "No such plugin, or no instance that the message is for", body = Refusal, content_type = "application/problem+json"),
        (status = 408, description = "The message did not come in time", body = Refusal, content_type = "application/problem+json"),
        (status = 409, description = "The plugin takes no messages", body = Refusal, content_type = "application/problem+json"),
        (status = 413, description = "The message is too long", body = Refusal, content_type = "application/problem+json"),
        (status = 429, description = "16 messages wait for each of the instances", body = Refusal, content_type = "application/problem+json"),
    )
)]
pub(super) async fn send(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    to: Result<Query<To>, axum::extract::rejection::QueryRejection>,
    request: Request,
) -> Result<Answer<Vec<Answered>>, Refusal> {
    let Query(to) = to.map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, error.body_text()))?;
    let to = to.addressees()?;
    let plugin = shared.loaded.iter().find(|plugin| plugin.name() == name);
    let plugin = plugin.ok_or_else(|| {
        let known = shared.loaded.iter().map(|plugin| plugin.name()).collect::<Vec<_>>().join(", ");
        Refusal::new(StatusCode::NOT_FOUND, format!("there is no plugin `{name}` (there are: {known})"))
    })?;
    let message = octets(request).await?;
    let replies = plugin.send(&to, message, ANSWER).await?;
    Ok(answer(replies.into_iter().map(Answered::from).collect()))
}

impl To {
    fn addressees(self) -> Result<Addressees, Refusal> {
        let wrong = |what: &str, given: &str, expected: &str| {
            Refusal::new(StatusCode::BAD_REQUEST, format!("`{what}` is {given:?}, expected {expected}"))
        };
        let hook = self
            .hook
            .as_deref()
            .map(|hook| Hook::of(hook).ok_or_else(|| wrong("hook", hook, "transcoder, filter or access")));
        let broadcast = self
            .broadcast
            .as_deref()
            .map(|name| BroadcastName::new(name).map_err(|_| wrong("broadcast", name, "the path of a broadcast")));
        let track = self
            .track
            .as_deref()
            .map(|name| TrackName::new(name).map_err(|_| wrong("track", name, "the name of a track")));
        Ok(Addressees { hook: hook.transpose()?, broadcast: broadcast.transpose()?, track: track.transpose()? })
    }
}

impl From<NotSent> for Refusal {
    fn from(error: NotSent) -> Self {
        let status = match error {
            NotSent::TooLong(_) => StatusCode::PAYLOAD_TOO_LARGE,
            NotSent::NoMessages => StatusCode::CONFLICT,
            NotSent::NoInstance => StatusCode::NOT_FOUND,
            NotSent::Full => StatusCode::TOO_MANY_REQUESTS,
        };
        Self::new(status, error.to_string())
    }
}

impl From<Reply> for Answered {
    fn from(reply: Reply) -> Self {
        let (answer, error) = match reply.reply {
            Ok(answer) => (Some(BASE64_STANDARD.encode(answer)), None),
            Err(error) => (None, Some(error)),
        };
        Self {
            hook: reply.hook.as_str(),
            broadcast: reply.broadcast.map(|name| name.to_string()),
            track: reply.track.map(|name| name.to_string()),
            rendition: reply.rendition.map(|name| name.to_string()),
            reply: answer,
            error,
        }
    }
}

impl Plugin {
    fn new(plugin: &Loaded) -> Self {
        let (hooks, grants, limits) = (plugin.hooks(), plugin.grants(), plugin.limits());
        let host = |host: &millrace_plugin::HostPattern| Host { host: host.to_string(), private: host.is_private() };
        Self {
            name: plugin.name().to_owned(),
            path: plugin.path().display().to_string(),
            summary: plugin.summary().to_owned(),
            hooks: hooks.hooks.iter().map(|hook| hook.as_str()).collect(),
            wake: hooks.wake,
            messages: hooks.messages,
            grants: Grants {
                http: grants.http.iter().map(host).collect(),
                timers: grants.timers,
                clock: grants.clock,
                random: grants.random,
                store: grants.store,
            },
            denied: plugin.denials().into_iter().map(Denied::from).collect(),
            limits: Limits {
                call_ms: u64::try_from(limits.call_time.as_millis()).unwrap_or(u64::MAX),
                cpu: limits.cpu,
                memory: limits.memory as u64,
            },
        }
    }
}

impl From<Denial> for Denied {
    fn from(denial: Denial) -> Self {
        let host = Some(denial.detail).filter(|detail| !detail.is_empty());
        Self { grant: denial.grant.as_str(), host, count: denial.count }
    }
}
