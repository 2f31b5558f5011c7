//! Compiled components, kept on disk from one start to the next.
//!
//! What is kept is machine code that the server will run. So it is taken only from a directory and a file that nobody but the server's user
//! can write, and only where a digest says that the file is what was put there: whoever could forge it is that user already.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use ring::digest;
use rustix::fs::OFlags;
use rustix::process::geteuid;

use super::Artifact;
use super::codegen::{EngineId, sha256};

/// How every file begins. The last byte is the version of the form: the digest of the key and the artifact follows, and the artifact.
const MAGIC: [u8; 16] = *b"millrace-plugin\x01";
/// Bytes before the artifact.
const HEADER: usize = MAGIC.len() + 32;
/// How the names of files end.
const ENDING: &str = ".compiled";
/// How the names of files begin that are being written.
const UNFINISHED: &str = ".unfinished-";
/// A file that is still being written after so long was left by a server that was killed.
const LEFT: Duration = Duration::from_secs(3600);

/// Where compiled components are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheSettings {
    /// The directory. It is made where it is not there. More than one server may use it.
    pub directory: PathBuf,
    /// The most bytes that it may take. Beyond it, what was not used for longest is removed.
    pub bytes: u64,
}

impl CacheSettings {
    /// A directory that may take 1 GiB.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), bytes: 1 << 30 }
    }
}

/// What distinguishes a compiled component: what it was compiled from, and for which engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key([u8; 32]);

impl Key {
    pub(super) fn of(engine: EngineId, component: &[u8]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&engine.0);
        context.update(component);
        Self(sha256(context))
    }

    fn file_name(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).chain([ENDING.to_owned()]).collect()
    }
}

/// What the cache has.
pub(super) enum Kept {
    /// This.
    Artifact(Artifact),
    /// Nothing yet; what is compiled now may be put there.
    Nothing(Key),
    /// Something that others can write. Nothing is taken from there, and nothing put.
    Untrusted,
}

/// Why a directory or a file is not used.
#[derive(Debug, thiserror::Error)]
enum Unfit {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it is not {0}")]
    Kind(&'static str),
    #[error("it belongs to the user {owner}, and this server runs as {user}")]
    Owner { owner: u32, user: u32 },
    #[error("others than its owner may write it (its mode is {:03o})", .0 & 0o777)]
    Writable(u32),
}

pub(super) struct Cache {
    settings: CacheSettings,
    /// The longest artifact there can be.
    longest: u64,
}

impl Cache {
    pub(super) fn new(settings: CacheSettings, longest: u64) -> Self {
        Self { settings, longest }
    }

    /// What is kept under a key. A file that is damaged is removed.
    pub(super) fn get(&self, key: Key) -> Kept {
        if let Err(reason) = self.directory() {
            self.warn(&self.settings.directory, &reason);
            return Kept::Untrusted;
        }
        let path = self.settings.directory.join(key.file_name());
        let mut file = match open(&path) {
            Ok(file) => file,
            Err(Unfit::Io(error)) if error.kind() == io::ErrorKind::NotFound => return Kept::Nothing(key),
            Err(reason) => {
                self.warn(&path, &reason);
                return Kept::Untrusted;
            }
        };
        match self.read(&mut file, &key) {
            Ok(Some(artifact)) => {
                // By this the least recently used is known; a file that cannot be touched is removed early.
                let _ = file.set_modified(SystemTime::now());
                Kept::Artifact(artifact)
            }
            Ok(None) => {
                tracing::warn!(path = %path.display(), "a compiled plugin is damaged: it is removed and compiled again");
                // Should it stay, it is written over.
                let _ = fs::remove_file(&path);
                Kept::Nothing(key)
            }
            Err(error) => {
                self.warn(&path, &error.into());
                Kept::Nothing(key)
            }
        }
    }

