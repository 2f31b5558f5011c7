//! The files a playlist names.

use std::sync::Arc;

use bytes::Bytes;
use millrace_media::Fragment;

use super::{MediaPlaylist, Segment};
use crate::hls::segment::Part;

/// What there is at a path.
#[derive(Clone, Debug)]
pub enum Stored {
    /// Runs of fragments, to be sent one after another.
    Here(Vec<Arc<[Fragment]>>),
    /// It has been promised.
    Soon,
    /// Nothing.
    Missing,
}

fn run(parts: &[Part]) -> Stored {
    if parts.iter().any(Part::is_lost) {
        return Stored::Missing;
    }
    Stored::Here(parts.iter().map(|part| part.fragments.clone()).collect())
}

impl MediaPlaylist {
    /// The CMAF header `number` of the epoch with this directory.
    pub fn init(&self, directory: &str, number: u32) -> Option<Bytes> {
        let known = |header: &super::Header| &*header.directory == directory && header.number == number;
        self.inits.iter().find(|init| known(&init.header)).map(|init| init.bytes.clone())
    }

    /// A whole segment. The one that is not complete yet can be waited for.
    pub fn segment(&self, directory: &str, number: u64) -> Stored {
        match self.in_directory(directory, number) {
            Some(segment) if segment.complete && !segment.lost => run(&segment.parts),
            Some(segment) if !segment.complete => Stored::Soon,
            _ => Stored::Missing,
        }
    }

    /// A part. The ones that a preload hint may name can be waited for: the next of the open segment, and the first of the segment
    /// after that.
    pub fn part(&self, directory: &str, number: u64, part: u64) -> Stored {
        let Some(_) = self.division() else { return Stored::Missing };
        let Some(segment) = self.in_directory(directory, number) else {
            let open = self.segments.back().filter(|open| !open.complete && &*open.header.directory == directory);
            let follows = part == 0 && open.is_some_and(|open| open.number() + 1 == number);
            return if follows { Stored::Soon } else { Stored::Missing };
        };
        match usize::try_from(part).ok().and_then(|part| segment.parts.get(part)) {
            Some(part) => run(std::slice::from_ref(part)),
            None if !segment.complete && part == segment.parts.len() as u64 => Stored::Soon,
            None => Stored::Missing,
        }
    }

    fn in_directory(&self, directory: &str, number: u64) -> Option<&Segment> {
        self.find(number).filter(|segment| &*segment.header.directory == directory)
    }
}
