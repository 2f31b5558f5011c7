//! Reading an endless stream of CMAF, in pieces of any size.
//!
//! Boxes are found as their headers come. `moov`, `moof` and the small boxes before a fragment are kept until they are whole; the
//! body of `mdat` stays in the slices it arrived in; anything else is passed over. What a box declares is checked against the
//! [`Limits`] before it is kept.

mod chunk;
mod error;
pub(crate) mod event;
mod limits;
mod single;
mod smooth;
mod traf;

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};
use millrace_media::{Intake, Time};

use crate::boxes::{BoxHeader, BoxRef};
use crate::fourcc::{self, FourCC};
use crate::header::Header;
use crate::marks;
pub use chunk::Chunk;
use chunk::Form;
pub use error::{BeforeZero, ReadError};
use event::Before;
pub use event::sample_events;
pub use limits::Limits;
pub use single::chunk_of;

/// What a reader finds.
#[derive(Clone, Debug)]
pub enum Item {
    /// A header (`ftyp` and `moov`): what follows is of its tracks.
    Header(Header),
    /// A segment begins.
    SegmentType(SegmentType),
    /// One track's part of a fragment.
    Chunk(Chunk),
    /// A box that is passed over.
    Skipped(FourCC),
}

/// What a `styp` says of the segment it begins (ISO/IEC 14496-12, 8.16.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentType {
    /// The major brand, then those it is compatible with.
    pub brands: Vec<FourCC>,
}

impl SegmentType {
    /// True of a segment of a brand, such as `lmsg` (the last segment) or `slat` (filler).
    pub fn has(&self, brand: &[u8; 4]) -> bool {
        self.brands.contains(&FourCC::new(brand))
    }
}

/// Reads a stream of CMAF as it comes.
#[derive(Debug)]
pub struct Reader {
    limits: Limits,
    input: VecDeque<Bytes>,
    /// Bytes taken from the stream so far.
    position: u64,
    state: State,
    seen_box: bool,
    ftyp: Option<Bytes>,
    header: Option<Header>,
    before: Vec<Before>,
    pending: Option<Pending>,
    ready: VecDeque<Item>,
}

#[derive(Debug)]
enum State {
    /// Between boxes, or in a box's header.
    Head { bytes: [u8; 16], len: usize },
    /// In a box that is kept whole, its header with it.
    Keep { header: BoxHeader, bytes: BytesMut },
    /// In a box that is passed over.
    Skip { kind: FourCC, left: u64 },
    /// In the body of the `mdat` of the pending fragment.
    Media { left: u32, payload: Intake },
    /// The stream was refused.
    Over,
}

const BETWEEN: State = State::Head { bytes: [0; 16], len: 0 };

/// A `moof` that waits for its `mdat`.
#[derive(Debug)]
struct Pending {
    /// `moof`, what followed it, and in the end the header of `mdat`.
    head: BytesMut,
    fragment: traf::Fragment,
    before: Vec<Before>,
    /// Where the body of `mdat` begins in the stream.
    body: u64,
}

