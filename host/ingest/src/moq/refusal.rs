//! Why something that is announced is not taken.

use millrace_media::access::Denied;
use millrace_media::broadcast::TrackError;
use millrace_media::bus::PublishError;
use millrace_media::name::NameError;
use moq_transport::message::RequestErrorCode;

use crate::pieces::PieceError;

/// Why a broadcast is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// It lies outside of what may be published.
    #[error("{name:?} may not be published here: {grant}")]
    Grant {
        /// As it was announced.
        name: String,
        /// What may.
        grant: super::Grant,
    },
    /// Whoever decides about it denies it.
    #[error("{0}")]
    Denied(#[from] Denied),
    /// It cannot be a broadcast's name.
    #[error("{0}")]
    Name(#[from] NameError),
    /// A namespace that is not text.
    #[error("a namespace of bytes that are not UTF-8")]
    NotText,
    /// The bus refuses it.
    #[error("{0}")]
    Publish(#[from] PublishError),
    /// The session publishes enough.
    #[error("the session publishes {0} broadcasts, and may not publish more")]
    TooMany(usize),
    /// The server stops.
    #[error("the server stops")]
    Stopping,
}

impl Refusal {
    /// What a publisher is told (draft-ietf-moq-transport-18, 15.10.2).
    pub(super) const fn code(&self) -> RequestErrorCode {
        match self {
            Self::Grant { .. } | Self::Denied(_) => RequestErrorCode::Unauthorized,
            Self::Name(_) | Self::NotText => RequestErrorCode::NotSupported,
            Self::Publish(PublishError::TooMany(_)) | Self::TooMany(_) => RequestErrorCode::ExcessiveLoad,
            Self::Publish(_) => RequestErrorCode::Uninterested,
            Self::Stopping => RequestErrorCode::GoingAway,
        }
    }
}

/// Why media of a track is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteRefusal {
    /// Somebody else publishes the broadcast by now, or it has been ended.
    #[error("{0}")]
    Over(#[from] PublishError),
    /// The broadcast has been ended here.
    #[error("the broadcast has been ended")]
    Ended,
    /// The track cannot be made.
    #[error("{0}")]
    Track(#[from] TrackError),
    /// It cannot be brought to size.
    #[error("{0}")]
    Piece(#[from] PieceError),
}

impl WriteRefusal {
    /// True where nothing of the broadcast is taken any more.
    pub(super) const fn is_of_the_broadcast(&self) -> bool {
        matches!(self, Self::Over(_) | Self::Ended)
    }
}
