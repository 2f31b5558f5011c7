//! Clocks, random numbers and the store, with the grant and without it.

use std::time::{SystemTime, UNIX_EPOCH};

use super::*;

fn with_store(directory: &std::path::Path) -> Plugins {
    let settings = EngineSettings { store: Some(directory.into()), ..EngineSettings::new(compiler()) };
    Plugins::new(EngineSettings { threads: 1, max_instances: 16, ..settings }).unwrap()
}

fn store(bytes: u64) -> PluginSettings {
    settings(Grants { store: Some(bytes), ..Grants::default() }, serde_json::json!({}))
}

#[tokio::test]
async fn what_is_not_granted_is_denied_and_shown() {
    let work = Work::start(Grants::default()).await;
    assert_eq!(work.told("timer 10").await, "denied: `timers` is not granted to the plugin");
    assert_eq!(work.told("clock").await, "0 0");
    for message in ["set a b", "get a", "delete a", "keys a"] {
        assert_eq!(work.told(message).await, "denied: `store` is not granted to the plugin");
    }
    let told = work.told("send GET https://api.example/path?secret").await;
    assert_eq!(told, "denied: `http` is not granted to the plugin for https://api.example");
    let denied = [
        ("http", "https://api.example".to_owned(), 1),
        ("timers", String::new(), 1),
        ("clock", String::new(), 2),
        ("store", String::new(), 4),
    ];
    assert_eq!(work.denied(), denied);
    assert_eq!(work.faults(), []);
}

#[tokio::test]
async fn a_clock_that_is_granted_is_right() {
    let work = Work::start(Grants { clock: true, ..Grants::default() }).await;
    let read = async || {
        let told = work.told("clock").await;
        let (now, monotonic) = told.split_once(' ').unwrap();
        (now.parse::<u128>().unwrap(), monotonic.parse::<u64>().unwrap())
    };
    let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
    let (first, second) = (read().await, read().await);
    let after = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
    assert!((before..=after).contains(&first.0), "{before} {first:?} {after}");
    assert!(second.1 > first.1, "{first:?} {second:?}");
    assert!(work.denied().is_empty());
}

#[tokio::test]
async fn the_clocks_and_random_numbers_of_a_program_are_real_where_they_are_granted() {
    let told = async |grants: Grants| {
        let plugin = engine().load_bytes(settings(grants, serde_json::json!({})), component("reach-wasip2")).await;
        Work::of(plugin.unwrap()).await.told("wasi").await
    };
    let without = told(Grants::default()).await;
    assert!(without.starts_with("0 false "), "{without}");
    assert_eq!(told(Grants::default()).await, without);
    let with = told(Grants { clock: true, ..Grants::default() }).await;
    let (time, rest) = with.split_once(' ').unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!(now - time.parse::<u64>().unwrap() < 60, "{with}");
    assert_eq!(rest.replace("true", "false"), without[2..]);
    assert!(rest.starts_with("true "), "{with}");
    let random = told(Grants { random: true, ..Grants::default() }).await;
    assert!(random.starts_with("0 false ") && random != without, "{random}");
}

#[tokio::test]
async fn a_store_outlives_the_server() {
    let directory = tempfile::tempdir().unwrap();
    {
        let plugins = with_store(directory.path());
        let work = Work::of(load(&plugins, store(1 << 20)).await).await;
        assert_eq!(work.told("get score").await, "nothing");
        for (message, reply) in [
            ("set score 3:2", "set"),
            ("set team red", "set"),
            ("set other x", "set"),
            ("delete other", "deleted"),
            ("keys ", "score team"),
            ("keys te", "team"),
            ("set ", "invalid: a key of 0 bytes (expected 1 to 256)"),
        ] {
            assert_eq!(work.told(message).await, reply, "{message}");
        }
        assert!(plugins.save_stores(TIME));
        // Another server cannot have it as long as this one does.
        let error = with_store(directory.path()).load_bytes(store(1 << 20), component("reach")).await.unwrap_err();
        assert!(error.to_string().contains("is in use by another server"), "{error}");
        work.source.finish();
        work.runner.shutdown().await;
    }
    let plugins = with_store(directory.path());
    // The threads of the first server may hold its last instance for a moment.
    let mut loaded = plugins.load_bytes(store(1 << 20), component("reach")).await;
    for _ in 0..500 {
        if loaded.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        loaded = plugins.load_bytes(store(1 << 20), component("reach")).await;
    }
    let work = Work::of(loaded.unwrap()).await;
    assert_eq!(work.told("get score").await, "got 3:2");
}

#[tokio::test]
async fn a_store_that_fills_says_so_and_the_stream_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let plugins = with_store(directory.path());
    let mut work = Work::of(load(&plugins, store(100_000)).await).await;
    let told = work.told("fill 10000").await;
    assert!(told.starts_with("9 overloaded: the store would take 100"), "{told}");
    assert_eq!(work.told("get fill-8").await.len(), "got ".len() + 10_000);
    work.source.write(30);
    crate::host::read(&work.source.broadcast(), "video-again", 31).await;
    assert_eq!(work.faults(), []);
}

#[tokio::test]
async fn a_store_without_a_directory_is_an_error_of_the_configuration() {
    let error = engine().load_bytes(store(1000), component("reach")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the plugin `reach` (reach.wasm) cannot have the store that it is granted: there is no directory for stores: set `plugin_host.store`"
    );
}
