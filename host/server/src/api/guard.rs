//! Keeps everybody but operators out of the guarded part of the API.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::refusal::Refusal;
use crate::access::{NotOperator, Operators};

/// Lets a request through that may use the API.
pub(super) async fn guard(State(operators): State<Operators>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match operators.check(&parts) {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(reason) => {
            let status = match reason {
                NotOperator::Token => StatusCode::UNAUTHORIZED,
                NotOperator::Foreign(_) => StatusCode::FORBIDDEN,
            };
            Refusal::new(status, reason.to_string()).into_response()
        }
    }
}
