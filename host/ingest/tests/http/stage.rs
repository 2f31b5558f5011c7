//! A server on a port of its own, ffmpeg to push to it, and what to expect on the bus.

use std::future::Future;
use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use axum::Router;
use millrace_ingest::http::{Ingest, Settings, router};
use millrace_media::broadcast::State;
use millrace_media::clock::Clock;
use millrace_media::track::{Kind, Track};
use millrace_media::{Broadcast, BroadcastName, Bus, Fragment, Time, bus};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Child;
use tokio::task::JoinSet;

use crate::native::Native;

/// Longer than anything takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Stage {
    pub(crate) address: SocketAddr,
    pub(crate) bus: Bus,
    pub(crate) ingest: Arc<Ingest>,
    _tasks: JoinSet<()>,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        Self::on(Bus::new(bus::Settings::default(), Arc::new(Clock::system())), settings).await
    }

    /// With a stage before the bus.
    pub(crate) async fn filtered(native: Native) -> Self {
        let bus = Bus::with_stage(bus::Settings::default(), Arc::new(Clock::system()), Arc::new(native));
        Self::on(bus, Settings::default()).await
    }

    async fn on(bus: Bus, settings: Settings) -> Self {
        let ingest = Ingest::new(bus.clone(), settings);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().nest("/ingest", router(ingest.clone()));
        let app = app.into_make_service_with_connect_info::<SocketAddr>();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, app).await.unwrap() });
        tasks.spawn(ingest.clone().watch());
        Self { address, bus, ingest, _tasks: tasks }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/ingest/{path}", self.address)
    }

    /// Pushes `source` with ffmpeg.
    pub(crate) fn push(&self, source: &str, options: &str, path: &str) -> Child {
        let mut command = tokio::process::Command::new("ffmpeg");
        command.args(["-nostdin", "-hide_banner", "-loglevel", "error"]);
        command.args(source.split_ascii_whitespace());
        // A no-break space stands for a space inside an argument.
        command
            .args(options.split_ascii_whitespace().map(|argument| argument.replace('\u{a0}', " ")))
            .arg(self.url(path));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        command.spawn().expect("ffmpeg is installed")
    }

    /// Pushes to the end, which has to go well.
    pub(crate) async fn push_all(&self, source: &str, options: &str, path: &str) {
        let output = within(self.push(source, options, path).wait_with_output()).await.unwrap();
        assert!(output.status.success(), "ffmpeg: {}", String::from_utf8_lossy(&output.stderr));
    }

    pub(crate) async fn broadcast(&self, name: &str) -> Broadcast {
        let name = BroadcastName::new(name).unwrap();
        self.until(|| self.bus.broadcast(&name)).await
    }

    /// Waits until the bus shows what is asked for.
    pub(crate) async fn until<T>(&self, mut find: impl FnMut() -> Option<T>) -> T {
        let mut changes = self.bus.changes();
        within(async {
            loop {
                if let Some(found) = find() {
                    return found;
                }
                changes.changed().await.unwrap();
            }
        })
        .await
    }

    /// Waits until the publisher has gone. ffmpeg waits for no answer: when it ends, the server may still be reading what it sent.
    pub(crate) async fn until_gone(&self, broadcast: &Broadcast) {
        self.until_state(broadcast, |state| state != State::Live).await;
    }

    pub(crate) async fn until_state(&self, broadcast: &Broadcast, wanted: impl Fn(State) -> bool) {
        self.until(|| wanted(broadcast.state()).then_some(())).await;
    }

    /// Sends one request with `body` in pieces as they are, and gives status and text of the answer.
    pub(crate) async fn request(&self, head: &str, body: &[u8]) -> (u16, String) {
        let length = format!("Content-Length: {}", body.len());
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream
            .write_all(format!("{head}\r\nHost: a\r\nConnection: close\r\n{length}\r\n\r\n").as_bytes())
            .await
            .unwrap();
        // The server may have answered, and closed, before it has everything.
        let _ = stream.write_all(body).await;
        answer(&mut stream).await
    }

    pub(crate) async fn delete(&self, path: &str) -> (u16, String) {
        self.request(&format!("DELETE /ingest/{path} HTTP/1.1"), b"").await
    }

    pub(crate) async fn put(&self, path: &str, body: &[u8]) -> (u16, String) {
        self.request(&format!("PUT /ingest/{path} HTTP/1.1"), body).await
    }
}

