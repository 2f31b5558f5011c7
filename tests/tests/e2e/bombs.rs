//! Publishers whose media costs more to decode than it looks like, over every door: the server refuses it, says so, and ends in time.

use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use millrace_cmaf::write::{ChunkWriter, Packet};
use millrace_cmaf::{Item, Limits, Reader, TrackHeader};
use millrace_media::fragment::Marks;
use millrace_media::{Media, Time};
use millrace_tests::{Server, run, until};

/// What a source may have decoded here is soon reached: 30 frames of 640x368 a second.
const CONFIG: &str = "[transcode]\nmax_decode = \"7M\"\n[[ladder]]\nrenditions = [\"240p\"]\n";
/// Ticks a frame, 25 frames a second.
const FRAME: u32 = 512;

/// A still picture: its header, and its samples.
struct Still {
    header: Bytes,
    track: TrackHeader,
    /// The first is a keyframe, the others are a few bytes long.
    samples: Vec<Bytes>,
}

impl Still {
    fn new(encoder: &str, size: &str, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder for a file");
        let path = folder.path().join("still.mp4");
        let source = format!("color=c=gray:size={size}:rate=25");
        let input = ["-v", "error", "-nostdin", "-f", "lavfi", "-i", &source, "-frames:v", "6", "-c:v", encoder];
        let output = ["-pix_fmt", "yuv420p", "-g", "100", "-bf", "0", "-video_track_timescale", "12800"];
        let flags = ["-movflags", "+cmaf+empty_moov+delay_moov+default_base_moof+frag_keyframe"];
        run("ffmpeg", [&input[..], &output, options, &flags, &[path.to_str().expect("the path is text")]].concat());
        let file = Bytes::from(std::fs::read(path).expect("ffmpeg has written it"));
        let at = file.windows(4).position(|name| name == b"moof").expect("it is fragmented") - 4;
        let mut reader = Reader::new(Limits::default());
        reader.push(file.clone());
        let (mut track, mut samples) = (None, Vec::new());
        while let Some(item) = reader.next().expect("ffmpeg writes MP4") {
            match item {
                Item::Header(header) => track = header.known().next().cloned(),
                Item::Chunk(chunk) => {
                    let media = chunk.place(Time::from_millis(0)).expect("its times are positive");
                    samples.extend(media.timed_samples().map(|timed| {
                        media.payload.contiguous(timed.sample.offset, timed.sample.size).expect("it is there")
                    }));
                }
                _ => {}
            }
        }
        let mut track = track.expect("it has a track");
        track.track_id = 1;
        assert_eq!(samples.len(), 6);
        Self { header: file.slice(..at), track, samples }
    }

    /// A fragment of one sample at the place of this frame.
    fn fragment(&self, number: u32, keyframe: bool, data: Bytes) -> Vec<u8> {
        let marks = Marks { keyframe, independent: keyframe, discardable: false };
        let packet = Packet { data, duration: FRAME, composition_offset: 0, marks };
        let time = Time::new(i64::from(number) * i64::from(FRAME), self.track.info.timescale);
        let media = ChunkWriter::starting_at(self.track.track_id, number + 1).chunk(time, [packet], None);
        bytes(&media.expect("it is short"))
    }

    /// So many fragments of one frame each: every group is the same.
    fn frames(&self, count: u32) -> Vec<u8> {
        let group = self.samples.len() as u32;
        let fragments = (0..count).map(|number| {
            let place = number % group;
            self.fragment(number, place == 0, self.samples[place as usize].clone())
        });
        [vec![self.header.to_vec()], fragments.collect()].concat().concat()
    }

    /// A keyframe, then so many fragments of a thousand frames each.
    fn bombs(&self, count: u32) -> Vec<u8> {
        let bomb = Bytes::from(self.samples[1].repeat(1_000));
        let keyframe = self.fragment(0, true, self.samples[0].clone());
        let bombs = (1..=count).map(|number| self.fragment(number, false, bomb.clone()));
        [vec![self.header.to_vec(), keyframe], bombs.collect()].concat().concat()
    }
}

fn bytes(media: &Media) -> Vec<u8> {
    [&media.head[..], &media.payload.slices().concat()].concat()
}

