//! Who plays a track, so that work nobody sees can stop.
//!
//! Readers that work on a track, transcoders and playlists, are no viewers: only who delivers it to people says that it is viewed.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::state::Track;

/// The count of those who hold a track, and the last time somebody asked for a piece of it.
#[derive(Debug, Default)]
pub(super) struct Viewers {
    holding: AtomicUsize,
    /// Milliseconds on the bus's monotonic clock, and one; zero where nobody ever has.
    seen: AtomicU64,
}

impl Viewers {
    pub(super) fn seen(&self, now: Duration) {
        let millis = u64::try_from(now.as_millis()).unwrap_or(u64::MAX - 1);
        self.seen.fetch_max(millis + 1, Ordering::Relaxed);
    }

    pub(super) fn any(&self, now: Duration, within: Duration) -> bool {
        if self.holding.load(Ordering::Relaxed) > 0 {
            return true;
        }
        let last = self.seen.load(Ordering::Relaxed);
        last > 0 && now.saturating_sub(Duration::from_millis(last - 1)) <= within
    }
}

/// Somebody who plays a track. When it is dropped, they have just stopped.
pub struct Viewer(Track);

impl Viewer {
    pub(super) fn new(track: Track) -> Self {
        track.0.viewers.holding.fetch_add(1, Ordering::Relaxed);
        Self(track)
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.0.viewed();
        self.0.0.viewers.holding.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Viewer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Viewer").field(self.0.name()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_track_is_viewed_for_a_while_after_it_was_last_asked_for() {
        let viewers = Viewers::default();
        let second = Duration::from_secs(1);
        assert!(!viewers.any(Duration::ZERO, second), "nobody ever has");
        viewers.seen(Duration::ZERO);
        assert!(viewers.any(second, second));
        assert!(!viewers.any(second * 2, second));
    }
}
