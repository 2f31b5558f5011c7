//! Which origins' pages may play (the Fetch standard, 3.3).
//!
//! A browser asks ahead of few requests, and those are answered by a layer. Every other answer has only two headers to say, whose values
//! are made once.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// How long a browser may remember that another origin is allowed.
const PREFLIGHT_AGE: Duration = Duration::from_secs(3_600);
/// What scripts may read besides what they always may.
const EXPOSED: HeaderValue = HeaderValue::from_static("content-length,content-range,date,age");

fn is_any(origins: &[String]) -> bool {
    origins.iter().any(|origin| origin == "*")
}

fn values(origins: &[String]) -> Vec<HeaderValue> {
    origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect()
}

/// Answers browsers that ask ahead.
pub(super) fn preflight(origins: &[String]) -> CorsLayer {
    let origin = if is_any(origins) { AllowOrigin::any() } else { AllowOrigin::list(values(origins)) };
    let headers: [HeaderName; 1] = [header::RANGE];
    CorsLayer::new()
        .allow_origin(origin)
        .allow_methods([Method::GET, Method::HEAD])
        .allow_headers(headers)
        .max_age(PREFLIGHT_AGE)
}

/// Lets answers be read.
pub(super) struct Cors {
    any: bool,
    origins: Vec<HeaderValue>,
}

impl Cors {
    pub(super) fn new(origins: &[String]) -> Self {
        Self { any: is_any(origins), origins: values(origins) }
    }

    /// Says in `answer` whether the page that sent `request` may read it.
    pub(super) fn allow(&self, request: &HeaderMap, answer: &mut HeaderMap) {
        let allowed = if self.any {
            Some(HeaderValue::from_static("*"))
        } else {
            // A cache must not give one origin the answer to another.
            answer.append(header::VARY, HeaderValue::from_static("origin"));
            request.get(header::ORIGIN).filter(|origin| self.origins.contains(origin)).cloned()
        };
        if let Some(allowed) = allowed {
            answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
            answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
    }
}
