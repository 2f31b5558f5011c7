//! Bad clients, one after the other, beside healthy viewers who lose nothing.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use millrace_moq::negotiate::Protocol;
use millrace_moq::{Client, Limits, Stack, Trust};
use millrace_tests::moq::Viewer;
use millrace_tests::{Film, Form, PATIENCE, Publisher, Server, packets};
use moq_transport::coding::TrackNamespace;
use moq_transport::serve::Track;
use moq_transport::session::{SessionError, Subscribe};
use tokio::runtime::Runtime;
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;

use super::play::expect_rising;
use super::raw::{DRAFT_18, Raw, kind, setup, subscribe, subscribe_and_wait};
use super::{expect_whole, wait_for_rung};

/// What the server allows here is less than usual, so that it is soon reached.
const MAX_STREAMS: usize = 128;
const MAX_SUBSCRIPTIONS: usize = 32;
const CONFIG: &str = "\
    [moq]\nsetup_timeout = \"2s\"\nidle_timeout = \"5s\"\npatience = \"1s\"\nmax_streams = 128\nmax_subscriptions = 32\n\
    [[ladder]]\nrenditions = [\"240p\"]\n";

/// SUBSCRIBE_OK, by its number.
const SUBSCRIBE_OK: u64 = 0x4;
const SUBSCRIPTIONS: u64 = 10_000;
/// What the healthy broadcast has.
const TRACKS: [&str; 4] = ["catalog", "video", "240p", "audio"];
/// For what there is not, a subscription waits longer than all of this takes, in milliseconds.
const WAIT: u64 = 60_000;
/// Those that never read.
const IDLERS: usize = 20;
const DATAGRAMS: usize = 100_000;
/// What the server may have grown by when all are gone, in bytes: less than those that never read could have it hold.
const GROWTH: u64 = 128 << 20;

#[test]
fn bad_clients_end_and_healthy_viewers_lose_nothing() {
    let server = Server::serve(CONFIG);
    let film = Film::new();
    let publisher = Publisher::start(&server, Form::Endless, &film, "live/healthy", "");
    wait_for_rung(&server, "live/healthy");
    let healthy = ["video", "audio"].map(|role| (role, Viewer::watch(&server.moq(), "live/healthy", role)));
    healthy.iter().for_each(|(_, viewer)| drop(viewer.groups(1)));
    let before = resident(server.id());

    let runtime = Runtime::new().expect("threads can be started");
    runtime.block_on(async {
        an_unknown_version_is_refused(&server).await;
        silence_is_closed(&server).await;
        half_a_setup_is_closed(&server).await;
        half_a_request_harms_nobody(&server).await;
        streams_that_say_nothing_harm_nobody(&server).await;
        what_does_not_exist_is_refused(&server).await;
        subscriptions_are_bounded(&server).await;
        datagrams_harm_nobody(&server).await;
    });
    let idlers = runtime.block_on(never_read(&server));
    // The server has given up on streams by then, and more than once: three groups are six seconds.
    let seen = healthy.each_ref().map(|(_, viewer)| viewer.objects().last().expect("there are objects").group);
    for ((role, viewer), last) in healthy.iter().zip(seen) {
        let objects = viewer.groups((last - viewer.objects()[0].group) as usize + 3);
        expect_rising(role, &objects);
        let recording = viewer.recording(role, &objects);
        for (number, packets) in packets(recording.url(), 600) {
            expect_whole(&format!("{role}, stream {number}"), &packets, 6);
        }
        assert_eq!(viewer.end(), None, "{role}");
    }
    drop(idlers);
    let grown = resident(server.id()).saturating_sub(before);
    println!("the server has grown by {} kB", grown >> 10);
    assert!(grown < GROWTH, "the server has grown by {grown} bytes");
    drop(healthy);
    publisher.finish();
    server.stop();
}

async fn an_unknown_version_is_refused(server: &Server) {
    let refused = Raw::connect(server, "moqt-99").await.err().expect("it is refused").to_string();
    assert!(refused.contains("406"), "{refused}");
}

async fn silence_is_closed(server: &Server) {
    let raw = Raw::connect(server, DRAFT_18).await.expect("it is taken in");
    raw.is_closed("a session without SETUP").await;
}

async fn half_a_setup_is_closed(server: &Server) {
    let raw = Raw::connect(server, DRAFT_18).await.expect("it is taken in");
    let mut control = raw.session.open_uni().await.expect("a stream can be opened");
    control.write_all(&setup()[..3]).await.expect("it is taken");
    control.finish().expect("it is open");
    raw.is_closed("a session with half a SETUP").await;
}

/// The request is answered, reset, or the end of the session; never is it waited for without an end.
async fn half_a_request_harms_nobody(server: &Server) {
    let (raw, _control, _answer) = Raw::set_up(server).await;
    let whole = subscribe(0, "live/healthy", "video");
    let (mut request, mut answer) = raw.session.open_bi().await.expect("a stream can be opened");
    request.write_all(&whole[..whole.len() / 2]).await.expect("it is taken");
    request.finish().expect("it is open");
    let answered = timeout(PATIENCE, answer.read_to_end(1 << 16)).await;
    println!("half a SUBSCRIBE: {:?}", answered.expect("something comes of it"));
}

