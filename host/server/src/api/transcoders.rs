//! What each transcoder has done.

use axum::extract::State;
use millrace_transcode::stats::{Key, Stats};
use serde::Serialize;
use utoipa::ToSchema;

use super::refusal::Guarded;
use super::{Answer, Shared, answer};

#[derive(Serialize, ToSchema)]
pub(super) struct Transcoders {
    transcoders: Vec<Transcoder>,
}

/// One instance of a transcoder factory at work on one track.
#[derive(Serialize, ToSchema)]
pub(super) struct Transcoder {
    /// The plugin.
    #[schema(example = "ladder")]
    factory: String,
    /// The rendition it makes, where it makes one.
    #[schema(example = "480p")]
    rendition: Option<String>,
    #[schema(example = "live/demo")]
    broadcast: String,
    /// The source's track.
    #[schema(example = "video")]
    track: String,
    /// Fragments of the source that it was given.
    fragments: u64,
    faults: Faults,
    /// Fragments of the source that it missed.
    skipped: u64,
    /// Fragments it has written.
    output_fragments: u64,
    /// Bytes it has written.
    output_bytes: u64,
    /// Its fragments that were refused, and pictures its encoders had to leave out.
    dropped: u64,
}

/// How often it has failed, by what it was doing.
#[derive(Serialize, ToSchema)]
pub(super) struct Faults {
    start: u64,
    fragment: u64,
    stop: u64,
}

/// What each transcoder has done, and its faults
#[utoipa::path(
    get,
    path = "/transcoders",
    tag = "transcoders",
    security((), ("token" = [])),
    responses(
        (status = 200, description = "Every transcoder that runs", body = Transcoders),
        Guarded,
    )
)]
pub(super) async fn list(State(shared): State<Shared>) -> Answer<Transcoders> {
    let stats = shared.ladders.runner().stats().into_iter();
    answer(Transcoders { transcoders: stats.map(|(key, stats)| Transcoder::new(&key, &stats)).collect() })
}

impl Transcoder {
    pub(super) fn new(key: &Key, stats: &Stats) -> Self {
        Self {
            factory: key.factory.to_string(),
            rendition: key.rendition.as_ref().map(ToString::to_string),
            broadcast: key.broadcast.to_string(),
            track: key.track.to_string(),
            fragments: stats.fragments,
            faults: Faults { start: stats.start_faults, fragment: stats.fragment_faults, stop: stats.stop_faults },
            skipped: stats.skipped,
            output_fragments: stats.output_fragments,
            output_bytes: stats.output_bytes,
            dropped: stats.dropped,
        }
    }
}
