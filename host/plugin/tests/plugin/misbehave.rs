//! Plugins that trap, loop and hoard: each is counted and contained, and a healthy one beside it, on the same single thread, loses nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_plugin::{EngineSettings, Limits, PluginSettings, Plugins};
use millrace_transcode::Runner;
use millrace_transcode::factory::{Factory, Fault, Policy};

use crate::host::{Observed, compiler, engine, load, misbehave, read, shipped, stats, until};
use crate::logs::{lines, logged};
use crate::source::{GROUP, Source, bus};

/// Enough for several groups.
const FRAGMENTS: usize = 3 * GROUP as usize;

/// Runs a plugin beside a healthy one until that has copied every fragment and `enough` holds of the first one's faults and the number of
/// fragments it was given. Gives those faults.
async fn beside_a_healthy_one(
    settings: PluginSettings,
    size: usize,
    enough: impl Fn(&[Fault], u64) -> bool,
) -> Vec<Fault> {
    let plugins = engine();
    let bad = Observed::new(load(&plugins, settings).await.unwrap());
    let factories: Vec<Arc<dyn Factory>> = vec![bad.clone(), shipped(&plugins, "passthrough").await];
    let bus = bus();
    let runner = Runner::start(&bus, factories, vec![]);
    let mut source = Source::of_size(&bus, size);
    let written = source.write(FRAGMENTS);
    let copied = read(&source.broadcast(), "video-copy", FRAGMENTS).await;
    for (copy, original) in copied.iter().zip(&written) {
        assert_eq!((copy.place().group, copy.place().object), (original.place().group, original.place().object));
    }
    until("the faults are there", || enough(&bad.faults(), stats(&runner, bad.name()).fragments)).await;
    source.finish();
    runner.shutdown().await;
    assert_eq!(stats(&runner, "passthrough").skipped, 0);
    bad.faults()
}

/// What a fault says, without the functions it was in.
fn text(fault: &Fault) -> &str {
    match fault {
        Fault::Returned(text) | Fault::NoRoom(text) => text,
        Fault::Lost(text) => text.split(" (in ").next().unwrap_or_default(),
    }
}

fn patient() -> Limits {
    Limits { call_time: Duration::from_secs(20), ..Limits::default() }
}

fn impatient() -> Limits {
    Limits { call_time: Duration::from_millis(20), ..Limits::default() }
}

/// With so many faults the breaker opens, and the plugin is not called again.
const MOST_FAULTS: usize = 5;

#[tokio::test]
async fn trapping_at_start() {
    let faults = beside_a_healthy_one(misbehave("trap-at-start"), 1000, |faults, _| faults.len() == 3).await;
    let texts: Vec<_> = faults.iter().map(text).collect();
    assert_eq!(texts, ["`start` trapped: wasm `unreachable` instruction executed"; 3]);
}

#[tokio::test]
async fn trapping_on_every_third_fragment() {
    let faults = beside_a_healthy_one(misbehave("trap-every-third"), 1000, |faults, _| faults.len() == 3).await;
    assert_eq!(text(&faults[0]), "`on-fragment` trapped: wasm `unreachable` instruction executed");
    // The functions of the plugin are named.
    assert!(
        faults.iter().all(|fault| matches!(fault, Fault::Lost(whole) if whole.contains(" (in misbehave"))),
        "{faults:?}"
    );
}

#[tokio::test]
async fn an_instance_that_follows_a_fault_goes_on_with_the_same_output() {
    let plugins = engine();
    let bus = bus();
    let factory = load(&plugins, misbehave("trap-every-third")).await.unwrap();
    let runner = Runner::start(&bus, vec![factory], vec![]);
    let mut source = Source::of_size(&bus, 1000);
    let written = source.write(FRAGMENTS);
    // Two of each group: the third traps, and the next instance starts with the next group.
    let copied = read(&source.broadcast(), "video-trap-every-third", 6).await;
    let places: Vec<_> = copied.iter().map(|copy| (copy.place().group.0, copy.place().object)).collect();
    let first = written[0].place().group.0;
    assert_eq!(places, [(first, 0), (first, 1), (first + 1, 0), (first + 1, 1), (first + 2, 0), (first + 2, 1)]);
    runner.shutdown().await;
}

#[tokio::test]
async fn looping_at_start() {
    let settings = PluginSettings { limits: impatient(), ..misbehave("loop-at-start") };
    let faults = beside_a_healthy_one(settings, 1000, |faults, _| !faults.is_empty()).await;
    assert_eq!(text(&faults[0]), "`start` took more than its limit of 20 ms of processor time");
}

