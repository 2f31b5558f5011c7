//! The real binary, with a configuration of the test's own.

use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::http::{Answer, Client};
use crate::program::Record;
use crate::turn::Turn;
use crate::wait::{PATIENCE, until};

/// What its configuration is called.
const CONFIG: &str = "millrace.toml";

/// A server at work. It is killed when it is dropped; [`stop`](Self::stop) asks it to end as an operator would.
#[derive(Debug)]
pub struct Server {
    child: Child,
    origin: String,
    record: Record,
    readers: Vec<JoinHandle<()>>,
    client: Client,
    mode: &'static str,
    folder: TempDir,
    // Last, so that the next test begins when all of this is gone.
    _turn: Turn,
}

/// The process, where it listens, and what reads its log.
type Launched = (Child, String, Vec<JoinHandle<()>>);

impl Server {
    /// `millrace serve` with this configuration.
    pub fn serve(config: &str) -> Self {
        Self::start("serve", config, None)
    }

    /// `millrace demo` with this configuration.
    pub fn demo(config: &str) -> Self {
        Self::start("demo", config, None)
    }

    /// `millrace serve` with no more than so many file descriptors.
    pub fn serve_with_descriptors(config: &str, descriptors: u32) -> Self {
        Self::start("serve", config, Some(descriptors))
    }

    fn start(mode: &'static str, config: &str, descriptors: Option<u32>) -> Self {
        let turn = Turn::take();
        let folder = tempfile::tempdir().expect("a folder for the configuration");
        std::fs::write(folder.path().join(CONFIG), config).expect("the configuration can be written");
        let record = Record::default();
        let command = match descriptors {
            None => Command::new(Self::binary()),
            Some(descriptors) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("ulimit -n {descriptors}; exec \"$0\" \"$@\"")]).arg(Self::binary());
                shell
            }
        };
        let (child, origin, readers) = Self::launch(command, mode, &folder, "127.0.0.1:0", &record);
        Self { child, origin, record, readers, client: Client::default(), mode, folder, _turn: turn }
    }

    fn launch(mut command: Command, mode: &str, folder: &TempDir, listen: &str, record: &Record) -> Launched {
        command.args([mode, "--listen", listen, "--config"]).arg(folder.path().join(CONFIG));
        // What is set where the tests run is not what they are about.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MILLRACE_")) {
            command.env_remove(name);
        }
        // Nor is what the user has compiled. One test need not compile what another has.
        command.env("XDG_CACHE_HOME", Self::binary().with_file_name("test-cache"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the server can be started");
        let (found, address) = mpsc::sync_channel(1);
        let see = move |line: &str| {
            if let Some(at) = ["http://", "https://"].iter().find_map(|scheme| line.find(scheme)) {
                // Only the first is waited for.
                let _ = found.try_send(line[at..].split(['/', '#']).take(3).collect::<Vec<_>>().join("/"));
            }
        };
        let out = record.follow(child.stdout.take().expect("it is piped"), see);
        let err = record.follow(child.stderr.take().expect("it is piped"), |_| ());
        // Compiling the plugins is part of the start.
        let Ok(origin) = address.recv_timeout(PATIENCE * 2) else {
            let _ = child.kill();
            panic!("the server has not said where it listens:\n{}", record.text());
        };
        (child, origin, vec![out, err])
    }

    /// Ends it without a chance to say goodbye: SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be waited for");
    }

    /// Starts it again after [`kill`](Self::kill), at the same address, with the same configuration.
    pub fn restart(&mut self) {
        let address = self.address().to_owned();
        (self.child, self.origin, self.readers) =
            Self::launch(Command::new(Self::binary()), self.mode, &self.folder, &address, &self.record);
    }

    /// Sends SIGHUP.
    pub fn hang_up(&self) {
        self.signal("-HUP");
    }

    /// The binary that is tested: the one beside the test's own.
    ///
    /// # Panics
    /// Where it has not been built.
    pub fn binary() -> PathBuf {
        let test = std::env::current_exe().expect("a test has a path");
        let built = test.ancestors().nth(2).expect("tests are built two folders deep").join("millrace");
        assert!(built.exists(), "there is no {}: run `cargo build -p millrace` first", built.display());
        built
    }

    /// The address of a path, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// Where Media over QUIC is spoken: beside HTTP, on the port of the same number.
    pub fn moq(&self) -> String {
        format!("https://{}", self.address())
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The memory that its process has, in bytes.
    ///
    /// # Panics
    /// Where it is gone.
    pub fn resident(&self) -> u64 {
        crate::resident::resident(self.id()).expect("the process is there")
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        self.origin.split("://").last().expect("it has a scheme")
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.record.text()
    }

    /// The text at a path.
    ///
    /// # Panics
    /// Where the answer is not 200.
    pub fn text(&self, path: &str) -> String {
        self.client.text(&self.url(path))
    }

    /// The JSON at a path.
    ///
    /// # Panics
    /// Where the answer is not 200, or not JSON.
    pub fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.text(path)).expect("the answer is JSON")
    }

    /// Sends JSON to a path.
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.client.post(&self.url(path), body)
    }

    /// Removes what is at a path.
    pub fn delete(&self, path: &str) -> Answer {
        self.client.delete(&self.url(path))
    }

    /// What the list says of a broadcast.
    pub fn broadcast(&self, name: &str) -> Option<Value> {
        let list = self.json("/api/v1/broadcasts");
        list["broadcasts"].as_array()?.iter().find(|broadcast| broadcast["name"] == name).cloned()
    }

    /// Waits until a broadcast has a track for which `wanted` holds, and gives the track.
    pub fn track(&self, broadcast: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        until("a track", || {
            self.broadcast(broadcast)?["tracks"].as_array()?.iter().find(|track| wanted(track)).cloned()
        })
    }

    /// The sum of a metric over all its series whose labels contain each of `labels`, as in `phase="start"`.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let text = self.text("/metrics");
        let series = text.lines().filter(|line| {
            let rest = line.strip_prefix(name).unwrap_or_default();
            rest.starts_with(['{', ' ']) && labels.iter().all(|label| rest.contains(label))
        });
        series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal("-TERM");
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(sent.expect("there is a kill").success(), "the server is gone already:\n{}", self.log());
    }

    /// Ends it as an operator does.
    ///
    /// # Panics
    /// Unless it exits with 0, in time, without having logged an error.
    pub fn stop(self) {
        self.terminate();
        self.stopped(None);
    }

    /// Waits for its end, after [`terminate`](Self::terminate). Errors that say what is `expected` may have been logged.
    ///
    /// # Panics
    /// As [`stop`](Self::stop).
    pub fn stopped(mut self, expected: Option<&str>) {
        let status = self.exited();
        assert!(status.success(), "the server ended with {status}:\n{}", self.log());
        self.readers.drain(..).for_each(|reader| reader.join().expect("a log can be read"));
        let log = self.log();
        let is_expected = |line: &&str| expected.is_some_and(|expected| line.contains(expected));
        let is_error = |line: &&str| line.contains("ERROR") || line.contains("panicked");
        let errors: Vec<_> = log.lines().filter(is_error).filter(|line| !is_expected(line)).collect();
        assert!(errors.is_empty(), "the server has logged errors: {errors:#?}");
    }

    fn exited(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return status;
            }
            assert!(Instant::now() < deadline, "the server does not stop:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Gone already where it was stopped.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the server's log:\n{}", self.log());
        }
    }
}
