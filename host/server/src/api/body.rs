//! What is sent: JSON, or bytes, of a bounded length. What JSON says is checked by the configuration's own code; here is only how it is described.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use utoipa::ToSchema;

use super::refusal::Refusal;

/// The longest body, bytes. A ladder of sixteen renditions with every key said has 5 kB.
pub(super) const MAX_BODY: usize = 64 << 10;
/// How long a body may take to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// The body of a request that says that it is JSON. A page of another origin cannot say so without asking first.
pub(super) struct Document(pub(super) Bytes);

/// A body of bytes, whatever they are.
pub(super) async fn octets(request: Request) -> Result<Bytes, Refusal> {
    match tokio::time::timeout(PATIENCE, Bytes::from_request(request, &())).await {
        Ok(bytes) => Ok(bytes?),
        Err(_) => Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time")),
    }
}

impl<S: Send + Sync> FromRequest<S> for Document {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        if !is_json(request.headers()) {
            let detail = "expected the header `Content-Type: application/json`, and JSON";
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        octets(request).await.map(Self)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

/// A ladder to add: the keys of a `[[ladder]]` of the configuration.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what is read key by key")]
pub(super) struct NewLadder {
    /// No two ladders have one. Letters, digits, '-', '_', '.', '~'.
    #[schema(example = "events", max_length = 64)]
    name: String,
    /// Patterns of broadcast names: `*` is anything between two slashes, `**` anything. Without it, every broadcast.
    #[schema(example = json!(["event/*"]))]
    broadcasts: Option<Vec<String>>,
    /// A rung that nobody has played for so long stops, until somebody does. 5s to 1h. Without it rungs never stop.
    #[schema(example = "30s")]
    idle_timeout: Option<String>,
    /// What is done, in this order, while the machine cannot carry the ladder. Without it, all three in this order.
    on_overload: Option<Vec<Step>>,
    /// From the top down.
    #[schema(max_items = 16)]
    renditions: Vec<NewRendition>,
}

/// A step that makes an overloaded ladder cost less.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
#[expect(dead_code, reason = "as above")]
pub(super) enum Step {
    SkipNonReference,
    HalveFrameRate,
    DropRung,
}

/// A rendition to add: a preset, or the keys of a `[[ladder.renditions]]` of the configuration.
#[derive(ToSchema)]
#[serde(untagged)]
#[schema(example = json!({ "name": "540p", "width": 960, "height": 540, "video_bitrate": "1800k" }))]
#[expect(dead_code, reason = "as above")]
pub(super) enum NewRendition {
    Preset(Preset),
    Table(Box<RenditionTable>),
}

/// A rendition that is known by its name: `720p` (1280×720, 2500k video, 128k audio), `480p` (854×480, 1200k, 96k), `240p` (426×240,
/// 400k, 64k).
#[derive(ToSchema)]
#[expect(dead_code, reason = "as above")]
pub(super) enum Preset {
    #[schema(rename = "720p")]
    Hd,
    #[schema(rename = "480p")]
    Sd,
    #[schema(rename = "240p")]
    Low,
}

/// A rendition by its keys. Those that are left out are the preset's, where it has the name of one.
#[derive(ToSchema)]
#[expect(dead_code, reason = "as above")]
pub(super) struct RenditionTable {
    /// The name of its tracks, and of its address: `/hls/<broadcast>/<name>/`. Letters, digits, '-', '_', '.', '~'.
    #[schema(example = "540p", max_length = 64)]
    name: String,
    /// Pixels, even. Needed, but for the name of a preset.
    #[schema(minimum = 16, maximum = 8192, multiple_of = 2)]
    width: Option<u32>,
    /// Pixels, even. Needed, but for the name of a preset.
    #[schema(minimum = 16, maximum = 8192, multiple_of = 2)]
    height: Option<u32>,
    /// What the video encoder aims at, bits per second: 16k to 200M. This or `quality` is needed, but for the name of a preset.
    video_bitrate: Option<Rate>,
    /// What the video encoder holds in place of a bit rate: `visually-lossless`, `high`, `standard` or `low`.
    #[schema(example = "high")]
    quality: Option<String>,
    /// `source`, the source's own sound, or `opus`. Without it, `source`.
    #[schema(example = "source")]
    audio: Option<String>,
    /// What the audio encoder aims at, where there is one, bits per second: 6k to 510k. Without it, 128k.
    audio_bitrate: Option<Rate>,
    /// Of the video: `h264` or `av1`. Without it, `h264`.
    #[schema(example = "h264")]
    codec: Option<String>,
    /// The library that encodes the video: `auto`, or for AV1 `rav1e` or `svt-av1`. Without it, `auto`.
    #[schema(example = "auto")]
    encoder: Option<String>,
    /// Threads that the video encoder may use. Without it, 1.
    #[schema(minimum = 1, maximum = 16)]
    threads: Option<u16>,
    /// How much work the encoder puts into a picture: `archive`, `standard` or `draft`. Without it, `standard`.
    #[schema(example = "standard")]
    speed: Option<String>,
    /// Where rungs have to be given up, the lowest goes first. Without it, 0.
    #[schema(minimum = 0, maximum = 1000)]
    priority: Option<u32>,
}

/// Bits per second, as `"2500k"`, `"2.5M"` or 2500000.
#[derive(ToSchema)]
#[serde(untagged)]
#[schema(example = "1800k")]
#[expect(dead_code, reason = "as above")]
pub(super) enum Rate {
    Text(String),
    Number(u64),
}