/// Sends a stream over HTTP, and keeps the request open.
fn push(server: &Server, broadcast: &str, stream: &[u8]) -> TcpStream {
    let mut connection = TcpStream::connect(server.address()).expect("it listens");
    let head = format!(
        "POST /ingest/{broadcast}/stream.mp4 HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n",
        server.address(),
        stream.len()
    );
    connection.write_all(&[head.as_bytes(), stream, b"\r\n"].concat()).expect("it is taken");
    connection
}

/// Publishes a file over Media over QUIC while `work` is done.
fn publish(server: &Server, broadcast: &str, stream: &[u8], work: impl FnOnce()) {
    let folder = tempfile::tempdir().expect("a folder for a file");
    let file = folder.path().join("stream.mp4");
    std::fs::write(&file, stream).expect("it can be written");
    let mut publisher = Command::new(Server::binary())
        .arg("publish")
        .arg(Path::new(&file))
        .arg(server.url(&format!("/{broadcast}")))
        .stderr(Stdio::null())
        .spawn()
        .expect("it can be started");
    work();
    publisher.kill().expect("it can be ended");
    publisher.wait().expect("it can be waited for");
}

/// Waits until a note of a broadcast says this.
fn noted(server: &Server, broadcast: &str, expected: &str) {
    until(expected, || {
        let state = server.broadcast(broadcast)?;
        state["notes"]
            .as_array()?
            .iter()
            .any(|note| note.as_str().is_some_and(|note| note.contains(expected)))
            .then_some(())
    });
}

fn decoded(server: &Server) -> f64 {
    server.metric("millrace_decode_luma_samples_total", &[])
}

#[test]
fn a_source_cannot_ask_for_more_decoding_than_it_may_over_any_door() {
    const FRAMES: f64 = 640.0 * 384.0;
    let stills = [
        ("avc", Still::new("libx264", "640x360", &[])),
        ("hevc", Still::new("libx265", "640x360", &["-x265-params", "log-level=error"])),
        ("av1", Still::new("libaom-av1", "640x360", &["-cpu-used", "8", "-lag-in-frames", "0"])),
    ];
    let server = Server::serve(CONFIG);
    const MANY: &str = "more than one access unit";
    for (name, still) in &stills {
        let before = decoded(&server);
        let broadcast = format!("bomb/http-{name}");
        let connection = push(&server, &broadcast, &still.bombs(20));
        noted(&server, &broadcast, MANY);
        drop(connection);
        // The keyframe alone was decoded; what follows a refused frame waits for the next.
        assert!(decoded(&server) - before <= FRAMES, "{name}: {} samples", decoded(&server) - before);
        let broadcast = format!("bomb/moq-{name}");
        publish(&server, &broadcast, &still.bombs(20), || noted(&server, &broadcast, MANY));
        assert!(decoded(&server) - before <= 2.0 * FRAMES, "{name}: {} samples", decoded(&server) - before);
    }
    assert!(server.metric("millrace_decode_dropped_total", &["reason=\"refused\""]) >= 6.0);

    // One frame a sample, but too many of them: as fast as they can be sent, whatever their times say.
    let before = decoded(&server);
    let connection = push(&server, "fast/http", &stills[0].1.frames(400));
    noted(&server, "fast/http", "`transcode.max_decode`");
    assert!(decoded(&server) > before, "what it may ask for is decoded");
    let transcoders = server.json("/api/v1/transcoders");
    let transcoders = transcoders["transcoders"].as_array().expect("they are listed");
    let fast = transcoders.iter().find(|one| one["broadcast"] == "fast/http").expect("it is transcoded");
    assert!(fast["left_out"]["limited"].as_u64() > Some(0) && fast["dropped"].as_u64() > Some(0), "{fast:#}");
    drop(connection);
    server.stop();
}

#[test]
fn a_server_that_is_told_to_stop_does_not_decode_what_is_left() {
    // 13 bytes a frame, each of which takes as long as any of its size.
    let still = Still::new("libx264", "4096x2304", &["-preset", "ultrafast"]);
    let server = Server::serve("[transcode]\nmax_decode = \"100G\"\n[[ladder]]\nrenditions = [\"240p\"]\n");
    let connection = push(&server, "large/one", &still.frames(2_000));
    until("it decodes", || (decoded(&server) > 10.0 * 4096.0 * 2304.0).then_some(()));
    let told = Instant::now();
    server.terminate();
    server.stopped(None);
    // A second of decoding, a second for players to see the end, and as much again for a busy machine.
    assert!(told.elapsed() < Duration::from_secs(5), "it took {:?}", told.elapsed());
    drop(connection);
}
