//! Which redirects are followed: those that stay within the grants.

use std::sync::Arc;

use bytes::Bytes;
use http::header;
use http_body_util::Full;
use tower_http::follow_redirect::policy::{Action, Attempt, Policy};
use url::Url;

use super::{HttpError, origin};
use crate::grants::Grants;

/// So many redirects one request follows.
const MAX_REDIRECTS: u32 = 5;
/// What another origin is told: nothing that could be a secret.
const FOR_OTHERS: [header::HeaderName; 4] =
    [header::ACCEPT, header::ACCEPT_LANGUAGE, header::CONTENT_TYPE, header::USER_AGENT];

/// The redirects of one request.
#[derive(Clone)]
pub(super) struct Redirects {
    grants: Arc<Grants>,
    followed: u32,
    /// The request has left the origin it was made to.
    left: bool,
}

impl Redirects {
    pub(super) fn new(grants: Arc<Grants>) -> Self {
        Self { grants, followed: 0, left: false }
    }
}

impl Policy<Full<Bytes>, HttpError> for Redirects {
    fn redirect(&mut self, attempt: &Attempt<'_>) -> Result<Action, HttpError> {
        self.followed += 1;
        if self.followed > MAX_REDIRECTS {
            return Err(HttpError::Failed(format!("it is redirected more than {MAX_REDIRECTS} times")));
        }
        let parse = |uri: &http::Uri| {
            Url::parse(&uri.to_string())
                .map_err(|error| HttpError::Failed(format!("it is redirected to no URL: {error}")))
        };
        let to = parse(attempt.location())?;
        let from = parse(attempt.previous())?;
        if !to.username().is_empty() || to.password().is_some() || !self.grants.has_url(&to) {
            return Err(HttpError::NotGranted(origin(&to)));
        }
        self.left |= to.origin() != from.origin();
        Ok(Action::Follow)
    }

    fn on_request(&mut self, request: &mut http::Request<Full<Bytes>>) {
        if self.left {
            let headers = std::mem::take(request.headers_mut());
            for name in FOR_OTHERS {
                if let Some(value) = headers.get(&name) {
                    request.headers_mut().insert(name, value.clone());
                }
            }
        }
    }

    fn clone_body(&self, body: &Full<Bytes>) -> Option<Full<Bytes>> {
        Some(body.clone())
    }
}
