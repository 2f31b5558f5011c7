//! The blocks that a track's fragments are copied into.
//!
//! A track lets go of its fragments in the order in which they were written. So the short slices of fragments are copied one after
//! another into blocks, and a block is freed when the last fragment in it goes. There is no allocation and no rounding for each
//! fragment, and all tracks ask the allocator for blocks of the same few sizes.

use bytes::{Bytes, BytesMut};

use crate::fragment::{Fragment, Media};
use crate::payload::{Payload, READ_BUFFER, is_short};

/// The smallest and the largest block, in bytes. The largest takes any head that is short.
const SMALLEST: u64 = 4 << 10;
const LARGEST: u64 = 32 << 10;
/// A block is about this part of what its track holds: a window ends within a block on both sides.
const PART_OF_TRACK: u64 = 128;
/// What an allocation takes beside its bytes: the allocator's header and rounding, and reference counts.
pub(super) const ALLOCATION: u64 = 32;

/// Where the fragments of one track are copied. Belongs to its producer.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// The rest of the block, behind what was copied for the slice at hand.
    open: BytesMut,
    /// The length of the whole block.
    size: usize,
    /// Bytes of blocks that were used, or left unused, and are in no [`Charge`] yet.
    used: u64,
}

/// What a fragment takes beside its buffers and its sample table: itself, and its entry in the window.
const FRAGMENT: u64 = (Fragment::SIZE + size_of::<Fragment>()) as u64 + ALLOCATION;

/// The memory that a fragment holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Charge {
    /// What would be freed with it if it had its blocks for itself, in bytes.
    pub(super) bytes: u32,
    /// Where it begins in its first block: what stands before it in there lives as long as it does.
    pub(super) begins: u32,
}

impl Blocks {
    /// The bytes of the block that nothing was copied to yet.
    pub(super) fn rest(&self) -> u64 {
        self.open.capacity() as u64
    }

    /// Copies the short slices of a fragment, of a track that holds `held` bytes. What was packed for another track stays where it is,
    /// and is charged to both: each may outlive the other.
    pub(super) fn pack(&mut self, media: Media, held: u64) -> (Media, Charge) {
        let mut kept = FRAGMENT + media.samples.list_size();
        if media.payload.is_packed() {
            let bytes = kept + media.size() + media.payload.list_size();
            return (media, Charge { bytes: saturate(bytes), begins: 0 });
        }
        let (head, begins) = if is_short(&media.head) {
            self.head(&media.head, held)
        } else {
            kept += media.head.len() as u64 + ALLOCATION;
            (media.head, self.size - self.open.capacity())
        };
        let mut payload = Payload::default();
        for slice in media.payload.slices() {
            if is_short(slice) {
                self.copy(slice, held, &mut payload);
            } else {
                self.split_off(&mut payload);
                kept += (READ_BUFFER.max(slice.len())) as u64;
                push(&mut payload, slice.clone());
            }
        }
        self.split_off(&mut payload);
        let payload = payload.packed();
        let bytes = kept + payload.list_size() + std::mem::take(&mut self.used);
        (Media { head, payload, ..media }, Charge { bytes: saturate(bytes), begins: begins as u32 })
    }

    /// The fragment of this charge was not taken: its part of the blocks is charged to the next one.
    pub(super) fn discard(&mut self, charge: Charge) {
        self.used += u64::from(charge.bytes);
    }

    /// Copies a head, which has to stand in one piece. Gives where it begins in its block, too.
    fn head(&mut self, head: &[u8], held: u64) -> (Bytes, usize) {
        if self.open.capacity() < head.len() {
            self.used += self.rest();
            self.begin(head.len(), held);
        }
        let begins = self.size - self.open.capacity();
        self.used += head.len() as u64;
        self.open.extend_from_slice(head);
        (self.split(), begins)
    }

