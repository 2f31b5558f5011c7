//! The server's own commands at both ends of a pipe.

use std::process::{Command, Stdio};

use millrace_tests::{Film, Server, packets, run};

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
