//! Programs of others, as `make peers` builds them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use crate::film::Film;
use crate::program::Record;
use crate::root;

/// How ffmpeg writes fragments that all peers read: a fragment for each picture, one track in each.
const FRAGMENTS: [&str; 10] = [
    "-movflags",
    "cmaf+delay_moov+separate_moof+default_base_moof+frag_keyframe",
    "-frag_duration",
    "33000",
    "-f",
    "mp4",
    "-flush_packets",
    "1",
    "-y",
    "pipe:1",
];
/// Pictures that come out as they go in, a keyframe each second; and sound.
const CODECS: [&str; 10] =
    ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "30", "-c:a", "aac"];

/// A peer at work. Ended when it is dropped.
#[derive(Debug)]
pub struct Peer {
    name: String,
    child: Child,
    /// The ffmpeg that feeds it.
    feeder: Option<Child>,
    record: Record,
}

impl Peer {
    /// Starts a peer.
    pub fn start<A: AsRef<OsStr>>(name: &str, arguments: impl IntoIterator<Item = A>) -> Self {
        let mut command = Self::command(&Self::binary(name), arguments);
        command.stdin(Stdio::null());
        Self::run(name, command, None)
    }

    /// Starts a peer as its users run it: the relays that `make setup-bench` builds.
    pub(super) fn start_released<A: AsRef<OsStr>>(name: &str, arguments: impl IntoIterator<Item = A>) -> Self {
        let path = root().join("target/peers/release").join(name);
        assert!(path.exists(), "there is no {}: run `make setup-bench` first", path.display());
        let mut command = Self::command(&path, arguments);
        command.stdin(Stdio::null()).env("RUST_LOG", "error");
        Self::run(name, command, None)
    }

    /// Starts a peer that publishes what ffmpeg makes of a film, in real time.
    pub fn publishing<A: AsRef<OsStr>>(name: &str, arguments: impl IntoIterator<Item = A>, film: &Film) -> Self {
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-nostdin", "-hide_banner", "-loglevel", "error", "-re", "-stream_loop", "-1", "-i"]);
        ffmpeg.arg(film.path()).args(CODECS).args(FRAGMENTS);
        // It complains where its peer goes before it.
        ffmpeg.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut feeder = ffmpeg.spawn().expect("ffmpeg is installed");
        let media = feeder.stdout.take().expect("it is piped");
        let mut command = Self::command(&Self::binary(name), arguments);
        command.stdin(media);
        Self::run(name, command, Some(feeder))
    }

    /// Starts a peer whose standard output is media.
    pub(super) fn subscribing<A: AsRef<OsStr>>(
        name: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> (Self, ChildStdout) {
        let mut command = Self::command(&Self::binary(name), arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut peer = Self::spawn(name, command, None);
        let media = peer.child.stdout.take().expect("it is piped");
        (peer, media)
    }

    fn command<A: AsRef<OsStr>>(program: &Path, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).env("RUST_LOG", "info");
        // What is set where the tests run is not what they are about.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MOQ_")) {
            command.env_remove(name);
        }
        command
    }

    fn run(name: &str, mut command: Command, feeder: Option<Child>) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut peer = Self::spawn(name, command, feeder);
        peer.record.follow(peer.child.stdout.take().expect("it is piped"), |_| ());
        peer
    }

    fn spawn(name: &str, mut command: Command, feeder: Option<Child>) -> Self {
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let record = Record::default();
        // It ends when the peer does.
        record.follow(child.stderr.take().expect("it is piped"), |_| ());
        Self { name: name.to_owned(), child, feeder, record }
    }

    /// A program that `make peers` has built.
    ///
    /// # Panics
    /// Where it has not.
    pub fn binary(name: &str) -> PathBuf {
        let path = root().join("target/peers/debug").join(name);
        assert!(path.exists(), "there is no {}: run `make peers` first", path.display());
        path
    }

    /// What it has said.
    pub fn log(&self) -> String {
        self.record.text()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it without a chance to say goodbye.
    pub fn kill(self) {}
}

impl Drop for Peer {
    fn drop(&mut self) {
        for child in [Some(&mut self.child), self.feeder.as_mut()].into_iter().flatten() {
            // Gone already where it ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("{} said:\n{}", self.name, self.record.text());
        }
    }
}
