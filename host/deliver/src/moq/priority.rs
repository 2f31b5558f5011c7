//! What goes first where there is not room for everything: catalogs, then sound, then pictures. Among the groups of one track, newer
//! ones go before older ones, which is the transport's affair.

use hang::catalog::PRIORITY;
use millrace_media::track::Kind;

/// Of catalogs, higher first.
pub(super) const CATALOG: u8 = PRIORITY.catalog;

/// Of a track, higher first.
pub(super) const fn of(kind: Kind) -> u8 {
    match kind {
        Kind::Video => PRIORITY.video,
        Kind::Audio | Kind::Text | Kind::Image | Kind::Data => PRIORITY.audio,
    }
}

/// The same as a publisher priority of MoQ Transport, where the lower number goes first (draft-ietf-moq-transport-18, 7).
pub(super) const fn lower_first(priority: u8) -> u8 {
    u8::MAX - priority
}
