//! CMAF headers: from `ftyp` and `moov` to descriptions of tracks (ISO/IEC 14496-12, 8.2 and 8.3).

mod codec;
mod display;
mod edits;
pub(crate) mod language;
mod rewrite;
mod sample_entry;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use millrace_media::track::{Format, Info};
use millrace_media::{Time, Timescale};
use mp4_atom::{Mdhd, Mvhd, Tkhd, Trex};

use crate::boxes::{BoxRef, Boxes};
use crate::fourcc::{self, FourCC};
use crate::reader::{Limits, ReadError};
pub(crate) use codec::AudioSpecificConfig;
pub use display::display_size;
pub use sample_entry::EVENT_MESSAGES;
use sample_entry::Entry;

/// What a `moov` says of its tracks. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    tracks: Arc<[Track]>,
}

/// A track of a header.
#[derive(Clone, Debug, PartialEq)]
pub enum Track {
    /// A track in a codec that is understood.
    Known(TrackHeader),
    /// A track that is not; its fragments are skipped.
    Unsupported {
        /// `track_ID`.
        track_id: u32,
        /// The name of its sample entry.
        codec: FourCC,
        /// What is not supported, and what is.
        reason: String,
    },
}

/// What there is to know of a track before its first fragment.
#[derive(Clone, Debug, PartialEq)]
pub struct TrackHeader {
    /// `track_ID`.
    pub track_id: u32,
    /// Codec, format, timescale, and a header for this track alone. The header is byte for byte the source's where that describes
    /// one track and has no edit list; else it is the source's without the other tracks and without edit lists.
    pub info: Info,
    /// What sets up a decoder.
    pub config: CodecConfig,
    /// What to add to the times in the fragments to have them on the source's presentation timeline, in the track's timescale. From
    /// the edit list (ISO/IEC 14496-12, 8.6.6): empty edits are added, the media time of the first edit that is not empty is taken
    /// off. Opus without an edit list is taken back by its pre-skip. AAC without an edit list stays: nothing says how long its
    /// priming is.
    pub timeline_shift: Time,
    /// What is odd about the track, though it can be used.
    pub notes: Vec<Note>,
    pub(crate) defaults: Defaults,
}

/// The configuration record of a codec, as it stands in the sample entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodecConfig {
    /// `AVCDecoderConfigurationRecord` (ISO/IEC 14496-15, 5.3.3.1): the body of `avcC`.
    Avc(Bytes),
    /// `HEVCDecoderConfigurationRecord` (ISO/IEC 14496-15, 8.3.3.1): the body of `hvcC`.
    Hevc(Bytes),
    /// `AV1CodecConfigurationRecord` (AV1 in ISOBMFF, 2.3.3): the body of `av1C`.
    Av1(Bytes),
    /// `AudioSpecificConfig` (ISO/IEC 14496-3, 1.6.2.1), out of `esds`.
    Aac(Bytes),
    /// `OpusSpecificBox` (Opus in ISOBMFF, 4.3.2): the body of `dOps`.
    Opus(Bytes),
    /// The header of a WebVTT file (ISO/IEC 14496-30, 7.5): the body of `vttC`.
    WebVtt(Bytes),
    /// Namespace, schema location and auxiliary media types of TTML (ISO/IEC 14496-12, 12.6.3): three texts, each with a zero byte behind
    /// it.
    Ttml(Bytes),
    /// Timed metadata: the name of its sample entry, `evte`, `mett` or `urim` (ISO/IEC 23001-18, 7; ISO/IEC 14496-12, 12.3.3), and what
    /// follows the fields that every sample entry has.
    Data(FourCC, Bytes),
}

impl CodecConfig {
    /// The record's bytes.
    pub const fn record(&self) -> &Bytes {
        match self {
            Self::Avc(record) | Self::Hevc(record) | Self::Av1(record) => record,
            Self::Aac(record) | Self::Opus(record) => record,
            Self::WebVtt(record) | Self::Ttml(record) | Self::Data(_, record) => record,
        }
    }
}

