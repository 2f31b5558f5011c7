//! Walking boxes that are wholly in memory (ISO/IEC 14496-12, 4.2), without decoding what need not be known.

use mp4_atom::Atom;

use crate::fourcc::FourCC;
use crate::reader::ReadError;

/// The header of a box.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BoxHeader {
    pub(crate) kind: FourCC,
    /// Of the header itself, in bytes: 8, or 16 with a 64-bit size.
    pub(crate) len: u8,
    /// Of header and body, in bytes. At least `len`.
    pub(crate) size: u64,
}

impl BoxHeader {
    /// How many bytes the header that begins with these takes, or none where that is not known yet.
    pub(crate) fn needed(start: &[u8]) -> Option<usize> {
        Some(if start.first_chunk::<4>()? == &[0, 0, 0, 1] { 16 } else { 8 })
    }

    /// Reads a header. None where it is not all there.
    pub(crate) fn read(bytes: &[u8]) -> Result<Option<Self>, ReadError> {
        let (Some(size), Some(name)) = (u32_at(bytes, 0), bytes.get(4..8)) else { return Ok(None) };
        let kind = FourCC::from([name[0], name[1], name[2], name[3]]);
        let (len, size) = match size {
            0 => return Err(ReadError::SizeToEnd { kind }),
            1 => match u64_at(bytes, 8) {
                Some(size) => (16, size),
                None => return Ok(None),
            },
            size => (8, u64::from(size)),
        };
        if size < u64::from(len) {
            return Err(ReadError::SizeTooSmall { kind, size });
        }
        Ok(Some(Self { kind, len, size }))
    }

    pub(crate) fn body_len(&self) -> u64 {
        self.size - u64::from(self.len)
    }
}

/// A box in a buffer that holds all of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BoxRef<'a> {
    pub(crate) kind: FourCC,
    /// Header and body.
    pub(crate) whole: &'a [u8],
    /// Where the body begins in `whole`.
    pub(crate) header: usize,
    /// Where the box begins in the buffer that was walked.
    pub(crate) start: usize,
}

impl<'a> BoxRef<'a> {
    /// The box that `bytes` holds, all of them.
    pub(crate) fn whole(bytes: &'a [u8]) -> Result<Self, ReadError> {
        let inside = FourCC::new(b"file");
        Boxes::new(bytes, 0, inside).next().unwrap_or(Err(ReadError::Overrun { inside }))
    }

    pub(crate) fn body(&self) -> &'a [u8] {
        &self.whole[self.header..]
    }

    /// Decodes the body as one kind of box.
    pub(crate) fn decode<T: Atom>(&self) -> Result<T, ReadError> {
        T::decode_body(&mut self.body()).map_err(|source| ReadError::Malformed { kind: self.kind, source })
    }

    /// The boxes inside, which begin `skip` bytes into the body.
    pub(crate) fn children(&self, skip: usize) -> Boxes<'a> {
        let at = (self.header + skip).min(self.whole.len());
        Boxes::new(&self.whole[at..], self.start + at, self.kind)
    }

    /// The first box of a kind inside, where there is one.
    pub(crate) fn child(&self, kind: FourCC) -> Result<Option<BoxRef<'a>>, ReadError> {
        for child in self.children(0) {
            let child = child?;
            if child.kind == kind {
                return Ok(Some(child));
            }
        }
        Ok(None)
    }

    /// The first box of a kind inside; an error where there is none.
    pub(crate) fn require(&self, kind: FourCC) -> Result<BoxRef<'a>, ReadError> {
        self.child(kind)?.ok_or(ReadError::Missing { kind, inside: self.kind })
    }
}

/// Boxes that lie one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Boxes<'a> {
    rest: &'a [u8],
    start: usize,
    inside: FourCC,
}

impl<'a> Boxes<'a> {
    pub(crate) fn new(bytes: &'a [u8], start: usize, inside: FourCC) -> Self {
        Self { rest: bytes, start, inside }
    }

    fn take(&mut self) -> Result<Option<BoxRef<'a>>, ReadError> {
        // Some writers leave a few bytes of padding, too short for a box, at the end of a container.
        if self.rest.len() < 8 {
            return Ok(None);
        }
        let overrun = ReadError::Overrun { inside: self.inside };
        let Some(header) = BoxHeader::read(self.rest)? else { return Err(overrun) };
        let Some(size) = usize::try_from(header.size).ok().filter(|n| *n <= self.rest.len()) else {
            return Err(overrun);
        };
        let (whole, rest) = self.rest.split_at(size);
        let found = BoxRef { kind: header.kind, whole, header: usize::from(header.len), start: self.start };
        self.start += size;
        self.rest = rest;
        Ok(Some(found))
    }
}

impl<'a> Iterator for Boxes<'a> {
    type Item = Result<BoxRef<'a>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = self.take();
        if found.is_err() {
            self.rest = &[];
        }
        found.transpose()
    }
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|b| u32::from_be_bytes(*b))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|b| u64::from_be_bytes(*b))
}
