//! From objects to media: what a track's objects hold, after the catalog's description of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use millrace_cmaf::{Chunk, Header, Item, Limits, ReadError, Reader, Track, TrackHeader, WriteError};
use millrace_media::track::Kind;
use millrace_media::{Media, Payload, Time};

use super::catalog;
use super::frames::{Frame, FrameError, Frames};
use crate::lane::Incoming;

/// Why a track cannot be read on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Damage {
    /// An object is not CMAF.
    #[error(transparent)]
    Cmaf(#[from] ReadError),
    /// An object is not a frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// No track of the header is in a codec that is taken.
    #[error("no track of the header is in a codec that is taken: {0}")]
    Unsupported(String),
}

/// A piece of media with the header that decodes it.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) header: Arc<TrackHeader>,
    pub(super) media: Coded,
}

/// Media on its publisher's timeline.
#[derive(Debug)]
pub(super) enum Coded {
    Chunk(Chunk),
    Frame(Frame),
}

impl Incoming for Coded {
    fn decode_time(&self) -> Time {
        match self {
            Self::Chunk(chunk) => chunk.decode_time(),
            Self::Frame(frame) => frame.decode_time(),
        }
    }

    fn presentation_time(&self) -> Time {
        match self {
            Self::Chunk(chunk) => chunk.presentation_time(),
            Self::Frame(frame) => frame.presentation_time(),
        }
    }

    fn duration(&self) -> Time {
        match self {
            Self::Chunk(chunk) => chunk.duration(),
            Self::Frame(frame) => frame.duration(),
        }
    }

    fn is_keyframe(&self) -> bool {
        match self {
            Self::Chunk(chunk) => chunk.marks().keyframe,
            Self::Frame(frame) => frame.is_keyframe(),
        }
    }

    fn lateness(&self) -> Time {
        match self {
            Self::Chunk(chunk) => chunk.lateness(),
            Self::Frame(frame) => frame.lateness(),
        }
    }

    fn place(self, offset: Time, lead: Time) -> Result<Media, WriteError> {
        match self {
            Self::Chunk(chunk) => Incoming::place(&chunk, offset, lead),
            Self::Frame(frame) => frame.place(offset, lead),
        }
    }
}

/// Reads the objects of one track.
#[derive(Debug)]
pub(super) enum Container {
    Cmaf(Box<Cmaf>),
    Frames(Box<Frames>),
}

impl Container {
    /// For a track as the catalog describes it. `header` is that of CMAF, where it is known.
    ///
    /// # Errors
    /// Where nothing in the header is taken.
    pub(super) fn new(described: &catalog::Described, header: Option<Header>, limits: Limits) -> Result<Self, Damage> {
        match &described.container {
            catalog::Container::Cmaf(_) => Ok(Self::Cmaf(Box::new(Cmaf::new(header, limits)?))),
            catalog::Container::Frames(framing, coding) => {
                Ok(Self::Frames(Box::new(Frames::new(*framing, coding.clone(), described.language.clone()))))
            }
        }
    }

    /// Takes an object, and gives what is whole.
    ///
    /// # Errors
    /// Where it is not what the catalog says.
    pub(super) fn push(&mut self, payload: Payload) -> Result<Vec<Piece>, Damage> {
        match self {
            Self::Cmaf(cmaf) => cmaf.push(&payload),
            Self::Frames(frames) => Ok(frames.push(&payload)?),
        }
    }

    /// True where a picture that another one needs begins what an object brought.
    pub(super) fn begins_in_the_middle(pieces: &[Piece]) -> bool {
        pieces.first().is_some_and(|piece| piece.header.info.kind() == Kind::Video && !piece.media.is_keyframe())
    }

    /// True where what has come last is not whole before more comes: how long a frame lasts is known with the next one.
    pub(super) fn keeps_back(&self) -> bool {
        matches!(self, Self::Frames(_))
    }

    /// Something is missing: gives what was kept back.
    pub(super) fn cut(&mut self) -> Option<Piece> {
        match self {
            Self::Cmaf(_) => None,
            Self::Frames(frames) => frames.cut(),
        }
    }
}

/// Objects of whole CMAF chunks.
#[derive(Debug)]
pub(super) struct Cmaf {
    reader: Reader,
    /// By `track_ID`.
    tracks: BTreeMap<u32, Arc<TrackHeader>>,
}

impl Cmaf {
    fn new(header: Option<Header>, limits: Limits) -> Result<Self, Damage> {
        let Some(header) = header else { return Ok(Self { reader: Reader::new(limits), tracks: BTreeMap::new() }) };
        let tracks = known(&header)?;
        Ok(Self { reader: Reader::with_header(limits, header), tracks })
    }

    fn push(&mut self, payload: &Payload) -> Result<Vec<Piece>, Damage> {
        payload.slices().iter().for_each(|slice| self.reader.push(slice.clone()));
        let mut pieces = Vec::new();
        while let Some(item) = self.reader.next()? {
            match item {
                Item::Header(header) => self.tracks = known(&header)?,
                Item::Chunk(chunk) => {
                    if let Some(header) = self.tracks.get(&chunk.track_id()).cloned() {
                        pieces.push(Piece { header, media: Coded::Chunk(chunk) });
                    }
                }
                Item::SegmentType(_) | Item::Skipped(_) => {}
            }
        }
        // An object ends where a chunk does.
        self.reader.finish()?;
        Ok(pieces)
    }
}

fn known(header: &Header) -> Result<BTreeMap<u32, Arc<TrackHeader>>, Damage> {
    let tracks: BTreeMap<_, _> = header.known().map(|track| (track.track_id, Arc::new(track.clone()))).collect();
    if tracks.is_empty() {
        let reason = |track: &Track| match track {
            Track::Unsupported { reason, .. } => Some(reason.clone()),
            Track::Known(_) => None,
        };
        return Err(Damage::Unsupported(header.tracks().iter().filter_map(reason).collect::<Vec<_>>().join("; ")));
    }
    Ok(tracks)
}
