//! Answers: status, headers and body.

use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{Response, StatusCode};
use bytes::Bytes;
use metrics::Counter;
use millrace_media::Fragment;
use millrace_media::track::Kind;

use super::body::{FragmentsBody, length};
use super::feed::Vain;

/// What is asked for, as the metrics call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Master,
    Playlist,
    Init,
    Segment,
    Part,
    Unknown,
}

impl What {
    pub(super) const ALL: [Self; 6] =
        [Self::Master, Self::Playlist, Self::Init, Self::Segment, Self::Part, Self::Unknown];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::Playlist => "playlist",
            Self::Init => "init",
            Self::Segment => "segment",
            Self::Part => "part",
            Self::Unknown => "unknown",
        }
    }
}

/// A request that is not answered with what it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There is no such thing, or no longer.
    NotFound(String),
    /// It has been taken away, while the rest goes on.
    Gone(String),
    /// It contradicts the protocol.
    BadRequest(String),
    /// The viewer may not play.
    Forbidden(String),
    /// The request's head is longer than is looked at.
    HeadTooLarge(String),
    /// Not now.
    Unavailable(String),
}

impl From<Vain> for Refusal {
    fn from(vain: Vain) -> Self {
        match vain {
            Vain::Late => Self::Unavailable("nothing has come for three target durations".into()),
            Vain::Gone => Self::NotFound("the track has ended".into()),
        }
    }
}

impl Refusal {
    /// Nothing here is called so.
    pub(super) fn no_file(path: &str) -> Self {
        Self::NotFound(format!("there is no file of HLS called {path:?}"))
    }

    pub(super) fn answer(self) -> Response<Body> {
        let (status, cache, text) = match self {
            // What is not there yet may be there in a moment.
            Self::NotFound(text) => (StatusCode::NOT_FOUND, "max-age=1", text),
            Self::Gone(text) => (StatusCode::GONE, "max-age=1", text),
            Self::BadRequest(text) => (StatusCode::BAD_REQUEST, "no-store", text),
            Self::Forbidden(text) => (StatusCode::FORBIDDEN, "no-store", text),
            Self::HeadTooLarge(text) => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "no-store", text),
            Self::Unavailable(text) => (StatusCode::SERVICE_UNAVAILABLE, "no-store", text),
        };
        let mut answer = Response::new(Body::from(text + "\n"));
        *answer.status_mut() = status;
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        answer
    }
}

/// True where the client takes gzip (RFC 9110, 12.5.3).
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| {
        let (coding, weight) = item.split_once(';').unwrap_or((item, ""));
        let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok());
        matches!(coding.trim(), "gzip" | "*") && weight.unwrap_or(1.0) > 0.0
    })
}

fn seconds(max_age: u32) -> HeaderValue {
    HeaderValue::try_from(format!("max-age={max_age}")).expect("digits are allowed in headers")
}

/// Sends a player to another address, for this time.
pub(super) fn redirect(location: &str) -> Option<Response<Body>> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    answer.headers_mut().insert(header::LOCATION, HeaderValue::try_from(location).ok()?);
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Some(answer)
}

/// Says that a cache may keep the answer for one viewer alone, as long as it was allowed to.
pub(super) fn make_private(headers: &mut HeaderMap) {
    let Some(value) = headers.get(header::CACHE_CONTROL).and_then(|value| value.to_str().ok()) else { return };
    if value.starts_with("max-age")
        && let Ok(value) = HeaderValue::try_from(format!("private, {value}"))
    {
        headers.insert(header::CACHE_CONTROL, value);
    }
}

/// A playlist that may be cached for `max_age` seconds.
pub(super) fn playlist(text: Bytes, is_gzip: bool, max_age: u32, served: &Counter) -> Response<Body> {
    served.increment(text.len() as u64);
    let mut answer = Response::new(Body::from(text));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/vnd.apple.mpegurl"));
    headers.insert(header::CACHE_CONTROL, seconds(max_age));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if is_gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    answer
}

/// What a file is, and how long it may be cached, in seconds.
pub(super) struct File<'a> {
    pub(super) kind: Kind,
    pub(super) max_age: u32,
    /// Counts the bytes sent.
    pub(super) served: &'a Counter,
}