#[tokio::test]
async fn looping_for_ever_on_a_fragment() {
    let settings = PluginSettings { limits: impatient(), ..misbehave("loop") };
    let faults = beside_a_healthy_one(settings, 1000, |faults, _| faults.len() == 3).await;
    assert_eq!(text(&faults[0]), "`on-fragment` took more than its limit of 20 ms of processor time");
}

#[tokio::test]
async fn others_go_on_while_one_loops() {
    let plugins = engine();
    let limits = Limits { call_time: Duration::from_secs(3_600), ..Limits::default() };
    let bad = Observed::new(load(&plugins, PluginSettings { limits, ..misbehave("loop") }).await.unwrap());
    let factories: Vec<Arc<dyn Factory>> = vec![bad.clone(), shipped(&plugins, "passthrough").await];
    let bus = bus();
    let runner = Runner::start(&bus, factories, vec![]);
    let mut source = Source::of_size(&bus, 1000);
    source.write(1);
    until("it loops", || source.broadcast().track("video-loop").is_some()).await;
    source.write(FRAGMENTS);
    assert_eq!(read(&source.broadcast(), "video-copy", 1 + FRAGMENTS).await.len(), 1 + FRAGMENTS);
    assert_eq!(bad.faults(), []);
    // Given up in the middle of its call: the instance ends with it.
    drop(runner);
}

#[tokio::test]
async fn allocating_four_gibibytes() {
    let settings = PluginSettings { limits: patient(), ..misbehave("allocate") };
    let faults = beside_a_healthy_one(settings, 1000, |faults, _| faults.len() == 3).await;
    let text = text(&faults[0]);
    assert!(text.starts_with("`on-fragment` trapped: "), "{text}");
    assert!(
        text.contains("; it was refused ") && text.ends_with(" bytes of memory where its limit is 67108864"),
        "{text}"
    );
}

#[tokio::test]
async fn keeping_every_handle() {
    let settings = PluginSettings { limits: patient(), ..misbehave("keep") };
    let faults = beside_a_healthy_one(settings, 1000, |faults, _| faults.len() == MOST_FAULTS).await;
    let full = "`on-fragment`: overloaded: the plugin holds as many handles as it may: 1024";
    assert_eq!(faults, vec![Fault::Returned(full.into()); MOST_FAULTS]);
}

#[tokio::test]
async fn keeping_more_memory_than_allowed() {
    let limits = Limits { pinned: 1 << 20, ..patient() };
    let settings = PluginSettings { limits, ..misbehave("keep") };
    let faults = beside_a_healthy_one(settings, 100_000, |faults, _| faults.len() == MOST_FAULTS).await;
    let text = text(&faults[0]);
    assert!(text.starts_with("`on-fragment`: overloaded: the plugin's handles would keep "), "{text}");
    assert!(text.ends_with(" bytes in memory where its limit is 1048576"), "{text}");
}

#[tokio::test]
async fn returning_an_error() {
    let faults = beside_a_healthy_one(misbehave("error"), 1000, |faults, _| faults.len() == MOST_FAULTS).await;
    assert_eq!(faults[0], Fault::Returned("`on-fragment`: failed: on purpose and on two lines".into()));
}

#[tokio::test]
async fn failing_to_stop() {
    let faults = beside_a_healthy_one(misbehave("trap-at-stop"), 1000, |_, given| given == FRAGMENTS as u64).await;
    let texts: Vec<_> = faults.iter().map(text).collect();
    assert_eq!(texts, ["`stop` trapped: wasm `unreachable` instruction executed"]);
    let faults = beside_a_healthy_one(misbehave("error-at-stop"), 1000, |_, given| given == FRAGMENTS as u64).await;
    assert_eq!(faults, [Fault::Returned("`stop`: failed: on purpose".into())]);
}

#[tokio::test]
async fn flooding_the_log() {
    let settings = PluginSettings { limits: patient(), ..misbehave("log") };
    assert_eq!(beside_a_healthy_one(settings, 1000, |_, given| given == FRAGMENTS as u64).await, []);
}

#[tokio::test]
async fn flooding_the_output_is_slowed_down_and_waiting_is_not_the_guests_time() {
    let plugins = engine();
    // Bursts of two seconds: the first ten fragments go through at once, and each of the others waits for about a fifth of a second.
    let limits = Limits { call_time: Duration::from_millis(20), output_rate: 8 * 50_000, ..Limits::default() };
    let settings = PluginSettings { limits, ..misbehave("slow") };
    let slow = Observed::new(load(&plugins, settings).await.unwrap());
    let bus = bus();
    let runner = Runner::start(&bus, vec![slow.clone()], vec![]);
    let mut source = Source::of_size(&bus, 10_000);
    let start = Instant::now();
    source.write(13);
    assert_eq!(read(&source.broadcast(), "video-slow", 13).await.len(), 13);
    assert!(start.elapsed() > Duration::from_millis(400), "{:?}", start.elapsed());
    assert_eq!(slow.faults(), []);
    runner.shutdown().await;
}

