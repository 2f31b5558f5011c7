//! The player's pages, which the binary carries.

use std::sync::Arc;

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
/// The pages play blobs that their own scripts make, sound among them (an audio worklet is a script, Content Security Policy 3, 6.8.1),
/// and ask nobody but this server, whose ports for Media over QUIC [`policy`] adds.
const POLICY: &str = "default-src 'self'; script-src 'self' blob:; worker-src 'self' blob:; media-src 'self' blob:; \
                      img-src 'self' data:; style-src 'self' 'unsafe-inline'; connect-src 'self'";

/// The pages. `moq` are the ports at which this server speaks Media over QUIC.
pub(crate) fn router(moq: &[u16]) -> Router {
    let policy: Arc<str> = policy(moq).into();
    let index = policy.clone();
    Router::new()
        .route("/", get(|| async move { page("index.html", &index) }))
        .fallback(get(|uri: Uri| async move { page(uri.path().trim_start_matches('/'), &policy) }))
}

/// What a page may do. Media over QUIC is always `https:`, so that `'self'` does not name it on another port; the host is the page's
/// own, whatever that is called.
fn policy(moq: &[u16]) -> String {
    moq.iter().fold(POLICY.to_owned(), |policy, port| policy + &format!(" https://*:{port}"))
}

fn page(name: &str, policy: &str) -> Response {
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
        (header::CONTENT_SECURITY_POLICY, policy.to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    (headers, file.data.into_owned()).into_response()
}
