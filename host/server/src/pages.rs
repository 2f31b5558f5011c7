//! The player's pages, which the binary carries.

use axum::Router;
use axum::http::{StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use rust_embed::RustEmbed;

/// What `make web` builds.
#[derive(RustEmbed)]
#[folder = "../../web/dist"]
#[allow_missing = true]
struct Pages;

/// Scripts and styles have their content's hash in their names.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
/// The page plays blobs that its own script makes, and asks nobody but this server.
const POLICY: &str = "default-src 'self'; media-src 'self' blob:; worker-src 'self' blob:; img-src 'self' data:; style-src 'self' 'unsafe-inline'";

pub(crate) fn router() -> Router {
    Router::new()
        .route("/", get(|| async { page("index.html") }))
        .fallback(get(|uri: Uri| async move { page(uri.path().trim_start_matches('/')) }))
}

fn page(name: &str) -> Response {
    let Some(file) = Pages::get(name) else {
        if name == "index.html" {
            let text = "<p>This build carries no player: <code>make web</code> before building adds it. Playlists are at <code>/hls/BROADCAST/master.m3u8</code>.";
            return Html(text).into_response();
        }
        return (StatusCode::NOT_FOUND, "there is nothing here\n").into_response();
    };
    let caching = if name.starts_with("assets/") { IMMUTABLE } else { "no-cache" };
    let headers = [
        (header::CONTENT_TYPE, file.metadata.mimetype().to_owned()),
        (header::CACHE_CONTROL, caching.to_owned()),
        (header::CONTENT_SECURITY_POLICY, POLICY.to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    (headers, file.data.into_owned()).into_response()
}
