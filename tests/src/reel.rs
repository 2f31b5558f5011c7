//! A film that is pushed to many broadcasts at once, over and over, in real time or as fast as the server reads.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::Bytes;
use millrace_cmaf::{Chunk, Item, Limits, Reader};
use millrace_media::{Media, Time};

use crate::program::run;

/// Frames of video and of AAC both fit into it without a rest.
const SECONDS: u32 = 8;
const FRAME_RATE: u32 = 30;

/// Video of about 1 Mb/s with a chunk for each frame, and 128 kb/s of AAC with a chunk for each frame, as one stream.
#[derive(Debug)]
pub struct Reel {
    header: Bytes,
    chunks: Vec<Chunk>,
    seconds: u32,
}

impl Reel {
    /// Has ffmpeg make it.
    pub fn make() -> Self {
        let noise = ",noise=alls=6:allf=t+u";
        Self::film(&format!("testsrc2=size=640x360:rate={FRAME_RATE}:duration={SECONDS}{noise}"), SECONDS)
    }

    /// Has ffmpeg make one of what a source filter shows, 30 frames a second, for so many seconds.
    pub fn film(source: &str, seconds: u32) -> Self {
        let folder = tempfile::tempdir().expect("a folder for a film");
        let path = folder.path().join("reel.mp4");
        let noise = format!("anoisesrc=sample_rate=48000:amplitude=0.3:duration={seconds}");
        let input = ["-v", "error", "-nostdin", "-f", "lavfi", "-i", source, "-f", "lavfi", "-i", &noise];
        let video =
            ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p", "-g", "30"];
        let rate =
            ["-b:v", "1020k", "-maxrate", "1020k", "-bufsize", "500k", "-ac", "2", "-c:a", "aac", "-b:a", "128k"];
        let flags = "cmaf+delay_moov+separate_moof+default_base_moof+frag_keyframe";
        let output = ["-movflags", flags, "-frag_duration", "20000", path.to_str().expect("the path is text")];
        run("ffmpeg", [&input[..], &video, &rate, &output].concat());
        let file = Bytes::from(std::fs::read(&path).expect("ffmpeg has written it"));
        let at = file.windows(4).position(|name| name == b"moof").expect("it is fragmented") - 4;
        let mut reader = Reader::new(Limits::default());
        reader.push(file.clone());
        let (begin, end) = (Time::from_millis(0), Time::from_millis(i64::from(seconds) * 1_000));
        let mut chunks = Vec::new();
        while let Some(item) = reader.next().expect("ffmpeg's file can be read") {
            // What primes the decoder lies before the beginning.
            if let Item::Chunk(chunk) = item
                && (begin..end).contains(&chunk.decode_time())
            {
                chunks.push(chunk);
            }
        }
        assert!(chunks.len() > (seconds * FRAME_RATE) as usize, "{} chunks", chunks.len());
        Self { header: file.slice(..at), chunks, seconds }
    }

    /// Begins to publish broadcasts of these names to a server, by its host and port, each in one endless request.
    pub fn publish(&self, server: &str, names: impl IntoIterator<Item = String>) -> Vec<Showing> {
        names.into_iter().map(|name| Showing::begin(self, server, &name)).collect()
    }

    /// Sends this much of the film to each, over and over, `speed` times as fast as it plays; without one, as fast as it is read.
    ///
    /// # Panics
    /// Where a request breaks off.
    pub fn send(&self, showings: &mut [Showing], length: Duration, speed: Option<f64>) {
        self.send_edited(showings, length, speed, |media| media);
    }

    /// As [`Reel::send`] in real time, until `is_over` or so much has been sent.
    ///
    /// # Panics
    /// As there.
    pub fn send_until(&self, showings: &mut [Showing], length: Duration, is_over: impl Fn() -> bool) {
        self.send_while(showings, length, Some(1.0), |media| (!is_over()).then_some(media));
    }

    /// As [`Reel::send`], each chunk as `edit` makes it. The film begins one second into the timeline.
    ///
    /// # Panics
    /// As there.
    pub fn send_edited(
        &self,
        showings: &mut [Showing],
        length: Duration,
        speed: Option<f64>,
        mut edit: impl FnMut(Media) -> Media,
    ) {
        self.send_while(showings, length, speed, |media| Some(edit(media)));
    }

    /// Sends what `edit` makes of each chunk, until it makes nothing.
    fn send_while(
        &self,
        showings: &mut [Showing],
        length: Duration,
        speed: Option<f64>,
        mut edit: impl FnMut(Media) -> Option<Media>,
    ) {
        let begun = Instant::now();
        for round in 0.. {
            let start = Time::from_millis(round * i64::from(self.seconds) * 1_000);
            for chunk in &self.chunks {
                let at = (chunk.decode_time() + start).to_duration();
                if at >= length {
                    return;
                }
                if let Some(speed) = speed {
                    std::thread::sleep(at.div_f64(speed).saturating_sub(begun.elapsed()));
                }
                // A second later, so that nothing lies before zero.
                let media = chunk.place(start + Time::from_millis(1_000)).expect("it lies after zero");
                let Some(media) = edit(media) else { return };
                let mut bytes = media.head.to_vec();
                media.payload.slices().iter().for_each(|slice| bytes.extend_from_slice(slice));
                showings.iter_mut().for_each(|showing| showing.send(&bytes));
            }
        }
    }
}

/// A broadcast that is being published. The request ends when it is dropped.
#[derive(Debug)]
pub struct Showing {
    stream: TcpStream,
}

impl Showing {
    fn begin(reel: &Reel, address: &str, name: &str) -> Self {
        let mut stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("it can be set");
        let head =
            format!("POST /ingest/{name}/stream.mp4 HTTP/1.1\r\nHost: {address}\r\nTransfer-Encoding: chunked\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("the server reads");
        let mut showing = Self { stream };
        showing.send(&reel.header);
        showing
    }

    fn send(&mut self, bytes: &[u8]) {
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        self.stream.write_all(&chunk).expect("the server reads");
    }
}
