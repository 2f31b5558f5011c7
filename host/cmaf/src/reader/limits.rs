//! What a reader takes before it refuses.

/// Bounds on what a stream may declare. They are checked before anything is kept or walked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest `moov`, in bytes. The headers of its tracks, each made of what concerns it, are together at most twice as long.
    pub max_moov: u64,
    /// The longest box that is kept, other than `moov` and `mdat`; and the longest head of a chunk. In bytes.
    pub max_box: u64,
    /// The longest `mdat`, in bytes; at most 16 less than `u32::MAX`.
    pub max_mdat: u32,
    /// The most samples in a fragment; at most 2^20.
    pub max_samples: usize,
    /// The most tracks in a header, and track fragments in a fragment.
    pub max_tracks: usize,
    /// The most `emsg` and `prft` boxes before a fragment.
    pub max_events: usize,
}

impl Default for Limits {
    /// A `moov` of 4 MiB, boxes of 1 MiB, an `mdat` of 64 MiB (ten seconds at 50 Mb/s), 16384 samples, 32 tracks, 64 events.
    fn default() -> Self {
        Self {
            max_moov: 4 << 20,
            max_box: 1 << 20,
            max_mdat: 64 << 20,
            max_samples: 16_384,
            max_tracks: 32,
            max_events: 64,
        }
    }
}

impl Limits {
    /// Lowered to where what is written anew fits the size fields of boxes.
    pub(super) fn writable(self) -> Self {
        Self {
            max_box: self.max_box.min(1 << 30),
            max_mdat: self.max_mdat.min(u32::MAX - 16),
            max_samples: self.max_samples.min(1 << 20),
            ..self
        }
    }
}
