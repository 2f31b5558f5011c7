//! Stored fragments as the body of an answer: the slices in which they arrived, one after another, none of them copied.

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use metrics::Counter;
use millrace_media::Fragment;

/// Runs of fragments, or a range of their bytes.
pub(super) struct FragmentsBody {
    runs: Vec<Arc<[Fragment]>>,
    /// The next slice: run, fragment, and slice of it, the head being the first.
    at: (usize, usize, usize),
    /// Bytes to pass over before the first that is sent.
    skip: u64,
    left: u64,
    served: Counter,
}

/// How many bytes runs have.
pub(super) fn length(runs: &[Arc<[Fragment]>]) -> u64 {
    runs.iter().flat_map(|run| run.iter()).map(|fragment| fragment.size()).sum()
}

impl FragmentsBody {
    /// The bytes in `range` of `runs`. Every byte sent is counted in `served`.
    pub(super) fn new(runs: Vec<Arc<[Fragment]>>, range: Range<u64>, served: Counter) -> Self {
        Self { runs, at: (0, 0, 0), skip: range.start, left: range.end - range.start, served }
    }

    fn next_slice(&mut self) -> Option<Bytes> {
        loop {
            let (run, index, slice) = self.at;
            let Some(fragment) = self.runs.get(run)?.get(index) else {
                self.at = (run + 1, 0, 0);
                continue;
            };
            let bytes = match slice.checked_sub(1) {
                None => Some(&fragment.head),
                Some(slice) => fragment.payload.slices().get(slice),
            };
            let Some(bytes) = bytes.cloned() else {
                self.at = (run, index + 1, 0);
                continue;
            };
            self.at = (run, index, slice + 1);
            let length = bytes.len() as u64;
            if length <= self.skip {
                self.skip -= length;
                continue;
            }
            let from = std::mem::take(&mut self.skip);
            let until = length.min(from + self.left);
            self.left -= until - from;
            return Some(bytes.slice(from as usize..until as usize));
        }
    }
}

impl Body for FragmentsBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let body = self.get_mut();
        if body.left == 0 {
            return Poll::Ready(None);
        }
        let slice = body.next_slice();
        if let Some(slice) = &slice {
            body.served.increment(slice.len() as u64);
        }
        Poll::Ready(slice.map(|slice| Ok(Frame::data(slice))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
