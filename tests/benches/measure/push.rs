//! A publisher: one endless request a track, paced as a live encoder paces it.

use std::collections::HashMap;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::film::Track;

/// The last bytes of a chunk, by which it is known again. The film has grain: no two chunks end alike.
const TAIL: usize = 24;

/// When each chunk was handed to the socket, all of it at once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent(Arc<Mutex<HashMap<Bytes, Instant>>>);

impl Sent {
    /// For the chunk that these bytes end with.
    pub(crate) fn when(&self, media: &[u8]) -> Option<Instant> {
        let tail = &media[media.len().saturating_sub(TAIL)..];
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(tail).copied()
    }

    fn note(&self, chunk: &Bytes, when: Instant) {
        let tail = chunk.slice(chunk.len().saturating_sub(TAIL)..);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(tail, when);
    }
}

/// A track on its way. The request stays open until this is dropped.
#[derive(Debug)]
pub(crate) struct Push {
    pub(crate) sent: Sent,
    stream: TcpStream,
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

impl Push {
    /// Begins to send this much of a track, in real time.
    pub(crate) fn start(server: SocketAddr, path: &str, track: &Track, length: Duration) -> anyhow::Result<Self> {
        Self::stamped(server, path, track, length, |_| Bytes::new())
    }

    /// The same, with what `stamp` gives before each chunk, by its number, when it is sent.
    pub(crate) fn stamped(
        server: SocketAddr,
        path: &str,
        track: &Track,
        length: Duration,
        stamp: impl Fn(usize) -> Bytes + Send + 'static,
    ) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        write!(stream, "POST {path} HTTP/1.1\r\nHost: {server}\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        let (sent, mut out, rate) = (Sent::default(), stream.try_clone()?, track.rate);
        let count = track.chunks.len().min((length.as_secs_f64() * rate) as usize);
        let (header, chunks, noted) = (track.header.clone(), track.chunks[..count].to_vec(), sent.clone());
        let thread = std::thread::spawn(move || {
            send(&mut out, &[&header])?;
            let begun = Instant::now();
            for (number, chunk) in chunks.iter().enumerate() {
                let due = Duration::from_secs_f64(number as f64 / rate);
                std::thread::sleep(due.saturating_sub(begun.elapsed()));
                // Before, since the answer may be there before the call returns.
                noted.note(chunk, Instant::now());
                send(&mut out, &[&stamp(number), chunk])?;
            }
            Ok(())
        });
        Ok(Self { sent, stream, thread: Some(thread) })
    }
}

impl Drop for Push {
    fn drop(&mut self) {
        // The thread's next write fails.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A chunk of the transfer coding (RFC 9112, 7.1), in one write, so that the last byte goes with the first.
fn send(out: &mut TcpStream, pieces: &[&[u8]]) -> std::io::Result<()> {
    let mut chunk = format!("{:x}\r\n", pieces.iter().map(|piece| piece.len()).sum::<usize>()).into_bytes();
    pieces.iter().for_each(|piece| chunk.extend_from_slice(piece));
    chunk.extend_from_slice(b"\r\n");
    out.write_all(&chunk)
}
