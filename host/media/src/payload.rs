//! A run of media bytes held as slices of the buffers they arrived in.

use bytes::Bytes;
use smallvec::SmallVec;

/// Media bytes as they stand in an `mdat`, in one or several slices that share the transport's buffers. Cloning and slicing copy
/// nothing.
#[derive(Clone, Default, Debug)]
pub struct Payload {
    slices: SmallVec<[Bytes; 1]>,
    len: u32,
}

impl Payload {
    /// Appends a slice. False, and nothing is appended, where the whole would be longer than `u32::MAX`.
    #[must_use]
    pub fn push(&mut self, slice: Bytes) -> bool {
        let Some(len) = u32::try_from(slice.len()).ok().and_then(|n| self.len.checked_add(n)) else { return false };
        if !slice.is_empty() {
            self.slices.push(slice);
            self.len = len;
        }
        true
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
    fn a_range_outside_is_none() {
        let payload = three();
        assert!(payload.range(0, 8).is_some());
        assert!(payload.range(8, 0).is_some());
        assert!(payload.range(0, 9).is_none());
        assert!(payload.range(u32::MAX, 2).is_none());
    }
}
