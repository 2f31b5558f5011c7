//! The server's own commands at both ends of a pipe.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use millrace_tests::{Film, Packet, Server, packets, run, until};

use super::{expect_whole, wait_for_rung};

const CONFIG: &str = "[ingest]\npublish_token = \"to-be-or-not\"\n[[ladder]]\nrenditions = [\"240p\"]\n";
/// Longer than the film: it is looped.
const ENCODING: [&str; 14] = [
    "-t",
    "30",
    "-c:v",
    "libx264",
    "-preset",
    "ultrafast",
    "-tune",
    "zerolatency",
    "-g",
    "30",
    "-c:a",
    "aac",
    "-movflags",
    "cmaf+delay_moov+separate_moof+default_base_moof+frag_keyframe",
];
/// What a user would type: the broadcast, and so many seconds of it into a file.
const PIPE: &str = "\"$0\" subscribe $1 2>/dev/null | ffmpeg -nostdin -v error -i - -t 5 -c copy -y \"$2\"";

#[test]
fn a_file_is_published_and_comes_out_of_a_pipe() {
    let server = Server::serve(CONFIG);
    through(&server, &server.url("/live/me"), &[]);
    server.stop();
}

#[test]
fn it_goes_over_raw_quic_as_well() {
    let server = Server::serve(CONFIG);
    let url = server.moq().replace("https://", "moqt://");
    through(&server, &format!("{url}/live/me"), &["--insecure"]);
    server.stop();
}

/// Publishes a film to `live/me` of a server, and records it from there.
fn through(server: &Server, url: &str, options: &[&str]) {
    let (film, folder) = (Film::new(), tempfile::tempdir().unwrap());
    let [source, recording] = ["film.mp4", "recording.mp4"].map(|name| folder.path().join(name));
    let (source, recording) = (source.to_str().unwrap(), recording.to_str().unwrap());
    let from = film.path().to_str().unwrap();
    let input = ["-nostdin", "-v", "error", "-stream_loop", "-1", "-i", from];
    run("ffmpeg", [&input[..], &ENCODING, &[source]].concat());

    let binary = Server::binary();
    let mut publish = Command::new(&binary)
        .args(["publish", source, &format!("{url}?token=to-be-or-not")])
        .args(options)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for_rung(server, "live/me");
    let url = [&[url], options].concat().join(" ");
    run("sh", ["-c", PIPE, binary.to_str().unwrap(), &url, recording]);
    let streams = packets(recording, 60);
    assert_eq!(streams.len(), 2, "a picture and its sound");
    for (number, packets) in streams {
        expect_whole(&format!("stream {number}"), &packets, 4);
    }
    publish.kill().unwrap();
    publish.wait().unwrap();
}

/// A command at work. It is killed when it is dropped.
struct Running(Child);

impl Running {
    fn start(arguments: &[&str], input: Stdio, output: Stdio) -> Self {
        let mut command = Command::new(Server::binary());
        command.args(arguments).stdin(input).stdout(output).stderr(Stdio::piped());
        Self(command.spawn().expect("it can be started"))
    }

    /// Waits for its end, and gives how it ended and what it has said.
    fn ended(&mut self) -> (bool, String) {
        let status = until("the command ends", || self.0.try_wait().expect("a child can be waited for"));
        let mut text = String::new();
        self.0.stderr.take().expect("it is piped").read_to_string(&mut text).expect("it is text");
        (status.success(), text)
    }

