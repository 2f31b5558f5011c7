//! `[window]`: how much of each track is kept.

use std::time::Duration;

use super::section::Section;
use super::unit::ByteSize;

/// How much of each track the bus keeps: the newest fragments, up to both bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// By time.
    pub duration: Duration,
    /// By the memory that a track holds.
    pub bytes: ByteSize,
    /// The memory that all tracks of all broadcasts may hold together. Half of the machine's where none is given.
    pub total: Option<ByteSize>,
}

impl Default for Window {
    fn default() -> Self {
        Self { duration: Duration::from_secs(60), bytes: ByteSize::mib(256), total: None }
    }
}

impl Window {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        let durations = Duration::from_secs(2)..=Duration::from_secs(24 * 3600);
        Self {
            duration: section.within("duration", default.duration, durations),
            bytes: section.within("bytes", default.bytes, ByteSize::mib(1)..=ByteSize::mib(64 * 1024)),
            total: section.optional_within("total", ByteSize::mib(16)..=ByteSize::mib(16 << 20)),
        }
    }
}
