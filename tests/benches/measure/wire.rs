//! A client that sees when the first byte of an answer comes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use millrace_tests::{PATIENCE, Playlist};

/// What is read at a time.
const BUFFER: usize = 64 * 1024;

/// One connection, kept open.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    server: SocketAddr,
    buffer: Vec<u8>,
}

/// An answer of status 200.
#[derive(Debug)]
pub(crate) struct Answer {
    /// When the request was handed to the socket.
    pub(crate) asked: Instant,
    /// When its first byte was there.
    pub(crate) first_byte: Instant,
    /// All of it.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// From the request to the first byte.
    pub(crate) fn took(&self) -> Duration {
        self.first_byte - self.asked
    }
}

impl Wire {
    pub(crate) fn connect(server: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, server, buffer: vec![0; BUFFER] })
    }

    /// Asks for a path, and reads what comes.
    ///
    /// # Errors
    /// Where the answer is not 200, or has no length.
    pub(crate) fn get(&mut self, path: &str) -> anyhow::Result<Answer> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.server);
        self.stream.write_all(request.as_bytes())?;
        let asked = Instant::now();
        let mut read = self.stream.read(&mut self.buffer)?;
        let first_byte = Instant::now();
        let mut answer = Vec::new();
        let (head, length) = loop {
            ensure!(read > 0, "{path}: the server has closed the connection");
            answer.extend_from_slice(&self.buffer[..read]);
            if let Some(end) = answer.windows(4).position(|end| end == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
                ensure!(head.starts_with("http/1.1 200"), "{path}: {}", String::from_utf8_lossy(&answer));
                let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
                break (end + 4, length.with_context(|| format!("{path}: no length"))?.trim().parse::<usize>()?);
            }
            read = self.stream.read(&mut self.buffer)?;
        };
        while answer.len() < head + length {
            let read = self.stream.read(&mut self.buffer)?;
            ensure!(read > 0, "{path}: the body broke off");
            answer.extend_from_slice(&self.buffer[..read]);
        }
        Ok(Answer { asked, first_byte, body: answer.split_off(head) })
    }

    /// The media playlist at a path.
    pub(crate) fn playlist(&mut self, path: &str) -> anyhow::Result<Playlist> {
        Ok(Playlist::parse(&String::from_utf8(self.get(path)?.body)?))
    }
}
