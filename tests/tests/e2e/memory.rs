//! The memory of the real process.

use std::time::Duration;

use millrace_tests::{Reel, Server, until};

/// Broadcasts at a time, and how often so many come and go.
const AT_ONCE: usize = 20;
const ROUNDS: usize = 5;
/// A window of the default length, and enough to fill it and let go of the oldest.
const WINDOW: Duration = Duration::from_secs(60);
const SENT: Duration = Duration::from_secs(75);

const CONFIG: &str = "\
    ladder = []\n[log]\nlevel = \"warn\"\n[ingest]\nidle_timeout = \"2m\"\nlinger = \"1s\"\n\
    [window]\nduration = \"60s\"\n[hls]\nplaylist_window = \"6s\"\n[plugin_host]\nbundled = false\n";

fn names(round: usize) -> impl Iterator<Item = String> {
    (0..AT_ONCE).map(move |number| format!("memory/{round}/{number}"))
}

/// Waits until all that was sent has been written to tracks, and what is in transit is gone.
fn settle(server: &Server) {
    let mut before = -1.0;
    until("the server has read all", || {
        let now = server.metric("millrace_ingest_bytes_total", &[]);
        let is_settled = now == before;
        before = now;
        std::thread::sleep(Duration::from_millis(200));
        is_settled.then_some(())
    });
}

fn series(server: &Server) -> usize {
    server.text("/metrics").lines().filter(|line| !line.starts_with('#') && !line.is_empty()).count()
}

#[test]
fn broadcasts_take_little_more_than_their_media_and_give_it_back() {
    let server = Server::serve(CONFIG);
    let reel = Reel::make();
    let idle = server.resident();
    let (mut peak, mut first_series) = (0, 0);
    for round in 0..ROUNDS {
        let mut showings = reel.publish(&server, names(round));
        reel.send(&mut showings, Duration::ZERO, SENT, None);
        settle(&server);
        let taken = server.resident() - idle;
        peak = peak.max(taken);
        let media = server.metric("millrace_window_bytes", &[]);
        let pinned = server.metric("millrace_pinned_bytes", &[]);
        println!("round {round}: {taken} bytes for {media} of media, said to be {pinned}");
        assert!(media > AT_ONCE as f64 * WINDOW.as_secs_f64() * 1_000_000.0 / 8.0, "the windows are full: {media}");
        assert!((server.metric("process_resident_memory_bytes", &[]) - (taken + idle) as f64).abs() < 8e6);
        if round == 0 {
            assert!(taken as f64 <= 1.15 * media, "{taken} bytes for {media} of media");
            assert!((0.9..=1.05).contains(&(pinned / taken as f64)), "{taken} bytes, said to be {pinned}");
            first_series = series(&server);
        }
        drop(showings);
        until("the broadcasts are gone", || {
            server.json("/api/v1/broadcasts")["broadcasts"].as_array()?.is_empty().then_some(())
        });
    }
    assert_eq!(server.metric("millrace_pinned_bytes", &[]), 0.0);
    assert_eq!(series(&server), first_series, "no series is a broadcast's own");
    let kept = until("the memory is given back", || {
        let kept = server.resident() - idle;
        (kept <= peak / 4).then_some(kept)
    });
    println!("{kept} bytes stay of {peak}");
    server.stop();
}
