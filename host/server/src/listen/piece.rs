//! Bytes of a response's body, on their way to the client.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;

use bytes::{Buf, Bytes};

use super::response::Response;

/// A piece is full with so many bytes.
const FULL: usize = 64 << 10;
/// A piece is full with so many slices: more are not written at once.
const SLICES: usize = 16;

/// Slices that are written together. A fragment is a head and a payload at least: apart, each would be a frame of HTTP/2, a record of TLS and
/// a packet of its own. None is copied.
#[derive(Debug)]
pub(super) struct Piece {
    first: Bytes,
    rest: VecDeque<Bytes>,
    left: usize,
    /// None over HTTP/1.1, where what is not taken is seen at the socket.
    response: Option<Arc<Response>>,
}

impl Piece {
    pub(super) fn new(first: Bytes, response: Option<Arc<Response>>) -> Self {
        if let Some(response) = &response {
            response.begin_piece();
        }
        Self { left: first.len(), first, rest: VecDeque::new(), response }
    }

    /// Adds a slice, which is not empty.
    pub(super) fn push(&mut self, slice: Bytes) {
        self.left += slice.len();
        self.rest.push_back(slice);
    }

    /// Whether it should go as it is.
    pub(super) fn is_full(&self) -> bool {
        self.left >= FULL || self.rest.len() + 1 >= SLICES
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.left
    }

    fn chunk(&self) -> &[u8] {
        &self.first
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let held = std::iter::once(&self.first).chain(&self.rest).filter(|slice| !slice.is_empty());
        let filled = slices.iter_mut().zip(held).map(|(place, slice)| *place = IoSlice::new(slice));
        filled.count()
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.left, "advanced by {count} of {} bytes", self.left);
        self.left -= count;
        while count >= self.first.len() {
            count -= self.first.len();
            let Some(next) = self.rest.pop_front() else {
                self.first = Bytes::new();
                break;
            };
            self.first = next;
        }
        if count > 0 {
            self.first.advance(count);
        }
        if let Some(response) = &self.response {
            response.moved();
        }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if let Some(response) = &self.response {
            response.end_piece();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(slices: &[&'static [u8]]) -> Piece {
        let mut slices = slices.iter().map(|slice| Bytes::from_static(slice));
        let mut piece = Piece::new(slices.next().unwrap(), None);
        slices.for_each(|slice| piece.push(slice));
        piece
    }

    #[test]
    fn slices_are_read_one_after_another() {
        for step in 1..=9 {
            let (mut piece, mut read) = (piece(&[b"abc", b"de", b"fghi"]), Vec::new());
            while piece.has_remaining() {
                let mut places = [IoSlice::new(&[]); 2];
                let filled = piece.chunks_vectored(&mut places);
                assert_eq!(&*places[0], piece.chunk());
                let vectored: Vec<u8> = places[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
                let count = step.min(vectored.len());
                read.extend_from_slice(&vectored[..count]);
                piece.advance(count);
            }
            assert_eq!(read, b"abcdefghi", "{step} at a time");
            assert_eq!((piece.remaining(), piece.chunk()), (0, &b""[..]));
        }
    }

    #[test]
    fn a_piece_is_full_of_bytes_or_of_slices() {
        let mut many = piece(&[b"a"]);
        (0..SLICES - 2).for_each(|_| many.push(Bytes::from_static(b"a")));
        assert!(!many.is_full());
        many.push(Bytes::from_static(b"a"));
        assert!(many.is_full());
        assert!(Piece::new(Bytes::from(vec![0; FULL]), None).is_full());
    }
}
