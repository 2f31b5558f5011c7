//! Why a stream is refused.

use crate::fourcc::FourCC;

/// Why a stream cannot be read on. A reader that gave one gives [`ReadError::Over`] from then on.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The first box is none that a file begins with.
    #[error("this is not MP4: it begins with {found:?} where a box such as ftyp, styp or moof is expected")]
    NotMp4 {
        /// What stands where its name should.
        found: FourCC,
    },
    /// Fragments came before a header, or media did.
    #[error("{kind} came before a header (ftyp and moov): send the header first")]
    BeforeInit {
        /// `moof` or `mdat`.
        kind: FourCC,
    },
    /// There is no `moov` in what should be a header.
    #[error("there is no moov")]
    MissingInit,
    /// The header is of a file that is not fragmented.
    #[error("moov has no mvex: the file is not fragmented (with ffmpeg, use -movflags +cmaf)")]
    NotFragmented,
    /// A box is longer than the limit.
    #[error("{kind} of {size} bytes is longer than the limit of {limit}")]
    TooLarge {
        /// The box.
        kind: FourCC,
        /// In bytes, as declared.
        size: u64,
        /// In bytes.
        limit: u64,
    },
    /// There is more of something than the limit.
    #[error("{count} {what} are more than the limit of {limit}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// As declared, or as far as was counted.
        count: u64,
        /// The most.
        limit: usize,
    },
    /// A box is to reach to the end of the file, which a stream does not have.
    #[error("{kind} has no size (0, to the end of the file); in a stream every box needs one")]
    SizeToEnd {
        /// The box.
        kind: FourCC,
    },
    /// A box is shorter than its own header.
    #[error("{kind} has a size of {size} bytes, less than its header takes")]
    SizeTooSmall {
        /// The box.
        kind: FourCC,
        /// In bytes, as declared.
        size: u64,
    },
    /// A box does not fit in the box around it.
    #[error("a box inside {inside} is longer than what is left of it")]
    Overrun {
        /// The box around it.
        inside: FourCC,
    },
    /// A box that is needed is not there.
    #[error("{inside} lacks {kind}")]
    Missing {
        /// What is not there.
        kind: FourCC,
        /// Where it should be.
        inside: FourCC,
    },
    /// A box does not decode.
    #[error("{kind} is broken: {source}")]
    Malformed {
        /// The box.
        kind: FourCC,
        /// What the decoder says.
        source: mp4_atom::Error,
    },
    /// A configuration record ends before what has to be in it.
    #[error("{kind} of {size} bytes is too short")]
    TooShort {
        /// The box.
        kind: FourCC,
        /// Of its body, in bytes.
        size: usize,
    },
    /// A track counts no ticks a second.
    #[error("track {track_id} has a timescale of 0")]
    ZeroTimescale {
        /// `track_ID`.
        track_id: u32,
    },
    /// Two tracks have one id.
    #[error("track {track_id} is described twice")]
    TrackTwice {
        /// `track_ID`.
        track_id: u32,
    },
    /// The only track asked for is in a codec that is not understood.
    #[error("{reason}")]
    Unsupported {
        /// The name of its sample entry.
        codec: FourCC,
        /// What is not supported, and what is.
        reason: String,
    },
    /// A fragment is of a track that the header does not describe.
    #[error("a fragment is of track {track_id}, which the header does not describe")]
    UnknownTrack {
        /// `track_ID`.
        track_id: u32,
    },
    /// A fragment does not say when it is decoded.
    #[error(
        "a fragment of track {track_id} has neither a tfdt nor a tfxd (Smooth Streaming): its decode time is needed"
    )]
    NoDecodeTime {
        /// `track_ID`.
        track_id: u32,
    },
    /// A fragment's time is beyond what can be counted with.
    #[error("a fragment of track {track_id} is decoded at {time}, beyond the limit of 2^62")]
    TimeTooLarge {
        /// `track_ID`.
        track_id: u32,
        /// In ticks.
        time: i128,
    },
    /// A fragment's samples are not in the `mdat` that follows it, or share bytes.
    #[error("the samples of track {track_id} do not lie one beside the other in the mdat that follows their moof")]
    OutsideMdat {
        /// `track_ID`.
        track_id: u32,
    },
    /// An `mdat` follows no `moof`, or a `moof` no `mdat`.
    #[error("{kind} where {expected} is expected: every moof is followed by one mdat")]
    OutOfOrder {
        /// What came.
        kind: FourCC,
        /// What should have.
        expected: FourCC,
    },
    /// The stream ends inside a box, or between a `moof` and its `mdat`.
    #[error("the stream ends inside {kind}, {missing} bytes before its end")]
    Cut {
        /// The box.
        kind: FourCC,
        /// In bytes, as far as is known.
        missing: u64,
    },
    /// What should be one chunk is something else.
    #[error(
        "{found} where {expected} is expected: a chunk is moof and mdat, with prft and emsg before them and nothing behind"
    )]
    NotAChunk {
        /// What stands there: a box, or how the bytes end.
        found: String,
        /// What should.
        expected: &'static str,
    },
    /// The stream was refused before.
    #[error("the stream was refused before")]
    Over,
}

/// A fragment that would have to be decoded before the timeline begins: `tfdt` is not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a fragment of track {track_id} would be decoded at {ticks} ticks of {timescale} a second, before the timeline begins"
)]
pub struct BeforeZero {
    /// `track_ID`.
    pub track_id: u32,
    /// Its decode time.
    pub ticks: i64,
    /// Ticks per second.
    pub timescale: u32,
}