/// A file of some bytes, or the range of it that is asked for.
pub(super) fn bytes(file: &File<'_>, bytes: Bytes, request: &HeaderMap) -> Response<Body> {
    ranged(file, bytes.len() as u64, request, |range| {
        let slice = bytes.slice(range.start as usize..range.end as usize);
        file.served.increment(slice.len() as u64);
        Body::from(slice)
    })
}

/// A file of stored fragments, or the range of it that is asked for.
pub(super) fn fragments(file: &File<'_>, runs: Vec<Arc<[Fragment]>>, request: &HeaderMap) -> Response<Body> {
    let served = file.served.clone();
    ranged(file, length(&runs), request, |range| Body::new(FragmentsBody::new(runs, range, served)))
}

fn ranged(file: &File<'_>, length: u64, request: &HeaderMap, body: impl FnOnce(Range<u64>) -> Body) -> Response<Body> {
    let asked =
        request.get(header::RANGE).and_then(|range| range.to_str().ok()).and_then(|range| parse_range(range, length));
    let (status, range, content_range) = match asked {
        None => (StatusCode::OK, 0..length, None),
        Some(Ok(range)) => {
            let content_range = format!("bytes {}-{}/{length}", range.start, range.end - 1);
            (StatusCode::PARTIAL_CONTENT, range, Some(content_range))
        }
        Some(Err(Unsatisfiable)) => (StatusCode::RANGE_NOT_SATISFIABLE, 0..0, Some(format!("bytes */{length}"))),
    };
    let sent = range.end - range.start;
    let body = if sent == 0 { Body::empty() } else { body(range) };
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    // Text is neither of the two (RFC 4337, 2).
    let content_type = match file.kind {
        Kind::Audio => "audio/mp4",
        Kind::Text => "application/mp4",
        Kind::Video | Kind::Image | Kind::Data => "video/mp4",
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(sent));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CACHE_CONTROL, immutable(file.max_age));
    if let Some(content_range) = content_range.and_then(|range| HeaderValue::try_from(range).ok()) {
        headers.insert(header::CONTENT_RANGE, content_range);
    }
    answer
}

fn immutable(max_age: u32) -> HeaderValue {
    HeaderValue::try_from(format!("max-age={max_age}, immutable")).expect("digits are allowed in headers")
}

/// A range that lies outside.
#[derive(Debug, PartialEq, Eq)]
struct Unsatisfiable;

/// Reads a single range of bytes (RFC 9110, 14.1.2). What is not one is as if it was not there, several ranges included: a server may
/// ignore them.
fn parse_range(range: &str, length: u64) -> Option<Result<Range<u64>, Unsatisfiable>> {
    let (first, last) = range.strip_prefix("bytes=")?.trim().split_once('-')?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if digits { Some(text.parse().unwrap_or(u64::MAX)) } else { None }
    };
    let range = match (first, last) {
        ("", last) => length.saturating_sub(number(last)?)..length,
        (first, "") => number(first)?..length,
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            first..last.saturating_add(1).min(length)
        }
    };
    Some(if range.start < range.end { Ok(range) } else { Err(Unsatisfiable) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_ranges_are_read() {
        let read = |range| parse_range(range, 100);
        assert_eq!(read("bytes=0-0"), Some(Ok(0..1)));
        assert_eq!(read("bytes=10-"), Some(Ok(10..100)));
        assert_eq!(read("bytes=90-999999999999999999999999"), Some(Ok(90..100)));
        assert_eq!(read("bytes=-30"), Some(Ok(70..100)));
        assert_eq!(read("bytes=-300"), Some(Ok(0..100)));
        assert_eq!(read("bytes=100-"), Some(Err(Unsatisfiable)));
        assert_eq!(read("bytes=-0"), Some(Err(Unsatisfiable)));
        for ignored in ["bytes=5-4", "bytes=1-2,4-5", "bytes=a-b", "items=0-1", "bytes=-", "bytes=+1-2"] {
            assert_eq!(read(ignored), None, "{ignored}");
        }
    }

    #[test]
    fn gzip_is_taken_where_it_is_offered() {
        let takes = |value: &'static str| {
            takes_gzip(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(value))]))
        };
        assert!(takes("gzip") && takes("br, gzip;q=0.5") && takes("*"));
        assert!(!takes("gzip;q=0") && !takes("br") && !takes("identity"));
    }
}
