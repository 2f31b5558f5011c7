//! Components that are made to harm the host that loads them. `make test-full` meets them with the limits that a server has.

use std::time::Duration;

use millrace_hostile::{Numbers, most_held, mutate, seeds};
use millrace_plugin::{CompileLimits, Compiler, PluginSettings, World, WorldError, WorldLimits};

use crate::bombs;
use crate::guests::component;
use crate::host::{compiler, engine_with};

/// Whether the tests may take minutes.
fn is_full() -> bool {
    std::env::var_os("MILLRACE_SEEDS").is_some()
}

async fn refusal(compiler: Compiler, bytes: Vec<u8>) -> String {
    let settings = PluginSettings::new("bomb", "bomb.wasm");
    engine_with(compiler).load_bytes(settings, bytes).await.expect_err("it was loaded").fault.to_string()
}

/// What is refused without a compiler.
async fn unread(bytes: Vec<u8>) -> String {
    refusal(Compiler::new("/nowhere/compiler"), bytes).await
}

#[tokio::test]
async fn what_is_too_much_is_not_even_compiled() {
    let tiny = bombs::tiny_functions(840_000);
    assert!(tiny.len() > 8_000_000, "{}", tiny.len());
    let error = unread(tiny).await;
    assert!(error.starts_with("has at least 840"), "{error}");
    assert!(error.ends_with(" functions in its core modules, and the limit is 200000"), "{error}");
    let error = unread(bombs::long_function(600_000)).await;
    assert!(error.ends_with(" bytes of code in one function, and the limit is 4194304"), "{error}");
    assert_eq!(unread(bombs::imports(10_000)).await, "has at least 10000 imports, and the limit is 1000");
    let nested = "has at least 17 components nested in each other, and the limit is 16";
    assert_eq!(unread(bombs::nested(1_000)).await, nested);
}

#[test]
fn what_is_just_within_the_limits_is_read() {
    let read = |bytes: &[u8]| World::read(bytes, &WorldLimits::default());
    assert_eq!(read(&bombs::imports(1_000)).unwrap().imports.len(), 1_000);
    assert_eq!(read(&bombs::nested(16)).unwrap().nesting, 16);
}

#[tokio::test]
async fn what_takes_too_much_memory_to_compile() {
    let (memory, steps, said) = if is_full() { (1 << 30, 350_000, "1 GiB") } else { (96 << 20, 60_000, "96 MiB") };
    let compiler = Compiler { limits: CompileLimits { memory, ..CompileLimits::default() }, ..compiler() };
    let error = refusal(compiler, bombs::long_function(steps)).await;
    assert_eq!(error, format!("takes more than {said} of memory to compile"));
}

#[tokio::test]
async fn what_takes_too_much_time_to_compile() {
    let seconds = if is_full() { 60 } else { 1 };
    let processor_time = Duration::from_secs(seconds);
    // At the lowest priority, a busy machine takes much longer by the clock.
    let limits = CompileLimits { processor_time, time: Duration::from_secs(3600), ..CompileLimits::default() };
    let error = refusal(Compiler { limits, ..compiler() }, bombs::nested_loops(40)).await;
    assert_eq!(error, format!("takes more than {seconds} s of processor time to compile"));
}

#[test]
fn a_component_with_bytes_changed_is_read_or_refused() {
    let whole = component("passthrough");
    let limits = WorldLimits::default();
    let mut refused = 0;
    for seed in seeds(2_000) {
        let mut numbers = Numbers(seed);
        let mutated = mutate(&whole, &[], &mut numbers);
        let cut = numbers.below(mutated.len());
        for bytes in [&mutated[..], &mutated[..cut]] {
            let mut read = Ok(World::default());
            let held = most_held(|| read = World::read(bytes, &limits));
            assert!(held < 16 << 10, "seed {seed}: {held} bytes were held");
            refused += usize::from(matches!(read, Err(WorldError::Damaged { .. } | WorldError::TooMuch { .. })));
        }
    }
    assert!(refused > 0, "no change was found");
}

#[tokio::test]
async fn a_component_with_bytes_changed_is_compiled_or_refused() {
    let whole = component("passthrough");
    let plugins = engine_with(compiler());
    let mut refused = 0;
    // Each is a process.
    for seed in seeds(20).step_by(if is_full() { 10 } else { 1 }) {
        let mutated = mutate(&whole, &[], &mut Numbers(seed));
        let loaded = plugins.load_bytes(PluginSettings::new("bad", "bad.wasm"), mutated).await;
        refused += usize::from(loaded.is_err());
    }
    assert!(refused > 0, "no change was found");
    plugins.load_bytes(PluginSettings::new("good", "good.wasm"), whole).await.unwrap();
}
