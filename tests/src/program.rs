//! Other programs, run to their end.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// What ffmpeg says of every live stream of fragmented MP4 in HLS, whoever serves it: it reads the header again with each playlist.
const HEADER_AGAIN: &str = "Found duplicated MOOV Atom. Skipped it";
/// What ffmpeg says in place of a message that it has just given, so and so many times.
const REPEATED: &str = "Last message repeated";

/// Runs a program that has to succeed without a word on its standard error, and gives what it wrote.
///
/// # Panics
/// Where it is not installed, fails or complains.
pub fn run<A: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = A>) -> String {
    let (output, told) = output(program, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\nfailed: {}\n{said}", output.status);
    let complaints = complaints(&said);
    assert!(complaints.is_empty(), "{told}\ncomplained: {complaints:#?}");
    String::from_utf8(output.stdout).expect("a program's text is UTF-8")
}

/// The lines that are no news of every stream. One that stands for a repetition is what it repeats.
fn complaints(said: &str) -> Vec<&str> {
    let mut is_usual = false;
    let lines = said.lines().filter(|line| !line.is_empty());
    lines
        .filter(|line| {
            if !line.trim_start().starts_with(REPEATED) {
                is_usual = line.contains(HEADER_AGAIN);
            }
            !is_usual
        })
        .collect()
}

/// Runs a program that may fail, and gives its exit code and what it wrote to both outputs.
///
/// # Panics
/// Where it is not installed, or a signal ends it.
pub fn run_for_errors<A: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = A>) -> (i32, String) {
    let (output, told) = output(program, arguments);
    let text = [output.stdout, output.stderr].concat();
    let code = output.status.code().unwrap_or_else(|| panic!("{told}\nended by {}", output.status));
    (code, String::from_utf8_lossy(&text).into_owned())
}

fn output<A: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = A>) -> (Output, String) {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    let told = format!("{command:?}");
    (command.output().unwrap_or_else(|error| panic!("{told}: {error} (`make setup` installs it)")), told)
}

/// What a running program says, line by line, kept to be shown where a test fails.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record(Arc<Mutex<String>>);

impl Record {
    /// Reads to the end of a pipe, on a thread of its own; `see` is shown each line.
    pub(crate) fn follow(
        &self,
        pipe: impl Read + Send + 'static,
        mut see: impl FnMut(&str) + Send + 'static,
    ) -> JoinHandle<()> {
        let record = self.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line);
                see(&line);
                let mut text = record.0.lock().unwrap_or_else(PoisonError::into_inner);
                text.push_str(&line);
                text.push('\n');
            }
        })
    }

    /// All that was said so far.
    pub(crate) fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repetition_is_what_it_repeats() {
        let usual = "[mov @ 0x1] Found duplicated MOOV Atom. Skipped it";
        let again = "    Last message repeated 1 times";
        assert!(complaints(&format!("{usual}\n{again}\n\n{usual}\n")).is_empty());
        assert_eq!(complaints(&format!("{usual}\nbroken\n{again}\n{usual}")), ["broken", again]);
        assert_eq!(complaints(again), [again], "what it repeats was not seen");
    }
}
