//! What each transcoder has done.

use std::time::Duration;

use axum::extract::State;
use millrace_transcode::Relief;
use millrace_transcode::factory::Policy;
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
    /// The source's track; none of a plugin that works on the whole broadcast.
    #[schema(example = "video")]
    track: Option<String>,
    /// Fragments of the source that it was given.
    fragments: u64,
    faults: Faults,
    /// Fragments of the source that it missed.
    skipped: u64,
    /// Fragments of the source that it was not given, because the plugin uses more than its share of the processor (`cpu` of its limits).
    over_share: u64,
    /// Fragments of the source that wait for it now, where it is late.
    waiting: u64,
    /// Starts that failed because `max_instances` of [plugin_host] are at work.
    no_room: u64,
    /// Fragments it has written.
    output_fragments: u64,
    /// Bytes it has written.
    output_bytes: u64,
    /// Its fragments that were refused, and frames its encoders lost: overtaken, late, failed or limited.
    dropped: u64,
    /// Pictures encoded.
    encoded: u64,
    left_out: LeftOut,
    /// What encoding a picture has taken, on average. Milliseconds.
    encode_ms: f64,
    /// What scaling a picture has taken, on average. Milliseconds.
    scale_ms: f64,
    /// From the arrival of the last fragment to its having been taken, or of the last frame written to its being written: whichever is
    /// longer. Milliseconds.
    lag_ms: f64,
    /// Pictures that wait for its encoders now, and those inside them.
    queue: u64,
    /// How its encoders stand: `running`, `idle` (nobody plays it), `relieved` (fewer pictures, for the machine cannot carry the ladder),
    /// `given-up` (none, until it can) or `failed`. Or `breaker-open`: it has faulted too often, and is not called any more.
    #[schema(example = "running")]
    state: &'static str,
    /// What is done without it, where its breaker is open: `bypass`, `drop` or `fail`.
    #[schema(example = json!(null))]
    breaker: Option<&'static str>,
    /// The steps of `on_overload` that are in force.
    #[schema(example = json!(["skip-non-reference"]))]
    reliefs: Vec<&'static str>,
}

/// Pictures that were not encoded, by why.
#[derive(Serialize, ToSchema)]
pub(super) struct LeftOut {
    /// The encoder was so slow that the picture was gone.
    overtaken: u64,
    /// The encoder was so far behind that it went on with the next group.
    late: u64,
    /// A plugin asked for it.
    asked: u64,
    /// The machine could not carry the ladder.
    relieved: u64,
    /// The encoder failed.
    failed: u64,
    /// The source asks for more decoding than `transcode.max_decode` allows.
    limited: u64,
}

/// How often it has failed, by what it was doing.
#[derive(Serialize, ToSchema)]
pub(super) struct Faults {
    pub(super) start: u64,
    pub(super) fragment: u64,
    pub(super) stop: u64,
    /// In calls for something else than media: a time it has asked for, an answer, a message.
    pub(super) call: u64,
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
            track: key.track.as_ref().map(ToString::to_string),
            fragments: stats.fragments,
            faults: Faults {
                start: stats.start_faults,
                fragment: stats.fragment_faults,
                stop: stats.stop_faults,
                call: stats.call_faults,
            },
            skipped: stats.skipped,
            over_share: stats.over_share,
            waiting: stats.waiting,
            no_room: stats.no_room,
            output_fragments: stats.output_fragments,
            output_bytes: stats.output_bytes,
            dropped: stats.dropped,
            encoded: stats.encoded,
            left_out: LeftOut {
                overtaken: stats.overtaken,
                late: stats.late,
                asked: stats.asked,
                relieved: stats.relieved,
                failed: stats.failed,
                limited: stats.limited,
            },
            encode_ms: milliseconds(stats.encode_time),
            scale_ms: milliseconds(stats.scale_time),
            lag_ms: milliseconds(stats.lag),
            queue: stats.queue,
            state: stats.state.as_str(),
            breaker: stats.breaker.map(Policy::as_str),
            reliefs: stats.state.reliefs().iter().map(Relief::as_str).collect(),
        }
    }
}

/// To the microsecond.
pub(super) fn milliseconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}
