//! Messages and times, between fragments and without them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use millrace_media::BroadcastName;
use millrace_plugin::{Hook, MAX_MESSAGE};

use super::*;
use crate::host::{read, shipped_plugin};

fn timers() -> Grants {
    Grants { timers: true, ..Grants::default() }
}

#[tokio::test]
async fn a_message_is_answered_by_every_instance_that_it_is_for() {
    let work = Work::start(Grants::default()).await;
    let mut sound = work.source.beside("audio");
    sound.write(1);
    until("both tracks have an instance", || work.runner.stats().len() == 2).await;
    until("both are at work", || work.runner.stats().iter().all(|(_, stats)| stats.fragments > 0)).await;
    let name = |name: &str| Some(TrackName::new(name).unwrap());
    let replies = work.send(&Addressees::default(), "echo hello").await.unwrap();
    let expected = ["audio", "video"].map(|track| Reply {
        hook: Hook::Transcoder,
        broadcast: Some(BroadcastName::new("live/test").unwrap()),
        track: name(track),
        rendition: None,
        reply: Ok(b"hello".to_vec()),
    });
    assert_eq!(replies, expected);
    let broadcast = |name: &str| Some(BroadcastName::new(name).unwrap());
    for (to, count) in [
        (Addressees { track: name("audio"), ..Addressees::default() }, 1),
        (Addressees { broadcast: broadcast("live/test"), hook: Some(Hook::Transcoder), track: None }, 2),
    ] {
        assert_eq!(work.send(&to, "echo x").await.unwrap().len(), count, "{to:?}");
    }
    for to in [
        Addressees { track: name("text"), ..Addressees::default() },
        Addressees { broadcast: broadcast("live/other"), ..Addressees::default() },
        Addressees { hook: Some(Hook::Filter), ..Addressees::default() },
    ] {
        assert_eq!(work.send(&to, "echo x").await, Err(NotSent::NoInstance), "{to:?}");
    }
    assert_eq!(work.faults(), []);
}

#[tokio::test]
async fn a_message_that_is_wrong_is_no_fault() {
    let work = Work::start(Grants::default()).await;
    assert_eq!(work.ask("fail").await, Err("invalid: as it was told".into()));
    let long = format!("big {}", MAX_MESSAGE + 1);
    assert_eq!(work.ask(&long).await, Err("the instance answers with 65537 bytes (expected at most 65536)".into()));
    assert_eq!(work.told(&format!("big {MAX_MESSAGE}")).await.len(), MAX_MESSAGE);
    let sent = work.send(&Addressees::default(), vec![b'x'; MAX_MESSAGE + 1]).await;
    assert_eq!(sent, Err(NotSent::TooLong(MAX_MESSAGE + 1)));
    assert_eq!(work.faults(), []);
    let passthrough = shipped_plugin(&engine(), "passthrough").await;
    let sent = passthrough.send(&Addressees::default(), Bytes::new(), TIME).await;
    assert_eq!(sent, Err(NotSent::NoMessages));
}

#[tokio::test]
async fn an_instance_that_a_message_kills_is_followed_by_another() {
    for (message, why) in [("trap", "`on-message` trapped"), ("spin", "`on-message` took more than its limit of 50 ms")]
    {
        let mut work = Work::start(Grants::default()).await;
        let error = work.ask(message).await.unwrap_err();
        assert!(error.contains(why), "{error}");
        until("it is counted", || stats(&work.runner, "reach").call_faults == 1).await;
        assert_eq!(work.send(&Addressees::default(), "echo x").await, Err(NotSent::NoInstance));
        work.source.write(20);
        until("another is there", || stats(&work.runner, "reach").fragments > 1).await;
        assert_eq!(work.told("echo again").await, "again");
    }
}

#[tokio::test]
async fn timers_wake_in_the_order_of_their_times() {
    let work = Work::start(timers()).await;
    let mut set = Vec::new();
    for after in ["120", "1", "60", "60"] {
        set.push(work.told(&format!("timer {after}")).await);
    }
    let cancelled = work.told("timer 30").await;
    work.told(&format!("cancel {cancelled}")).await;
    let expected = [&set[1], &set[2], &set[3], &set[0]].map(String::as_str).join(" ");
    assert_eq!(work.told_until("woken", |woken| woken.split(' ').count() == 4).await, expected);
    assert_eq!(work.faults(), []);
}

