//! A store on disk: one file, written as a whole.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::{Buf, BufMut, Bytes};
use ring::digest;
use rustix::fs::OFlags;

use super::entries::{Entries, MAX_KEYS};
use super::{MAX_STORE, StoreError};

/// How every file begins. The last byte is the version of the form: a digest (SHA-256) of all that follows it comes next, then, for each
/// key, the length of the key (16 bits) and of its value (32 bits), and both.
const MAGIC: [u8; 16] = *b"millrace-store\n\x01";
/// Bytes before the entries.
const HEADER: usize = MAGIC.len() + 32;
/// The longest file: a store as large as any may be.
const LONGEST: u64 = HEADER as u64 + MAX_STORE + 6 * MAX_KEYS as u64;
/// How the names of files begin that are being written.
const UNFINISHED: &str = ".unfinished-";
const DATA: &str = "data";
const DAMAGED: &str = "damaged";
const LOCK: &str = "lock";

/// The file of one store, which no other server can have at the same time.
#[derive(Debug)]
pub(super) struct StoreFile {
    directory: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
}

impl StoreFile {
    /// Opens the file in a directory, and reads it. One that is damaged is put aside, and the store is empty.
    pub(super) fn open(directory: &Path) -> Result<(Self, Entries), StoreError> {
        let wrong = |path: PathBuf| move |reason: io::Error| StoreError::Io { path, reason };
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(wrong(directory.into()))?;
        let lock = directory.join(LOCK);
        let lock = options().write(true).create(true).open(&lock).map_err(wrong(lock))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse(directory.into())),
            Err(TryLockError::Error(reason)) => return Err(StoreError::Io { path: directory.into(), reason }),
        }
        let file = Self { directory: directory.into(), _lock: lock };
        let data = directory.join(DATA);
        file.tidy().map_err(wrong(directory.into()))?;
        let entries = match read(&data).map_err(wrong(data.clone()))? {
            Some(entries) => entries,
            None => {
                let damaged = directory.join(DAMAGED);
                fs::rename(&data, &damaged).map_err(wrong(data))?;
                tracing::error!(path = %damaged.display(), "a plugin's store was damaged: it is put aside, and the plugin begins with an empty one");
                Entries::default()
            }
        };
        Ok((file, entries))
    }

    /// Puts a store on disk, in place of what was there. After an error the file is what it was.
    pub(super) fn write(&self, entries: &Entries) -> io::Result<()> {
        // It can be read and written by its owner alone.
        let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.directory)?;
        file.write_all(&encode(entries))?;
        file.as_file().sync_all()?;
        file.persist(self.directory.join(DATA))?;
        // The new name too has to be on disk.
        File::open(&self.directory)?.sync_all()
    }

    /// Removes what a server has left that was killed.
    fn tidy(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

/// Opens files and nothing else: no links, and nothing that could be waited for.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600).custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
    options
}

/// What a file holds; nothing where there is none. None where it is damaged.
fn read(path: &Path) -> io::Result<Option<Entries>> {
    let file = match options().read(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(Entries::default())),
        file => file?,
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"));
    }
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes)?;
    Ok(decode(bytes.into()))
}

fn encode(entries: &Entries) -> Vec<u8> {
    let length: usize = entries.iter().map(|(key, value)| 6 + key.len() + value.len()).sum();
    let mut bytes = Vec::with_capacity(HEADER + length);
    bytes.put_slice(&MAGIC);
    bytes.put_bytes(0, HEADER - MAGIC.len());
    for (key, value) in entries.iter() {
        bytes.put_u16(u16::try_from(key.len()).expect("keys have 256 bytes at most"));
        bytes.put_u32(u32::try_from(value.len()).expect("values have 64 KiB at most"));
        bytes.put_slice(key.as_bytes());
        bytes.put_slice(value);
    }
    let digest = digest::digest(&digest::SHA256, &bytes[HEADER..]);
    bytes[MAGIC.len()..HEADER].copy_from_slice(digest.as_ref());
    bytes
}

/// None where the bytes are not what [`encode`] gives.
fn decode(mut bytes: Bytes) -> Option<Entries> {
    if bytes.len() as u64 > LONGEST || bytes.len() < HEADER {
        return None;
    }
    let header = bytes.split_to(HEADER);
    let digest = digest::digest(&digest::SHA256, &bytes);
    if header[..MAGIC.len()] != MAGIC || header[MAGIC.len()..] != *digest.as_ref() {
        return None;
    }
    let mut entries = Entries::default();
    while bytes.has_remaining() {
        let (key, value) = (usize::from(bytes.try_get_u16().ok()?), bytes.try_get_u32().ok()? as usize);
        if bytes.remaining() < key.checked_add(value)? {
            return None;
        }
        let key = bytes.split_to(key);
        // Copied, so that a value that is kept does not keep the whole file in memory.
        let value = Bytes::copy_from_slice(&bytes.split_to(value));
        entries.set(std::str::from_utf8(&key).ok()?, value, u64::MAX).ok()?;
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Entries {
        let mut entries = Entries::default();
        for (key, value) in [("a", &b""[..]), ("key", b"value"), ("\u{e4}", &[0xff; 300])] {
            entries.set(key, Bytes::copy_from_slice(value), 10_000).unwrap();
        }
        entries
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(decode(encode(&entries()).into()), Some(entries()));
        assert_eq!(decode(encode(&Entries::default()).into()), Some(Entries::default()));
    }

    #[test]
    fn every_damage_is_noticed() {
        let whole = encode(&entries());
        for length in 0..whole.len() {
            assert_eq!(decode(Bytes::copy_from_slice(&whole[..length])), None, "{length} bytes of it");
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            assert_eq!(decode(damaged.into()), None, "a bit of byte {at}");
        }
        let longer = [&whole[..], b"\0"].concat();
        assert_eq!(decode(longer.into()), None);
    }

    #[test]
    fn a_file_that_only_looks_right_is_refused() {
        let forged = |body: &[u8]| {
            let digest = digest::digest(&digest::SHA256, body);
            decode([&MAGIC, digest.as_ref(), body].concat().into())
        };
        assert_eq!(forged(b""), Some(Entries::default()));
        for body in [&b"\0"[..], b"\0\x01\xff\xff\xff\xffa", b"\0\0\0\0\0\0", b"\0\x01\0\0\0\0\xff", &[0xff; 6]] {
            assert_eq!(forged(body), None, "{body:?}");
        }
    }
}
