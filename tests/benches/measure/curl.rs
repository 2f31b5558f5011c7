//! curl, for what is not timed: with TLS and without.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::film::Track;

fn curl() -> Command {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--insecure", "--fail"]);
    command
}

/// The bytes at an address.
///
/// # Errors
/// Where there are none.
pub(crate) fn get(url: &str) -> anyhow::Result<Vec<u8>> {
    let output = curl().arg(url).output().context("curl cannot be started")?;
    ensure!(output.status.success(), "{url}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}

/// The version of TLS and the cipher that a server and curl agree on, as curl tells them.
///
/// # Errors
/// Where there is no TLS.
pub(crate) fn cipher(url: &str) -> anyhow::Result<String> {
    let output = curl().args(["--verbose", "--output", "/dev/null", url]).output().context("curl cannot be started")?;
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().find_map(|line| line.split_once("SSL connection using "));
    Ok(line.with_context(|| format!("{url}: curl says of no TLS:\n{said}"))?.1.to_owned())
}

/// A publisher: one endless request for a track, paced as a live encoder paces it. The request stays open until this is dropped.
#[derive(Debug)]
pub(crate) struct Feed {
    child: Child,
    thread: Option<JoinHandle<std::io::Result<std::process::ChildStdin>>>,
    /// Open, so that the request goes on.
    _input: Option<std::process::ChildStdin>,
}

impl Feed {
    /// Begins to send this much of a track, in real time.
    pub(crate) fn start(url: &str, track: &Track, length: Duration) -> anyhow::Result<Self> {
        let mut command = curl();
        command.args(["--http1.1", "--request", "POST", "--upload-file", "-", url]);
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.spawn().context("curl cannot be started")?;
        let mut input = child.stdin.take().context("it is piped")?;
        let rate = track.rate;
        let count = track.chunks.len().min((length.as_secs_f64() * rate) as usize);
        let (header, chunks) = (track.header.clone(), track.chunks[..count].to_vec());
        let thread = std::thread::spawn(move || {
            input.write_all(&header)?;
            let begun = Instant::now();
            for (number, chunk) in chunks.iter().enumerate() {
                std::thread::sleep(Duration::from_secs_f64(number as f64 / rate).saturating_sub(begun.elapsed()));
                input.write_all(chunk)?;
            }
            Ok(input)
        });
        Ok(Self { child, thread: Some(thread), _input: None })
    }

    /// Waits until all of it has been sent.
    ///
    /// # Errors
    /// Where curl took less.
    pub(crate) fn sent_all(&mut self) -> anyhow::Result<()> {
        if let Some(thread) = self.thread.take() {
            let input = thread.join().map_err(|_| anyhow::anyhow!("the publisher panicked"))?;
            self._input = Some(input.context("curl takes no more")?);
        }
        Ok(())
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        // The thread's next write fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
