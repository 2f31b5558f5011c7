//! Standard output and standard error, line by line to the log.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

/// The most that is kept of what was written since it was last taken, in bytes. What is more is left out.
const MOST: usize = 64 << 10;
/// What may be written at once, in bytes.
const PERMIT: usize = 64 << 10;

/// What a guest has written and the log has not got yet. Cheap to clone: clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Output(Arc<Mutex<Written>>);

#[derive(Debug, Default)]
struct Written {
    bytes: Vec<u8>,
    left_out: usize,
}

impl Output {
    fn written(&self) -> MutexGuard<'_, Written> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lines that are whole, or all there is where `all` is asked for.
    pub(crate) fn take(&self, all: bool) -> Vec<String> {
        let mut written = self.written();
        if written.bytes.is_empty() {
            return Vec::new();
        }
        let end = match written.bytes.iter().rposition(|byte| *byte == b'\n') {
            _ if all || written.left_out > 0 => written.bytes.len(),
            Some(last) => last + 1,
            None => return Vec::new(),
        };
        let rest = written.bytes.split_off(end);
        let text = std::mem::replace(&mut written.bytes, rest);
        let left_out = std::mem::take(&mut written.left_out);
        drop(written);
        let text = String::from_utf8_lossy(&text);
        let mut lines: Vec<_> =
            text.lines().map(str::trim_end).filter(|line| !line.is_empty()).map(String::from).collect();
        if left_out > 0 {
            lines.push(format!("({left_out} more bytes were written and left out)"));
        }
        lines
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // Only WASI 0.3 asks for it, which is not given.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut written = self.written();
        let room = MOST.saturating_sub(written.bytes.len()).min(bytes.len());
        written.bytes.extend_from_slice(&bytes[..room]);
        written.left_out += bytes.len() - room;
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> Result<usize, StreamError> {
        Ok(PERMIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_whole_and_the_rest_at_the_end() {
        let mut output = Output::default();
        output.write("one\ntw".into()).unwrap();
        assert_eq!(output.take(false), ["one"]);
        assert_eq!(output.take(false), [""; 0]);
        output.write(Bytes::from_static(b"o\r\n\n\xff")).unwrap();
        assert_eq!(output.take(true), ["two", "\u{fffd}"]);
    }

    #[test]
    fn a_flood_is_cut_and_counted() {
        let mut output = Output::default();
        for _ in 0..3 {
            output.write(vec![b'x'; MOST].into()).unwrap();
        }
        let lines = output.take(false);
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1], format!("({} more bytes were written and left out)", 2 * MOST));
    }
}
