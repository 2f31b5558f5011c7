//! Why a request was not followed, as a problem document (RFC 9457).

use axum::Json;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use crate::config::{ChangeError, Fault, Problem};
use crate::ladders::NotChanged;

/// A problem document (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Refusal {
    /// What the status means.
    #[schema(example = "Bad Request")]
    title: &'static str,
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What is wrong, and what to do. All that is wrong, where it is several things.
    #[schema(example = "`width` is 853, expected an even number of pixels, 16 to 8192")]
    detail: String,
    /// What is wrong with the body, one by one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<FieldProblem>,
}

/// What is wrong with one field of a body.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FieldProblem {
    /// The field, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "width")]
    field: Option<String>,
    /// What it is, and what was expected.
    #[schema(example = "`width` is 853, expected an even number of pixels, 16 to 8192")]
    detail: String,
    /// What was probably meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "did you mean `width`?")]
    help: Option<String>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self { title, status: status.as_u16(), detail: detail.into(), problems: Vec::new() }
    }

    /// A task of the server's own did not end well.
    pub(super) fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "a request to the API failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the server failed: its log says more")
    }
}

impl From<Vec<Problem>> for Refusal {
    fn from(problems: Vec<Problem>) -> Self {
        let problems: Vec<_> = problems.into_iter().map(FieldProblem::from).collect();
        let sentence = |problem: &FieldProblem| match &problem.help {
            Some(help) => format!("{} ({help})", problem.detail),
            None => problem.detail.clone(),
        };
        let detail = problems.iter().map(sentence).collect::<Vec<_>>().join("; ");
        Self { problems, ..Self::new(StatusCode::BAD_REQUEST, detail) }
    }
}

impl From<Problem> for FieldProblem {
    fn from(Problem { fault, help, .. }: Problem) -> Self {
        let detail = fault.to_string();
        let field = match fault {
            Fault::UnknownKey { key, .. } | Fault::WrongType { key, .. } | Fault::Invalid { key, .. } => Some(key),
            Fault::Missing { keys, .. } if !keys.contains(' ') => Some(keys.trim_matches('`').to_owned()),
            _ => None,
        };
        Self { field, detail, help }
    }
}

impl From<NotChanged> for Refusal {
    fn from(error: NotChanged) -> Self {
        let status = match &error {
            NotChanged::Change(ChangeError::NoLadder(_) | ChangeError::NoRendition { .. }) => StatusCode::NOT_FOUND,
            NotChanged::Change(ChangeError::DuplicateLadder(_) | ChangeError::DuplicateRendition { .. }) => {
                StatusCode::CONFLICT
            }
            NotChanged::Change(ChangeError::TooManyLadders | ChangeError::TooManyRenditions(_)) => {
                StatusCode::BAD_REQUEST
            }
            NotChanged::Unwritten { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

impl From<BytesRejection> for Refusal {
    fn from(rejection: BytesRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// How the guard answers.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it describes answers")]
pub(super) enum Guarded {
    /// No token, or a wrong one
    #[response(status = 401, content_type = "application/problem+json")]
    NoToken(Refusal),
    /// Without a token this is for the server's own machine alone
    #[response(status = 403, content_type = "application/problem+json")]
    FromElsewhere(Refusal),
}

/// How a body that will not do is answered.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "as above")]
pub(super) enum BadBody {
    /// What is wrong with the body, field by field; or there is as much as there may be
    #[response(status = 400, content_type = "application/problem+json")]
    Wrong(Refusal),
    /// The body did not come in time
    #[response(status = 408, content_type = "application/problem+json")]
    Late(Refusal),
    /// The body is too long
    #[response(status = 413, content_type = "application/problem+json")]
    TooLong(Refusal),
    /// The body is not said to be JSON
    #[response(status = 415, content_type = "application/problem+json")]
    NotJson(Refusal),
}

/// How a change is answered that cannot be kept.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "as above")]
pub(super) enum Unwritten {
    /// The overlay cannot be written; nothing is changed
    #[response(status = 500, content_type = "application/problem+json")]
    Unwritten(Refusal),
}
