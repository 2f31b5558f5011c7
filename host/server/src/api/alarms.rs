//! What plugins want an operator to look at.

use std::time::UNIX_EPOCH;

use axum::extract::State;
use millrace_plugin::RaisedAlarm;
use serde::Serialize;
use utoipa::ToSchema;

use super::refusal::Guarded;
use super::{Answer, Shared, answer};

#[derive(Serialize, ToSchema)]
pub(super) struct Alarms {
    alarms: Vec<Alarm>,
}

/// An alarm that a plugin has raised and not cleared.
#[derive(Serialize, ToSchema)]
pub(super) struct Alarm {
    /// The plugin.
    #[schema(example = "gop-stats")]
    plugin: String,
    /// The alarm's name.
    #[schema(example = "long_gop")]
    name: String,
    /// What the plugin says about it.
    #[schema(example = "a group of 7.2 s, where 4 s are allowed")]
    text: String,
    #[schema(example = "live/demo")]
    broadcast: Option<String>,
    /// The source's track.
    #[schema(example = "video")]
    track: Option<String>,
    rendition: Option<String>,
    /// Since when. Seconds since the Unix epoch.
    since: f64,
}

/// The alarms that plugins have raised
#[utoipa::path(
    get,
    path = "/alarms",
    tag = "plugins",
    security((), ("token" = [])),
    responses(
        (status = 200, description = "Every alarm that is raised now", body = Alarms),
        Guarded,
    )
)]
pub(super) async fn list(State(shared): State<Shared>) -> Answer<Alarms> {
    let alarms = shared.plugins.map(|plugins| plugins.alarms()).unwrap_or_default();
    answer(Alarms { alarms: alarms.into_iter().map(Alarm::from).collect() })
}

impl From<RaisedAlarm> for Alarm {
    fn from(raised: RaisedAlarm) -> Self {
        let since = raised.since.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            plugin: raised.plugin,
            name: raised.name,
            text: raised.text,
            broadcast: raised.broadcast.map(|name| name.to_string()),
            track: raised.track.map(|name| name.to_string()),
            rendition: raised.rendition.map(|name| name.to_string()),
            since: since.as_secs_f64(),
        }
    }
}