    fn interrupt(&self) {
        run("kill", ["-INT", &self.0.id().to_string()]);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server that answers nothing for so long is gone, and a little more for a busy machine.
const GONE: Duration = Duration::from_secs(20);

#[test]
fn commands_notice_a_server_that_is_gone_and_come_back_to_it() {
    let mut server = Server::serve("ladder = []\n[ingest]\nlinger = \"2s\"\n");
    let (film, folder) = (Film::new(), tempfile::tempdir().unwrap());
    let [source, recording] = ["film.mp4", "recording.mp4"].map(|name| folder.path().join(name));
    let (source, recording) = (source.to_str().unwrap(), recording.to_str().unwrap());
    let looped = ["-nostdin", "-v", "error", "-stream_loop", "-1", "-i", film.path().to_str().unwrap()];
    run("ffmpeg", [&looped[..], &["-t", "120"], &ENCODING[2..], &[source]].concat());

    // A file that comes back, a pipe that does, and one of each that does not.
    let url = |name: &str| server.url(&format!("/{name}"));
    let file = Running::start(&["publish", source, &url("live/file"), "--retry"], Stdio::null(), Stdio::null());
    let mut encoder = Command::new("ffmpeg");
    encoder.args(["-re"]).args(looped).args(&ENCODING[2..]).args(["-f", "mp4", "-"]).stdout(Stdio::piped());
    let mut encoder = encoder.stderr(Stdio::null()).spawn().expect("ffmpeg is installed");
    let encoded = Stdio::from(encoder.stdout.take().expect("it is piped"));
    let pipe = Running::start(&["publish", "-", &url("live/pipe"), "--retry=1m"], encoded, Stdio::null());
    let mut left = Running::start(&["publish", source, &url("live/left")], Stdio::null(), Stdio::null());
    for name in ["live/file", "live/pipe", "live/left"] {
        server.track(name, |track| track["name"] == "video" && !track["width"].is_null());
    }
    let output = Stdio::from(File::create(recording).unwrap());
    let mut reader = Running::start(&["subscribe", &url("live/file"), "--retry"], Stdio::null(), output);
    let mut deserter = Running::start(&["subscribe", &url("live/file")], Stdio::null(), Stdio::null());
    let size = || Path::new(recording).metadata().unwrap().len();
    until("something is recorded", || (size() > 1 << 20).then_some(()));

    server.kill();
    let killed = Instant::now();
    for command in [&mut left, &mut deserter] {
        let (success, text) = command.ended();
        assert!(!success && text.contains("session"), "{text}");
    }
    assert!(killed.elapsed() < GONE, "{:?}", killed.elapsed());
    server.restart();
    let before = size();
    for name in ["live/file", "live/pipe"] {
        server.track(name, |track| track["name"] == "video" && !track["width"].is_null());
    }
    let away = killed.elapsed();
    until("the recording goes on", || (size() > before + (1 << 20)).then_some(()));
    file.interrupt();
    let (success, text) = reader.ended();
    assert!(success && text.contains("trying again"), "the broadcast has ended: {text}");
    pipe.interrupt();
    for mut publisher in [file, pipe] {
        let (success, text) = publisher.ended();
        assert!(success && text.contains("trying again"), "{text}");
    }
    encoder.kill().unwrap();
    encoder.wait().unwrap();
    let streams = packets(recording, 200);
    assert_eq!(streams.len(), 2, "a picture and its sound");
    for (number, packets) in streams {
        expect_one_gap(&format!("stream {number}"), &packets, away);
    }
    server.stop();
}

/// Decode times rise, with one gap as long as the server was away: a film goes on where it would have been.
fn expect_one_gap(what: &str, packets: &[Packet], away: Duration) {
    let steps: Vec<f64> = packets.windows(2).map(|pair| pair[1].decoded - pair[0].decoded).collect();
    assert!(steps.iter().all(|step| *step > 0.0), "{what}: decode times do not rise");
    let gaps: Vec<f64> = steps.into_iter().filter(|step| *step > 0.2).collect();
    println!("{what}: {} packets, gaps {gaps:?}, away for {away:?}", packets.len());
    let [gap] = gaps[..] else { panic!("{what}: expected one gap: {gaps:?}") };
    // It comes back with the newest keyframe, and is noticed a little later.
    let is_right = gap > away.as_secs_f64() - 5.0 && gap < away.as_secs_f64() + 5.0;
    assert!(is_right, "{what}: a gap of {gap} s for {away:?}");
}