#[tokio::test]
async fn more_instances_than_there_is_room_for() {
    let plugins =
        Plugins::new(EngineSettings { max_instances: 1, threads: 1, ..EngineSettings::new(compiler()) }).unwrap();
    let first = Observed::new(load(&plugins, misbehave("first")).await.unwrap());
    let second = Observed::new(load(&plugins, misbehave("second")).await.unwrap());
    let bus = bus();
    let runner = Runner::start(&bus, vec![first.clone(), second.clone()], vec![]);
    let mut source = Source::of_size(&bus, 1000);
    source.write(1);
    until("one of them has no room", || first.faults().len() + second.faults().len() == 1).await;
    let refused = [first.faults(), second.faults()].concat();
    assert_eq!(refused, [Fault::NoRoom("the limit of 1 instances is reached".into())]);
    runner.shutdown().await;
}

/// Faults of a plugin whose calls may take 20 ms, beside a healthy one that gets every fragment.
async fn impatiently(what: &str) -> Vec<Fault> {
    let settings = PluginSettings { limits: impatient(), ..misbehave(what) };
    beside_a_healthy_one(settings, 1000, |faults, _| !faults.is_empty()).await
}

#[tokio::test]
async fn work_of_the_hosts_functions_is_the_plugins() {
    for what in ["log-for-ever", "events-for-ever", "metrics-for-ever", "bulk", "unrolled"] {
        let faults = impatiently(what).await;
        assert_eq!(text(&faults[0]), "`on-fragment` took more than its limit of 20 ms of processor time", "{what}");
    }
}

#[tokio::test]
async fn trapping_in_the_midst_of_a_fill() {
    let settings = PluginSettings { limits: patient(), ..misbehave("bulk-trap") };
    let faults = beside_a_healthy_one(settings, 1000, |faults, _| faults.len() == 3).await;
    assert_eq!(text(&faults[0]), "`on-fragment` trapped: out of bounds memory access");
}

#[tokio::test]
async fn a_place_in_the_pool_that_was_used_before_has_nothing_in_it() {
    crate::logs::keep();
    let plugins =
        Plugins::new(EngineSettings { max_instances: 2, threads: 1, ..EngineSettings::new(compiler()) }).unwrap();
    let settings = PluginSettings { limits: patient(), ..misbehave("recycled") };
    let plugin = Observed::new(load(&plugins, settings).await.unwrap());
    let bus = bus();
    let runner = Runner::start(&bus, vec![plugin.clone()], vec![]);
    let mut source = Source::of_size(&bus, 1000);
    source.write(FRAGMENTS);
    until("three have trapped", || plugin.faults().len() == 3).await;
    assert!(plugin.faults().iter().all(|fault| matches!(fault, Fault::Lost(_))), "{:?}", plugin.faults());
    logged("recycled", "nothing was found").await;
    runner.shutdown().await;
}

#[tokio::test]
async fn writing_more_than_it_may() {
    for what in ["large", "tracks"] {
        let settings = PluginSettings { limits: patient(), ..misbehave(what) };
        assert_eq!(beside_a_healthy_one(settings, 1000, |_, given| given == FRAGMENTS as u64).await, [], "{what}");
    }
    let limits = Limits { call_wait: Duration::from_millis(200), ..patient() };
    let settings = PluginSettings { limits, ..misbehave("million") };
    let faults = beside_a_healthy_one(settings, 1000, |faults, _| !faults.is_empty()).await;
    assert_eq!(text(&faults[0]), "`on-fragment` waited in the host's functions for more than its limit of 200 ms");
}

#[tokio::test]
async fn decode_times_that_do_not_rise_are_refused() {
    for what in ["equal-times", "falling-times"] {
        assert_eq!(
            beside_a_healthy_one(misbehave(what), 1000, |_, given| given == FRAGMENTS as u64).await,
            [],
            "{what}"
        );
    }
}

#[tokio::test]
async fn more_series_than_it_may_have() {
    let settings = PluginSettings { limits: patient(), ..misbehave("series") };
    assert_eq!(beside_a_healthy_one(settings, 1000, |_, given| given == FRAGMENTS as u64).await, []);
}