#[tokio::test]
async fn only_so_many_timers_are_set() {
    let work = Work::start(timers()).await;
    let told = work.told("timers 100").await;
    assert_eq!(told, "64 and overloaded: 64 timers are set already, as many as there may be");
}

#[tokio::test]
async fn nothing_is_called_while_a_plugin_describes_itself() {
    let settings = settings(timers(), serde_json::json!({ "early": true }));
    let error = engine().load_bytes(settings, component("reach")).await.unwrap_err().to_string();
    assert!(error.contains("unsupported: nothing is called while the plugin describes itself"), "{error}");
}

#[tokio::test]
async fn a_source_that_stalls_and_a_publisher_who_is_away_still_wake_their_plugin() {
    for scope in ["track", "broadcast"] {
        let settings = settings(timers(), serde_json::json!({ "tick": true, "scope": scope }));
        let Work { plugin, observed, runner, bus: _bus, source } = Work::of(load(&engine(), settings).await).await;
        let woken = async || {
            let replies = plugin.send(&Addressees::default(), "woken".into(), TIME).await.unwrap();
            let woken = String::from_utf8(replies[0].reply.clone().unwrap()).unwrap();
            woken.split(' ').filter(|ticket| !ticket.is_empty()).count()
        };
        let many = async |least: usize| {
            let begin = Instant::now();
            while woken().await < least {
                assert!(begin.elapsed() < TIME, "it is not woken any more");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        // No fragment comes.
        many(5).await;
        let (broadcast, before) = (source.broadcast(), woken().await);
        drop(source);
        until("the publisher is away", || {
            matches!(broadcast.state(), millrace_media::broadcast::State::Waiting { .. })
        })
        .await;
        many(before + 5).await;
        assert_eq!(observed.faults(), []);
        broadcast.close();
        let begin = Instant::now();
        while plugin.send(&Addressees::default(), "woken".into(), TIME).await != Err(NotSent::NoInstance) {
            assert!(begin.elapsed() < TIME, "it does not end with its broadcast");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(runner);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_messages_costs_a_healthy_stream_nothing() {
    const FRAGMENTS: usize = 500;
    let mut work = Work::start(Grants::default()).await;
    let broadcast = work.source.broadcast();
    let (stop, answered, refused) =
        (Arc::new(AtomicBool::new(false)), Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let senders: Vec<_> = (0..40)
        .map(|_| {
            let (plugin, stop, answered, refused) =
                (work.plugin.clone(), stop.clone(), answered.clone(), refused.clone());
            tokio::spawn(async move {
                let message = Bytes::from(vec![b'x'; MAX_MESSAGE]);
                while !stop.load(Ordering::Relaxed) {
                    match plugin.send(&Addressees::default(), message.clone(), TIME).await {
                        // It knows no such word, and says so.
                        Ok(replies) => assert!(replies[0].reply.is_err()),
                        Err(NotSent::Full) => drop(refused.fetch_add(1, Ordering::Relaxed)),
                        Err(error) => panic!("{error}"),
                    }
                    answered.fetch_add(1, Ordering::Relaxed);
                    // As long as the way to a server is at least.
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            })
        })
        .collect();
    for _ in 0..FRAGMENTS {
        work.source.write(1);
        tokio::time::sleep(Duration::from_millis(4)).await;
    }
    let written = read(&broadcast, "video-again", FRAGMENTS + 1).await;
    assert_eq!(written.len(), FRAGMENTS + 1);
    stop.store(true, Ordering::Relaxed);
    for sender in senders {
        sender.await.unwrap();
    }
    let stats = stats(&work.runner, "reach");
    assert_eq!((stats.fragments, stats.skipped, stats.over_share), (FRAGMENTS as u64 + 1, 0, 0), "{stats:?}");
    let (answered, refused) = (answered.load(Ordering::Relaxed), refused.load(Ordering::Relaxed));
    assert!(answered > 100 && refused > 0, "{answered} answers, {refused} of them 429");
    assert_eq!(work.faults(), []);
}
