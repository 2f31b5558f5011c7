//! A run of media bytes held as slices of the buffers they arrived in.
//!
//! A slice keeps the whole buffer it was cut from. A transport fills a buffer with whatever comes, so a short slice of it may keep many
//! times its own length. The rule against that stands here: a slice [is short](is_short) where its buffer may be more than twice as
//! long, and short slices are copied once, when a fragment is written to its track.

use bytes::Bytes;
use smallvec::SmallVec;

/// The largest buffer a transport may read into, in bytes. Servers of HTTP/1.1 have to be told so: hyper's buffers grow to 400 KiB by
/// default. Frames of HTTP/2 are at most 16 KiB long, and a batch of UDP datagrams at most 64 KiB.
pub const READ_BUFFER: usize = 64 << 10;

/// True of a slice that may keep a buffer of more than twice its length.
pub fn is_short(slice: &Bytes) -> bool {
    slice.len() < READ_BUFFER / 2
}

/// Media bytes as they stand in an `mdat`, in one or several slices that share the transport's buffers. Cloning and slicing copy
/// nothing.
#[derive(Clone, Default, Debug)]
pub struct Payload {
    slices: SmallVec<[Bytes; 1]>,
    len: u32,
    /// Its slices keep no more than is accounted for in a track.
    packed: bool,
}

impl Payload {
    /// Appends a slice. False, and nothing is appended, where the whole would be longer than `u32::MAX`.
    #[must_use]
    pub fn push(&mut self, slice: Bytes) -> bool {
        let Some(len) = u32::try_from(slice.len()).ok().and_then(|n| self.len.checked_add(n)) else { return false };
        if !slice.is_empty() {
            self.slices.push(slice);
            self.len = len;
            self.packed = false;
        }
        true
    }

    /// True of a payload that was written to a track, or is a clone of one: its short slices have been copied.
    pub fn is_packed(&self) -> bool {
        self.packed
    }

    /// Says that its short slices have been copied.
    pub(crate) fn packed(mut self) -> Self {
        self.slices.shrink_to_fit();
        self.packed = true;
        self
    }

    /// What the list of slices takes beside the payload itself, in bytes.
    pub(crate) fn list_size(&self) -> u64 {
        if self.slices.spilled() { (self.slices.capacity() * size_of::<Bytes>()) as u64 } else { 0 }
    }

    /// Length in bytes.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// True of a payload of no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The slices, in order. None is empty.
    pub fn slices(&self) -> &[Bytes] {
        &self.slices
    }

    /// The `len` bytes from `offset` as a payload that shares this one's buffers, or none where they are not all there.
    pub fn range(&self, offset: u32, len: u32) -> Option<Self> {
        let end = offset.checked_add(len).filter(|end| *end <= self.len)?;
        let (mut part, mut at) = (Self::default(), 0u32);
        for slice in &self.slices {
            let next = at + slice.len() as u32;
            let (from, to) = (offset.max(at), end.min(next));
            if from < to {
                part.slices.push(slice.slice((from - at) as usize..(to - at) as usize));
            }
            at = next;
        }
        part.len = len;
        Some(part)
    }

    /// The `len` bytes from `offset` in one piece, or none where they are not all there. Copies only where they lie in more than
    /// one slice.
    pub fn contiguous(&self, offset: u32, len: u32) -> Option<Bytes> {
        let part = self.range(offset, len)?;
        match part.slices.as_slice() {
            [] => Some(Bytes::new()),
            [one] => Some(one.clone()),
            many => Some(many.concat().into()),
        }
    }
}

/// Short slices that an [`Intake`] keeps as they came. They keep at most 1 MiB of buffers.
const SHORT_SLICES: usize = 16;

/// A payload that is being read from a transport, slice by slice.
///
/// The first short slices stay as they came, and are copied when the fragment is written to its track. A long payload that comes in
/// short slices is copied as it comes: otherwise a sender of single bytes could have each keep a whole buffer.
#[derive(Debug, Default)]
pub struct Intake {
    payload: Payload,
    short: usize,
    copied: Vec<u8>,
}

impl Intake {
    /// Appends a slice. False, and nothing is appended, where the whole would be longer than `u32::MAX`.
    #[must_use]
    pub fn push(&mut self, slice: Bytes) -> bool {
        if !is_short(&slice) {
            return self.flush() && self.payload.push(slice);
        }
        if self.short < SHORT_SLICES {
            self.short += usize::from(!slice.is_empty());
            return self.payload.push(slice);
        }
        let len = self.payload.len as usize + self.copied.len() + slice.len();
        if u32::try_from(len).is_err() || (self.copied.len() + slice.len() > READ_BUFFER && !self.flush()) {
            return false;
        }
        self.copied.extend_from_slice(&slice);
        true
    }

    /// What was read.
    pub fn finish(mut self) -> Payload {
        // It was made sure that all fits when it was taken.
        let _ = self.flush();
        self.payload
    }

    fn flush(&mut self) -> bool {
        self.payload.push(Bytes::from(std::mem::take(&mut self.copied)))
    }
}

impl From<Bytes> for Payload {
    /// # Panics
    /// Where `bytes` is longer than `u32::MAX`: for what this program made itself.
    fn from(bytes: Bytes) -> Self {
        let mut payload = Self::default();
        assert!(payload.push(bytes), "a payload is at most u32::MAX bytes");
        payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Payload {
        let mut payload = Payload::default();
        for slice in ["abc", "", "de", "fgh"] {
            assert!(payload.push(Bytes::from_static(slice.as_bytes())));
        }
        payload
    }

    #[test]
    fn a_range_shares_the_buffers() {
        let payload = three();
        let range = payload.range(1, 3).unwrap();
        assert_eq!(range.slices().concat(), b"bcd");
        assert_eq!(range.slices()[0].as_ptr(), payload.slices()[0][1..].as_ptr());
        assert_eq!(payload.contiguous(5, 3).unwrap().as_ptr(), payload.slices()[2].as_ptr());
        assert_eq!(payload.contiguous(2, 4).unwrap(), &b"cdef"[..]);
    }

    #[test]
    fn a_long_payload_in_short_slices_is_copied_as_it_comes() {
        let mut intake = Intake::default();
        let buffers: Vec<_> = (0..200_000u32).map(|n| Bytes::from(vec![n as u8, 0])).collect();
        for buffer in &buffers {
            assert!(intake.push(buffer.slice(..1)));
        }
        let kept = buffers.iter().filter(|buffer| !buffer.is_unique()).count();
        assert_eq!(kept, SHORT_SLICES);
        let long = Bytes::from(vec![7; READ_BUFFER]);
        assert!(intake.push(long.clone()));
        let payload = intake.finish();
        let expected: Vec<u8> = (0..200_000u32).map(|n| n as u8).chain(long.iter().copied()).collect();
        assert_eq!(payload.slices().concat(), expected);
        assert_eq!(payload.slices().last().unwrap().as_ptr(), long.as_ptr());
        assert!(payload.slices().len() < SHORT_SLICES + 6);
    }

    #[test]
    fn a_range_outside_is_none() {
        let payload = three();
        assert!(payload.range(0, 8).is_some());
        assert!(payload.range(8, 0).is_some());
        assert!(payload.range(0, 9).is_none());
        assert!(payload.range(u32::MAX, 2).is_none());
    }
}