    /// Copies a slice behind what was copied before it.
    fn copy(&mut self, mut slice: &[u8], held: u64, payload: &mut Payload) {
        while !slice.is_empty() {
            let room = self.open.capacity() - self.open.len();
            if room == 0 {
                self.split_off(payload);
                self.begin(1, held);
                continue;
            }
            let (fits, rest) = slice.split_at(slice.len().min(room));
            self.open.extend_from_slice(fits);
            self.used += fits.len() as u64;
            slice = rest;
        }
    }

    /// Adds what was copied to the payload.
    fn split_off(&mut self, payload: &mut Payload) {
        push(payload, self.split());
    }

    /// What was copied. A block without a rest is let go of: it lives as long as its fragments.
    fn split(&mut self) -> Bytes {
        let copied = self.open.split().freeze();
        if self.open.capacity() == 0 {
            (self.open, self.size) = (BytesMut::new(), 0);
        }
        copied
    }

    /// Begins a block of at least `least` bytes.
    fn begin(&mut self, least: usize, held: u64) {
        let wanted = (held / PART_OF_TRACK).next_power_of_two().clamp(SMALLEST, LARGEST);
        self.size = least.max(wanted as usize);
        self.open = BytesMut::with_capacity(self.size);
        self.used += ALLOCATION;
    }
}

fn push(payload: &mut Payload, slice: Bytes) {
    let taken = payload.push(slice);
    debug_assert!(taken, "the copy is as long as what was copied");
}

fn saturate(bytes: u64) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::tests::media;
    use super::*;

    /// A fragment whose payload is one slice of a buffer of `buffer` bytes.
    fn slice_of(buffer: usize, len: usize) -> Media {
        let read = Bytes::from((0..buffer).map(|n| n as u8).collect::<Vec<_>>());
        Media { payload: read.slice(buffer - len..).into(), ..media(0, true, 0) }
    }

    #[test]
    fn a_short_slice_does_not_keep_its_buffer() {
        let mut blocks = Blocks::default();
        let given = slice_of(READ_BUFFER, 5_000);
        let buffer = given.payload.slices()[0].clone();
        let (packed, charge) = blocks.pack(given, 0);
        assert_eq!(packed.payload.slices().concat(), buffer);
        assert_eq!(&packed.head[..], b"head");
        assert!(buffer.is_unique(), "nothing else keeps the buffer");
        assert!((5_300..5_600).contains(&charge.bytes), "{charge:?}");
    }

    #[test]
    fn a_slice_that_is_most_of_its_buffer_is_kept() {
        let mut blocks = Blocks::default();
        let given = slice_of(READ_BUFFER, READ_BUFFER / 2);
        let at = given.payload.slices()[0].as_ptr();
        let (packed, charge) = blocks.pack(given, 0);
        assert_eq!(packed.payload.slices()[0].as_ptr(), at);
        assert!(charge.bytes as usize > READ_BUFFER);
    }

    #[test]
    fn what_is_packed_is_not_copied_again() {
        let (packed, first) = Blocks::default().pack(slice_of(9_000, 5_000), 0);
        let (again, second) = Blocks::default().pack(packed.clone(), 0);
        assert_eq!(again.payload.slices()[0].as_ptr(), packed.payload.slices()[0].as_ptr());
        assert!(second.bytes.abs_diff(first.bytes) < 100, "{first:?}, {second:?}");
    }

    #[test]
    fn blocks_are_filled_to_their_ends() {
        let mut blocks = Blocks::default();
        let (mut charged, mut held, mut kept) = (0u64, 0u64, Vec::new());
        for _ in 0..2_000 {
            let (packed, charge) = blocks.pack(slice_of(9_000, 1_234), held);
            assert_eq!(packed.payload.len(), 1_234);
            charged += u64::from(charge.bytes) - FRAGMENT;
            held += packed.size();
            kept.push((packed, charge));
        }
        assert!(charged < held + held / 20, "{charged} for {held}");
        // Each begins where the one before it ends: in the same block, or near the beginning of the next.
        for pair in kept.windows(2) {
            let (first, second) = (pair[0].1.begins, pair[1].1.begins);
            assert!(second == first + 1_238 || second < 1_238, "{first}, {second}");
        }
    }
}
