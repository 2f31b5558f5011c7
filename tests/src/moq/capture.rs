//! What a peer writes, kept to be looked at.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tempfile::TempDir;

use super::peer::Peer;
use crate::wait::until;

/// A peer that writes fragmented MP4 to its standard output.
#[derive(Debug)]
pub struct Capture {
    peer: Peer,
    media: Arc<Mutex<Vec<u8>>>,
}

/// A file of fragmented MP4, until it is dropped.
#[derive(Debug)]
pub struct Recording {
    path: PathBuf,
    _folder: TempDir,
}

impl Capture {
    /// Starts a peer.
    pub fn start<A: AsRef<OsStr>>(name: &str, arguments: impl IntoIterator<Item = A>) -> Self {
        let (peer, mut output) = Peer::subscribing(name, arguments);
        let media = Arc::new(Mutex::new(Vec::new()));
        let kept = media.clone();
        // It ends when the peer does.
        std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            while let Ok(length @ 1..) = output.read(&mut buffer) {
                kept.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..length]);
            }
        });
        Self { peer, media }
    }

    /// Waits until so many fragments are there, and ends the peer.
    ///
    /// # Panics
    /// Where it ends by itself before, or they take too long.
    pub fn fragments(mut self, wanted: usize) -> Recording {
        let enough = until(&format!("{wanted} fragments"), || {
            let media = self.media.lock().unwrap_or_else(PoisonError::into_inner);
            let (count, end) = whole(&media);
            if count >= wanted {
                return Some(media[..end].to_vec());
            }
            drop(media);
            assert!(self.peer.ended().is_none(), "it ended after {count} of {wanted} fragments");
            None
        });
        Recording::keep(&enough)
    }
}

impl Recording {
    /// Keeps media as a file.
    pub(super) fn keep(media: &[u8]) -> Self {
        let folder = tempfile::tempdir().expect("a folder for a recording");
        let path = folder.path().join("recording.mp4");
        fs::write(&path, media).expect("a recording can be written");
        Self { path, _folder: folder }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its path, as programs are given it.
    ///
    /// # Panics
    /// Where that is not text.
    pub fn url(&self) -> &str {
        self.path.to_str().expect("the path is text")
    }
}

/// How many fragments have come whole, and where the last of them ends.
fn whole(media: &[u8]) -> (usize, usize) {
    let (mut at, mut count, mut end) = (0, 0, 0);
    while let Some(head) = media.get(at..at + 8) {
        let size = u32::from_be_bytes(head[..4].try_into().expect("four bytes")) as usize;
        assert!(size >= 8, "a box of {size} bytes at {at}");
        at += size;
        if &head[4..] == b"mdat" && at <= media.len() {
            (count, end) = (count + 1, at);
        }
    }
    (count, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_fragments_count() {
        let media = b"\0\0\0\x08ftyp\0\0\0\x08moof\0\0\0\x0amdat..\0\0\0\x08moof\0\0\0\x0amdat.";
        assert_eq!(whole(media), (1, 26));
        assert_eq!(whole(&[&media[..], b"."].concat()), (2, 44));
        assert_eq!(whole(b"\0\0\0"), (0, 0));
    }
}
