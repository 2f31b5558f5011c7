//! ffmpeg, pushing a film in real time.

use std::process::{Child, Command, ExitStatus, Stdio};

use crate::film::Film;
use crate::program::Record;
use crate::readme::Form;
use crate::server::Server;
use crate::wait::until;

/// What ffmpeg says of DASH over HTTP, wherever it goes.
const NO_RENAME: &str = "Cannot use rename on non file protocol";

/// A running push. Killed when it is dropped.
#[derive(Debug)]
pub struct Publisher {
    child: Child,
    record: Record,
}

impl Publisher {
    /// Pushes a film, as the README says, to the broadcast of this name. `query` goes behind the address: `?token=…`.
    pub fn start(server: &Server, form: Form, film: &Film, broadcast: &str, query: &str) -> Self {
        let url = server.url(&format!("/ingest/{broadcast}/{}{query}", form.file_name()));
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-hide_banner", "-loglevel", "error", "-re", "-stream_loop", "-1", "-i"]);
        command.arg(film.path()).args(form.options()).arg(url);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("ffmpeg is installed");
        let record = Record::default();
        // It ends when ffmpeg does.
        record.follow(child.stderr.take().expect("it is piped"), |_| ());
        Self { child, record }
    }

    /// Ends it without a chance to say goodbye.
    pub fn kill(mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be waited for");
    }

    /// Tells ffmpeg to finish: it sends what it has, and the end.
    ///
    /// # Panics
    /// Where it has gone before, or complained.
    pub fn finish(mut self) {
        assert!(self.ended().is_none(), "ffmpeg has gone: {}", self.record.text());
        let sent = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        assert!(sent.expect("there is a kill").success());
        until("ffmpeg finishes", || self.ended());
        let said = self.record.text();
        let complaints: Vec<_> = said.lines().filter(|line| !line.contains(NO_RENAME) && !line.is_empty()).collect();
        assert!(complaints.is_empty(), "ffmpeg complained while it pushed: {complaints:#?}");
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the publisher's ffmpeg said:\n{}", self.record.text());
        }
    }
}