impl Reader {
    /// A reader for a stream that begins with its header.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits: limits.writable(),
            input: VecDeque::new(),
            position: 0,
            state: BETWEEN,
            seen_box: false,
            ftyp: None,
            header: None,
            before: Vec::new(),
            pending: None,
            ready: VecDeque::new(),
        }
    }

    /// A reader for segments whose header came before, by another way.
    pub fn with_header(limits: Limits, header: Header) -> Self {
        Self { header: Some(header), ..Self::new(limits) }
    }

    /// The header that holds now.
    pub fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// Takes the next bytes of the stream. They are looked at by [`Reader::next`], which is to be called until it gives none: what
    /// was not looked at yet is kept, whatever its size.
    pub fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.input.push_back(bytes);
        }
    }

    /// The next thing in the stream; none until more bytes come.
    ///
    /// # Errors
    /// Where the stream cannot be read on. Nothing follows an error.
    #[expect(clippy::should_implement_trait, reason = "none is not the end")]
    pub fn next(&mut self) -> Result<Option<Item>, ReadError> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Ok(Some(item));
            }
            if matches!(self.state, State::Over) {
                return Err(ReadError::Over);
            }
            if self.input.is_empty() {
                return Ok(None);
            }
            if let Err(error) = self.step() {
                self.state = State::Over;
                self.input.clear();
                self.pending = None;
                self.before.clear();
                return Err(error);
            }
        }
    }

    /// Says that the stream has ended. What is ready is still to be taken with [`Reader::next`] before.
    ///
    /// # Errors
    /// Where it ended inside a box, or between a `moof` and its `mdat`.
    pub fn finish(&self) -> Result<(), ReadError> {
        let (kind, missing) = match &self.state {
            State::Over => return Err(ReadError::Over),
            State::Head { len: 0, .. } => match &self.pending {
                Some(pending) if !pending.fragment.runs.is_empty() => (fourcc::MDAT, 8),
                _ => return Ok(()),
            },
            State::Head { bytes, len } => {
                let needed = BoxHeader::needed(&bytes[..*len]).unwrap_or(8);
                // A name is known from the eighth byte on.
                let name = if *len >= 8 { [bytes[4], bytes[5], bytes[6], bytes[7]] } else { *b"head" };
                (FourCC::from(name), (needed - len) as u64)
            }
            State::Keep { header, bytes } => (header.kind, header.size - bytes.len() as u64),
            State::Skip { kind, left } => (*kind, *left),
            State::Media { left, .. } => (fourcc::MDAT, u64::from(*left)),
        };
        Err(ReadError::Cut { kind, missing })
    }

    /// Takes up to `most` bytes of the input, all in one slice.
    fn take(&mut self, most: u64) -> Option<Bytes> {
        let front = self.input.front_mut()?;
        let len = usize::try_from(most).map_or(front.len(), |most| most.min(front.len()));
        let taken = front.split_to(len);
        if !front.has_remaining() {
            self.input.pop_front();
        }
        self.position = self.position.saturating_add(len as u64);
        Some(taken)
    }

    /// Goes on by one slice of input, or to the end of a box.
    fn step(&mut self) -> Result<(), ReadError> {
        match std::mem::replace(&mut self.state, BETWEEN) {
            State::Head { mut bytes, mut len } => {
                let needed = BoxHeader::needed(&bytes[..len]).unwrap_or(8);
                if let Some(taken) = self.take((needed - len) as u64) {
                    bytes[len..len + taken.len()].copy_from_slice(&taken);
                    len += taken.len();
                }
                match BoxHeader::read(&bytes[..len])? {
                    Some(header) => self.begin(header, &bytes[..len])?,
                    None => self.state = State::Head { bytes, len },
                }
            }
            State::Keep { header, mut bytes } => {
                if let Some(taken) = self.take(header.size - bytes.len() as u64) {
                    bytes.extend_from_slice(&taken);
                }
                self.keep(header, bytes)?;
            }
            State::Skip { kind, left } => {
                let taken = self.take(left).map_or(0, |taken| taken.len() as u64);
                self.skip(kind, left - taken);
            }
            State::Media { left, mut payload } => {
                let taken = self.take(left.into()).unwrap_or_default();
                let left = left - taken.len() as u32;
                // The length of an mdat fits 32 bits, so that the payload takes every slice.
                if payload.push(taken) {
                    self.media(left, payload)?;
                }
            }
            State::Over => self.state = State::Over,
        }
        Ok(())
    }

    /// A box begins.
    fn begin(&mut self, header: BoxHeader, bytes: &[u8]) -> Result<(), ReadError> {
        let BoxHeader { kind, size, .. } = header;
        if !std::mem::replace(&mut self.seen_box, true) && !begins_a_file(kind) {
            return Err(ReadError::NotMp4 { found: kind });
        }
        let keep = match kind {
            fourcc::MDAT => return self.begin_mdat(header, bytes),
            fourcc::MOOF if self.header.is_none() => return Err(ReadError::BeforeInit { kind }),
            fourcc::MOOF | fourcc::MOOV | fourcc::FTYP | fourcc::STYP if self.pending.is_some() => {
                return Err(ReadError::OutOfOrder { kind, expected: fourcc::MDAT });
            }
            fourcc::MOOV | fourcc::FTYP | fourcc::STYP | fourcc::MOOF | fourcc::PRFT | fourcc::EMSG => true,
            // What stands between a moof and its mdat is in the distance between them.
            _ => self.pending.is_some(),
        };
        let limit = if kind == fourcc::MOOV { self.limits.max_moov } else { self.limits.max_box };
        if keep && size > limit {
            return Err(ReadError::TooLarge { kind, size, limit });
        }
        if keep {
            self.keep(header, BytesMut::from(bytes))
        } else {
            self.skip(kind, header.body_len());
            Ok(())
        }
    }

    fn skip(&mut self, kind: FourCC, left: u64) {
        if left > 0 {
            self.state = State::Skip { kind, left };
        } else {
            self.ready.push_back(Item::Skipped(kind));
        }
    }

    fn keep(&mut self, header: BoxHeader, bytes: BytesMut) -> Result<(), ReadError> {
        if (bytes.len() as u64) < header.size {
            self.state = State::Keep { header, bytes };
            return Ok(());
        }
        if let Some(pending) = &mut self.pending {
            let size = (pending.head.len() + bytes.len()) as u64;
            if size > self.limits.max_box {
                return Err(ReadError::TooLarge { kind: header.kind, size, limit: self.limits.max_box });
            }
            pending.head.extend_from_slice(&bytes);
            return Ok(());
        }
        self.whole(header.kind, bytes.freeze())
    }

    /// A box that was kept is whole.
    fn whole(&mut self, kind: FourCC, bytes: Bytes) -> Result<(), ReadError> {
        match kind {
            fourcc::FTYP => self.ftyp = Some(bytes),
            fourcc::MOOV => {
                let header = Header::from_boxes(self.ftyp.take().as_deref(), &bytes, &self.limits)?;
                self.header = Some(header.clone());
                self.ready.push_back(Item::Header(header));
            }
            fourcc::STYP => {
                let styp: mp4_atom::Styp = BoxRef::whole(&bytes)?.decode()?;
                let brands = [styp.major_brand].into_iter().chain(styp.compatible_brands).collect();
                self.ready.push_back(Item::SegmentType(SegmentType { brands }));
            }
            fourcc::PRFT | fourcc::EMSG => {
                let limit = self.limits.max_events;
                if self.before.len() >= limit {
                    return Err(ReadError::TooMany { what: "prft and emsg boxes", count: limit as u64 + 1, limit });
                }
                let size = self.before.iter().map(Before::len).sum::<usize>() as u64 + bytes.len() as u64;
                if size > self.limits.max_box {
                    return Err(ReadError::TooLarge { kind, size, limit: self.limits.max_box });
                }
                self.before.push(Before::read(bytes)?);
            }
            _ => {
                let header = self.header.as_ref().ok_or(ReadError::BeforeInit { kind })?;
                let start = self.position - bytes.len() as u64;
                let fragment = traf::read(&bytes, start, header, &self.limits)?;
                let before = std::mem::take(&mut self.before);
                self.pending = Some(Pending { head: BytesMut::from(bytes), fragment, before, body: 0 });
            }
        }
        Ok(())
    }

    fn begin_mdat(&mut self, header: BoxHeader, bytes: &[u8]) -> Result<(), ReadError> {
        let kind = fourcc::MDAT;
        if self.header.is_none() {
            return Err(ReadError::BeforeInit { kind });
        }
        let Some(pending) = &mut self.pending else {
            return Err(ReadError::OutOfOrder { kind, expected: fourcc::MOOF });
        };
        let len = u32::try_from(header.body_len()).ok().filter(|len| *len <= self.limits.max_mdat);
        let limit = u64::from(self.limits.max_mdat);
        let len = len.ok_or(ReadError::TooLarge { kind, size: header.size, limit })?;
        pending.head.extend_from_slice(bytes);
        pending.body = self.position;
        // A fragment that points outside is refused before its media is kept.
        for run in &pending.fragment.runs {
            traf::locate(run, pending.body, len)?;
        }
        if pending.fragment.runs.is_empty() {
            self.pending = None;
            self.skip(kind, len.into());
            return Ok(());
        }
        self.media(len, Intake::default())
    }

    fn media(&mut self, left: u32, payload: Intake) -> Result<(), ReadError> {
        if left > 0 {
            self.state = State::Media { left, payload };
            return Ok(());
        }
        let Some(Pending { head, fragment, before, body }) = self.pending.take() else { return Ok(()) };
        let (head, payload) = (head.freeze(), payload.finish());
        for run in &fragment.runs {
            let mut samples = traf::locate(run, body, payload.len())?;
            let mut payload = payload.clone();
            let form = match run.tfdt_at {
                Some(tfdt_at) if fragment.trafs == 1 => Form::Original { head: head.clone(), tfdt_at },
                _ => {
                    (payload, samples) = chunk::gathered(run.track_id, &payload, &samples)?;
                    Form::Rebuilt
                }
            };
            let track_id = run.track_id;
            let speaks_of_it = |b: &&Before| b.track_id.is_none_or(|id| id == track_id);
            self.ready.push_back(Item::Chunk(Chunk {
                track_id,
                sequence: fragment.sequence,
                before: before.iter().filter(speaks_of_it).cloned().collect(),
                form,
                payload,
                marks: marks::of_fragment(&samples),
                samples,
                decode_time: Time::new(run.decode_time, run.timescale),
                timeline_shift: run.timeline_shift,
            }));
        }
        Ok(())
    }
}

/// True of a box that the beginning of a file or of a segment may be.
fn begins_a_file(kind: FourCC) -> bool {
    use fourcc::*;
    const NAMES: [FourCC; 16] =
        [FTYP, STYP, MOOV, MOOF, MDAT, SIDX, PRFT, EMSG, FREE, SKIP, WIDE, PDIN, META, MFRA, UUID, SSIX];
    NAMES.contains(&kind)
}
