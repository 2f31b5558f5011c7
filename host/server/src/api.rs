//! What is live, as JSON.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use millrace_deliver::hls::Hls;
use millrace_media::track::{Format, Provenance, Track as BusTrack};
use millrace_media::{Broadcast as BusBroadcast, Bus, broadcast};
use millrace_transcode::Runner;
use serde::Serialize;

/// What the handlers share.
#[derive(Clone)]
struct Shared {
    bus: Bus,
    hls: Arc<Hls>,
    runner: Arc<Runner>,
}

/// `GET /broadcasts` and `GET /transcoders`.
pub(crate) fn router(bus: Bus, hls: Arc<Hls>, runner: Arc<Runner>) -> Router {
    Router::new().route("/broadcasts", get(broadcasts)).route("/transcoders", get(transcoders)).with_state(Shared {
        bus,
        hls,
        runner,
    })
}

#[derive(Serialize)]
struct Broadcasts {
    broadcasts: Vec<Broadcast>,
}

#[derive(Serialize)]
struct Broadcast {
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

#[derive(Serialize)]
struct Track {
    name: String,
    /// `video`, `audio` or `data`.
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
    /// Bits per second over the window.
    bitrate: Option<u64>,
    rendition: Option<String>,
    /// The transcoder factory; none of the publisher's own.
    made_by: Option<String>,
}

async fn broadcasts(State(shared): State<Shared>) -> impl IntoResponse {
    let broadcasts = shared.bus.broadcasts().iter().map(|b| Broadcast::new(b, &shared.hls)).collect();
    ([(header::CACHE_CONTROL, "no-store")], Json(Broadcasts { broadcasts }))
}

impl Broadcast {
    fn new(broadcast: &BusBroadcast, hls: &Hls) -> Self {
        let name = broadcast.name();
        let mut notes = hls.notes(name);
        let forced = broadcast.forced_cuts();
        if forced > 0 {
            notes.push(format!(
                "{forced} segments begin where decoding cannot: keyframes are further apart than `hls.max_segment`"
            ));
        }
        Self {
            name: name.to_string(),
            state: match broadcast.state() {
                broadcast::State::Live => "live",
                broadcast::State::Waiting { .. } => "waiting",
                broadcast::State::Ended { .. } => "ended",
            },
            hls: format!("/hls/{name}/master.m3u8"),
            started_at: rfc3339(broadcast.started().unix),
            low_latency: hls.low_latency(name),
            notes,
            tracks: broadcast.tracks().iter().filter(|track| !track.is_ended()).map(Track::new).collect(),
        }
    }
}

impl Track {
    fn new(track: &BusTrack) -> Self {
        let info = track.info();
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
            language: info.as_ref().and_then(|info| info.language.clone()),
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

#[derive(Serialize)]
struct Transcoders {
    transcoders: Vec<Transcoder>,
}

#[derive(Serialize)]
struct Transcoder {
    factory: String,
    rendition: Option<String>,
    broadcast: String,
    track: String,
    fragments: u64,
    faults: Faults,
    skipped: u64,
    output_fragments: u64,
    output_bytes: u64,
    dropped: u64,
}

#[derive(Serialize)]
struct Faults {
    start: u64,
    fragment: u64,
    stop: u64,
}

async fn transcoders(State(shared): State<Shared>) -> impl IntoResponse {
    let stats = shared.runner.stats().into_iter();
    let transcoders = stats
        .map(|(key, stats)| Transcoder {
            factory: key.factory.to_string(),
            rendition: key.rendition.map(|rendition| rendition.to_string()),
            broadcast: key.broadcast.to_string(),
            track: key.track.to_string(),
            fragments: stats.fragments,
            faults: Faults { start: stats.start_faults, fragment: stats.fragment_faults, stop: stats.stop_faults },
            skipped: stats.skipped,
            output_fragments: stats.output_fragments,
            output_bytes: stats.output_bytes,
            dropped: stats.dropped,
        })
        .collect();
    ([(header::CACHE_CONTROL, "no-store")], Json(Transcoders { transcoders }))
}
