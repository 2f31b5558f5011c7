//! What a publisher is told when it cannot go on: a status, after DASH-IF Live Media Ingest 1.2 (Interface 1), and a sentence.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use millrace_cmaf::ReadError;
use millrace_media::broadcast::TrackError;
use millrace_media::bus::PublishError;
use millrace_media::{BroadcastName, access};

use super::access::Denied;
use super::manifest::ManifestError;
use super::path::PathError;
use crate::Grant;
use crate::pieces::PieceError;

/// When a publisher is told to come back to a server that stops: a restart takes about as long.
const RESTART: Duration = Duration::from_secs(5);

/// Why a request was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("{0}")]
    Denied(#[from] Denied),
    #[error("{name} may not be published here: {grant}")]
    Grant { name: BroadcastName, grant: Grant },
    #[error("{0}")]
    Unauthorized(#[from] access::Denied),
    /// While the request was open.
    #[error("{0}")]
    Revoked(access::Denied),
    #[error("{0}")]
    Head(#[from] access::TooLong),
    #[error("{0}")]
    Path(#[from] PathError),
    #[error("nobody publishes {0}: there is nothing to end")]
    NotPublished(BroadcastName),
    #[error("{0} is being published, but not over HTTP: its publisher has to end it")]
    Elsewhere(BroadcastName),
    #[error("nothing came for {} s: send media, or end the request", .0.as_secs_f32())]
    Silent(Duration),
    #[error("{name} has a publisher: {why}; use another name, or try again once that one is silent for {} s", .idle.as_secs_f32())]
    Taken { name: BroadcastName, why: &'static str, idle: Duration },
    #[error("{0}")]
    Publish(#[from] PublishError),
    #[error("{0}")]
    Track(#[from] TrackError),
    #[error(
        "the media type {0:?} is not taken: send MP4 (video/mp4, audio/mp4), a DASH or an HLS manifest, or no Content-Type"
    )]
    MediaType(String),
    #[error("no track of this stream is in a codec that is taken: {0}")]
    Unsupported(String),
    #[error("{0}")]
    Read(#[from] ReadError),
    #[error("{0}")]
    Piece(#[from] PieceError),
    #[error("the manifest is longer than {0} bytes")]
    ManifestTooLong(usize),
    #[error("the manifest cannot be read: {0}")]
    Manifest(#[from] ManifestError),
    #[error(
        "the media time of track {track_id} goes from {last} to {given}: while other tracks of {name} are sent in requests of \
             their own, it may only go on; end them all and begin anew"
    )]
    TimeWentBack { name: BroadcastName, track_id: u32, last: millrace_media::Time, given: millrace_media::Time },
    #[error("the request's body broke off: {0}")]
    Body(#[source] axum::Error),
    #[error("{0} has been ended while this request was open: begin again with the header")]
    Over(BroadcastName),
    #[error("the server stops: send the stream again, from its header, once the server is back")]
    Stopping,
}

impl Refusal {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Denied(_) | Self::Grant { .. } | Self::Unauthorized(_) | Self::Revoked(_) | Self::Path(_) => {
                StatusCode::FORBIDDEN
            }
            Self::Head(_) => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::NotPublished(_) => StatusCode::NOT_FOUND,
            Self::Silent(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Taken { .. } | Self::Elsewhere(_) | Self::Over(_) => StatusCode::CONFLICT,
            Self::Publish(PublishError::TooMany(_)) | Self::Track(TrackError::TooMany(_)) | Self::Stopping => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Publish(_) | Self::Track(_) => StatusCode::CONFLICT,
            Self::MediaType(_) | Self::Unsupported(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Read(error) | Self::Piece(PieceError::Split(error)) => of_read_error(error),
            Self::ManifestTooLong(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Piece(PieceError::Join(_)) | Self::Manifest(_) | Self::TimeWentBack { .. } | Self::Body(_) => {
                StatusCode::BAD_REQUEST
            }
        }
    }

    /// True where the connection broke, or fell silent, rather than the publisher having been refused.
    pub(super) fn is_loss(&self) -> bool {
        matches!(self, Self::Body(_) | Self::Silent(_))
    }
}

fn of_read_error(error: &ReadError) -> StatusCode {
    match error {
        ReadError::NotMp4 { .. } | ReadError::Unsupported { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ReadError::BeforeInit { .. }
        | ReadError::MissingInit
        | ReadError::NotFragmented
        | ReadError::ZeroTimescale { .. }
        | ReadError::TrackTwice { .. } => StatusCode::PRECONDITION_FAILED,
        ReadError::TooLarge { .. } | ReadError::TooMany { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::BAD_REQUEST,
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status(), format!("{self}.\n")).into_response();
        let wait = match self {
            Self::Taken { idle, .. } => Some(idle),
            Self::Stopping => Some(RESTART),
            _ => None,
        };
        if let Some(wait) = wait {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        response
    }
}