#[tokio::test]
async fn tracks_of_a_plugin_that_wrote_too_much_are_not_written_in_its_place() {
    let plugins = engine();
    let limits = Limits { call_wait: Duration::from_millis(50), ..patient() };
    let bad = Observed::new(load(&plugins, PluginSettings { limits, ..misbehave("million") }).await.unwrap());
    let bus = bus();
    let factories: Vec<Arc<dyn Factory>> = vec![bad.clone(), shipped(&plugins, "passthrough").await];
    let runner = Runner::start(&bus, factories, vec![]);
    let mut source = Source::of_size(&bus, 10_000);
    let written = source.write(12 * GROUP as usize).len();
    read(&source.broadcast(), "video-copy", written).await;
    until("the breaker is open", || stats(&runner, "million").breaker == Some(Policy::Bypass)).await;
    let output = source.broadcast().track("video-million").unwrap();
    let before = output.stats().fragments;
    let written = source.write(GROUP as usize).len() + written;
    read(&source.broadcast(), "video-copy", written).await;
    runner.shutdown().await;
    assert_eq!(output.stats().fragments, before);
}

#[tokio::test]
async fn a_plugin_that_uses_more_than_its_share_is_given_less() {
    crate::logs::keep();
    let plugins = engine();
    let limits = Limits { cpu: 0.01, ..patient() };
    let busy = Observed::new(load(&plugins, PluginSettings { limits, ..misbehave("busy") }).await.unwrap());
    let bus = bus();
    let factories: Vec<Arc<dyn Factory>> = vec![busy.clone(), shipped(&plugins, "passthrough").await];
    let runner = Runner::start(&bus, factories, vec![]);
    let mut source = Source::of_size(&bus, 1000);
    let mut written = 0;
    while stats(&runner, "busy").over_share == 0 {
        written += source.write(GROUP as usize).len();
        read(&source.broadcast(), "video-copy", written).await;
        assert!(written < 10_000, "it is never over its share");
    }
    let counted = stats(&runner, "busy");
    assert_eq!((counted.fragment_faults, counted.breaker), (0, None));
    // Its share comes back with time, and it goes on with a group.
    for _ in 0..600 {
        written += source.write(GROUP as usize).len();
        read(&source.broadcast(), "video-copy", written).await;
        if !lines("busy").is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    logged("busy", "fragments are missing: limit").await;
    assert_eq!(busy.faults(), []);
    runner.shutdown().await;
}

#[tokio::test]
async fn values_that_the_contracts_types_do_not_have() {
    for (what, words) in [
        ("raw-surrogate", "utf-8"),
        ("raw-bytes", "utf-8"),
        ("raw-enum", "discriminant"),
        ("raw-pointer", "out of bounds"),
        ("raw-list", "out of bounds"),
        ("raw-handle", "handle"),
        ("raw-alignment", "aligned"),
    ] {
        let settings = PluginSettings { limits: patient(), ..misbehave(what) };
        let faults = beside_a_healthy_one(settings, 1000, |faults, _| faults.len() == 3).await;
        assert!(text(&faults[0]).contains(words) && matches!(faults[0], Fault::Lost(_)), "{what}: {faults:?}");
    }
    // Bits of flags that are not defined are ignored (the component model's canonical ABI).
    let settings = PluginSettings { limits: patient(), ..misbehave("raw-flags") };
    assert_eq!(beside_a_healthy_one(settings, 1000, |_, given| given == FRAGMENTS as u64).await, []);
}

/// Threads, open files and resident memory of this process.
fn taken() -> (usize, usize, u64) {
    let count = |folder: &str| std::fs::read_dir(folder).unwrap().count();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kilobytes = resident.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap();
    (count("/proc/self/task"), count("/proc/self/fd"), kilobytes << 10)
}

#[tokio::test]
async fn threads_handles_and_memory_come_back() {
    let settings = EngineSettings { max_instances: 4, threads: 1, ..EngineSettings::new(compiler()) };
    let plugins = Plugins::new(settings).unwrap();
    let ways = ["keep", "allocate", "trap-every-third", "unrolled"];
    let mut loaded: Vec<Arc<dyn Factory>> = Vec::new();
    for way in ways {
        loaded.push(load(&plugins, PluginSettings { limits: impatient(), ..misbehave(way) }).await.unwrap());
    }
    let mut after = Vec::new();
    for _ in 0..4 {
        let bus = bus();
        let runner = Runner::start(&bus, loaded.clone(), vec![]);
        let mut source = Source::of_size(&bus, 100_000);
        source.write(FRAGMENTS);
        for way in ways {
            until(&format!("{way} has failed"), || stats(&runner, way).fragment_faults >= 3).await;
            // There is room for all of them each time: none has kept its place in the pool.
            assert_eq!(stats(&runner, way).no_room, 0, "{way}");
        }
        source.finish();
        runner.shutdown().await;
        drop((runner, bus));
        after.push(taken());
    }
    // What was dropped last may still be ending.
    let (threads, files, memory) = after[1];
    until("threads come back", || taken().0 <= threads).await;
    until("files come back", || taken().1 <= files).await;
    assert!(taken().2 < memory + (16 << 20), "{after:?}");
    assert!(plugins.alarms().is_empty());
}