/// Something odd about a track that can be used all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// `av1C` holds no sequence header: a decoder learns of the stream only with the first keyframe. Where `av1C` is empty, the codec
    /// string is `av01` alone.
    Av1WithoutSequenceHeader,
    /// There are several sample descriptions; all samples are taken to be of the first.
    SeveralSampleDescriptions(u32),
    /// The edit list has more edits than a beginning, or one of another rate than 1; they are not applied.
    EditsIgnored,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Av1WithoutSequenceHeader => {
                f.write_str("av1C holds no sequence header (with ffmpeg, use -movflags +delay_moov)")
            }
            Self::SeveralSampleDescriptions(n) => write!(f, "{n} sample descriptions, of which the first is used"),
            Self::EditsIgnored => f.write_str("edits after the first, or of another rate than 1, are not applied"),
        }
    }
}

/// What holds for a sample whose fragment does not say otherwise (`trex`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Defaults {
    pub(crate) duration: u32,
    pub(crate) size: u32,
    pub(crate) flags: u32,
}

impl Header {
    /// The tracks, in the header's order.
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// The tracks in a codec that is understood.
    pub fn known(&self) -> impl Iterator<Item = &TrackHeader> {
        self.tracks.iter().filter_map(|track| match track {
            Track::Known(track) => Some(track),
            Track::Unsupported { .. } => None,
        })
    }

    /// The track of an id, where there is one.
    pub fn track(&self, id: u32) -> Option<&Track> {
        self.tracks.iter().find(|track| track.id() == id)
    }

    /// Reads a header that is wholly there: `ftyp` and `moov`, with whatever may stand between and after them.
    ///
    /// # Errors
    /// Where there is no `moov`, or it is broken or beyond the limits.
    pub fn read(init: &[u8], limits: &Limits) -> Result<Self, ReadError> {
        let (mut ftyp, mut moov) = (None, None);
        for found in Boxes::new(init, 0, FourCC::new(b"file")) {
            let found = found?;
            match found.kind {
                fourcc::FTYP => ftyp = ftyp.or(Some(found.whole)),
                fourcc::MOOV => moov = moov.or(Some(found.whole)),
                _ => {}
            }
        }
        Self::from_boxes(ftyp, moov.ok_or(ReadError::MissingInit)?, limits)
    }

    pub(crate) fn from_boxes(ftyp: Option<&[u8]>, moov: &[u8], limits: &Limits) -> Result<Self, ReadError> {
        let moov = BoxRef::whole(moov)?;
        let movie: Mvhd = moov.require(fourcc::MVHD)?.decode()?;
        let mvex = moov.child(fourcc::MVEX)?.ok_or(ReadError::NotFragmented)?;
        let mut traks = Vec::new();
        for child in moov.children(0) {
            let child = child?;
            if child.kind == fourcc::TRAK {
                if traks.len() >= limits.max_tracks {
                    return Err(ReadError::TooMany {
                        what: "tracks",
                        count: traks.len() as u64 + 1,
                        limit: limits.max_tracks,
                    });
                }
                traks.push(child);
            }
        }
        let mut tracks: Vec<Track> = Vec::with_capacity(traks.len());
        let mut size = 0;
        let limit = limits.max_moov.saturating_mul(2);
        for trak in &traks {
            let track = read_track(trak, &mvex, movie.timescale, || rewrite::init(ftyp, &moov, trak))?;
            if tracks.iter().any(|other| other.id() == track.id()) {
                return Err(ReadError::TrackTwice { track_id: track.id() });
            }
            // What stands beside the tracks is in the header of each.
            size += if let Track::Known(known) = &track { known.info.init.len() as u64 } else { 0 };
            if size > limit {
                return Err(ReadError::TooLarge { kind: fourcc::MOOV, size, limit });
            }
            tracks.push(track);
        }
        if tracks.is_empty() {
            return Err(ReadError::Missing { kind: fourcc::TRAK, inside: fourcc::MOOV });
        }
        Ok(Self { tracks: tracks.into() })
    }
}

impl From<TrackHeader> for Header {
    /// A header of one track.
    fn from(track: TrackHeader) -> Self {
        Self { tracks: [Track::Known(track)].into() }
    }
}

