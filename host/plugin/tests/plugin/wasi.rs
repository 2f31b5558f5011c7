//! Plugins that a language's runtime has made programs of WASI.

use std::sync::Arc;
use std::time::Duration;

use millrace_plugin::{Limits, PluginSettings};
use millrace_transcode::Runner;
use millrace_transcode::factory::Fault;

use crate::host::{Observed, engine, load_wasi, misbehave, read, stats, until};
use crate::logs::logged;
use crate::source::{Source, bus};

/// Gives a plugin fragments until `enough` of its faults are there, or it has been given all.
async fn faults(settings: PluginSettings, enough: usize) -> Vec<Fault> {
    let plugins = engine();
    let name = settings.name.clone();
    let plugin = Observed::new(load_wasi(&plugins, settings).await);
    let bus = bus();
    let runner = Runner::start(&bus, vec![plugin.clone()], vec![]);
    let mut source = Source::of_size(&bus, 1000);
    let written = source.write(12).len();
    if enough == 0 {
        read(&source.broadcast(), &format!("video-{name}"), written).await;
        assert_eq!(stats(&runner, &name).fragments, written as u64);
    }
    until("the faults are there", || plugin.faults().len() >= enough).await;
    source.finish();
    runner.shutdown().await;
    plugin.faults()
}

fn lost(faults: &[Fault]) -> &str {
    match &faults[0] {
        Fault::Lost(text) => text.split(" (in ").next().unwrap_or_default(),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_program_sees_nothing_of_the_machine_and_is_answered() {
    for what in ["wasi-look", "wasi-http"] {
        assert_eq!(faults(misbehave(what), 0).await, [], "{what}");
    }
}

#[tokio::test]
async fn what_a_program_prints_is_in_the_log() {
    crate::logs::keep();
    assert_eq!(faults(misbehave("wasi-print"), 0).await, []);
    logged("wasi-print", "to standard output").await;
    let line = logged("wasi-print", "to standard error").await;
    assert!(line.contains("broadcast=\"live/test\" track=\"video\""), "{line}");
}

#[tokio::test]
async fn what_a_panic_says_is_in_the_log() {
    crate::logs::keep();
    let faults = faults(misbehave("wasi-panic"), 1).await;
    assert!(lost(&faults).contains("trapped: wasm `unreachable` instruction executed"), "{faults:?}");
    logged("wasi-panic", "out of ideas").await;
}

#[tokio::test]
async fn a_program_that_exits_is_said_to() {
    let faults = faults(misbehave("wasi-exit"), 1).await;
    assert_eq!(lost(&faults), "`on-fragment` ended the program with status 1");
}

#[tokio::test]
async fn sleeping_and_printing_for_ever_are_work() {
    let limits = Limits { call_time: Duration::from_millis(20), ..Limits::default() };
    for what in ["wasi-sleep", "wasi-flood"] {
        let faults = faults(PluginSettings { limits, ..misbehave(what) }, 1).await;
        assert_eq!(lost(&faults), "`on-fragment` took more than its limit of 20 ms of processor time", "{what}");
    }
}

#[tokio::test]
async fn a_program_starts_with_little() {
    let plugins = engine();
    let plugin = load_wasi(&plugins, misbehave("nothing")).await;
    let bus = bus();
    let runner = Runner::start(&bus, vec![Arc::clone(&plugin) as Arc<_>], vec![]);
    let mut source = Source::of_size(&bus, 1000);
    source.write(12);
    read(&source.broadcast(), "video-nothing", 12).await;
    runner.shutdown().await;
}
