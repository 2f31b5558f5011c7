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
    dropped_bytes: usize,
}

impl Output {
    fn written(&self) -> MutexGuard<'_, Written> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lines that are whole, or all there is where `all` is asked for: at most so many, and how many more there were.
    pub(crate) fn take(&self, all: bool, most: usize) -> (Vec<String>, u64) {
        let mut written = self.written();
        if written.bytes.is_empty() {
            return (Vec::new(), 0);
        }
        let end = match written.bytes.iter().rposition(|byte| *byte == b'\n') {
            _ if all || written.dropped_bytes > 0 => written.bytes.len(),
            Some(last) => last + 1,
            None => return (Vec::new(), 0),
        };
        let rest = written.bytes.split_off(end);
        let text = std::mem::replace(&mut written.bytes, rest);
        let dropped_bytes = std::mem::take(&mut written.dropped_bytes);
        drop(written);
        let mut rest = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end).filter(|line| !line.is_empty());
        let mut lines: Vec<_> =
            rest.by_ref().take(most).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
        let dropped = rest.count() as u64;
        if let Some(last) = lines.last_mut().filter(|_| dropped_bytes > 0) {
            last.push_str(&format!(" ({dropped_bytes} more bytes were written and dropped)"));
        }
        (lines, dropped)
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
        written.dropped_bytes += bytes.len() - room;
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
        assert_eq!(output.take(false, 10), (vec!["one".to_owned()], 0));
        assert_eq!(output.take(false, 10), (vec![], 0));
        output.write(Bytes::from_static(b"o\r\n\n\xff")).unwrap();
        assert_eq!(output.take(true, 10), (vec!["two".to_owned(), "\u{fffd}".to_owned()], 0));
    }

    #[test]
    fn a_flood_is_cut_and_counted() {
        let mut output = Output::default();
        for _ in 0..3 {
            output.write(vec![b'x'; MOST].into()).unwrap();
        }
        let (lines, dropped) = output.take(false, 10);
        assert_eq!((lines.len(), dropped), (1, 0));
        assert!(lines[0].ends_with(&format!("x ({} more bytes were written and dropped)", 2 * MOST)));
        output.write("a\nb\nc\n".into()).unwrap();
        assert_eq!(output.take(false, 1), (vec!["a".to_owned()], 2));
    }
}