impl Track {
    /// `track_ID`.
    pub const fn id(&self) -> u32 {
        match self {
            Self::Known(track) => track.track_id,
            Self::Unsupported { track_id, .. } => *track_id,
        }
    }
}

/// Reads the header of a single track, such as [`Info::init`].
///
/// # Errors
/// As [`Header::read`], and [`ReadError::Unsupported`] where its first track is in a codec that is not understood.
pub fn describe(init: &[u8]) -> Result<TrackHeader, ReadError> {
    let header = Header::read(init, &Limits::default())?;
    match header.tracks.first() {
        Some(Track::Known(track)) => Ok(track.clone()),
        Some(Track::Unsupported { codec, reason, .. }) => {
            Err(ReadError::Unsupported { codec: *codec, reason: reason.clone() })
        }
        None => Err(ReadError::MissingInit),
    }
}

fn read_track(
    trak: &BoxRef<'_>,
    mvex: &BoxRef<'_>,
    movie_scale: u32,
    init: impl FnOnce() -> Result<Bytes, ReadError>,
) -> Result<Track, ReadError> {
    let track_id = trak.require(fourcc::TKHD)?.decode::<Tkhd>()?.track_id;
    let mdia = trak.require(fourcc::MDIA)?;
    let mdhd: Mdhd = mdia.require(fourcc::MDHD)?.decode()?;
    let timescale = Timescale::new(mdhd.timescale).ok_or(ReadError::ZeroTimescale { track_id })?;
    let stsd = mdia.require(fourcc::MINF)?.require(fourcc::STBL)?.require(fourcc::STSD)?;
    let mut entries = stsd.children(8);
    let entry =
        entries.next().transpose()?.ok_or(ReadError::Missing { kind: FourCC::new(b"any "), inside: fourcc::STSD })?;
    let entry_count = 1 + u32::try_from(entries.count()).unwrap_or(u32::MAX - 1);

    let Entry { codec, mut format, config, bitrate, mut notes } = match sample_entry::read(&entry)? {
        Ok(known) => known,
        Err(reason) => return Ok(Track::Unsupported { track_id, codec: entry.kind, reason }),
    };
    if entry_count > 1 {
        notes.push(Note::SeveralSampleDescriptions(entry_count));
    }
    let defaults = defaults(mvex, track_id)?;
    match &mut format {
        Format::Video { width, height, .. } if is_image(&mdia)? => {
            format = Format::Image { width: *width, height: *height };
        }
        Format::Video { frame_rate, .. } if defaults.duration > 0 => {
            *frame_rate = Some((f64::from(timescale.get()) / f64::from(defaults.duration)) as f32);
        }
        _ => {}
    }
    let timeline_shift = match trak.child(fourcc::EDTS)?.map(|edts| edts.child(fourcc::ELST)).transpose()?.flatten() {
        Some(elst) => edits::shift(&elst.decode()?, movie_scale, timescale, &mut notes),
        None => -codec::pre_skip(&config).rescale(timescale),
    };
    let info = Info { codec, timescale, format, language: language::read(&mdia, &mdhd)?, bitrate, init: init()? };
    Ok(Track::Known(TrackHeader { track_id, info, config, timeline_shift, notes, defaults }))
}

/// True of a track of images (ISO/IEC 23008-12, 7.2.1): the second field of its `hdlr` is `pict`.
fn is_image(mdia: &BoxRef<'_>) -> Result<bool, ReadError> {
    let hdlr = mdia.child(fourcc::HDLR)?;
    Ok(hdlr.is_some_and(|hdlr| hdlr.body().get(8..12) == Some(b"pict")))
}

fn defaults(mvex: &BoxRef<'_>, track_id: u32) -> Result<Defaults, ReadError> {
    for child in mvex.children(0) {
        let child = child?;
        if child.kind == fourcc::TREX {
            let trex: Trex = child.decode()?;
            if trex.track_id == track_id {
                return Ok(Defaults {
                    duration: trex.default_sample_duration,
                    size: trex.default_sample_size,
                    flags: trex.default_sample_flags,
                });
            }
        }
    }
    // A header without a `trex` for a track is malformed, but every fragment may still say it all.
    Ok(Defaults::default())
}