    /// Keeps an artifact, and makes room for it. What goes wrong is told, and costs nothing but another compiling.
    pub(super) fn put(&self, key: &Key, artifact: &Artifact) {
        let length = (HEADER + artifact.0.len()) as u64;
        if length > self.settings.bytes {
            tracing::debug!(length, most = self.settings.bytes, "a compiled plugin is too large to be kept");
            return;
        }
        let done = self.directory().and_then(|()| Ok(self.write(key, artifact)?)).and_then(|()| Ok(self.make_room()?));
        if let Err(reason) = done {
            self.warn(&self.settings.directory, &reason);
        }
    }

    fn warn(&self, path: &Path, reason: &Unfit) {
        tracing::warn!(path = %path.display(), "compiled plugins are not kept: {reason}");
    }

    /// Makes the directory where it is not there, and says why it is not to be used.
    fn directory(&self) -> Result<(), Unfit> {
        let directory = &self.settings.directory;
        match DirBuilder::new().recursive(true).mode(0o700).create(directory) {
            // What is there and is no directory is found below.
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
            _ => {}
        }
        let metadata = fs::metadata(directory)?;
        if !metadata.is_dir() {
            return Err(Unfit::Kind("a directory"));
        }
        is_ours(&metadata)
    }

    /// The artifact; none where the file is damaged.
    fn read(&self, file: &mut File, key: &Key) -> io::Result<Option<Artifact>> {
        let mut header = [0; HEADER];
        match file.read_exact(&mut header) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let mut artifact = Vec::new();
        file.take(self.longest).read_to_end(&mut artifact)?;
        let artifact = Artifact(artifact);
        Ok(Some(artifact).filter(|artifact| header == self::header(key, artifact)))
    }

    fn write(&self, key: &Key, artifact: &Artifact) -> io::Result<()> {
        // It can be read and written by its owner alone.
        let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.settings.directory)?;
        file.write_all(&header(key, artifact))?;
        file.write_all(&artifact.0)?;
        file.persist(self.settings.directory.join(key.file_name()))?;
        Ok(())
    }

    /// Removes what was used least recently, until the rest is small enough.
    fn make_room(&self) -> io::Result<()> {
        let mut kept = Vec::new();
        for entry in fs::read_dir(&self.settings.directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let (name, path) = (name.to_string_lossy(), entry.path());
            // Another server may have removed it.
            let Ok(metadata) = entry.metadata() else { continue };
            let used = metadata.modified()?;
            if name.ends_with(ENDING) {
                kept.push((used, metadata.len(), path));
            } else if name.starts_with(UNFINISHED) && used.elapsed().is_ok_and(|age| age > LEFT) {
                let _ = fs::remove_file(path);
            }
        }
        kept.sort();
        let mut total: u64 = kept.iter().map(|(_, length, _)| length).sum();
        for (_, length, path) in kept {
            if total <= self.settings.bytes {
                break;
            }
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => total -= length,
            }
        }
        Ok(())
    }
}

/// What stands before an artifact. A file under another's name is not taken for it, since the key is part of the digest.
fn header(key: &Key, artifact: &Artifact) -> [u8; HEADER] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&key.0);
    context.update(&artifact.0);
    let mut header = [0; HEADER];
    header[..MAGIC.len()].copy_from_slice(&MAGIC);
    header[MAGIC.len()..].copy_from_slice(&sha256(context));
    header
}

/// Opens a file that only we can write. It is looked at after it is open, so that it cannot be another by then.
fn open(path: &Path) -> Result<File, Unfit> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(Unfit::Kind("a file"));
    }
    is_ours(&metadata)?;
    Ok(file)
}

/// Whether nobody but this process's user can write it.
fn is_ours(metadata: &Metadata) -> Result<(), Unfit> {
    let (owner, user) = (metadata.uid(), geteuid().as_raw());
    if owner != user {
        return Err(Unfit::Owner { owner, user });
    }
    if metadata.mode() & 0o022 != 0 { Err(Unfit::Writable(metadata.mode())) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
