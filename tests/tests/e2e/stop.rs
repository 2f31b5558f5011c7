//! How a server ends.

use std::time::Duration;

use millrace_tests::{Client, Playlist, Server, until};

#[test]
fn sigterm_ends_the_playlists_of_those_who_wait() {
    let server = Server::demo("[[ladder]]\nrenditions = [\"240p\"]\n");
    let client = Client::default();
    let tracks = ["video", "240p", "audio"];
    let urls = tracks.map(|track| server.url(&format!("/hls/live/demo/{track}/playlist.m3u8")));
    until("the rung", || (client.get(&urls[1]).status == 200).then_some(()));
    std::thread::scope(|scope| {
        let waiting = urls.each_ref().map(|url| {
            let next = Playlist::fetch(&client, url).open_number() + 1;
            let client = &client;
            scope.spawn(move || client.get(&format!("{url}?_HLS_msn={next}")))
        });
        until("all of them wait", || (server.metric("millrace_hls_blocked_requests", &[]) >= 3.0).then_some(()));
        server.terminate();
        for (track, answer) in tracks.iter().zip(waiting) {
            let answer = answer.join().expect("an answer");
            assert_eq!(answer.status, 200, "{track}: {}", answer.text());
            let playlist = Playlist::parse(&answer.text());
            assert!(playlist.ended, "{track}: {}", playlist.text);
            assert!(answer.took < Duration::from_secs(8), "{track}: {:?}", answer.took);
        }
    });
    server.stopped(None);
}