async fn streams_that_say_nothing_harm_nobody(server: &Server) {
    let (raw, _control, _answer) = Raw::set_up(server).await;
    let mut kept = Vec::new();
    // With the control stream, and the session's own, there are fewer left than the limit.
    while let Ok(Ok(pair)) = timeout(Duration::from_millis(200), raw.session.open_bi()).await {
        kept.push(pair);
    }
    println!("{} streams that say nothing", kept.len());
    assert!((1..=MAX_STREAMS).contains(&kept.len()), "{} streams were open at once", kept.len());
    // Another session goes on meanwhile.
    what_does_not_exist_is_refused(server).await;
}

async fn what_does_not_exist_is_refused(server: &Server) {
    let (raw, _control, _answer) = Raw::set_up(server).await;
    let unknown = [("live/nobody", "video"), ("live/healthy", "nothing"), ("live", "catalog")];
    for (number, (broadcast, track)) in unknown.into_iter().enumerate() {
        let (mut request, mut answer) = raw.session.open_bi().await.expect("a stream can be opened");
        request.write_all(&subscribe(number as u64, broadcast, track)).await.expect("it is taken");
        let answered = timeout(PATIENCE, kind(&mut answer)).await.expect("it is answered");
        assert!(answered.is_some_and(|kind| kind != SUBSCRIBE_OK), "{broadcast} {track}: {answered:?}");
    }
}

/// Asks for everything there is, and then again and again for what there is not and may come, which has a place as well, and never lets
/// go.
async fn subscriptions_are_bounded(server: &Server) {
    let (raw, _control, _answer) = Raw::set_up(server).await;
    let mut kept = Vec::new();
    for (number, track) in (0..).zip(TRACKS) {
        let (mut request, mut answer) = raw.session.open_bi().await.expect("a stream can be opened");
        request.write_all(&subscribe(number, "live/healthy", track)).await.expect("it is taken");
        let answered = timeout(PATIENCE, kind(&mut answer)).await.expect("it is answered");
        assert_eq!(answered, Some(SUBSCRIBE_OK), "{track}");
        kept.push((request, answer));
    }
    let (mut asked, mut refused) = (0, 0);
    let mut answers = JoinSet::new();
    let mut refuse = |answered: Result<Option<u64>, JoinError>| {
        let answered = answered.expect("reading does not panic").expect("the session goes on");
        assert_ne!(answered, SUBSCRIBE_OK, "what there is not was accepted");
        refused += 1;
    };
    for number in (0..SUBSCRIPTIONS).skip(kept.len()) {
        // Those that are refused make room for others.
        let opened = timeout(PATIENCE, raw.session.open_bi()).await.expect("there is a stream left");
        let (mut request, mut answer) = opened.expect("a stream can be opened");
        let message = subscribe_and_wait(WAIT, number, "live/healthy", &format!("nothing-{number}"));
        request.write_all(&message).await.expect("it is taken");
        asked += 1;
        answers.spawn(async move {
            let answered = kind(&mut answer).await;
            // Kept until then.
            drop(request);
            answered
        });
        while let Some(answered) = answers.try_join_next() {
            refuse(answered);
        }
    }
    while let Ok(Some(answered)) = timeout(Duration::from_secs(1), answers.join_next()).await {
        refuse(answered);
    }
    println!("{asked} more subscriptions: {} wait, {refused} refused", answers.len());
    assert_eq!(kept.len() + answers.len(), MAX_SUBSCRIPTIONS, "{refused} of {asked} were refused");
}

async fn datagrams_harm_nobody(server: &Server) {
    let (raw, _control, _answer) = Raw::set_up(server).await;
    let datagram = Bytes::from(vec![0x55; 1_000]);
    let mut sent = 0;
    // The server may well close such a session.
    while sent < DATAGRAMS && raw.session.send_datagram_wait(datagram.clone()).await.is_ok() {
        sent += 1;
    }
    println!("{sent} datagrams: {:?}", raw.session.close_reason());
    assert!(sent > 0, "no datagram could be sent");
}

/// Sessions that ask for the picture and, once it has been promised, read nothing of it, with room for little.
async fn never_read(server: &Server) -> Vec<Idler> {
    let limits = Limits { receive_window: 1 << 16, stream_receive_window: 1 << 14, ..Limits::default() };
    let mut idlers = Vec::new();
    for _ in 0..IDLERS {
        let client = Client::new(Trust::Anyone, limits).expect("there are sockets");
        let client = client.speaking(vec![Protocol::Transport]);
        let url = server.moq().parse().expect("the server's address is a URL");
        let session = client.connect(&url).await.expect("it is taken in");
        let Stack::Transport { session, mut subscriber, .. } = session.stack else {
            panic!("another protocol was chosen than the one that was offered")
        };
        let (writer, _reader) = Track::new(TrackNamespace::from_utf8_path("live/healthy"), "video").produce();
        let mut run: Run = Box::pin(session.run());
        let asked = tokio::select! {
            end = &mut run => panic!("the session has ended: {end:?}"),
            asked = timeout(PATIENCE, subscriber.subscribe_open(writer)) => asked.expect("it is answered"),
        };
        idlers.push(Idler { _asked: asked.expect("it is accepted"), _run: run, _client: client });
    }
    idlers
}

type Run = Pin<Box<dyn Future<Output = Result<(), SessionError>>>>;

/// A session that is run no longer: what comes stays where it is.
struct Idler {
    _asked: Subscribe,
    _run: Run,
    _client: Client,
}

/// The memory that a process has, in bytes.
fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().expect("a number") << 10
}
