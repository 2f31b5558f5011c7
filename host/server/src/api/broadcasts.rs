//! What is live.

use std::time::{Duration, SystemTime};

use axum::extract::State;
use millrace_media::track::{Format, Provenance, Role, Track as BusTrack};
use millrace_media::{Broadcast as BusBroadcast, broadcast};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Answer, Shared, answer};

#[derive(Serialize, ToSchema)]
pub(super) struct Broadcasts {
    broadcasts: Vec<Broadcast>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Broadcast {
    name: String,
    /// `live`, `waiting` for its publisher's return, or `ended`.
    state: &'static str,
    /// Path of its multivariant playlist.
    hls: String,
    /// RFC 3339.
    started_at: String,
    low_latency: bool,
    /// Sentences for the operator.
    notes: Vec<String>,
    tracks: Vec<Track>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Track {
    name: String,
    /// `video`, `audio`, `text`, `image` or `data`.
    kind: Option<&'static str>,
    /// RFC 6381.
    codec: Option<String>,
    width: Option<u32>,
    height: Option<u32>,
    /// Hz.
    sample_rate: Option<u32>,
    channels: Option<u16>,
    /// BCP 47.
    language: Option<String>,
    /// What it is for (ISO/IEC 23009-1, 5.8.5.5), for example `main` or `commentary`.
    role: Option<&'static str>,
    /// False of a track that is in no playlist and no catalog. It is served under its name all the same.
    listed: bool,
    /// The track of the source in whose place it is listed.
    replaces: Option<String>,
    /// Bits per second over the window.
    bitrate: Option<u64>,
    rendition: Option<String>,
    /// The transcoder factory; none of the publisher's own.
    made_by: Option<String>,
}

/// What is live, and what it is offered in
#[utoipa::path(
    get,
    path = "/broadcasts",
    tag = "broadcasts",
    responses((status = 200, description = "Every broadcast, by name", body = Broadcasts))
)]
pub(super) async fn list(State(shared): State<Shared>) -> Answer<Broadcasts> {
    let broadcasts = shared.bus.broadcasts().iter().map(|b| Broadcast::new(b, &shared)).collect();
    answer(Broadcasts { broadcasts })
}

impl Broadcast {
    fn new(broadcast: &BusBroadcast, shared: &Shared) -> Self {
        let name = broadcast.name();
        let mut notes = shared.hls.notes(name);
        let forced = broadcast.forced_cuts();
        if forced > 0 {
            notes.push(format!(
                "{forced} segments begin where decoding cannot: keyframes are further apart than `hls.max_segment`"
            ));
        }
        notes.extend(shared.ladders.runner().notes(broadcast));
        notes.extend(broadcast.tracks().iter().filter_map(shortened));
        Self {
            name: name.to_string(),
            state: match broadcast.state() {
                broadcast::State::Live => "live",
                broadcast::State::Waiting { .. } => "waiting",
                broadcast::State::Ended { .. } => "ended",
            },
            hls: format!("/hls/{name}/master.m3u8"),
            started_at: rfc3339(broadcast.started().unix),
            low_latency: shared.hls.low_latency(name),
            notes,
            tracks: broadcast.tracks().iter().filter(|track| !track.is_ended()).map(Track::new).collect(),
        }
    }
}

/// What is to be said of a track that has lost media before its time.
fn shortened(track: &BusTrack) -> Option<String> {
    let given_up = track.stats().given_up;
    (given_up > 0).then(|| {
        format!(
            "{} has given up {given_up} fragments early: all broadcasts together hold as much memory as `window.total` allows",
            track.name()
        )
    })
}

impl Track {
    fn new(track: &BusTrack) -> Self {
        let (info, listing) = (track.info(), track.listing());
        let format = info.as_ref().map(|info| info.format);
        let (made_by, rendition) = match track.provenance() {
            Provenance::Source => (None, None),
            Provenance::Derived { factory, rendition, .. } => {
                (Some(factory.to_string()), rendition.as_ref().map(ToString::to_string))
            }
        };
        let (sample_rate, channels) = match format {
            Some(Format::Audio { sample_rate, channels }) => (Some(sample_rate), Some(channels)),
            _ => (None, None),
        };
        let size = format.and_then(|format| format.size());
        Self {
            name: track.name().to_string(),
            kind: format.map(|format| format.kind().as_str()),
            codec: info.as_ref().map(|info| info.codec.clone()),
            width: size.map(|(width, _)| width),
            height: size.map(|(_, height)| height),
            sample_rate,
            channels,
            language: listing.language.clone().or_else(|| info.as_ref()?.language.clone()),
            role: listing.role.map(Role::as_str),
            listed: listing.listed,
            replaces: listing.replaces.as_ref().map(ToString::to_string),
            bitrate: bitrate(track),
            rendition,
            made_by,
        }
    }
}

/// Bits per second of what the window holds.
fn bitrate(track: &BusTrack) -> Option<u64> {
    let held = track.held();
    let seconds: f64 = held.iter().map(|fragment| fragment.duration.as_secs_f64()).sum();
    let bytes: u64 = held.iter().map(|fragment| fragment.size()).sum();
    (seconds > 0.0).then(|| (bytes as f64 * 8.0 / seconds) as u64)
}

fn rfc3339(unix: Duration) -> String {
    humantime::format_rfc3339_millis(SystemTime::UNIX_EPOCH + unix).to_string()
}