/// Sends one request on a connection that stays, and gives its status.
pub(crate) async fn put_on(stream: &mut TcpStream, path: &str, body: &[u8]) -> u16 {
    let head = format!("PUT /ingest/{path} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
    let mut text = Vec::new();
    let mut bytes = [0; 1024];
    loop {
        let len = within(stream.read(&mut bytes)).await.unwrap();
        assert!(len > 0, "the connection is closed: {}", String::from_utf8_lossy(&text));
        text.extend_from_slice(&bytes[..len]);
        let head = String::from_utf8_lossy(&text).to_lowercase();
        let Some((head, body)) = head.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).map_or("0", str::trim);
        if body.len() >= length.parse().unwrap() {
            return head.split(' ').nth(1).unwrap().parse().unwrap();
        }
    }
}

/// Begins a request that has no end of its own.
pub(crate) async fn open(stage: &Stage, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    let head = format!("POST /ingest/{path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// Sends some of such a request, or its end.
pub(crate) async fn send(stream: &mut TcpStream, bytes: &[u8]) {
    let head = format!("{:x}\r\n", bytes.len());
    stream.write_all(&[head.as_bytes(), bytes, b"\r\n"].concat()).await.unwrap();
}

/// Reads an answer to the end of the connection.
pub(crate) async fn answer(stream: &mut TcpStream) -> (u16, String) {
    let mut text = Vec::new();
    let _ = within(stream.read_to_end(&mut text)).await;
    let text = String::from_utf8_lossy(&text);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Reads an answer whose length is said, on a connection that stays.
pub(crate) async fn answer_now(stream: &mut TcpStream) -> (u16, String) {
    let mut text = Vec::new();
    let mut bytes = [0; 1024];
    loop {
        let read = within(stream.read(&mut bytes)).await.unwrap();
        text.extend_from_slice(&bytes[..read]);
        let so_far = String::from_utf8_lossy(&text).into_owned();
        let Some((head, body)) = so_far.split_once("\r\n\r\n") else {
            assert!(read > 0, "no answer: {so_far:?}");
            continue;
        };
        let head = head.to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).map_or("0", str::trim);
        if body.len() >= length.parse().unwrap() {
            return (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned());
        }
        assert!(read > 0, "half an answer: {so_far:?}");
    }
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it takes too long")
}

fn run(arguments: &str) -> Output {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner", "-loglevel", "error", "-y"])
        .args(arguments.split_whitespace())
        .stdin(Stdio::null())
        .output()
        .expect("ffmpeg is installed");
    assert!(output.status.success(), "ffmpeg {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// A file with three seconds of H.264, B-frames included, and of sound, made once.
pub(crate) fn file(audio: &str) -> String {
    static MADE: OnceLock<Mutex<Vec<String>>> = OnceLock::new();
    // Each process has its own: they run side by side, and an encoder with threads does not give the same bytes twice.
    let path = format!("{}/{audio}-{}.mp4", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    let mut made = MADE.get_or_init(Mutex::default).lock().unwrap();
    if !made.contains(&path) {
        run(&format!(
            "-f lavfi -i testsrc2=size=320x180:rate=25 -f lavfi -i sine=frequency=440:sample_rate=48000 -t 3 \
             -c:v libx264 -preset veryfast -bf 2 -g 25 -keyint_min 25 -sc_threshold 0 -pix_fmt yuv420p \
             -c:a {audio} -b:a 64k {path}"
        ));
        made.push(path.clone());
    }
    path
}

/// What ffmpeg writes as MP4.
pub(crate) fn made(arguments: &str) -> Vec<u8> {
    // Each caller has a file of its own: tests run side by side.
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = format!("{}/made-{}-{count}.mp4", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    run(&format!("{arguments} {path}"));
    let bytes = std::fs::read(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    bytes
}

/// Header and media of a second of video, in one fragment.
pub(crate) fn one_second() -> (Vec<u8>, Vec<u8>) {
    let file = made(
        "-f lavfi -i testsrc2=size=64x64:rate=25 -t 1 -c:v libx264 -preset ultrafast -pix_fmt yuv420p \
         -movflags +cmaf+empty_moov+default_base_moof+frag_keyframe+skip_trailer",
    );
    before_moof(&file)
}

/// The media of a fragmented file, its decode times later by so many seconds in each track's `timescales`, by `track_ID` from 1.
pub(crate) fn later(media: &[u8], seconds: i64, timescales: &[i64]) -> Vec<u8> {
    let mut moved = media.to_vec();
    let named = |name: [u8; 4]| media.windows(4).enumerate().filter(move |(_, found)| *found == name).map(|(at, _)| at);
    let tracks = named(*b"tfhd").map(|at| media[at + 11]);
    for (at, track) in named(*b"tfdt").zip(tracks) {
        assert_eq!(media[at + 4], 1, "ffmpeg writes times of 64 bits");
        let time = i64::from_be_bytes(media[at + 8..at + 16].try_into().unwrap());
        let time = time + seconds * timescales[usize::from(track) - 1];
        moved[at + 8..at + 16].copy_from_slice(&time.to_be_bytes());
    }
    moved
}

/// A fragmented file, cut before its first `moof`.
pub(crate) fn before_moof(file: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let at = file.windows(4).position(|name| name == b"moof").unwrap() - 4;
    (file[..at].to_vec(), file[at..].to_vec())
}

/// Size and checksum of every packet of one stream of a file.
fn packets(file: &str, stream: &str) -> Vec<(usize, u32)> {
    let output = run(&format!("-i {file} -map 0:{stream} -c copy -f framecrc -"));
    let text = String::from_utf8(output.stdout).unwrap();
    let fields = text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split(',').map(str::trim));
    fields
        .map(|mut fields| {
            let size = fields.nth(4).unwrap().parse().unwrap();
            let sum = fields.next().unwrap().strip_prefix("0x").unwrap();
            (size, u32::from_str_radix(sum, 16).unwrap())
        })
        .collect()
}

/// Adler-32 as ffmpeg begins it, from 0.
fn checksum(bytes: &[u8]) -> u32 {
    let (a, b) = bytes.iter().fold((0u32, 0u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    b << 16 | a
}

/// Size and checksum of every sample.
fn samples(fragments: &[Fragment]) -> Vec<(usize, u32)> {
    let of = |fragment: &Fragment| -> Vec<_> {
        let bytes = |s: &millrace_media::Sample| fragment.payload.contiguous(s.offset, s.size).unwrap();
        fragment.samples.iter().map(|s| (s.size as usize, checksum(&bytes(s)))).collect()
    };
    fragments.iter().flat_map(of).collect()
}

/// The fragments are the stream of the file, byte for byte.
pub(crate) fn same(fragments: &[Fragment], file: &str, stream: &str) {
    let (given, expected) = (samples(fragments), packets(file, stream));
    let differs = given.iter().zip(&expected).position(|(a, b)| a != b);
    assert_eq!((given.len(), differs), (expected.len(), None), "samples of {stream}, and the first that differs");
}

/// The track, after checking that its fragments follow each other without a hole and its groups begin as they should.
pub(crate) fn sound(broadcast: &Broadcast, name: &str) -> (Track, Vec<Fragment>) {
    let track = broadcast.track(name).unwrap_or_else(|| panic!("no {name}: {:?}", broadcast.tracks()));
    let fragments = track.held();
    let is_video = track.info().unwrap().kind() == Kind::Video;
    for pair in fragments.windows(2) {
        assert_eq!(pair[0].decode_time + pair[0].duration, pair[1].decode_time, "a hole in {name}");
    }
    for fragment in &fragments {
        assert!(!fragment.starts_group() || fragment.marks.keyframe, "{name}: {:?}", fragment.place());
        let longest = if is_video { 200 } else { 100 };
        assert!(fragment.duration <= Time::from_millis(longest), "{name}: {}", fragment.duration);
        // The head says what the sample table does.
        let header = millrace_cmaf::describe(&track.info().unwrap().init).unwrap();
        assert_eq!(header.info.codec, track.info().unwrap().codec);
    }
    (track, fragments)
}

/// How much later the first sound comes than the first picture.
pub(crate) fn skew(broadcast: &Broadcast) -> Time {
    let first = |name: &str| {
        let (_, fragments) = sound(broadcast, name);
        fragments.iter().map(|fragment| fragment.presentation_time).min().unwrap()
    };
    first("audio") - first("video")
}

pub(crate) const ENDLESS: &str =
    "-c copy -movflags +cmaf+empty_moov+separate_moof+default_base_moof+frag_every_frame -f mp4 -method POST";
